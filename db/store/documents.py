"""Trusted documents in a table, by their ids."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

MAX_ID = 256
"""The longest id of a document in requests."""
_HASH = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)


class TrustedDocumentsError(Exception):
    """The trusted documents cannot be read or changed; the message says where, why and what would be right."""


@dataclass(frozen=True)
class TrustedDocument:
    """A document with its id: its SHA-256, or the id given by a client's build tool."""

    id: str
    text: str
    name: str | None = None


@dataclass(frozen=True)
class KeptDocument:
    """A document in the table, without its text."""

    id: str
    name: str | None
    characters: int
    added_at: datetime
    added_by: str


def digest(document: str) -> str:
    """The SHA-256 of a document, as clients compute it."""
    return hashlib.sha256(document.encode()).hexdigest()


VERSION = (
    "SELECT concat_ws(' ', count(*), sum(xmin::text::bigint), sum(hashtextextended(id, 0))) "
    "FROM gateway.trusted_documents"
)
"""A text that changes with the table, and does not require reading the documents."""

ALL = "SELECT id, document FROM gateway.trusted_documents"


async def add(connection: AsyncConnection, documents: Iterable[TrustedDocument]) -> list[str]:
    """Adds documents, all or none; returns the ids of new ones.

    Raises:
        TrustedDocumentsError: An id is invalid, is the hash of another document, or is in use for another document.
    """
    added = []
    for one in documents:
        id_ = _checked(one)
        row = await connection.execute(
            text(
                "INSERT INTO gateway.trusted_documents (id, document, name) VALUES (:id, :document, :name) "
                "ON CONFLICT (id) DO NOTHING RETURNING id"
            ),
            {"id": id_, "document": one.text, "name": one.name},
        )
        if row.first() is not None:
            added.append(id_)
            continue
        there = await connection.scalar(
            text("SELECT document FROM gateway.trusted_documents WHERE id = :id"), {"id": id_}
        )
        if there != one.text:
            raise TrustedDocumentsError(
                f"{id_} is the id of another document, which clients may have kept; give this one another id, or "
                f"`e2i-gateway documents remove {id_}` first. Nothing was added"
            )
    return added


def _folded(id_: str) -> str:
    return id_.lower() if _HASH.fullmatch(id_) else id_


def _checked(one: TrustedDocument) -> str:
    """The id of a document, hashes in lower case."""
    id_ = _folded(one.id)
    if not id_.strip() or len(id_) > MAX_ID or not id_.isprintable():
        raise TrustedDocumentsError(
            f"{id_[:80]!r} is not a valid id; use 1 to {MAX_ID} printable characters. Nothing was added"
        )
    if "\0" in one.text or not one.text.strip():
        raise TrustedDocumentsError(f"{id_}: its document is empty or not a text. Nothing was added")
    if one.name is not None and not one.name.isprintable():
        raise TrustedDocumentsError(f"{id_}: its name {one.name[:80]!r} is not printable. Nothing was added")
    if _HASH.fullmatch(id_) and id_ != digest(one.text):
        raise TrustedDocumentsError(
            f"{id_} is not the SHA-256 of its document, which is {digest(one.text)}: one of them was changed. Nothing "
            f"was added"
        )
    return id_


async def listed(connection: AsyncConnection) -> Sequence[KeptDocument]:
    """All documents of the table, newest first."""
    rows = await connection.execute(
        text(
            "SELECT id, name, length(document), added_at, added_by FROM gateway.trusted_documents "
            "ORDER BY added_at DESC, id"
        )
    )
    return [KeptDocument(*row) for row in rows]


async def remove(connection: AsyncConnection, id_: str) -> None:
    """Deletes a document.

    Raises:
        TrustedDocumentsError: There is no document with that id.
    """
    done = await connection.execute(
        text("DELETE FROM gateway.trusted_documents WHERE id = :id RETURNING 1"),
        {"id": _folded(id_.removeprefix("sha256:"))},
    )
    if done.first() is None:
        raise TrustedDocumentsError(f"there is no trusted document {id_}; `e2i-gateway documents list` shows all")
