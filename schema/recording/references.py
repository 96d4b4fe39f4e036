"""References of rows by id or unique key, resolved to keys in the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from db.engine.transaction import Transaction
from schema.catalogue import ids
from schema.catalogue.catalogue import Type
from schema.error_codes import RowCode
from schema.execution.time_slices import background
from schema.recording import statements
from schema.recording.columns import array_of
from schema.recording.record_types import Lookup, RowField, lookups
from schema.recording.row_values import ABSENT, RowValues

Key = tuple[str, ...]


async def referred_keys(rows: RowValues, one: RowField, transaction: Transaction) -> list[Any]:
    """The keys of referenced rows, by index of the referencing row; one statement per kind of reference.

    Unresolved references are noted as problems of ``rows``.
    """
    assert one.reference is not None  # noqa: S101 - the field is a reference
    target = rows.catalogue[one.reference.target]
    found = _NamedRows(rows, one, target, {way.name: way for way in lookups(rows.catalogue, target.name)})
    await background().parts(len(rows.rows), found.read)
    for member, keys in found.places.items():
        columns = list(found.ways[member].columns.values()) if member in found.ways else list(target.key)
        await _resolve(rows, transaction, one, target, member, columns, keys, found.values)
    return found.values


class _NamedRows:
    """The references of rows before their resolution."""

    def __init__(self, rows: RowValues, one: RowField, target: Type, ways: Mapping[str, Lookup]) -> None:
        self.ways = ways
        self.values: list[Any] = []
        """By index of the row: `ABSENT`, or None until the reference is resolved."""
        self.places: dict[str, dict[tuple[Any, ...], list[int]]] = {}
        """Indexes of rows, by oneOf member and by the values of its columns."""
        self._rows = rows
        self._one = one
        self._target = target
        self._keys_by_id: dict[str, tuple[Any, ...]] = {}

    def read(self, places: range) -> None:
        """Reads the references of the rows with these indexes."""
        rows, one = self._rows, self._one
        for place in places:
            given = rows.rows[place].get(one.name, ABSENT)
            self.values.append(ABSENT if given is ABSENT else None)
            if given is ABSENT:
                rows.partial.add(one.column)
            elif given is not None:
                self._note(place, given)
            elif one.column in rows.type.demanded:
                rows.note(RowCode.VALUE_MISSING, place, "is null, and it is part of what names the row", one.name)

    def _note(self, place: int, given: Mapping[str, Any]) -> None:
        ((member, by),) = given.items()
        try:
            key = self._keys_by_id.get(by) if member == "id" else None
            if key is None:
                key = _key_of(self._target, self.ways.get(member), by)
                if member == "id":
                    self._keys_by_id[by] = key
        except ids.MalformedIdError as error:
            message = f"names no {self._target.name}: {error}"
            if self._rows.type.is_confidential:
                message = f"is no id of {self._target.name}"
            self._rows.note(RowCode.INVALID_VALUE, place, message, self._one.name, member)
            return
        self.places.setdefault(member, {}).setdefault(key, []).append(place)


async def _resolve(
    rows: RowValues,
    transaction: Transaction,
    one: RowField,
    target: Type,
    member: str,
    columns: list[str],
    keys: Mapping[tuple[Any, ...], list[int]],
    values: list[Any],
) -> None:
    found = await find_keys(transaction, target, columns, [list(parts) for parts in zip(*keys, strict=True)])
    for at, places in enumerate(keys.values()):
        there = found.get(at, [])
        if len(there) == 1:
            (value,) = there[0]
            for place in places:
                values[place] = value
            continue
        many = f"names {len(there)} rows of {target.name}, since it is not unique in the connected database"
        for place in places:
            message = many if there else f"names no {target.name}"
            rows.note(RowCode.NO_SUCH_ROW, place, message, one.name, member)


async def find_keys(
    transaction: Transaction, type_: Type, columns: Sequence[str], arrays: Sequence[list[Any]]
) -> dict[int, list[Key]]:
    """The keys of the rows with equal columns, by the index, from 0, in the arrays."""
    found: dict[int, list[Key]] = {}
    for place, *key in await transaction.run(statements.by_columns(type_, columns), arrays, defers=False):
        found.setdefault(place - 1, []).append(tuple(key))
    return found


def _key_of(target: Type, way: Lookup | None, by: Any) -> tuple[Any, ...]:
    """The values of a reference in the order of its columns, converted for the driver.

    Raises:
        MalformedIdError: The id is malformed, or a text contains NUL.
    """
    if way is None:
        return ids.decode(by, target.name, target.key_kinds)
    parts = [by] if way.is_single else [by[name] for name in way.columns]
    for part in parts:
        if isinstance(part, str) and "\x00" in part:
            raise ids.MalformedIdError("it contains NUL")
    writes: list[Callable[[Any], Any] | None] = [array_of(target, column).write for column in way.columns.values()]
    return tuple(write(part) if write else part for write, part in zip(writes, parts, strict=True))
