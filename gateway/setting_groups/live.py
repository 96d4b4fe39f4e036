"""Subscriptions, WebSockets, webhooks and events of OpenLineage."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.setting_groups.group import SettingGroup
from gateway.setting_types import checked_origins


class LiveSettings(SettingGroup):
    """Subscriptions, WebSockets, webhooks and events of OpenLineage."""

    live_hours: float = Field(
        default=72.0, gt=0, le=24 * 365, description="Hours for which a subscription can be resumed by its cursor."
    )
    live_poll: float = Field(
        default=5.0,
        ge=0.05,
        le=3600,
        description="Seconds between two polls for changes without a notification, while there is a subscriber.",
    )
    ws_origins: Annotated[str, AfterValidator(checked_origins)] = Field(
        default="",
        description="Origins of pages that may connect by WebSocket, in addition to the gateway's own, such as "
        "`https://e2i.example,https://lab.example`; `*` for all.",
    )
    ws_sockets: int = Field(
        default=5_000,
        ge=0,
        description="WebSockets that a worker holds open, and as many subscriptions by events; 0 refuses all.",
    )
    ws_operations: int = Field(default=20, ge=1, description="Operations under way on one WebSocket.")
    ws_messages: int = Field(
        default=1_000, ge=10, description="Messages that a WebSocket may send in ten seconds before it is closed."
    )
    ws_init_timeout: float = Field(default=5.0, gt=0, le=3600, description="Seconds to wait for `connection_init`.")
    ws_ping: float = Field(
        default=20.0, ge=0.05, le=3600, description="Seconds between pings of a WebSocket, and to wait for the pong."
    )
    ws_send_timeout: float = Field(
        default=20.0, gt=0, le=3600, description="Seconds that a WebSocket may take to read a message."
    )
    webhooks: bool = Field(
        default=False,
        description="Whether this gateway may be the one that sends webhooks; one process does at a time.",
    )
    webhook_private: bool = Field(
        default=False, description="Whether webhooks may go to private addresses, and by `http`."
    )
    webhook_timeout: float = Field(default=10.0, gt=0, le=300, description="Seconds for an attempt to send a webhook.")
    webhook_connections: int = Field(
        default=8, ge=1, le=100, description="Messages that are sent to one webhook at once."
    )
    webhook_retry_seconds: float = Field(
        default=5.0,
        gt=0,
        le=3600,
        description="Seconds between the first two attempts to send a webhook; twice as many each time, up to an hour.",
    )
    webhook_retry_hours: float = Field(
        default=24.0, gt=0, le=24 * 30, description="Hours after which a message of a webhook is given up."
    )
    webhook_dead_days: float = Field(
        default=30.0, gt=0, le=3650, description="Days for which messages that were given up can be sent again."
    )
    openlineage_namespace: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        default="e2i", description="Namespace of jobs and datasets in events of OpenLineage."
    )
