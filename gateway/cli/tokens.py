"""``e2i-gateway token``: service tokens."""

from __future__ import annotations

import argparse
import sys

from db.store import tokens
from db.store.caller_roles import unusable_by_any
from gateway.auth.authentication import TOKEN_SECONDS
from gateway.cli.areas import Areas
from gateway.cli.connection import own_table, say, with_owner
from gateway.roles import ROLES, meant, unknown
from gateway.settings import Settings
from schema.scopes import shown_scopes

MAX_DAYS = 3650
"""The longest validity of a service token."""


def add(areas: Areas) -> None:
    """Adds the commands."""
    parsers = areas.add_parser("token", help="tokens of agents and services").add_subparsers(
        required=True, metavar="command"
    )
    one = parsers.add_parser("create", help="make a token; it is shown once")
    one.add_argument("name", help="name of the caller: the record of changes has token:NAME")
    one.add_argument(
        "--scope", action="append", required=True, metavar="SCOPE", help="a role or a scope; several times for several"
    )
    one.add_argument("--days", type=float, default=90.0, help="days until it ends (90)")
    one.set_defaults(run=create)
    parsers.add_parser("list", help="list all tokens, without their secrets").set_defaults(run=list_all)
    one = parsers.add_parser("revoke", help="take a token back: it is refused within seconds")
    one.add_argument("name", help="the token's name")
    one.set_defaults(run=revoke)


def create(options: argparse.Namespace, settings: Settings) -> int:
    """Creates a service token and prints its secret, once."""
    roles = {**ROLES, **settings.roles}
    if wrong := unknown(options.scope, roles):
        raise tokens.TokenError(
            f"{', '.join(wrong)}: no role and no scope{meant(wrong[0], roles)}\nThere are the roles {', '.join(roles)} "
            f"and the scopes {', '.join(shown_scopes())}, and change:MUTATION for each mutation"
        )
    if not 0 < options.days <= MAX_DAYS:
        raise tokens.TokenError(f"--days {options.days} is out of range; pass more than 0, at most {MAX_DAYS}")

    async def run(url: str) -> int:
        async with own_table(url, "service_tokens", tokens.TokenError) as connection:
            if settings.rls and (why := await unusable_by_any(connection, settings.rls_token_role)):
                raise tokens.TokenError(
                    f"the token could not be used: it would have the role of GATEWAY_RLS_TOKEN_ROLE, and {why}"
                )
            made = await tokens.create(connection, options.name, options.scope, options.days)
        sys.stderr.write("Keep it: it is shown this once, and only its hash is stored.\n")
        say(made)
        return 0

    return with_owner(settings, run)


def list_all(_options: argparse.Namespace, settings: Settings) -> int:
    """Prints every service token, without its secret."""

    async def run(url: str) -> int:
        async with own_table(url, "service_tokens", tokens.TokenError) as connection:
            found = await tokens.listed(connection)
        for one in found:
            used = f"used {one.last_used_at:%Y-%m-%d %H:%M}" if one.last_used_at else "never used"
            until = f"until {one.expires_at:%Y-%m-%d %H:%M}"
            say("\t".join([one.name, one.state, until, used, " ".join(one.scopes)]))
        if not found:
            say("There are no service tokens.")
        return 0

    return with_owner(settings, run)


def revoke(options: argparse.Namespace, settings: Settings) -> int:
    """Revokes a service token."""

    async def run(url: str) -> int:
        async with own_table(url, "service_tokens", tokens.TokenError) as connection:
            await tokens.revoke(connection, options.name)
        say(f"The token {options.name} is revoked; gateways refuse it within {TOKEN_SECONDS:g} seconds.")
        return 0

    return with_owner(settings, run)
