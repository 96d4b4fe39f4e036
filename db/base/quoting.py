"""Quoting of texts and names, for SQL statements without parameters."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.dialects import postgresql

_PREPARER = postgresql.dialect(paramstyle="named").identifier_preparer  # type: ignore[no-untyped-call]


def literal(text: str) -> str:
    """A text as a SQL constant, independent of ``standard_conforming_strings``, like Postgres's ``quote_literal``."""
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def literals(texts: Iterable[str]) -> str:
    """Texts as a list of SQL constants: ``'a', 'b'``."""
    return ", ".join(map(literal, texts))


def identifier(name: str) -> str:
    """A name, quoted if it has capitals, spaces or quotes, or is a reserved word."""
    return _PREPARER.quote(name)
