"""The subscription type: its fields, arguments and messages.

A message is resolved like the root of a query, with the entry of the live log as its source; its rows are read when it
is sent, by the loaders, with the caller's permissions. Without postponed annotations: Strawberry could not resolve
names of classes that a function creates.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import orjson
import strawberry

from db.base.markers import LiveTopic
from db.models.g07_model_monitoring import DriftSeverity
from db.models.g07_monitoring_alerts import AlertStatus
from db.store.changelog import Entry, EntryFacts, LogPosition
from schema.catalogue import ids
from schema.catalogue.catalogue import Catalogue, Type
from schema.catalogue.records import Record
from schema.catalogue.scalars import DateTime
from schema.error_codes import ErrorCode
from schema.errors import GatewayError, bad_argument
from schema.graph.types import Info, Types, selection_of, taking
from schema.recording.record_types import batch_mutations, purge_mutations
from schema.sql import cursors
from schema.sql.arguments import parse_id, type_of
from schema.webhooks.types import LIFECYCLE_TYPE, MAX_VALUES

Matches = Callable[[EntryFacts], bool]


@dataclass(frozen=True)
class SubscriptionTopic:
    """The topic of a subscription: its name in the live log, and the matching entries for an operation's arguments.

    ``asks`` raises a `GatewayError` that names an invalid argument. ``fact`` is the fact with the key of the row; None
    if the log's entry is complete, and a message concerns many rows.
    """

    name: LiveTopic
    fact: str | None
    asks: Callable[[Catalogue, Mapping[str, Any]], Matches]


# -- cursors -----------------------------------------------------------------------------------------------------------

_MARK = "live"


@lru_cache(maxsize=4096)
def encode(place: LogPosition) -> str:
    """The cursor of a position in the live log."""
    parts = [_MARK, place.seconds, place.history, place.seen]
    if place.ahead is not None:
        parts += [place.ahead, place.position]
    return cursors.pack(orjson.dumps(parts))


def decode(cursor: str) -> LogPosition:
    """The position in a cursor.

    Raises:
        GatewayError: ``INVALID_CURSOR``: it is invalid.
    """
    match cursors.unpack(cursor):
        case [mark, seconds, *rest] if mark == _MARK:
            if len(rest) in {1, 3}:  # of gateways that did not record the history yet
                rest.insert(0, "")
            right = type(seconds) is int and 0 <= seconds < 2**40 and len(rest) in {2, 4}
            right = right and all(isinstance(one, str) for one in rest[:3])
            right = right and all(type(one) is int and 0 <= one < 2**63 for one in rest[3:])
            if right and (place := LogPosition(seconds, *rest)).well_formed:
                return place
    raise invalid()


def invalid() -> GatewayError:
    """The error for an invalid ``after``."""
    return cursors.invalid("after", "is not a cursor of a subscription; pass the `cursor` of a message unchanged")


def superseded(place: LogPosition | None, **details: Any) -> GatewayError:
    """The error for a subscriber who received changes that the database lacks, or may lack.

    ``place`` is where to continue; None if that is unknown.
    """
    cursor = None if place is None else encode(place)
    on = "without `after`" if cursor is None else "with extensions.cursor as `after`: no change after it is missed"
    return GatewayError(
        ErrorCode.HISTORY_CHANGED,
        "Another server has taken over the database, or it was restored: it may lack changes that were delivered "
        f"before. Read your data again, and subscribe {on}.",
        cursor=cursor,
        **details,
    )


# -- what is asked for -------------------------------------------------------------------------------------------------


def _values(arguments: Mapping[str, Any], name: str) -> Sequence[str] | None:
    """The values of a filter in the live log's form; None if it is not given."""
    asked = arguments.get(name)
    if asked is None:
        return None
    if not asked:
        raise bad_argument(name, "is empty, so no change would match; omit it to follow all")
    if len(asked) > MAX_VALUES:
        raise bad_argument(name, f"has {len(asked)} values; pass at most {MAX_VALUES}")
    return [str(getattr(value, "value", value)) for value in asked]


def _all_of(**wanted: Sequence[str] | None) -> Matches:
    """Matches entries whose facts are among the values of every filter."""
    given = [(fact, frozenset(values)) for fact, values in wanted.items() if values is not None]
    if not given:
        return lambda _facts: True
    return lambda facts: all(facts.get(fact) in values for fact, values in given)


def _lifecycle_events(catalogue: Catalogue, arguments: Mapping[str, Any]) -> Matches:
    nodes = _values(arguments, "nodeIds")
    if nodes is not None:
        nodes = [_node_id(catalogue, f"nodeIds[{place}]", node) for place, node in enumerate(nodes)]
    return _all_of(
        type=_values(arguments, "types"),
        node=nodes,
        **{"from": _values(arguments, "from"), "to": _values(arguments, "to")},
    )


