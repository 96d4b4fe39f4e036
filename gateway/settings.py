"""Settings from the environment, checked at start.

All except HOST, PORT, DATABASE_URL and REDIS_URL begin with GATEWAY_.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import URL

from db.engine.url import database_url
from gateway.roles import is_scope, meant
from gateway.setting_types import (
    LOOPBACK_NAMES,
    checked_address,
    checked_base,
    checked_headers,
    checked_hosts,
    checked_origins,
    checked_postgres,
    checked_redis,
    checked_replicas,
    checked_url,
    is_loopback,
    words,
)

_PREFIX = "GATEWAY_"
MIN_SECRET = 32
ANON = "anon"
"""The database role of anonymous callers, as in Supabase."""


class SettingsError(Exception):
    """A setting is invalid; the message names each one, what is wrong and what would be right."""


class Settings(BaseSettings):
    """Every setting of the gateway, with its default."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = Field(default="127.0.0.1", validation_alias="HOST", description="Address that the server binds to.")
    port: int = Field(default=8000, validation_alias="PORT", ge=0, le=65535, description="Port; 0 takes any free one.")
    database_url: Annotated[str, AfterValidator(checked_postgres)] | None = Field(
        default=None,
        validation_alias="DATABASE_URL",
        description="Any Postgres, `postgresql://user:password@host:5432/database`. Unset: the embedded one.",
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
    data: Path = Field(default=Path(".e2i"), description="Folder of the embedded Postgres.")
    demo: Literal["off", "small", "large"] = Field(
        default="off", description="Demo data to load when the embedded database is empty."
    )
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
    workers: int = Field(default=1, ge=1, le=64, description="Processes that answer requests.")
    drain: float = Field(
        default=0.0,
        ge=0,
        le=600,
        description="Seconds between a SIGTERM, when `/readyz` becomes 503, and the end of listening.",
    )
    auth: Annotated[tuple[Literal["none", "jwt", "token"], ...], NoDecode, BeforeValidator(words)] = Field(
        default=("none",),
        min_length=1,
        description="How callers authenticate, comma-separated: `none` (every client on this machine), `jwt`, `token` "
        "(service tokens).",
    )
    roles: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description='Additional or redefined roles, as JSON: `{"clinical": ["read", "patient"]}`.',
    )
    jwt_secret: SecretStr | None = Field(
        default=None, description="Secret of JWTs signed by HS256, as Supabase has it; at least 32 bytes."
    )
    jwt_jwks: str | None = Field(
        default=None, description="Public keys of JWTs signed by RS256 or ES256: a file or a URL of a JWK set."
    )
    jwt_issuer: Annotated[tuple[str, ...], NoDecode, BeforeValidator(words)] = Field(
        default=(), description="Trusted issuers (`iss`), comma-separated. Unset: any whose signature verifies."
    )
    jwt_audience: Annotated[tuple[str, ...], NoDecode, BeforeValidator(words)] = Field(
        default=("authenticated",),
        min_length=1,
        description="Audiences; the `aud` claim of a JWT must name one of them.",
    )
    jwt_leeway: float = Field(
        default=10.0, ge=0, le=300, description="Seconds by which the clocks of issuer and gateway may differ."
    )
    jwt_roles: Annotated[tuple[str, ...], NoDecode, BeforeValidator(words)] = Field(
        default=("app_metadata.roles", "role"),
        description="Claims that hold roles and scopes, paths with dots; users must not be able to write them.",
    )
    rls: bool = Field(
        default=False,
        description="Whether the database's own policies decide too: each statement runs in the caller's role, with "
        "`request.jwt.claims`, as in Supabase.",
    )
    rls_roles: Annotated[tuple[str, ...], NoDecode, BeforeValidator(words)] = Field(
        default=("anon", "authenticated"),
        min_length=1,
        description="Roles of the database that callers may have; the gateway's own must be a member of them.",
    )
    rls_token_role: str = Field(default="authenticated", description="The one of them that service tokens have.")
    mcp: Literal["off", "read", "change"] = Field(
        default="read",
        description="What agents may do by the Model Context Protocol, at /mcp and by `e2i-gateway mcp`: with `change` "
        "they preview changes, and apply those that a person confirms.",
    )
    mcp_url: Annotated[str, AfterValidator(checked_url)] | None = Field(
        default=None,
        description="URL of /mcp as clients know it, `https://e2i.example/mcp`; JWTs must name it in `aud` there. "
        "Unset: the name that a request gives the server, and `aud` as everywhere.",
    )
    mcp_token: SecretStr | None = Field(
        default=None, description="Service token or JWT of the caller of `e2i-gateway mcp`, over stdio."
    )
    embeddings_url: Annotated[str, AfterValidator(checked_url)] | None = Field(
        default=None,
        description="Service that makes vectors of texts, compatible with OpenAI's API: `https://api.openai.com/v1`. "
        "Texts that are searched by, and three stored ones at start, are sent to it. Unset: no search by text.",
    )
    embeddings_model: str | None = Field(default=None, description="Its model: the one that made the stored vectors.")
    embeddings_key: SecretStr | None = Field(default=None, description="Its key, sent as a bearer token.")
    embeddings_dimensions: int | None = Field(
        default=None,
        ge=1,
        le=16_000,
        description="Dimensions of the vectors, for models that take this parameter. Unset: not sent.",
    )
    embeddings_timeout: float = Field(default=5.0, gt=0, le=60, description="Seconds that it may take.")
    graphiql: bool = Field(default=True, description="Whether a browser that opens /graphql gets GraphiQL.")
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
    request_timeout: float = Field(default=30.0, gt=0, le=3600, description="Seconds until a request times out.")
    prepared_statements: bool = Field(
        default=True, description="Off for poolers in transaction mode, which switch connections between statements."
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
    turn_timeout: float = Field(
        default=10.0, gt=0, le=3600, description="Seconds that a change waits for its turn when many are made at once."
    )
    idempotency_hours: float = Field(
        default=24.0, gt=0, le=24 * 365, description="Hours for which an idempotency key gives the same result again."
    )
    compiler: bool = Field(
        default=True,
        description="Whether operations are compiled into one statement where possible; off: loaders answer all.",
    )
    max_concurrent: int = Field(default=100, ge=1, description="Requests that a worker processes at once; others wait.")
    max_queued: int = Field(default=200, ge=0, description="Requests that wait; further ones are refused (503).")
    queue_timeout: float = Field(default=5.0, gt=0, le=3600, description="Seconds that a request waits.")
    budget_per_minute: int | None = Field(
        default=None,
        ge=1,
        description="Points (rows) that a caller, or an address, may request per minute. Unset: no limit.",
    )
    redis_url: Annotated[str, AfterValidator(checked_redis)] | None = Field(
        default=None,
        validation_alias="REDIS_URL",
        description="Redis that workers share budgets in, `redis://host:6379/0`. Unset: each has its own.",
    )
    trusted_documents: Literal["off", "prefer", "only"] = Field(
        default="off", description="`only`: other documents are refused; `prefer`: their cost limit is lower."
    )
    trusted_documents_path: Path | None = Field(
        default=None, description="File (JSON of ids and documents) or folder (`*.graphql`) of trusted documents."
    )
    trusted_documents_table: bool = Field(
        default=False,
        description="Whether trusted documents are in the database too, as `e2i-gateway documents` adds them.",
    )
    trusted_documents_console: bool = Field(
        default=True, description="Whether the console's own documents are trusted too, so that its pages work."
    )
    max_untrusted_cost: int = Field(
        default=100_000, ge=1, description="Cost limit of other documents with `prefer`, in rows."
    )
    persisted_queries: bool = Field(
        default=True, description="Whether clients may register documents and then send their hashes alone."
    )
    cache_seconds: int = Field(
        default=0,
        ge=0,
        description="Seconds for which clients may cache reads by GET of a document's id (`Cache-Control`).",
    )
    compress_bytes: int = Field(
        default=4_000,
        ge=0,
        description="Minimum bytes of a response that is compressed for clients that accept it; 0: never.",
    )
    hosts: Annotated[str, AfterValidator(checked_hosts)] = Field(
        default="",
        description="Names of the server in URLs, with commas between, without ports; requests to others are refused. "
        "`*`: any. Empty: this machine's own names with `GATEWAY_AUTH=none`, any without.",
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
    max_batch: int = Field(default=0, ge=0, le=100, description="Operations in one request, an array; 0: none.")
    introspection: bool = Field(
        default=True, description="Whether introspection is allowed, and errors suggest names of the schema."
    )
    federation: bool = Field(
        default=False,
        description="Whether the graph is a subgraph of Apollo Federation 2, with `_entities` and `_service`.",
    )
    closed_vocabularies: bool = Field(
        default=True,
        description="Whether filters refuse texts that a column cannot have by its closed vocabulary; `off` for "
        "databases with words of their own.",
    )
    count_up_to: int = Field(
        default=10_000,
        ge=0,
        description="Number of rows that `totalCount` counts without `exact`; 0 counts all rows.",
    )
    max_body_bytes: int = Field(default=2_000_000, ge=1_000, description="Maximum bytes of a request's body.")
    max_document: int = Field(default=100_000, ge=100, description="Maximum characters of a document.")
    max_tokens: int = Field(default=2_000, ge=10, description="Maximum tokens of a document.")
    max_depth: int = Field(default=25, ge=1, description="Maximum levels of nested fields.")
    max_aliases: int = Field(default=200, ge=0, description="Maximum aliases in an operation.")
    max_root_fields: int = Field(default=50, ge=1, description="Maximum fields at the root of an operation.")
    max_directives: int = Field(default=100, ge=0, description="Maximum directives in a document.")
    max_fields: int = Field(default=10_000, ge=10, description="Maximum fields of an operation, fragments expanded.")
    max_values: int = Field(
        default=10_000,
        ge=10,
        description="Maximum values in the variables of a request; at most 2,500 objects of the schema's types, such "
        "as filters.",
    )
    max_recorded_values: int = Field(
        default=60_000, ge=10, description="Maximum values in the variables of a request that records rows."
    )
    max_lines_bytes: int = Field(
        default=10_000_000, ge=1_000, description="Maximum bytes of rows sent as ndjson, after decompression."
    )
    max_line_batches: int = Field(
        default=4,
        ge=1,
        description="Batches of ndjson that a worker reads and records at once; others wait.",
    )
    max_value_depth: int = Field(default=50, ge=1, description="Maximum levels of lists and objects in a value.")
    max_answer_bytes: int = Field(
        default=16_000_000, ge=1_000, description="Maximum bytes of a response's data, before compression."
    )
    max_relations: int = Field(
        default=200, ge=0, description="Maximum relations in the filters and orders of an operation."
    )
    max_cost: int = Field(
        default=1_000_000, ge=1, description="Maximum cost of an operation, in rows, computed before any SQL."
    )

    max_tables: int = Field(
        default=2,
        ge=0,
        description="Tables (CSV, JSON lines, Arrow) that a worker writes at once, each with a connection; 0: none.",
    )
    max_table_rows: int = Field(default=1_000_000, ge=1, description="Maximum rows of a table.")
    max_table_bytes: int = Field(default=1_000_000_000, ge=1_000, description="Maximum bytes of a table.")
    table_timeout: float = Field(
        default=300.0, gt=0, le=24 * 3600, description="Seconds that a table may take, with the time of its reader."
    )

    listen_url: Annotated[str, AfterValidator(checked_postgres)] | None = Field(
        default=None,
        description="The database past any pooler in transaction mode, where LISTEN is lost. Unset: `DATABASE_URL`.",
    )
    live_hours: float = Field(
        default=72.0, gt=0, le=24 * 365, description="Hours for which a subscription can be resumed by its cursor."
    )
    live_poll: float = Field(
        default=5.0,
        ge=0.05,
        le=3600,
        description="Seconds between two polls for changes without a notification, while there is a subscriber.",
    )
    rollups: bool = Field(
        default=False,
        description="Whether this gateway reads aggregates off the rollups that `e2i-gateway db rollups` has made, and "
        "may be the one that keeps them up to date; not with `GATEWAY_RLS`.",
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
    public_url: Annotated[str, AfterValidator(checked_base)] | None = Field(
        default=None,
        description="URL of the gateway as others know it, `https://e2i.example`: what events of OpenLineage name as "
        "their producer and as the place of our facets' schema. Unset: http://HOST:PORT.",
    )
    openlineage_namespace: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        default="e2i", description="Namespace of jobs and datasets in events of OpenLineage."
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

    @field_validator("jwt_roles")
    @classmethod
    def _not_the_users_own(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        if any(path.split(".")[0] == "user_metadata" for path in paths):
            raise ValueError("users can write user_metadata themselves; use app_metadata")
        return paths

    @field_validator("jwt_jwks")
    @classmethod
    def _cannot_be_exchanged(cls, source: str | None) -> str | None:
        url = urlsplit(source or "")
        if "://" in (source or "") and url.scheme != "https" and not is_loopback(url.hostname or ""):
            raise ValueError(
                "keys must be fetched by https://, or from this machine, so that they cannot be replaced in transit"
            )
        return source

    @field_validator("rls_roles")
    @classmethod
    def _limits_callers(cls, roles: tuple[str, ...]) -> tuple[str, ...]:
        if "none" in roles:
            raise ValueError("an empty list would leave the gateway's own role; name roles that policies are made for")
        return roles

    @field_validator("roles")
    @classmethod
    def _known_scopes(cls, roles: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, scopes in roles.items():
            if wrong := [scope for scope in scopes if not is_scope(scope)]:
                raise ValueError(
                    f"{name}: there is no scope {', '.join(wrong)}{meant(wrong[0]) or '; the reference lists them'}"
                )
            if is_scope(name):
                raise ValueError(f"{name} is a scope; call the role otherwise")
        return roles

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if "jwt" in self.auth and not (self.jwt_secret or self.jwt_jwks):
            raise ValueError("GATEWAY_AUTH: jwt needs GATEWAY_JWT_SECRET or GATEWAY_JWT_JWKS to verify signatures")
        if self.embeddings_url and not self.embeddings_model:
            raise ValueError("GATEWAY_EMBEDDINGS_MODEL: name the model that the stored vectors were made by")
        url = urlsplit(self.embeddings_url or "")
        if self.embeddings_key and url.scheme == "http" and not is_loopback(url.hostname or ""):
            raise ValueError("GATEWAY_EMBEDDINGS_URL: a key is sent only by https:// or to this machine")
        if self.mcp_url and "jwt" in self.auth and self.mcp_url not in self.jwt_audience:
            raise ValueError("GATEWAY_JWT_AUDIENCE: add the GATEWAY_MCP_URL, which JWTs name in aud there")
        if self.rls and self.rls_token_role not in self.rls_roles:
            raise ValueError(f"GATEWAY_RLS_TOKEN_ROLE: {self.rls_token_role} is not one of GATEWAY_RLS_ROLES")
        if self.rls and "none" in self.auth and ANON not in self.rls_roles:
            raise ValueError(f"GATEWAY_RLS_ROLES: {ANON} is missing, the role of callers without a credential")
        if self.jwt_secret and len(self.jwt_secret.get_secret_value().encode()) < MIN_SECRET:
            raise ValueError(f"GATEWAY_JWT_SECRET: has fewer than {MIN_SECRET} bytes and could be guessed")
        return self

    @property
    def is_exposed(self) -> bool:
        """Whether other machines can reach a server without authentication."""
        return "none" in self.auth and not is_loopback(self.host)

    @property
    def known_hosts(self) -> frozenset[bytes]:
        """The host names that the server accepts, in the form of the Host header without a port; empty for any.

        Anonymous callers need a list: by DNS rebinding, a page can reach a loopback server under its own name.
        Authenticated callers do not, since such a page has no credential of another origin.
        """
        named: tuple[str, ...] = words(self.hosts)
        if not named and "none" in self.auth:
            own = f"[{self.host.strip('[]')}]" if ":" in self.host else self.host
            named = (*LOOPBACK_NAMES, own)
        return frozenset() if "*" in named else frozenset(one.lower().rstrip(".").encode() for one in named)

    @property
    def cors(self) -> frozenset[str]:
        """The origins whose pages may read responses."""
        return frozenset(filter(None, (one.strip().rstrip("/") for one in self.cors_origins.split(","))))

    @model_validator(mode="after")
    def _no_credentials_for_all(self) -> Settings:
        if self.cors_credentials and "*" in self.cors:
            raise ValueError("GATEWAY_CORS_CREDENTIALS needs GATEWAY_CORS_ORIGINS to name each origin, not *")
        return self

    @property
    def url(self) -> URL | None:
        """The database's URL for the engine, None for the embedded database."""
        return database_url(self.database_url) if self.database_url else None

    @property
    def known_url(self) -> str:
        """The URL of the gateway for clients."""
        if self.public_url is not None:
            return self.public_url
        host = "127.0.0.1" if self.host in {"", "0.0.0.0", "::"} else self.host  # noqa: S104 - compared, not bound to
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def listen(self) -> URL | None:
        """The URL to listen for changes at, if it differs from the database's."""
        return database_url(self.listen_url) if self.listen_url else None

    @property
    def replicas(self) -> tuple[URL, ...]:
        """The replicas' URLs for the engine."""
        return tuple(map(database_url, (self.replica_url or "").split()))


def load() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: A variable is invalid.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        lines = [_line(problem) for problem in error.errors(include_input=False)]
        raise SettingsError("\n".join(lines)) from None
    if settings.replica_url and not settings.database_url:
        raise SettingsError(
            "GATEWAY_REPLICA_URL: a replica needs DATABASE_URL, its primary, which is not set; set both"
        )
    return settings


def unknown(environment: Mapping[str, str]) -> list[str]:
    """Environment variables with a prefix of settings that are not settings, in a sentence each with a suggestion.

    Variables that Kubernetes sets in every container for a service ``gateway`` are ignored.
    """
    names = [str(one.validation_alias or f"{_PREFIX}{name.upper()}") for name, one in Settings.model_fields.items()]
    known = {name.removeprefix(_PREFIX): name for name in names}
    found = []
    for name, value in sorted(environment.items()):
        if not name.upper().startswith(_PREFIX) or name.upper() in names:
            continue
        if _OF_A_SERVICE.fullmatch(name) or value.startswith(("tcp://", "udp://")):
            continue
        near = get_close_matches(name.upper().removeprefix(_PREFIX)[:80], known, n=2, cutoff=0.75)
        meant_ = f"; did you mean {' or '.join(known[one] for one in near)}?" if near else ""
        found.append(f"{name[:80]} is no setting and has no effect{meant_}")
    return found


_OF_A_SERVICE = re.compile(r"GATEWAY_(?:SERVICE_(?:HOST|PORT(?:_\w+)?)|PORT_\d+_(?:TCP|UDP)(?:_(?:PROTO|PORT|ADDR))?)")


def _line(problem: Any) -> str:
    """The problem with a setting, or with several together, in a line."""
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{_variable(str(problem['loc'][0]))}: {message}" if problem["loc"] else message


def _variable(name: str) -> str:
    return name if name.isupper() else f"GATEWAY_{name.upper()}"
