"""The gateway's record of the stories: the events of the transitions of their rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid5

from db.demo.world import World
from db.models.gateway import LifecycleEvent

_NAMES = UUID("6f0d2a52-6a7b-5d3c-9c1e-2b8f5f1c7a10")

Move = tuple[datetime, str, str, str]
"""A transition: time, previous state, new state, reason."""


def record(
    world: World, node: tuple[str, UUID], lifecycle: str, mutation: str, actor: str, moves: Sequence[Move]
) -> None:
    """Adds the events of one row. Their ids are derived from their content, so that no random numbers are drawn."""
    type_, key = node
    for when, origin, to, reason in moves:
        name = f"{key} {lifecycle} {when.isoformat()} {to}"
        world.rows.add(
            LifecycleEvent,
            event_id=uuid5(_NAMES, name),
            change_id=uuid5(_NAMES, f"change of {name}"),
            mutation=mutation,
            node_id=f"{type_}:{key}",
            node_type=type_,
            lifecycle=lifecycle,
            from_state=origin,
            to_state=to,
            actor=actor,
            reason=reason,
            forced=False,
            details={},
            request_id=uuid5(_NAMES, f"request of {name}").hex,
            occurred_at=when,
        )
