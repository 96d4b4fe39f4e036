"""The gateway's own tables, in the Postgres schema `gateway`: among them the records of changes and their requests."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    TEXT,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Uuid,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds
from db.base.markers import LiveTopic
from db.base.sums import make_sums_table
from db.base.vocabulary import EMPTY_OBJECT, NEW_UUID, NOW, OWN_SCHEMA, Entity, column, entities


class LifecycleEvent(Entity):
    """One change that was made through the gateway: what moved, from which state to which, by whom and why.

    Written in the transaction of the change, and never changed or removed.
    """

    __aliases__ = ("event", "audit log", "audit trail", "change history")
    __tablename__ = "lifecycle_events"
    __topic__ = LiveTopic.LIFECYCLE
    __table_args__ = (
        Index(
            "ix_lifecycle_events_node_id_occurred_at",
            "node_id",
            literal_column("occurred_at DESC NULLS LAST"),
            literal_column("event_id DESC"),
        ),
        Index("ix_lifecycle_events_change_id", "change_id"),
        {"schema": OWN_SCHEMA},
    )
    __order__ = "occurred_at"

    event_id: Mapped[UUID] = column(Uuid(), "Event identifier.", primary_key=True, server_default=NEW_UUID)
    change_id: Mapped[UUID] = column(
        Uuid(), "The change that the event belongs to: all events of one mutation have the same."
    )
    mutation: Mapped[str] = column(
        TEXT(), "Mutation that made the change, such as promoteModel.", holds=Holds.IDENTIFIER, aliases=("action",)
    )
    node_id: Mapped[str] = column(
        TEXT(), "Global id of the row that changed, such as Model:1f0e....", holds=Holds.IDENTIFIER
    )
    node_type: Mapped[str] = column(TEXT(), "Type of the row that changed, such as Model.", holds=Holds.IDENTIFIER)
    lifecycle: Mapped[str] = column(
        TEXT(), "Lifecycle that the row moved in, such as stage, status or champion.", holds=Holds.LABEL
    )
    from_state: Mapped[str | None] = column(
        TEXT(),
        "State before the change, as the graph names it, such as STAGING; null for a row that was made.",
        holds=Holds.LABEL,
    )
    to_state: Mapped[str | None] = column(
        TEXT(), "State after the change, as the graph names it, such as SHADOW.", holds=Holds.LABEL
    )
    actor: Mapped[str] = column(
        TEXT(), "Who asked for the change.", holds=Holds.IDENTIFIER, aliases=("user", "changed by")
    )
    reason: Mapped[str | None] = column(
        TEXT(), "Why, in the words of whoever asked.", holds=Holds.PROSE, aliases=("why",)
    )
    forced: Mapped[bool] = column(
        Boolean(), "Whether guards were overridden; details name them.", server_default="false"
    )
    details: Mapped[Any] = column(
        JSONB(),
        "What else was given, and the guards that were overridden.",
        server_default=EMPTY_OBJECT,
        holds=Holds.PROSE,
    )
    request_id: Mapped[str | None] = column(
        TEXT(), "Request that made the change, as the gateway's log names it.", holds=Holds.IDENTIFIER
    )
    occurred_at: Mapped[datetime] = column(
        TIMESTAMP(timezone=True),
        "When the change was made.",
        server_default=text("clock_timestamp()"),
        aliases=("changed at",),
    )


IDEMPOTENCY_KEYS = Table(
    "idempotency_keys",
    Entity.metadata,
    Column("caller", TEXT(), primary_key=True, comment="Who gave the key; callers do not share keys."),
    Column("key", TEXT(), primary_key=True, comment="The key, as the caller chose it."),
    Column("mutation", TEXT(), nullable=False, comment="Mutation that the key was given to."),
    Column("input_hash", TEXT(), nullable=False, comment="SHA-256 of the input, without the key itself."),
    Column("result", JSONB(), comment="The result by the ids of its nodes and events."),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False, server_default=NOW, comment="When it was used."),
    Column(
        "expires_at", TIMESTAMP(timezone=True), nullable=False, comment="Until when it gives the same result again."
    ),
    Index("ix_idempotency_keys_expires_at", "expires_at"),
    schema=OWN_SCHEMA,
    comment="Keys by which a change is made once, however often it is asked for; applied changes only.",
)

RECORDINGS = Table(
    "recordings",
    Entity.metadata,
    Column("recording_id", Uuid(), primary_key=True, server_default=NEW_UUID, comment="Identifier of the recording."),
    Column("mutation", TEXT(), nullable=False, comment="Mutation that recorded them, such as recordServingMetrics."),
    Column("node_type", TEXT(), nullable=False, comment="Type of the rows, such as ServingMetric."),
    Column("inserted", Integer(), nullable=False, comment="Number of rows that were new."),
    Column("updated", Integer(), nullable=False, comment="Number of rows that were there and got other values."),
    Column("kept", Integer(), nullable=False, comment="Number of rows that were there and stayed as they were."),
    Column("actor", TEXT(), nullable=False, comment="Who recorded them."),
    Column("request_id", TEXT(), nullable=False, comment="Request that recorded them, as logs and answers name it."),
    Column("digest", TEXT(), nullable=False, comment="SHA-256 of the rows as they were sent."),
    Column("first_at", TIMESTAMP(timezone=True), comment="Earliest time that a row tells of, null without times."),
    Column("last_at", TIMESTAMP(timezone=True), comment="Latest time that a row tells of, null without times."),
    Column(
        "details", JSONB(), nullable=False, server_default=EMPTY_OBJECT,
        comment="Of an update: the columns that it wrote, with their values before, except those of patients.",
    ),
    Column("recorded_at", TIMESTAMP(timezone=True), nullable=False, server_default=NOW, comment="When it was done."),
    Index("ix_recordings_recorded_at", "recorded_at"),
    schema=OWN_SCHEMA,
    comment="Batches of rows that were recorded through the gateway, one row a batch; never changed or removed.",
)  # fmt: skip

SERVICE_TOKENS = Table(
    "service_tokens",
    Entity.metadata,
    Column(
        "name", TEXT(), primary_key=True, comment="Whose it is; the record of changes names it, so none is used twice."
    ),
    Column(
        "hash", TEXT(), nullable=False, unique=True, comment="SHA-256 of the token, which nobody has but its owner."
    ),
    Column("scopes", ARRAY(TEXT()), nullable=False, comment="Roles and scopes that it has."),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False, server_default=NOW, comment="When it was made."),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False, comment="Until when it is good."),
    Column("revoked_at", TIMESTAMP(timezone=True), comment="When it was taken back."),
    Column("last_used_at", TIMESTAMP(timezone=True), comment="When it was last used, to a minute."),
    schema=OWN_SCHEMA,
    comment="Tokens of agents and services, made, listed and revoked by the command line.",
)

TRUSTED_DOCUMENTS = Table(
    "trusted_documents",
    Entity.metadata,
    Column("id", TEXT(), primary_key=True, comment="What clients name it by: its SHA-256, or an id of their making."),
    Column("document", TEXT(), nullable=False, comment="The document, to the letter."),
    Column("name", TEXT(), comment="What it was called where it came from."),
    Column("added_at", TIMESTAMP(timezone=True), nullable=False, server_default=NOW, comment="When it was added."),
    Column("added_by", TEXT(), nullable=False, server_default=text("CURRENT_USER"), comment="The role that added it."),
    CheckConstraint(
        "id !~ '^[0-9a-f]{64}$' OR id = encode(sha256(convert_to(document, 'UTF8')), 'hex')",
        name="ck_trusted_documents_hash",
    ),
    schema=OWN_SCHEMA,
    comment="Documents that are answered where others are not; added, listed and removed by the command line.",
)

CHANGE_PREVIEWS = Table(
    "change_previews",
    Entity.metadata,
    Column("preview_id", TEXT(), primary_key=True, comment="The short handle that an agent was given."),
    Column("caller", TEXT(), nullable=False, comment="Whose it is: nobody else can apply it."),
    Column("document", TEXT(), nullable=False, comment="The mutation that was previewed, and is applied."),
    Column("variables", JSONB(), nullable=False, comment="Its variables."),
    Column(
        "row_versions", JSONB(), nullable=False,
        comment="Rows that it concerns, by their ids, with their versions: it is applied while they are these.",
    ),
    Column("question", TEXT(), nullable=False, comment="What a person is asked, in the gateway's words alone."),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False, server_default=NOW, comment="When it was made."),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False, comment="Until when it can be applied."),
    Column("asked", TEXT(), comment="State of the question that was put last; an answer must repeat it."),
    Column("answer", TEXT(), comment="What came back to that question by another connection."),
    Column("confirmed_at", TIMESTAMP(timezone=True), comment="When a person has said yes."),
    Column("confirmed_by", TEXT(), comment="How: by the client of the agent, or as a role of the database."),
    Column("outcome", TEXT(), comment="What ended it: applied, declined or stale; null while it can be applied."),
    Column("ended_at", TIMESTAMP(timezone=True), comment="When that was."),
    Index("ix_change_previews_expires_at", "expires_at"),
    schema=OWN_SCHEMA,
    comment="Changes that agents have previewed, until a person confirms them; kept for an hour after they expire.",
)  # fmt: skip

WEBHOOK_ENDPOINTS = Table(
    "webhook_endpoints",
    Entity.metadata,
    Column("name", TEXT(), primary_key=True, comment="What it is called."),
    Column("url", TEXT(), nullable=False, comment="Where its messages are posted."),
    Column("topic", TEXT(), nullable=False, comment="What it is told of: lifecycle or alerts."),
    Column(
        "filters", JSONB(), nullable=False, server_default=EMPTY_OBJECT,
        comment="Which of it: the arguments of the subscription of that topic.",
    ),
    Column(
        "format", TEXT(), nullable=False, server_default="standard",
        comment="How its messages are written: standard or openlineage.",
    ),
    Column("secret", TEXT(), nullable=False, comment="What its messages are signed with."),
    Column("old_secret", TEXT(), comment="The secret before, which signs beside it."),
    Column("old_secret_until", TIMESTAMP(timezone=True), comment="Until when the secret before signs."),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False, server_default=NOW, comment="When it was made."),
    Column("created_by", TEXT(), nullable=False, server_default=text("CURRENT_USER"), comment="Who made it."),
    Column("paused_at", TIMESTAMP(timezone=True), comment="Since when nothing is sent to it; null while it is."),
    Column("paused_because", TEXT(), comment="Why nothing is sent."),
    CheckConstraint("topic IN ('lifecycle', 'alerts')", name="ck_webhook_endpoints_topic"),
    CheckConstraint("format IN ('standard', 'openlineage')", name="ck_webhook_endpoints_format"),
    schema=OWN_SCHEMA,
    comment="Receivers of webhooks, made, listed, rotated and removed by the command line or by mutations.",
)  # fmt: skip

WEBHOOK_MESSAGES = Table(
    "webhook_messages",
    Entity.metadata,
    Column("message_id", TEXT(), primary_key=True, comment="The webhook-id, the same at each attempt."),
    Column(
        "endpoint", TEXT(), ForeignKey(WEBHOOK_ENDPOINTS.c.name, ondelete="CASCADE"), nullable=False,
        comment="The receiver.",
    ),
    Column("row_id", TEXT(), nullable=False, comment="The row that it is about: those of one come in order."),
    Column("position", BigInteger(), nullable=False, comment="The entry of the live log that it tells."),
    Column("body", TEXT(), nullable=False, comment="What is posted, to the letter."),
    Column("attempts", Integer(), nullable=False, server_default="0", comment="How often it was sent."),
    Column("next_at", TIMESTAMP(timezone=True), nullable=False, server_default=NOW, comment="When it is sent next."),
    Column("give_up_at", TIMESTAMP(timezone=True), nullable=False, comment="When no further attempt is made."),
    Column("failure", TEXT(), comment="What came of the last attempt."),
    Column("dead_at", TIMESTAMP(timezone=True), comment="When it was given up; null while it is to be sent."),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False, server_default=NOW, comment="When it was written."),
    Index(
        "ix_webhook_messages_endpoint_row_id_position", "endpoint", "row_id", "position",
        postgresql_where=text("dead_at IS NULL"),
    ),
    schema=OWN_SCHEMA,
    comment="Messages that receivers have not taken yet, and those that were given up; a taken one is removed.",
)  # fmt: skip

WEBHOOK_SENDER = Table(
    "webhook_sender",
    Entity.metadata,
    Column("id", Integer(), primary_key=True, autoincrement=False, comment="1: there is one row."),
    Column("place", JSONB(), comment="How far the live log was turned into messages."),
    Column("holder", TEXT(), comment="The process that sends."),
    Column("held_until", TIMESTAMP(timezone=True), comment="Until when it does, unless it says so again."),
    schema=OWN_SCHEMA,
    comment="Which process sends webhooks, and how far it has read.",
)

LIVE_LOG = Table(
    "live_log",
    Entity.metadata,
    Column(
        "position", BigInteger(), Identity(always=True), primary_key=True,
        comment="Order of writing: of two entries on one row the later change has the higher one.",
    ),
    Column(
        "xact", BigInteger(), nullable=False, server_default=text("pg_current_xact_id()::text::bigint"),
        comment="Transaction that wrote it, by which readers know what they have seen, whatever order commits come in.",
    ),
    Column("topic", TEXT(), nullable=False, comment="What it is about: lifecycle, alerts or recordings."),
    Column("facts", JSONB(), nullable=False, comment="What subscriptions filter by, and the ids of the rows."),
    Column(
        "recorded_at", TIMESTAMP(timezone=True), nullable=False, server_default=text("clock_timestamp()"),
        comment="When it was written; entries are kept for GATEWAY_LIVE_HOURS.",
    ),
    Column(
        "timeline", Integer(),
        comment="Timeline of the server that wrote it: a standby that takes over begins another one.",
    ),
    Index("ix_live_log_xact", "xact"),
    Index("ix_live_log_recorded_at", "recorded_at"),
    schema=OWN_SCHEMA,
    comment="What subscriptions are told, for as long as they can be resumed.",
)  # fmt: skip

ORIGIN = Table(
    "origin",
    Entity.metadata,
    Column("id", Integer(), primary_key=True, autoincrement=False, comment="1: there is one row."),
    Column("live_log", BigInteger(), nullable=False, comment="The oid of the live log when it was made."),
    schema=OWN_SCHEMA,
    comment="By what a live log that was restored from a dump is told from the one that cursors were given of.",
)

TIMELINES = Table(
    "timelines",
    Entity.metadata,
    Column("cluster", TEXT(), primary_key=True, comment="The cluster's identifier, as gateway.history() has it."),
    Column("timeline", Integer(), primary_key=True, autoincrement=False, comment="The timeline."),
    Column(
        "mark", Uuid(), nullable=False, server_default=NEW_UUID,
        comment="Tells it from a timeline of the same number that another standby has begun.",
    ),
    Column(
        "marked_at", TIMESTAMP(timezone=True), nullable=False, server_default=NOW,
        comment="When a gateway first met it; 1970 if it was older.",
    ),
    schema=OWN_SCHEMA,
    comment="Timelines of the servers that the database was on, each with a random mark, by which standbys that "
    "were promoted side by side are told apart.",
)  # fmt: skip

ALERTS_SEEN = Table(
    "alerts_seen",
    Entity.metadata,
    Column("alert_id", Uuid(), primary_key=True, comment="The alert; the nil UUID says that there was a first look."),
    Column("version", BigInteger(), nullable=False, comment="Its xmin when it was last looked at."),
    Column("content", BigInteger(), nullable=False, comment="Hash of the row, which tells a change from a rewriting."),
    schema=OWN_SCHEMA,
    comment="Alerts as the live log knows them: who raises and changes them need not tell the gateway.",
)

ROLLUPS = Table(
    "rollups",
    Entity.metadata,
    Column("name", TEXT(), primary_key=True, comment="The table whose rows are summed up."),
    Column(
        "measures",
        ARRAY(TEXT()),
        nullable=False,
        comment="What is stored of them: lengths of units, aggregated columns, sketches, numbers of rows.",
    ),
    Column("state", TEXT(), nullable=False, comment="building, ready, or broken: rows were written unmarked."),
    Column("since", TIMESTAMP(timezone=True), nullable=False, server_default=NOW, comment="When it was begun."),
    Column(
        "stores",
        ARRAY(TEXT()),
        nullable=False,
        server_default="{}",
        comment="The table and its partitions, whose writes are marked.",
    ),
    CheckConstraint("state IN ('building', 'ready', 'broken')", name="ck_rollups_state"),
    schema=OWN_SCHEMA,
    comment="Tables of which sums by units of time are kept, made and removed by the command line.",
)

ROLLUP_MARKS = Table(
    "rollup_marks",
    Entity.metadata,
    Column("name", TEXT(), nullable=False, comment="The table whose rows are summed up."),
    Column("at", TIMESTAMP(timezone=True), nullable=False, comment="Start of the unit."),
    Column("error", TEXT(), comment="Why the unit cannot be summed up; null where it is to be."),
    Index("ix_rollup_marks_name_at", "name", "at"),
    schema=OWN_SCHEMA,
    comment="Units of time whose rows were written since they were summed up, once for each statement.",
)

CURRENT_STATES = Table(
    "current_states",
    Entity.metadata,
    Column("name", TEXT(), primary_key=True, comment="The table whose rows have the state."),
    Column("definition", TEXT(), nullable=False, comment="Hash of the definitions of the views that are stored."),
    Column("state", TEXT(), nullable=False, comment="building, ready, or broken: rows were written unmarked."),
    Column("sources", ARRAY(TEXT()), nullable=False, comment="The tables that the views read."),
    Column("stores", ARRAY(TEXT()), nullable=False, comment="These with their partitions, whose writes are marked."),
    Column("since", TIMESTAMP(timezone=True), nullable=False, server_default=NOW, comment="When it was begun."),
    CheckConstraint("state IN ('building', 'ready', 'broken')", name="ck_current_states_state"),
    schema=OWN_SCHEMA,
    comment="Tables whose rows' current state is stored, by views over them; made and removed by the command line.",
)

STATE_MARKS = Table(
    "state_marks",
    Entity.metadata,
    Column("name", TEXT(), nullable=False, comment="The table whose rows have the state."),
    Column("key", Uuid(), nullable=False, comment="The row."),
    Index("ix_state_marks_name_key", "name", "key"),
    schema=OWN_SCHEMA,
    comment="Rows whose current state may differ from what is stored, once for each statement that has written it.",
)

for _entity in entities().values():
    if _entity.__rollup__ is not None:
        make_sums_table(_entity, _entity.__rollup__)
