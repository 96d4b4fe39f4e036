"""Table formats: CSV, JSON lines and Arrow from columns that Postgres copies in binary.

Without the extra `arrow`, CSV and JSON lines are made from Postgres's texts, with the same bytes.
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol

import orjson

from db.engine.copying import MARK, NULL, CopyFormat
from gateway.operations.refusals import RefusedError, request_error
from schema.catalogue.column_types import ColumnKind
from schema.error_codes import ErrorCode
from schema.execution.tables import Statement, Table

CSV = "text/csv"
JSON_LINES = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"

_NO_NUMBERS = frozenset({b"NaN", b"Infinity", b"-Infinity"})
"""The forms in which Postgres writes numbers without a JSON form."""
BLOCKS = 125_000, 1_000_000
"""The approximate bytes of columns that are converted at once, at first and then: the client waits for the first."""


def _has_no_numbers(copied: bytes) -> bool:
    """Whether one of them may be in copied texts; a search for one byte is many times as fast as for several."""
    return (b"N" in copied and b"NaN" in copied) or (b"I" in copied and b"Infinity" in copied)


class TableWriter(Protocol):
    """Writes one table in a format."""

    copied: CopyFormat
    """The format of Postgres's output."""

    def statement(self) -> Statement:
        """The statement for the rows."""

    def begin(self) -> bytes:
        """The bytes before the rows."""

    async def rows(self, copied: bytes) -> bytes:
        """Converts whole rows as copied by Postgres; empty if they are buffered."""

    async def end(self) -> bytes:
        """The bytes after the rows."""

    def failed(self, errors: Sequence[dict[str, Any]]) -> bytes:
        """The bytes that report errors in the middle of a response, which they end."""


class CsvWriter:
    """CSV with a header line: null is empty, an empty text is a pair of quotes."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.copied: CopyFormat = "plain" if table.is_plain else "csv"

    def statement(self) -> Statement:
        return self._table.texts()

    def begin(self) -> bytes:
        return ",".join(one.name for one in self._table.columns).encode() + b"\n"

    async def rows(self, copied: bytes) -> bytes:
        return copied

    async def end(self) -> bytes:
        return b""

    def failed(self, errors: Sequence[dict[str, Any]]) -> bytes:  # noqa: ARG002 - CSV has no form for errors
        return b""


class JsonLinesWriter:
    """A JSON object a line; errors are the last line."""

    copied: CopyFormat = "values"

    def __init__(self, table: Table) -> None:
        self._table = table
        self._columns = len(table.columns)
        forms = [f'"{one.prefix}%b"' if one.is_quoted else "%b" for one in table.columns]
        fields = (f'"{one.name}":{form}' for one, form in zip(table.columns, forms, strict=True))
        self._line = f"{{{','.join(fields)}}}\n".encode()
        self._nulls = [form.encode() % NULL for form in sorted(set(forms))]  # quoted ones first
        self._floats = [place for place, one in enumerate(table.columns) if one.kind.graphql == "Float"]

    def statement(self) -> Statement:
        return self._table.jsons()

    def begin(self) -> bytes:
        return b""

    async def rows(self, copied: bytes) -> bytes:
        values = bytes(copied).replace(b"\n", MARK).split(MARK)  # of a bytearray they were bytearrays
        values.pop()
        if self._floats and _has_no_numbers(copied):  # a CASE in SQL would evaluate each number twice
            for place in self._floats:
                column = slice(place, None, self._columns)
                values[column] = [NULL if one in _NO_NUMBERS else one for one in values[column]]
        lines = self._line * (len(values) // self._columns) % tuple(values)
        if NULL in lines:
            for null in self._nulls:
                lines = lines.replace(null, b"null")
        return lines.replace(b"\\\\", b"\\") if b"\\" in lines else lines  # COPY escapes nothing else in JSON

    async def end(self) -> bytes:
        return b""

    def failed(self, errors: Sequence[dict[str, Any]]) -> bytes:
        return orjson.dumps({"errors": errors}) + b"\n"


class ColumnsWriter:
    """A table made from columns by pyarrow in a thread, block by block; Postgres sends them in binary."""

    copied: CopyFormat = "binary"
    _json = False
    """Whether texts are sent as JSON."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._mark = table_columns().new_mark()
        self._waiting: list[bytes] = []
        self._size, self._block_size = 0, BLOCKS[0]
        self._made: asyncio.Future[bytes] | None = None
        """The block that is being made; Postgres writes the next one meanwhile."""

    def statement(self) -> Statement:
        return self._table.sent(self._mark, json=self._json)

    def begin(self) -> bytes:
        return b""

    async def rows(self, copied: bytes) -> bytes:
        made = await self._next(b"".join(self._waiting)) if self._size >= self._block_size else b""
        self._waiting.append(copied)
        self._size += len(copied)
        return made

    async def end(self) -> bytes:
        made = await self._next(b"".join(self._waiting).removesuffix(table_columns().TRAILER))
        return made + await self._last()

    def failed(self, errors: Sequence[dict[str, Any]]) -> bytes:  # noqa: ARG002 - most formats have no form for errors
        return b""

    async def _next(self, data: bytes) -> bytes:
        """Begins the next block, and returns the one before it."""
        made = await self._last()
        self._waiting, self._size = [], 0
        self._block_size = min(2 * self._block_size, BLOCKS[1])
        self._made = asyncio.ensure_future(asyncio.to_thread(self._block, data))
        self._made.add_done_callback(lambda made: made.cancelled() or made.exception())  # read, if nobody waits
        return made

    async def _last(self) -> bytes:
        """The block that was begun; empty if there is none."""
        made, self._made = self._made, None
        return await made if made else b""

    def _block(self, data: bytes) -> bytes:
        block = table_columns().Block(data, self._mark)
        if not block.rows:
            return b""
        values = [block.column(one.sent_as) for one in self._table.columns]
        block.end()
        return self._convert(values)

    def _convert(self, values: list[Any]) -> bytes:
        """The bytes of columns of equal length."""
        raise NotImplementedError