def _node_id(catalogue: Catalogue, argument: str, value: str) -> str:
    type_ = type_of(catalogue, argument, value)
    return ids.encode(type_.name, parse_id(catalogue, argument, type_, value))


def _alerts(catalogue: Catalogue, arguments: Mapping[str, Any]) -> Matches:
    model, models = arguments.get("modelId"), None
    if model is not None:
        type_ = catalogue[catalogue.told(LiveTopic.ALERTS).relations["model"].target]
        models = [parse_id(catalogue, "modelId", type_, model)[0]]
    return _all_of(severity=_values(arguments, "severity"), status=_values(arguments, "status"), model=models)


def _recordings(_catalogue: Catalogue, arguments: Mapping[str, Any]) -> Matches:
    return _all_of(type=_values(arguments, "types"))


TOPICS = {
    "lifecycleEvents": SubscriptionTopic(LiveTopic.LIFECYCLE, "event", _lifecycle_events),
    "alerts": SubscriptionTopic(LiveTopic.ALERTS, "alert", _alerts),
    "recordings": SubscriptionTopic(LiveTopic.RECORDINGS, None, _recordings),
}
"""The topics, by field of the subscription type."""


def told(entry: Entry | None, cursor: str) -> Record:
    """The source of a message; without an entry it only reports progress."""
    return {"cursor": cursor, "facts": None if entry is None else entry.facts}


# -- the type ----------------------------------------------------------------------------------------------------------

_CURSOR = (
    "Position in the stream: all changes up to this one were delivered. Keep the last cursor and pass it as `after` to "
    "resume, on any gateway of this database."
)
_CHECKPOINT = "null in messages that carry only a cursor: the first of a stream, and those after quiet times"


@strawberry.enum(description="How an alert changed.")
class AlertChange(enum.Enum):
    RAISED = strawberry.enum_value("RAISED", description="The alert is new.")
    CHANGED = strawberry.enum_value(
        "CHANGED", description="A column of the alert changed: its status, its severity or another one."
    )


@strawberry.type(
    description="A batch of rows that was recorded, or of old rows that were removed, in one transaction. To read the "
    "rows, filter their list by time, from `firstAt` to `lastAt`."
)
class RecordedBatch:
    type: str = strawberry.field(description="The type of the rows, such as `ServingMetric`.")
    mutation: str = strawberry.field(
        description="The mutation, such as `recordServingMetrics`; also for batches of lines over HTTP."
    )
    inserted: int = strawberry.field(description="Number of rows that were inserted.")
    updated: int = strawberry.field(description="Number of existing rows that were updated.")
    kept: int = strawberry.field(description="Number of existing rows that were left unchanged.")
    purged: int = strawberry.field(description="Number of rows that were removed by a purge or a retention policy.")
    first_at: DateTime | None = strawberry.field(
        description="The earliest time of the rows; null for types whose rows have no time of their own."
    )
    last_at: DateTime | None = strawberry.field(description="The latest time of the rows.")
    actor: str = strawberry.field(description="The caller who recorded or removed them.")
    request_id: str = strawberry.field(description="Id of the request, as in logs and responses.")
    recorded_at: DateTime = strawberry.field(description="Time at which the transaction began.")


def _batch(message: Record, _info: Info) -> RecordedBatch | None:
    facts = message["facts"]
    if facts is None:
        return None
    return RecordedBatch(
        type=facts["type"],
        mutation=facts["mutation"],
        inserted=facts["inserted"],
        updated=facts["updated"],
        kept=facts["kept"],
        purged=facts["purged"],
        first_at=facts["first"],
        last_at=facts["last"],
        actor=facts["actor"],
        request_id=facts["request"],
        recorded_at=facts["recorded"],
    )


def _row(fact: str, type_: Type) -> Callable[[Any, Info], Any]:
    """The changed row, in its current state."""

    def resolve(message: Record, info: Info) -> Any:
        if message["facts"] is None:
            return None
        loaders = info.context.loaders
        return loaders.row(type_, selection_of(info), (message["facts"][fact],))

    return resolve


def _rows_field(types: Types, topic: LiveTopic, fact: str, description: str) -> Any:
    type_ = types.catalogue.told(topic)
    returns = types.nodes[type_.name] | None
    return strawberry.field(resolver=taking({}, returns, _row(fact, type_)), description=description)


def _listed(item: Any, description: str, name: str | None = None) -> Any:
    described = strawberry.argument(name=name, description=f"{description} Pass at most {MAX_VALUES} values.")
    return Annotated[list[item] | None, described]


