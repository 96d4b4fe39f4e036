"""The database: its address, its replicas, connections and timeouts, and the embedded one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from sqlalchemy.engine import URL

from db.engine.url import database_url, schema_names, with_schemas
from gateway.setting_groups.group import SettingGroup
from gateway.setting_types import checked_postgres, checked_replicas, checked_schemas


class DatabaseSettings(SettingGroup):
    """The database: its address, its replicas, connections and timeouts, and the embedded one."""

    database_url: Annotated[str, AfterValidator(checked_postgres)] | None = Field(
        default=None,
        validation_alias="DATABASE_URL",
        description="Any Postgres, `postgresql://user:password@host:5432/database`. Unset: the embedded one.",
    )
    schemas: Annotated[str, AfterValidator(checked_schemas)] = Field(
        default="public",
        description="The schemas of the platform's tables, enums and functions in that database, in order, separated "
        "by commas. Tables that the data dictionary has in `ml` stay there.",
    )
    replica_url: Annotated[str, AfterValidator(checked_replicas)] | None = Field(
        default=None,
        description="A hot standby of that database, for reads, or several with spaces between their URLs. Unset: all "
        "reads go to the primary.",
    )
    replica_lag: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="Maximum lag of a replica in seconds; reads go to the primary while the lag is greater.",
    )
    listen_url: Annotated[str, AfterValidator(checked_postgres)] | None = Field(
        default=None,
        description="The database past any pooler in transaction mode, where LISTEN is lost. Unset: `DATABASE_URL`.",
    )
    data: Path = Field(default=Path(".e2i"), description="Folder of the embedded Postgres.")
    demo: Literal["off", "small", "large"] = Field(
        default="off", description="Demo data to load when the embedded database is empty."
    )
    pool_size: int = Field(
        default=10,
        ge=1,
        le=200,
        description="Connections to the database for queries, and as many for changes, per worker.",
    )
    heavy_connections: int | None = Field(
        default=None,
        ge=1,
        description="Connections for queries that heavy statements may hold, per worker, by their price or once they "
        "have run for long; the others are left for light ones. Unset: a fourth.",
    )
    heavy_cost: int = Field(
        default=20_000, ge=1, description="Price, in rows, from which the statements of an operation are heavy."
    )
    parallel_statements: int = Field(
        default=4, ge=1, le=50, description="Statements of one request that run side by side."
    )
    prepared_statements: bool = Field(
        default=True, description="Off for poolers in transaction mode, which switch connections between statements."
    )
    statement_timeout: float = Field(
        default=15.0, ge=0.001, le=3600, description="Seconds until Postgres cancels a statement."
    )
    lock_timeout: float = Field(
        default=1.0,
        ge=0.001,
        le=600,
        description="Seconds that a read waits for a lock on a table; a change has five times as long.",
    )
    change_read_timeout: float = Field(
        default=1.0,
        ge=0,
        le=600,
        description="Seconds that a change's answer is read before its commit; what takes longer is read after it.",
    )
    rollups: bool = Field(
        default=False,
        description="Whether this gateway reads aggregates off the rollups that `e2i-gateway db rollups` has made, and "
        "may be the one that keeps them up to date; not with `GATEWAY_RLS`.",
    )
    current_state: bool = Field(
        default=False,
        description="Whether this gateway reads lists of health and drift status off the rows that `e2i-gateway db "
        "current-state` stores, and may be the one that keeps them up to date; not with `GATEWAY_RLS`.",
    )

    @property
    def url(self) -> URL | None:
        """The database's URL for the engine, None for the embedded database."""
        return self._with_schemas(self.database_url) if self.database_url else None

    @property
    def listen(self) -> URL | None:
        """The URL to listen for changes at, if it differs from the database's."""
        return self._with_schemas(self.listen_url) if self.listen_url else None

    @property
    def replicas(self) -> tuple[URL, ...]:
        """The replicas' URLs for the engine."""
        return tuple(map(self._with_schemas, (self.replica_url or "").split()))

    def _with_schemas(self, url: str) -> URL:
        return with_schemas(database_url(url), schema_names(self.schemas))
