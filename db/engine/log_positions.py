"""Positions in the database's log: their text, and those of callers' last changes."""

from __future__ import annotations

import mmap
from pathlib import Path
from zlib import crc32

SLOTS = 4096
UNKNOWN = 2**63 - 1
"""The position of a change whose own could not be read: after everything, until the next check."""


def position_text(position: int) -> str:
    """A position in Postgres's form, ``0/16B3748``."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def position_of(text: str) -> int:
    """The position in a text.

    Raises:
        ValueError: The text is not a position.
    """
    high, slash, low = text.partition("/")
    if not slash or not 0 < len(high) <= 8 or not 0 < len(low) <= 8 or not f"{high}{low}".isalnum():
        raise ValueError("expected a position from a mutation's `extensions.position`, such as 0/16B3748")
    return (int(high, 16) << 32) + int(low, 16)


class Changes:
    """The positions of callers' last changes, in a table shared by the workers of one gateway.

    Each worker writes a row of its own and reads all. Callers that share a slot wait for each other's changes, which
    sends a few more reads to the primary and is always correct.
    """

    def __init__(self, folder: Path | None = None, index: int = 0, workers: int = 1) -> None:
        size = workers * SLOTS * 8
        if folder is None:
            table = mmap.mmap(-1, size)
        else:
            with (folder / "changes").open("a+b") as file:
                file.truncate(size)
                table = mmap.mmap(file.fileno(), size)
        self._rows = [memoryview(table).cast("q")[n * SLOTS : (n + 1) * SLOTS] for n in range(workers)]
        self._own = self._rows[index]
        self._waited_for: set[int] = set()
        self._unknown: set[int] = set(range(SLOTS))  # the changes of this row's former owner are unknown
        for slot in self._unknown:
            self._own[slot] = UNKNOWN

    @staticmethod
    def slot(caller: str) -> int:
        """The slot of a caller."""
        return crc32(caller.encode()) % SLOTS

    def last(self, slot: int) -> int:
        """The position of the last change of a slot's callers."""
        return max(row[slot] for row in self._rows)

    def made(self, slot: int, position: int | None) -> None:
        """Records a change; None if its position, or its outcome, is unknown."""
        if position is None or self._own[slot] == UNKNOWN:
            self._unknown.add(slot)
            self._own[slot] = UNKNOWN
        elif self._own[slot] < position:
            self._own[slot] = position
        self._waited_for.add(slot)

    def take_unknown(self) -> set[int]:
        """The slots with unknown positions; later ones are not included."""
        taken, self._unknown = self._unknown, set()
        return taken

    def known(self, slots: set[int], position: int | None) -> None:
        """Sets the primary's position, read after the slots were taken; None if it could not be read."""
        if position is None:
            self._unknown |= slots
            return
        for slot in slots - self._unknown:
            self._own[slot] = position

    def replayed(self, position: int) -> None:
        """Sets the position that all used replicas have replayed."""
        self._waited_for = {slot for slot in self._waited_for if self._own[slot] > position}

    @property
    def are_waited_for(self) -> bool:
        """Whether replicas are known to lack changes of this worker."""
        return bool(self._waited_for)
