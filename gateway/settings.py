"""Environment -> one frozen object, checked at start. All but HOST, PORT and DATABASE_URL begin with GATEWAY_."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL

from db.engine import database_url


class SettingsError(Exception):
    """A setting cannot be used; the message names each one, what is wrong and what would be right."""


def _postgres(value: str) -> str:
    database_url(value)
    return value


def _address(value: str) -> str:
    address(value)
    return value


def address(value: str) -> tuple[str, int]:
    """The address and the port of ``127.0.0.1:9464`` or ``[::1]:9464``.

    Raises:
        ValueError: It is neither.
    """
    host, colon, port = value.rpartition(":")
    if not (host and colon and port.isdigit() and int(port) < 2**16):
        raise ValueError("expected an address and a port, such as 127.0.0.1:9464")
    return host.strip("[]"), int(port)


class Settings(BaseSettings):
    """Every setting of the gateway, with its default."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = Field(default="127.0.0.1", validation_alias="HOST", description="Address that the server binds to.")
    port: int = Field(default=8000, validation_alias="PORT", ge=0, le=65535, description="Port; 0 takes any free one.")
    database_url: Annotated[str, AfterValidator(_postgres)] | None = Field(
        default=None,
        validation_alias="DATABASE_URL",
        description="Any Postgres, `postgresql://user:password@host:5432/database`. Unset: the embedded one.",
    )
    replica_url: Annotated[str, AfterValidator(_postgres)] | None = Field(
        default=None,
        description="A hot standby of that database, for reads. Unset: all reads go to the primary.",
    )
    replica_lag: float = Field(
        default=10.0, gt=0, le=3600, description="Seconds that the replica may be behind before reads leave it."
    )
    data: Path = Field(default=Path(".e2i"), description="Folder of the embedded Postgres.")
    demo: Literal["off", "small", "large"] = Field(
        default="off", description="Demo data to load when the embedded database is empty."
    )
    log: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level that is logged.")
    slow_ms: float = Field(
        default=1_000.0, ge=0, description="Milliseconds from which a request is logged with its plan; 0: never."
    )
    metrics: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None,
        description="Address and port at which Prometheus finds `/metrics`, such as `127.0.0.1:9464`. Unset: nowhere.",
    )
    traces: bool = Field(
        default=False, description="Whether requests are traced to OTLP, as the `OTEL_*` variables say; needs `otel`."
    )
    workers: int = Field(default=1, ge=1, le=64, description="Processes that answer requests.")
    drain: float = Field(
        default=0.0,
        ge=0,
        le=600,
        description="Seconds between a SIGTERM, when `/readyz` becomes 503, and the end of listening.",
    )
    graphiql: bool = Field(default=True, description="Whether a browser that opens /graphql gets GraphiQL.")
    pool_size: int = Field(
        default=10,
        ge=1,
        le=200,
        description="Connections to the database for queries, and as many for changes, per worker.",
    )
    parallel_statements: int = Field(
        default=4, ge=1, le=50, description="Statements of one request that run side by side."
    )
    statement_timeout: float = Field(
        default=15.0, ge=0.001, le=3600, description="Seconds until Postgres cancels a statement."
    )
    request_timeout: float = Field(default=30.0, gt=0, le=3600, description="Seconds until a request is given up.")
    prepared_statements: bool = Field(
        default=True, description="Off for poolers in transaction mode, which switch connections between statements."
    )
    client_timeout: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="Seconds that a client may take to say what it asks, or may read nothing of an answer.",
    )
    keep_alive: float = Field(
        default=65.0, gt=0, le=3600, description="Seconds that a connection without a request is kept for the next."
    )
    turn_timeout: float = Field(
        default=10.0, gt=0, le=3600, description="Seconds that a change waits for its turn when many are made at once."
    )
    idempotency_hours: float = Field(
        default=24.0, gt=0, le=24 * 365, description="Hours for which an idempotency key gives the same result again."
    )
    compiler: bool = Field(
        default=True, description="Whether what can be is answered by one compiled statement; off: by the loaders."
    )
    max_body_bytes: int = Field(default=1_000_000, ge=1_000, description="Size of a request's body.")
    max_tokens: int = Field(default=2_000, ge=10, description="Tokens of a document.")
    max_depth: int = Field(default=25, ge=1, description="Levels of nested fields.")
    max_aliases: int = Field(default=200, ge=0, description="Aliases in an operation.")
    max_root_fields: int = Field(default=50, ge=1, description="Fields at the root of an operation.")
    max_directives: int = Field(default=100, ge=0, description="Directives in a document.")
    max_fields: int = Field(default=10_000, ge=10, description="Fields of an operation with its fragments spread out.")
    max_cost: int = Field(
        default=1_000_000, ge=1, description="Rows that an operation may ask for, computed before any SQL."
    )

    @property
    def url(self) -> URL | None:
        """The database's URL for the engine, None for the embedded one."""
        return database_url(self.database_url) if self.database_url else None

    @property
    def replica(self) -> URL | None:
        """The replica's URL for the engine, if there is one."""
        return database_url(self.replica_url) if self.replica_url else None


def load() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: A variable holds what it cannot.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        lines = [f"{_variable(str(problem['loc'][0]))}: {problem['msg']}" for problem in error.errors()]
        raise SettingsError("\n".join(lines)) from None
    if settings.replica_url and not settings.database_url:
        raise SettingsError("GATEWAY_REPLICA_URL: it is a standby of DATABASE_URL, which is not set; set both")
    return settings


def _variable(name: str) -> str:
    return name if name.isupper() else f"GATEWAY_{name.upper()}"