class ColumnsCsvWriter(ColumnsWriter):
    """As `CsvWriter`."""

    def begin(self) -> bytes:
        return CsvWriter(self._table).begin()

    def _convert(self, values: list[Any]) -> bytes:
        lines: bytes = table_columns().csv(self._table.columns, values)
        return lines


class ColumnsJsonLinesWriter(ColumnsWriter):
    """As `JsonLinesWriter`."""

    _json = True

    def failed(self, errors: Sequence[dict[str, Any]]) -> bytes:
        return JsonLinesWriter(self._table).failed(errors)

    def _convert(self, values: list[Any]) -> bytes:
        lines: bytes = table_columns().json_lines(self._table.columns, values)
        return lines


class ArrowWriter(ColumnsWriter):
    """An Arrow stream of record batches."""

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
        from pyarrow import ipc  # noqa: PLC0415

        self._pa = pa
        self._schema = pa.schema([(one.name, _arrow_type(pa, one.kind)) for one in table.columns])
        self._sink = io.BytesIO()
        self._stream = ipc.new_stream(self._sink, self._schema)

    def begin(self) -> bytes:
        return self._written()

    async def end(self) -> bytes:
        made = await super().end()
        self._stream.close()
        return made + self._written()

    def _convert(self, values: list[Any]) -> bytes:
        columns = self._table.columns
        try:
            arrays = [
                table_columns().typed(column, type_, array)
                for column, type_, array in zip(columns, self._schema.types, values, strict=True)
            ]
        except self._pa.ArrowInvalid as error:
            raise request_error(
                ErrorCode.UNREPRESENTABLE_VALUE,
                f"Arrow cannot represent a value: {error}; request {CSV} or {JSON_LINES}.",
            ) from None
        self._stream.write_batch(self._pa.record_batch(arrays, schema=self._schema))
        return self._written()

    def _written(self) -> bytes:
        found = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return found


def _arrow_type(pa: Any, kind: ColumnKind) -> Any:
    """The Arrow type of a column: lists and documents are JSON strings, enums strings."""
    if kind.is_list:
        return pa.string()
    made = {
        "boolean": pa.bool_(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "double": pa.float64(),
        "numeric": pa.float64(),
        "time": pa.timestamp("us", "UTC"),
        "date": pa.date32(),
    }
    return made.get(kind.name, pa.string())


_COLUMNS = "gateway.operations.table_columns"
FORMATS = frozenset({CSV, JSON_LINES, ARROW})
"""The media types of tables."""


def table_columns() -> Any:
    """The module that makes columns; it needs the extra `arrow`, and is slow to import.

    Raises:
        ImportError: This gateway lacks it.
    """
    return import_module(_COLUMNS)


async def load() -> None:
    """Imports what columns are made with, if it is there, without holding up the event loop."""
    if _COLUMNS not in sys.modules:
        with suppress(ImportError):
            await asyncio.to_thread(table_columns)


def writer_of(media: str, table: Table) -> TableWriter:
    """The writer of a format: by columns, or without the extra `arrow` by Postgres's texts.

    Raises:
        RefusedError: The format needs the extra.
    """
    try:
        made: dict[str, type[ColumnsWriter]] = {
            CSV: ColumnsCsvWriter,
            JSON_LINES: ColumnsJsonLinesWriter,
            ARROW: ArrowWriter,
        }
        return made[media](table)
    except ImportError as error:
        if media != ARROW:
            return CsvWriter(table) if media == CSV else JsonLinesWriter(table)
        message = (
            f"Arrow needs numpy and pyarrow, which this gateway lacks ({error}); its operator can install "
            f"e2i-gateway[arrow]. Until then request {CSV} or {JSON_LINES}."
        )
        raise RefusedError(406, request_error(ErrorCode.NOT_ACCEPTABLE, message)) from None
