"""Persisted documents: trusted documents of the deployment, and automatic persisted queries.

A file of trusted documents has the format of GraphQL Code Generator, Relay or Apollo: a JSON object of ids and
documents, or Apollo's operation manifest. A folder has one document a file, whose id is the SHA-256 of its text or its
name without ``.graphql``. The table ``gateway.trusted_documents`` is read again when it has changed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import orjson
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    parse,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.errors import DatabaseError
from db.engine.readers import ShortReader
from db.store.documents import ALL, VERSION, TrustedDocument, TrustedDocumentsError, digest
from gateway.operations.documents import Documents
from gateway.operations.refusals import RefusedDocumentError, RefusedError, request_error
from gateway.operations.request import Parameters
from gateway.settings import Settings
from schema.error_codes import ErrorCode

log = logging.getLogger("gateway.documents")

Trust = Literal["off", "prefer", "only"]

APOLLO = "apollo-persisted-query-manifest"
CONSOLE = Path(__file__).with_name("console_documents.json")
"""The documents that the console's pages send, by their SHA-256."""
REGISTERED = 2_000_000
"""Characters of registered documents that a worker keeps."""
TABLE_SECONDS = 2.0
"""Seconds between two checks of the table: changes take effect after this time at the latest."""


def load(path: Path) -> dict[str, str]:
    """Trusted documents by their ids; those of a folder by their file names, too.

    Raises:
        TrustedDocumentsError: The file or folder cannot be read, or has another format.
    """
    found = documents_of(path)
    names = {one.name: one.text for one in found if one.name is not None} if path.is_dir() else {}
    return {one.id: one.text for one in found} | names


def documents_of(path: Path) -> Sequence[TrustedDocument]:
    """The documents of a file or a folder.

    Raises:
        TrustedDocumentsError: It cannot be read, or has another format.
    """
    try:
        if path.is_dir():
            return _files(path, sorted(path.glob("*.graphql")))
        if path.suffix == ".graphql":
            return _files(path, [path])
        content = orjson.loads(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise TrustedDocumentsError(f"{path} cannot be read: {reason}") from error
    except orjson.JSONDecodeError as error:
        raise TrustedDocumentsError(f"{path} is not JSON: {error}") from error
    names: dict[Any, str] = {}
    if isinstance(content, dict) and content.get("format") == APOLLO:
        operations = [one for one in content.get("operations", []) if isinstance(one, dict)]
        names = {one.get("id"): one["name"] for one in operations if isinstance(one.get("name"), str)}
        content = {one.get("id"): one.get("body") for one in operations}
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(text, str) for name, text in content.items()
    ):
        raise TrustedDocumentsError(f"{path} must be a JSON object of ids and documents, or Apollo's manifest")
    return [TrustedDocument(id_.removeprefix("sha256:"), text, names.get(id_)) for id_, text in content.items()]


def _files(path: Path, files: Sequence[Path]) -> Sequence[TrustedDocument]:
    if not files:
        raise TrustedDocumentsError(f"{path} has no file *.graphql")
    texts = {file.stem: file.read_text(encoding="utf-8") for file in files}
    return [TrustedDocument(digest(text), text, name) for name, text in texts.items()]


