"""Roles: names for sets of scopes, as a credential may carry them beside scopes themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from db.lifecycle import MAY_CHANGE, MAY_REVIEW
from schema.scopes import FORCE, PREVIEW, READ, expanded, is_scope

ROLES: Mapping[str, tuple[str, ...]] = {
    "viewer": (READ,),
    "analyst": (READ, PREVIEW),
    "operator": (READ, PREVIEW, MAY_CHANGE),
    "reviewer": (READ, PREVIEW, MAY_REVIEW, f"{MAY_CHANGE}:requestReview"),
    "admin": (READ, PREVIEW, MAY_CHANGE, MAY_REVIEW, FORCE),
}
"""What each role may do. None of them reads what is known of single patients: that scope is given by its name."""


def unknown(names: Iterable[str], roles: Mapping[str, Iterable[str]]) -> list[str]:
    """The names that are neither roles nor scopes."""
    return [name for name in names if name not in roles and not is_scope(name)]


def granted(names: Iterable[str], roles: Mapping[str, Iterable[str]]) -> tuple[frozenset[str], frozenset[str]]:
    """The roles among these names, and the scopes of all of them in full; what is neither grants nothing."""
    named = list(names)
    held = frozenset(name for name in named if name in roles)
    scopes = [scope for name in held for scope in roles[name]]
    return held, expanded([*scopes, *(name for name in named if name not in held and is_scope(name))])
