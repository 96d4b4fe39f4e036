"""Differences of the gateway's own tables. Without them reads work, except for histories, and changes do not."""

from collections.abc import Iterator

from db.attach.catalog import DatabaseCatalog
from db.attach.differences import Difference, Severity, joined
from db.base.vocabulary import Entity, is_own
from db.models.gateway import (
    CHANGE_PREVIEWS,
    CURRENT_STATES,
    ORIGIN,
    SERVICE_TOKENS,
    STATE_MARKS,
    TIMELINES,
    TRUSTED_DOCUMENTS,
    WEBHOOK_ENDPOINTS,
    WEBHOOK_MESSAGES,
    WEBHOOK_SENDER,
)

_CAN_DO_WITHOUT = {
    SERVICE_TOKENS.fullname: "there are no service tokens",
    TRUSTED_DOCUMENTS.fullname: "there are no trusted documents in the database",
    CHANGE_PREVIEWS.fullname: "agents can change nothing",
    WEBHOOK_ENDPOINTS.fullname: "there are no webhooks",
    WEBHOOK_MESSAGES.fullname: "webhooks are not sent",
    WEBHOOK_SENDER.fullname: "webhooks are not sent",
    CURRENT_STATES.fullname: "health and drift status of all models are not stored",
    STATE_MARKS.fullname: "health and drift status of all models are not stored",
    ORIGIN.fullname: "subscribers do not learn that a failover or a restored backup lost changes",
    TIMELINES.fullname: "two standbys that are promoted side by side are not told apart",
}
"""Own tables that changes and subscriptions do not need, with the consequence if they are missing."""

_MAKE = "run `e2i-gateway db migrate` (or `db attach`, on the platform's own database)"
"""What makes the gateway's own tables, and brings them up to date."""


def own_tables(found: DatabaseCatalog) -> Iterator[Difference]:
    """Differences of the gateway's own tables."""
    every = [table.fullname for table in Entity.metadata.tables.values() if is_own(table)]
    own = [name for name in every if name not in _CAN_DO_WITHOUT]
    without = "changes are refused, histories answer with an error, and nothing can be subscribed to"
    if not found.has_own_schema:
        yield Difference(
            Severity.BREAKS, "missing schema", "gateway",
            f"the gateway's own schema is missing: {without}; `e2i-gateway db attach` makes it where the role may",
            f"CREATE SCHEMA gateway AUTHORIZATION {found.role}",
        )  # fmt: skip
    elif lacks := [name for name in own if name not in found.tables]:
        yield Difference(
            Severity.BREAKS, "missing own table", ", ".join(lacks),
            f"the gateway's own schema lacks {joined(lacks)}: {without}; {_MAKE} as the schema's owner",
        )  # fmt: skip
    elif closed := [name for name in own if not found.tables[name].readable]:
        yield Difference(
            Severity.BREAKS, "not readable", ", ".join(closed),
            f"{found.role} may not use {joined(closed)}: {without}; run `e2i-gateway db attach` as their owner",
        )  # fmt: skip
    elif lacks := [name for name in _CAN_DO_WITHOUT if name not in found.tables]:
        for name in lacks:
            yield Difference(
                Severity.INFORMS, "missing own table", name,
                f"the gateway's own schema lacks {name}: {_CAN_DO_WITHOUT[name]}; {_MAKE} as the schema's owner",
            )  # fmt: skip
    else:
        yield from _older_own_tables(found)


def _older_own_tables(found: DatabaseCatalog) -> Iterator[Difference]:
    older = [
        f"{table.fullname}.{column.name}"
        for table in Entity.metadata.tables.values()
        if is_own(table)
        for column in table.columns
        if column.name not in found.tables[table.fullname].columns
    ]
    if older:
        them = "it" if len(older) == 1 else "them"
        yield Difference(
            Severity.BREAKS, "older own table", ", ".join(older),
            f"the gateway's own tables are an earlier version's, without {joined(older)}: what uses {them} is "
            f"refused; {_MAKE} as their owner",
        )  # fmt: skip
