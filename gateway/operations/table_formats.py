"""Table formats: CSV and JSON lines by Postgres's COPY, and Arrow made from CSV batch by batch."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
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
BATCH = 1_000_000
"""The approximate bytes of CSV per Arrow batch."""


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


class ArrowWriter:
    """An Arrow stream of record batches, made from CSV by pyarrow in a thread."""

    def __init__(self, table: Table) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
            from pyarrow import csv, ipc  # noqa: PLC0415
        except ImportError as error:
            message = (
                f"Arrow needs pyarrow, which this gateway lacks ({error}); its operator can install "
                f"e2i-gateway[arrow]. Until then request {CSV} or {JSON_LINES}."
            )
            raise RefusedError(406, request_error(ErrorCode.NOT_ACCEPTABLE, message)) from None
        self._table = table
        self.copied: CopyFormat = "plain" if table.is_plain else "csv"
        self._csv, self._invalid = csv, pa.ArrowInvalid
        names = [one.name for one in table.columns]
        types = [_arrow_type(pa, one.kind) for one in table.columns]
        self._schema = pa.schema(list(zip(names, types, strict=True)))
        self._reading = csv.ReadOptions(column_names=names, use_threads=False, block_size=16 * BATCH)
        self._parsing = csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
        self._converting = csv.ConvertOptions(
            column_types=self._schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["true"],
            false_values=["false"],
        )
        self._sink = io.BytesIO()
        self._stream = ipc.new_stream(self._sink, self._schema)
        self._waiting: list[bytes] = []
        self._size = 0
        self._batch: asyncio.Future[bytes] | None = None
        """The batch that is being made; Postgres writes the next one meanwhile."""

    def statement(self) -> Statement:
        return self._table.typed()

    def begin(self) -> bytes:
        return self._written()

    async def rows(self, copied: bytes) -> bytes:
        self._waiting.append(copied)
        self._size += len(copied)
        return await self._next() if self._size >= BATCH else b""

    async def end(self) -> bytes:
        batches = await self._next() if self._waiting else b""
        batches += await self._made()
        self._stream.close()
        return batches + self._written()

    def failed(self, errors: Sequence[dict[str, Any]]) -> bytes:  # noqa: ARG002 - the stream has no form for errors
        return b""

    async def _next(self) -> bytes:
        """Begins the next batch, and returns the one before it."""
        made = await self._made()
        text, self._waiting, self._size = b"".join(self._waiting), [], 0
        self._batch = asyncio.ensure_future(asyncio.to_thread(self._convert, text))
        self._batch.add_done_callback(lambda batch: batch.cancelled() or batch.exception())  # read, if nobody waits
        return made

    async def _made(self) -> bytes:
        """The batch that was begun; empty if there is none."""
        batch, self._batch = self._batch, None
        return await batch if batch else b""

    def _convert(self, text: bytes) -> bytes:
        try:
            read = self._csv.read_csv(io.BytesIO(text), self._reading, self._parsing, self._converting)
        except self._invalid as error:
            raise request_error(ErrorCode.UNREPRESENTABLE_VALUE, f"Arrow cannot represent a value: {error}") from None
        self._stream.write_table(read)
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


WRITERS: dict[str, type[CsvWriter | JsonLinesWriter | ArrowWriter]] = {
    CSV: CsvWriter,
    JSON_LINES: JsonLinesWriter,
    ARROW: ArrowWriter,
}
"""The formats by media type."""
