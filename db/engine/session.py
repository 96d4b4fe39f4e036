"""Session settings, so that defaults of a server, a database or a role never change a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from db.base.quoting import identifier, literal
from db.engine.url import PUBLIC

VALUES: Mapping[str, str] = {
    "TimeZone": "UTC",
    "timezone_abbreviations": "Default",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "xmloption": "content",
    "lc_monetary": "C",
    "lc_numeric": "C",
    "lc_time": "C",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "standard_conforming_strings": "on",
    "backslash_quote": "safe_encoding",
    "quote_all_identifiers": "off",
    "gin_fuzzy_search_limit": "0",
    "row_security": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "exit_on_error": "off",
    "search_path": "public, extensions",
}
"""Settings that determine the format of values, the rows and objects of a statement, and what its failure ends. Others
are excluded: `lc_messages` can be set by superusers only (so no answer depends on a message), and planner and memory
settings belong to the operator, but for `OF_READS`."""

OF_READS: Mapping[str, str] = {"max_parallel_workers_per_gather": "0"}
"""Settings of connections for queries, unless the database's URL sets others: heavy statements have a share of the
connections, and parallel workers would multiply their share of the CPUs."""


def values(schemas: Sequence[str] = PUBLIC) -> Mapping[str, str]:
    """`VALUES` for a database whose tables of the platform are looked for in these schemas."""
    return VALUES if tuple(schemas) == PUBLIC else {**VALUES, "search_path": search_path(schemas)}


def search_path(schemas: Sequence[str]) -> str:
    """The schemas of the platform's tables, before ``extensions``; at the end ``public``, where pgvector may be."""
    behind = [] if "public" in schemas else ["public"]
    return ", ".join(map(identifier, [*schemas, "extensions", *behind]))


def session_settings(
    statement_timeout: float, lock_timeout: float = 0.0, schemas: Sequence[str] = PUBLIC
) -> dict[str, str]:
    """The settings of a session with timeouts in seconds for statements and for locks."""
    seconds = {"statement_timeout": statement_timeout, "lock_timeout": lock_timeout}
    return {**values(schemas), **{name: str(int(value * 1000)) for name, value in seconds.items()}, "jit": "off"}


def setting(settings: Mapping[str, str]) -> str:
    """The select list that sets settings until the end of the transaction, in a single statement."""
    return ", ".join(f"set_config({literal(name)}, {literal(value)}, true)" for name, value in settings.items())