_AFTER = Annotated[
    str | None,
    strawberry.argument(
        description="Resume after this cursor of an earlier message: the changes since then are delivered first, "
        "each once. Without a cursor the stream begins now. Pass the same filters as before."
    ),
]


def subscription(types: Types) -> type:
    """The subscription type."""
    made: Any = type("Subscription", (), {})
    made.lifecycle_events = _lifecycle_events_field(types)
    made.alerts = _alerts_field(types)
    made.recordings = _recordings_field()
    subscribed: type = strawberry.type(made, name="Subscription", description=_DESCRIPTION)
    return subscribed


def _lifecycle_events_field(types: Types) -> Any:
    event = _message_type(
        "LifecycleEventMessage",
        "A change that was made through the gateway.",
        {"event": _rows_field(types, LiveTopic.LIFECYCLE, "event", f"The recorded change; {_CHECKPOINT}.")},
    )
    return strawberry.field(
        resolver=taking(
            {
                "after": _AFTER,
                "types": _listed(LIFECYCLE_TYPE, "Changes of rows of these types only."),
                "nodeIds": _listed(strawberry.ID, "Changes of these rows only, by global id."),
                "from_": _listed(str, "Changes from these states only, as in `fromState`: `STAGING`.", "from"),
                "to": _listed(str, "Changes to these states only, as in `toState`: `PRODUCTION`."),
            },
            event,
            _itself,
        ),
        description="Every change that is made through the gateway, as it is committed: the rows of `lifecycleEvents`. "
        "Changes of one row are delivered in order; concurrent changes of different rows in any order.",
    )


def _alerts_field(types: Types) -> Any:
    alert = _message_type(
        "AlertMessage",
        "An alert that is new or has changed, by the gateway or by another writer.",
        {
            "change": strawberry.field(
                resolver=taking({}, AlertChange | None, lambda message, _info: (message["facts"] or {}).get("change")),
                description=f"How the alert changed; {_CHECKPOINT}.",
            ),
            "alert": _rows_field(
                types, LiveTopic.ALERTS, "alert",
                "The alert as it is now; null if it was deleted, and if `change` is null.",
            ),
        },
    )  # fmt: skip
    return strawberry.field(
        resolver=taking(
            {
                "after": _AFTER,
                "severity": _listed(types.enum(DriftSeverity), "Alerts of these severities only."),
                "status": _listed(types.enum(AlertStatus), "Alerts in these states only."),
                "modelId": Annotated[
                    strawberry.ID | None,
                    strawberry.argument(description="Alerts on this model only, by its global id or bare key."),
                ],
            },
            alert,
            _itself,
        ),
        description="Every monitoring alert that is raised or changed, by the gateway or by another writer. An alert "
        "that changes twice in quick succession may be delivered once, in its last state. On an attached database, "
        "changes of other writers are noticed within GATEWAY_LIVE_POLL seconds.",
    )


def _recordings_field() -> Any:
    kinds = sorted({one.name for one in (*batch_mutations().values(), *purge_mutations().values())})
    members = {name: strawberry.enum_value(name, description=f"Batches of {name} rows.") for name in kinds}
    recorded: Any = enum.Enum("RecordedType", members)  # type: ignore[misc]  # members come from the declarations
    recorded_type: Any = strawberry.enum(
        recorded, description="The types whose rows are recorded or removed in batches."
    )
    batch = _message_type(
        "RecordingMessage",
        "A batch of rows that was recorded or removed through the gateway.",
        {
            "recording": strawberry.field(
                resolver=taking({}, RecordedBatch | None, _batch), description=f"What was recorded; {_CHECKPOINT}."
            )
        },
    )
    return strawberry.field(
        resolver=taking(
            {"after": _AFTER, "types": _listed(recorded_type, "Batches of rows of these types only.")}, batch, _itself
        ),
        description="Every batch of facts that is recorded through the gateway, and every removal of old rows, as it "
        "is committed: one message per batch. Rows of entities that are created, updated and retired are delivered by "
        "`lifecycleEvents`. Batches of tables with row level security are delivered only to the caller who recorded "
        "them.",
    )


_DESCRIPTION = (
    "All subscriptions, over WebSocket (`graphql-transport-ws` at the same address). After a lost connection, "
    "subscribe again with the last cursor as `after`; no change is missed."
)


def _itself(message: Record, _info: Info) -> Record:
    return message


def _message_type(name: str, description: str, fields: Mapping[str, Any]) -> Any:
    cls: Any = type(name, (), {"__annotations__": {"cursor": str}})
    cls.cursor = strawberry.field(description=_CURSOR)
    for field_name, field in fields.items():
        setattr(cls, field_name, field)
    return strawberry.type(cls, name=name, description=description)