class DocumentRegistry:
    """Resolves ids of documents. ``trust`` says whether documents that are not trusted are answered.

    With ``table`` there are further trusted documents in the database; until those are read, unknown ids are refused as
    unavailable.
    """

    def __init__(
        self,
        trusted: Mapping[str, str],
        trust: Trust,
        *,
        register: bool,
        table: bool = False,
        console: Mapping[str, str] | None = None,
    ) -> None:
        self._console = console or {}
        """The documents of the console, which are valid for this schema."""
        trusted = {**self._console, **trusted}
        self._given = trusted
        self._trusted = trusted
        self._texts = frozenset(trusted.values())
        self.read = not table
        """Whether all trusted documents are known."""
        self.table = table
        """Whether some are in the table."""
        self._changes: frozenset[str] | None = None
        self._trust = trust
        self._register = register and trust != "only"
        self._size = 0
        self._registered: OrderedDict[str, str] = OrderedDict()

    def text(self, asked: Parameters) -> str:
        """The document of a request, by its id, its hash or its text.

        Raises:
            RefusedDocumentError: ``PERSISTED_QUERY_NOT_FOUND``, ``PERSISTED_QUERY_HASH_MISMATCH``,
                ``DOCUMENT_NOT_FOUND`` or ``DOCUMENT_NOT_TRUSTED``.
            RefusedError: ``DOCUMENTS_UNAVAILABLE``: it may be in the table, which could not be read yet.
        """
        try:
            return self._text(asked)
        except RefusedDocumentError as error:
            if self.read or error.code == ErrorCode.PERSISTED_QUERY_HASH_MISMATCH:
                raise
            raise RefusedError(503, request_error(ErrorCode.DOCUMENTS_UNAVAILABLE)) from error

    def _text(self, asked: Parameters) -> str:
        if asked.own and asked.query is not None:
            return asked.query
        if asked.document_id is not None:
            return self._by_id(asked.document_id, asked.query)
        if asked.hash is not None:
            return self._by_hash(asked.hash, asked.query)
        assert asked.query is not None  # noqa: S101 - checked before
        if self._trust == "only" and asked.query not in self._texts:
            raise _untrusted("This document is not one of this gateway's trusted documents.")
        return asked.query

    def check(self, documents: Documents) -> None:
        """Logs the trusted documents that are invalid; the others are usable."""
        for name, text in self._trusted.items():
            if self._console.get(name) != text:
                warn_of(name, text, documents)

    def replace(self, table: Mapping[str, str]) -> Mapping[str, str]:
        """Replaces the documents of the table, known by id and SHA-256; returns the new ones."""
        new = {id_: text for id_, text in table.items() if self._trusted.get(id_) != text}
        self._trusted = {**{digest(text): text for text in table.values()}, **table, **self._given}
        self._texts = frozenset(self._trusted.values())
        self._changes = None
        self.read = True
        return new

    def is_trusted(self, text: str) -> bool:
        """Whether a document is answered without restriction: any document, unless trusted ones are preferred."""
        return self._trust == "off" or text in self._texts

    def changes(self) -> frozenset[str] | None:
        """The mutations in trusted documents, if only those are answered; None otherwise."""
        if self._trust != "only":
            return None
        if self._changes is None:
            self._changes = frozenset(name for text in self._texts for name in _mutations_in(text))
        return self._changes

    def register(self, asked: Parameters, text: str) -> None:
        """Registers a valid document, for requests that send its hash alone."""
        if asked.hash is None or asked.query is None or not self._register or asked.hash in self._registered:
            return
        self._registered[asked.hash] = text
        self._size += len(text)
        while self._size > REGISTERED:
            _, dropped = self._registered.popitem(last=False)
            self._size -= len(dropped)

    def _by_id(self, id_: str, query: str | None) -> str:
        text = self._trusted.get(id_) or self._registered.get(id_)
        if text is None:
            if self._trust == "only":
                raise _untrusted(f"The document {id_[:80]!r} is not one of this gateway's trusted documents.")
            message = f"There is no document {id_[:80]!r}; send the document itself in query."
            raise RefusedDocumentError(request_error(ErrorCode.DOCUMENT_NOT_FOUND, message))
        if query is not None and query != text:
            message = "The parameters query and documentId name two documents; send one of them."
            raise RefusedDocumentError(request_error(ErrorCode.PERSISTED_QUERY_HASH_MISMATCH, message))
        return text

    def _by_hash(self, hash_: str, query: str | None) -> str:
        if query is None:
            if (text := self._trusted.get(hash_)) is not None:
                return text
            if (text := self._registered.get(hash_)) is not None:
                self._registered.move_to_end(hash_)
                return text
            if self._trust == "only":
                raise _untrusted("This persisted query is not one of this gateway's trusted documents.")
            code = ErrorCode.PERSISTED_QUERY_NOT_FOUND if self._register else ErrorCode.PERSISTED_QUERY_NOT_SUPPORTED
            raise RefusedDocumentError(request_error(code))
        if digest(query) != hash_:
            message = "extensions.persistedQuery.sha256Hash is not the SHA-256 of the query."
            raise RefusedDocumentError(request_error(ErrorCode.PERSISTED_QUERY_HASH_MISMATCH, message))
        if self._trust == "only" and query not in self._texts:
            raise _untrusted("This document is not one of this gateway's trusted documents.")
        return query


