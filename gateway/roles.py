"""Roles: named sets of scopes; a credential may have roles and scopes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache

import schema.changes.effects  # noqa: F401 - registers the mutations that are not transitions
from db.base.lifecycles import MAY_CHANGE, MAY_REVIEW
from schema.changes.mutations import mutations
from schema.scopes import FORCE, PREVIEW, PURGE, READ, WEBHOOKS, WRITE, all_scopes, expanded

ROLES: Mapping[str, tuple[str, ...]] = {
    "viewer": (READ,),
    "analyst": (READ, PREVIEW),
    "operator": (READ, PREVIEW, MAY_CHANGE),
    "reviewer": (READ, PREVIEW, MAY_REVIEW, f"{MAY_CHANGE}:requestReview"),
    "recorder": (WRITE,),
    "keeper": (PURGE,),
    "notifier": (WEBHOOKS,),
    "admin": (READ, PREVIEW, MAY_CHANGE, MAY_REVIEW, FORCE, WRITE),
}
"""The scopes of each role. Only a keeper may purge old rows.

None of them includes data of single patients, whose scope has to be granted by name.
"""


@cache
def _single_changes() -> frozenset[str]:
    """The scopes of single mutations, such as ``change:promoteModel``."""
    return frozenset(f"{MAY_CHANGE}:{name}" for name in mutations())


def is_scope(text: str) -> bool:
    """Whether a text is a scope; ``change:promoteModel`` is that of one mutation."""
    return text in {READ, WRITE, PURGE} or text in all_scopes() or text in _single_changes()


def meant(name: str, roles: Iterable[str] = ()) -> str:
    """A suggestion for a name that is neither a role nor a scope, as the end of a sentence."""
    near = get_close_matches(
        name[:80], [*roles, READ, WRITE, PURGE, *all_scopes(), *_single_changes()], n=3, cutoff=0.75
    )
    return f"; did you mean {' or '.join(near)}?" if near else ""


def unknown(names: Iterable[str], roles: Mapping[str, Iterable[str]]) -> list[str]:
    """The names that are neither roles nor scopes."""
    return [name for name in names if name not in roles and not is_scope(name)]


def granted(names: Iterable[str], roles: Mapping[str, Iterable[str]]) -> tuple[frozenset[str], frozenset[str]]:
    """The roles among these names, and all scopes that they grant; unknown names grant nothing."""
    named = list(names)
    held = frozenset(name for name in named if name in roles)
    scopes = [scope for name in held for scope in roles[name]]
    return held, expanded([*scopes, *(name for name in named if name not in held and is_scope(name))])
