"""Settings from the environment, checked at start: all groups together, and what concerns several of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Self

from pydantic import ValidationError, model_validator

from gateway.setting_groups.access import AccessSettings
from gateway.setting_groups.agents import AgentSettings
from gateway.setting_groups.changes import ChangeSettings
from gateway.setting_groups.database import DatabaseSettings
from gateway.setting_groups.documents import DocumentSettings
from gateway.setting_groups.group import PREFIX
from gateway.setting_groups.limits import LimitSettings
from gateway.setting_groups.live import LiveSettings
from gateway.setting_groups.server import ServerSettings
from gateway.setting_types import LOOPBACK_NAMES, is_loopback, words


class SettingsError(Exception):
    """A setting is invalid; the message names each one, what is wrong and what would be right."""


class Settings(
    ServerSettings,
    DatabaseSettings,
    AccessSettings,
    DocumentSettings,
    LimitSettings,
    ChangeSettings,
    LiveSettings,
    AgentSettings,
):
    """Every setting of the gateway, with its default; the reference has the groups in this order."""

    @model_validator(mode="after")
    def _names_agents(self) -> Self:
        if self.mcp_url and "jwt" in self.auth and self.mcp_url not in self.jwt_audience:
            raise ValueError("GATEWAY_JWT_AUDIENCE: add the GATEWAY_MCP_URL, which JWTs name in aud there")
        return self

    @property
    def uses_rollups(self) -> bool:
        """Whether rollups are read and kept up: policies may hide rows that are in their sums."""
        return self.rollups and not self.rls

    @property
    def uses_current_state(self) -> bool:
        """Whether stored states are read and kept up: policies may hide rows that they are computed of."""
        return self.current_state and not self.rls

    @property
    def is_exposed(self) -> bool:
        """Whether other machines can reach a server without authentication."""
        return "none" in self.auth and not is_loopback(self.host)

    @property
    def known_hosts(self) -> frozenset[bytes]:
        """The host names that the server accepts, in the form of the Host header without a port; empty for any.

        Anonymous callers need a list: by DNS rebinding, a page can reach a loopback server under its own name.
        Authenticated callers do not, since such a page has no credential of another origin.
        """
        named: tuple[str, ...] = words(self.hosts)
        if not named and "none" in self.auth:
            own = f"[{self.host.strip('[]')}]" if ":" in self.host else self.host
            named = (*LOOPBACK_NAMES, own)
        return frozenset() if "*" in named else frozenset(one.lower().rstrip(".").encode() for one in named)


def load() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: A variable is invalid.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        lines = [_line(problem) for problem in error.errors(include_input=False)]
        raise SettingsError("\n".join(lines)) from None
    if settings.replica_url and not settings.database_url:
        raise SettingsError(
            "GATEWAY_REPLICA_URL: a replica needs DATABASE_URL, its primary, which is not set; set both"
        )
    return settings


def unknown(environment: Mapping[str, str]) -> list[str]:
    """Environment variables with a prefix of settings that are not settings, in a sentence each with a suggestion.

    Variables that Kubernetes sets in every container for a service ``gateway`` are ignored.
    """
    names = [str(one.validation_alias or f"{PREFIX}{name.upper()}") for name, one in Settings.model_fields.items()]
    known = {name.removeprefix(PREFIX): name for name in names}
    found = []
    for name, value in sorted(environment.items()):
        if not name.upper().startswith(PREFIX) or name.upper() in names:
            continue
        if _OF_A_SERVICE.fullmatch(name) or value.startswith(("tcp://", "udp://")):
            continue
        near = get_close_matches(name.upper().removeprefix(PREFIX)[:80], known, n=2, cutoff=0.75)
        meant_ = f"; did you mean {' or '.join(known[one] for one in near)}?" if near else ""
        found.append(f"{name[:80]} is no setting and has no effect{meant_}")
    return found


_OF_A_SERVICE = re.compile(r"GATEWAY_(?:SERVICE_(?:HOST|PORT(?:_\w+)?)|PORT_\d+_(?:TCP|UDP)(?:_(?:PROTO|PORT|ADDR))?)")


def _line(problem: Any) -> str:
    """The problem with a setting, or with several together, in a line."""
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{_variable(str(problem['loc'][0]))}: {message}" if problem["loc"] else message


def _variable(name: str) -> str:
    return name if name.isupper() else f"GATEWAY_{name.upper()}"
