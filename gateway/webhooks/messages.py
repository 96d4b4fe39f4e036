"""Messages of webhooks: entries of the live log, for the receivers whose filters they match."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from db.base.vocabulary import Labels
from db.models.g07_model_monitoring import DriftSeverity
from db.models.g07_monitoring_alerts import AlertStatus
from db.store.changelog import ALERT, EVENT, Entry
from db.store.webhook_queue import Message
from db.store.webhooks import WebhookError, new_id
from gateway.openlineage.events import EventWriter
from schema.catalogue import ids
from schema.catalogue.catalogue import Catalogue
from schema.errors import GatewayError
from schema.subscriptions import TOPICS, Matches

KINDS = {topic.name.value: topic for topic in TOPICS.values() if topic.fact is not None}
"""The topics of webhooks by name: those about single rows."""
FILTERS: Mapping[str, Sequence[str]] = {
    "lifecycle": ("types", "nodeIds", "from", "to"),
    "alerts": ("severity", "status", "modelId"),
}
"""The filters of each topic: the arguments of its subscription."""


@dataclass(frozen=True)
class Receiver:
    """A receiver with its topic and filters."""

    name: str
    topic: str
    format: str
    matches: Matches
    since: int
    """The time since which it receives messages, in Unix seconds."""


def matcher(catalogue: Catalogue, topic: str, filters: Mapping[str, Any]) -> Matches:
    """A function that tells whether an entry of a topic matches the filters.

    Raises:
        WebhookError: The topic has no such filter, or its value is invalid.
    """
    if unknown := [name for name in filters if name not in FILTERS[topic]]:
        raise WebhookError(f"{unknown[0]} is no filter of {topic}; it has {', '.join(FILTERS[topic])}", topic)
    try:
        return KINDS[topic].asks(catalogue, filters)
    except GatewayError as error:
        raise WebhookError(str(error), topic) from None


def told(entries: Iterable[Entry], receivers: Sequence[Receiver], writer: EventWriter) -> Iterator[Message]:
    """The messages of entries, in their order; ``writer`` writes those in the OpenLineage format."""
    for entry in entries:
        change: _Change | None = None
        bodies: dict[str, str] = {}
        for one in receivers:
            if one.topic == entry.topic and one.since <= entry.seconds and one.matches(entry.facts):
                change = change or _change(entry)
                body = bodies.get(one.format)
                if body is None:
                    body = bodies[one.format] = FORMATS[one.format](change, writer)
                yield Message(new_id(), one.name, change.row, entry.position, body)


@dataclass(frozen=True)
class _Change:
    """The content of an entry: ids and states, never values that need permissions."""

    row: str
    kind: str
    at: str
    """RFC 3339; rounded down."""
    data: Mapping[str, str | None]


def _change(entry: Entry) -> _Change:
    facts = entry.facts
    if entry.topic == "alerts":
        row = ids.encode(ALERT.__name__, (facts["alert"] or "",))
        kind = f"alert.{(facts['change'] or '').lower()}"
        data = {
            "alertId": row,
            "severity": _name(DriftSeverity, facts["severity"]),
            "status": _name(AlertStatus, facts["status"]),
        }
        data["modelId"] = ids.encode("Model", (facts["model"],)) if facts["model"] else None
    else:
        row, kind = facts["node"] or "", "lifecycle.changed"
        data = {
            "eventId": ids.encode(EVENT.__name__, (facts["event"] or "",)),
            "nodeId": row,
            "nodeType": facts["type"],
            "fromState": facts["from"],
            "toState": facts["to"],
        }
    when = datetime.fromtimestamp(entry.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _Change(row, kind, when, data)


def _standard(change: _Change, _writer: EventWriter) -> str:
    return orjson.dumps({"type": change.kind, "timestamp": change.at, "data": change.data}).decode()


def _openlineage(change: _Change, writer: EventWriter) -> str:
    data = change.data
    if change.kind == "lifecycle.changed":
        type_name, state = data["nodeType"] or "", data["toState"]
        details = dict(data)
    else:
        type_name, state = ALERT.__name__, data["status"]
        details = {"nodeId": change.row, "nodeType": type_name, "toState": state}
        details |= {"severity": data["severity"], "modelId": data["modelId"]}
    return orjson.dumps(
        writer.change(change.row, type_name, change.at, state, {"kind": change.kind, **details})
    ).decode()


FORMATS = {"standard": _standard, "openlineage": _openlineage}
"""The writer of a message's body, by the receiver's format."""


def _name(words: type[Labels], label: str | None) -> str | None:
    """A label as the graph names it; an unknown label of the database unchanged."""
    return next((one.name for one in words if one.value == label), label)
