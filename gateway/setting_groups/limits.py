"""Limits: of requests at once, of a request, of an operation and of an answer."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.setting_groups.group import SettingGroup
from gateway.setting_types import checked_redis


class LimitSettings(SettingGroup):
    """Limits: of requests at once, of a request, of an operation and of an answer."""

    max_concurrent: int = Field(default=100, ge=1, description="Requests that a worker processes at once; others wait.")
    max_queued: int = Field(default=200, ge=0, description="Requests that wait; further ones are refused (503).")
    queue_timeout: float = Field(default=5.0, gt=0, le=3600, description="Seconds that a request waits.")
    request_timeout: float = Field(default=30.0, gt=0, le=3600, description="Seconds until a request times out.")
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
    max_batch: int = Field(default=0, ge=0, le=100, description="Operations in one request, an array; 0: none.")
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
    max_value_depth: int = Field(default=50, ge=1, description="Maximum levels of lists and objects in a value.")
    max_relations: int = Field(
        default=200, ge=0, description="Maximum relations in the filters and orders of an operation."
    )
    max_cost: int = Field(
        default=1_000_000, ge=1, description="Maximum cost of an operation, in rows, computed before any SQL."
    )
    max_answer_bytes: int = Field(
        default=16_000_000, ge=1_000, description="Maximum bytes of a response's data, before compression."
    )
    count_up_to: int = Field(
        default=10_000,
        ge=0,
        description="Number of rows that `totalCount` counts without `exact`; it looks at three times as many for "
        "conditions without an index, and at half as many that an index finds by others. 0 counts all rows.",
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