def _mutations_in(text: str) -> Iterator[str]:
    """The names of the mutations of a document that parses, with those in its fragments."""
    if "mutation" not in text:
        return
    with suppress(GraphQLSyntaxError, RecursionError):
        document = parse(text, no_location=True)
        fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
        pending: list[Any] = [
            one
            for one in document.definitions
            if isinstance(one, OperationDefinitionNode) and one.operation is OperationType.MUTATION
        ]
        seen: set[str] = set()
        while pending:
            for node in pending.pop().selection_set.selections:
                if isinstance(node, FieldNode):
                    yield node.name.value
                elif isinstance(node, FragmentSpreadNode):
                    name = node.name.value
                    if name in fragments and name not in seen:
                        seen.add(name)
                        pending.append(fragments[name])
                else:
                    pending.append(node)


def _untrusted(what: str) -> RefusedDocumentError:
    message = f"{what} Only trusted documents are answered here; send the documentId of one."
    return RefusedDocumentError(request_error(ErrorCode.DOCUMENT_NOT_TRUSTED, message))


def document_registry(settings: Settings) -> DocumentRegistry:
    """The registry of the settings' documents.

    Raises:
        TrustedDocumentsError: A document cannot be read.
    """
    trust, path, table = settings.trusted_documents, settings.trusted_documents_path, settings.trusted_documents_table
    if trust == "off":
        return DocumentRegistry({}, trust, register=settings.persisted_queries)
    if path is None and not table:
        raise TrustedDocumentsError(NOWHERE)
    given = load(path) if path else {}
    console = load(CONSOLE) if settings.trusted_documents_console else {}
    return DocumentRegistry(given, trust, register=settings.persisted_queries, table=table, console=console)


NOWHERE = (
    "GATEWAY_TRUSTED_DOCUMENTS needs documents: set GATEWAY_TRUSTED_DOCUMENTS_PATH to a file or folder, or "
    "GATEWAY_TRUSTED_DOCUMENTS_TABLE=on and add them by `e2i-gateway documents add`"
)


def warn_of(name: str, text: str, documents: Documents) -> bool:
    """Logs why a document is invalid, if it is; returns whether."""
    try:
        documents.get(text)
    except RefusedDocumentError as error:
        log.warning("the trusted document %s cannot be answered: %s", name[:80], error)
        return True
    return False


class DocumentTable:
    """Reads the table of trusted documents, at start and when it has changed."""

    def __init__(self, engine: AsyncEngine, registry: DocumentRegistry, documents: Documents) -> None:
        self._engine = engine
        self._registry = registry
        self._documents = documents
        self._version: str | None = None
        self._failure = ""

    async def look(self) -> None:
        """Reads the table if it has changed; keeps the last state if it cannot be read."""
        reader = ShortReader(self._engine)
        try:
            ((version,),) = await reader.fetch(VERSION, ())
            if version == self._version:
                return
            rows = await reader.fetch(ALL, ())
        except DatabaseError as error:
            if str(error) != self._failure:
                self._failure = str(error)
                log.warning("the table of trusted documents cannot be read: %s", error)
            return
        self._version, self._failure = version, ""
        new = self._registry.replace(dict(map(tuple, rows)))
        log.info("%d trusted documents are in the table, %d of them new", len(rows), len(new))
        for id_, text in new.items():
            await asyncio.sleep(0)  # yields to the event loop: each takes milliseconds
            warn_of(id_, text, self._documents)

    async def look_again(self) -> None:
        """Checks the table periodically."""
        while True:
            await asyncio.sleep(TABLE_SECONDS)
            await self.try_to_look()

    async def try_to_look(self) -> None:
        """Checks the table; any failure is logged."""
        try:
            await self.look()
        except Exception:
            log.exception("the table of trusted documents could not be looked at")


async def follow_table(
    engine: AsyncEngine,
    registry: DocumentRegistry,
    documents: Documents,
    reports: MutableMapping[str, Callable[[], str]],
) -> Sequence[asyncio.Task[None]]:
    """Reads the table, if the settings enable it, and starts to check it periodically."""
    if not registry.table:
        return ()
    table = DocumentTable(engine, registry, documents)
    await table.try_to_look()
    reports["documents"] = lambda: "ok" if registry.read else "not read yet"
    return (asyncio.create_task(table.look_again()),)
