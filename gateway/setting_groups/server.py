"""The server: its addresses, processes, connections and responses."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from gateway.setting_groups.group import SettingGroup
from gateway.setting_types import checked_address, checked_base, checked_headers, checked_hosts, words


class ServerSettings(SettingGroup):
    """The server: its addresses, processes, connections and responses."""

    host: str = Field(default="127.0.0.1", validation_alias="HOST", description="Address that the server binds to.")
    port: int = Field(default=8000, validation_alias="PORT", ge=0, le=65535, description="Port; 0 takes any free one.")
    hosts: Annotated[str, AfterValidator(checked_hosts)] = Field(
        default="",
        description="Names of the server in URLs, with commas between, without ports; requests to others are refused. "
        "`*`: any. Empty: this machine's own names with `GATEWAY_AUTH=none`, any without.",
    )
    public_url: Annotated[str, AfterValidator(checked_base)] | None = Field(
        default=None,
        description="URL of the gateway as others know it, `https://e2i.example`: what events of OpenLineage name as "
        "their producer and as the place of our facets' schema. Unset: http://HOST:PORT.",
    )
    workers: int = Field(default=1, ge=1, le=64, description="Processes that answer requests.")
    drain: float = Field(
        default=0.0,
        ge=0,
        le=600,
        description="Seconds between a SIGTERM, when `/readyz` becomes 503, and the end of listening.",
    )
    client_timeout: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="Seconds that a client may take to send a request, or to read the next part of a response.",
    )
    keep_alive: float = Field(
        default=65.0, gt=0, le=3600, description="Seconds that a connection without a request is kept for the next."
    )
    compress_bytes: int = Field(
        default=4_000,
        ge=0,
        description="Minimum bytes of a response that is compressed for clients that accept it; 0: never.",
    )
    cache_seconds: int = Field(
        default=0,
        ge=0,
        description="Seconds for which clients may cache reads by GET of a document's id (`Cache-Control`).",
    )
    cors_origins: str = Field(
        default="", description="Origins whose pages may read responses (CORS), comma-separated; `*`: all."
    )
    cors_headers: Annotated[tuple[str, ...], NoDecode, BeforeValidator(words), AfterValidator(checked_headers)] = Field(
        default=(),
        description="Headers that pages of those origins may send, in addition to those of GraphQL clients, Sentry and "
        "OpenTelemetry; separated by commas, `*` for all.",
    )
    cors_credentials: bool = Field(
        default=False, description="Whether pages of those origins may send cookies and certificates."
    )
    graphiql: bool = Field(default=True, description="Whether a browser that opens /graphql gets GraphiQL.")
    log: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Minimum level that is logged."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="Log format: JSON lines, or text for people. `auto`: text on a terminal."
    )
    slow_ms: float = Field(
        default=1_000.0, ge=0, description="Milliseconds from which a request is logged with its plan; 0: never."
    )
    metrics: Annotated[str, AfterValidator(checked_address)] | None = Field(
        default=None,
        description="Address and port that serve `/metrics`, such as `127.0.0.1:9464`. Unset: not served.",
    )
    traces: bool = Field(
        default=False,
        description="Whether requests are traced over OTLP, configured by `OTEL_*`; requires the extra `otel`.",
    )

    @property
    def cors(self) -> frozenset[str]:
        """The origins whose pages may read responses."""
        return frozenset(filter(None, (one.strip().rstrip("/") for one in self.cors_origins.split(","))))

    @model_validator(mode="after")
    def _no_credentials_for_all(self) -> Self:
        if self.cors_credentials and "*" in self.cors:
            raise ValueError("GATEWAY_CORS_CREDENTIALS needs GATEWAY_CORS_ORIGINS to name each origin, not *")
        return self

    @property
    def known_url(self) -> str:
        """The URL of the gateway for clients."""
        if self.public_url is not None:
            return self.public_url
        host = "127.0.0.1" if self.host in {"", "0.0.0.0", "::"} else self.host  # noqa: S104 - compared, not bound to
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
