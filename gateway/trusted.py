"""Documents by their id: trusted ones that a deployment knows beforehand, and those that clients have registered.

A file of trusted documents is what GraphQL Code Generator, Relay or Apollo write: a JSON object of ids and documents,
or Apollo's manifest of operations. A folder has one document a file, whose id is the SHA-256 of its text or its name
without ``.graphql``.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from pathlib import Path
from typing import Literal

import orjson

from gateway.asked import Asked
from gateway.documents import Documents
from gateway.refusals import RefusedDocumentError, request_error
from gateway.settings import Settings

log = logging.getLogger("gateway.documents")

Trust = Literal["off", "prefer", "only"]

APOLLO = "apollo-persisted-query-manifest"
REGISTERED = 2_000_000
"""Characters of registered documents that a worker keeps."""


class TrustedDocumentsError(Exception):
    """The trusted documents cannot be read; the message says where and why."""


def load(path: Path) -> dict[str, str]:
    """Trusted documents by their ids.

    Raises:
        TrustedDocumentsError: The file or folder cannot be read, or holds something else.
    """
    try:
        if path.is_dir():
            return _folder(path)
        content = orjson.loads(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise TrustedDocumentsError(f"{path} cannot be read: {reason}") from error
    except orjson.JSONDecodeError as error:
        raise TrustedDocumentsError(f"{path} is not JSON: {error}") from error
    if isinstance(content, dict) and content.get("format") == APOLLO:
        content = {one.get("id"): one.get("body") for one in content.get("operations", []) if isinstance(one, dict)}
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(text, str) for name, text in content.items()
    ):
        raise TrustedDocumentsError(f"{path} must be a JSON object of ids and documents, or Apollo's manifest")
    return {name.removeprefix("sha256:"): text for name, text in content.items()}


def _folder(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted(path.glob("*.graphql")):
        text = file.read_text(encoding="utf-8")
        found |= {digest(text): text, file.stem: text}
    if not found:
        raise TrustedDocumentsError(f"{path} has no file *.graphql")
    return found


def digest(text: str) -> str:
    """SHA-256 of a document, as clients compute it."""
    return hashlib.sha256(text.encode()).hexdigest()


class KnownDocuments:
    """What ids stand for. ``trust`` says whether others than trusted documents are answered."""

    def __init__(self, trusted: dict[str, str], trust: Trust, *, register: bool) -> None:
        self._trusted = trusted
        self._texts = frozenset(trusted.values())
        self._trust = trust
        self._register = register and trust != "only"
        self._size = 0
        self._registered: OrderedDict[str, str] = OrderedDict()

    def text(self, asked: Asked) -> str:
        """The document of a request, by whatever names it.

        Raises:
            RefusedDocumentError: ``PERSISTED_QUERY_NOT_FOUND``, ``PERSISTED_QUERY_HASH_MISMATCH``,
                ``DOCUMENT_NOT_FOUND`` or ``DOCUMENT_NOT_TRUSTED``.
        """
        if asked.document_id is not None:
            return self._by_id(asked.document_id, asked.query)
        if asked.hash is not None:
            return self._by_hash(asked.hash, asked.query)
        assert asked.query is not None  # noqa: S101 - a request without it names a document
        if self._trust == "only" and asked.query not in self._texts:
            raise _untrusted("This document is not one of those that this gateway knows.")
        return asked.query

    def check(self, documents: Documents) -> None:
        """Says in the log which trusted documents cannot be answered; the others are all the same."""
        for name, text in self._trusted.items():
            try:
                documents.get(text)
            except RefusedDocumentError as error:
                log.warning("the trusted document %s cannot be answered: %s", name[:80], error)

    def is_trusted(self, text: str) -> bool:
        """Whether a document has all that may be asked for: everything, where none is preferred."""
        return self._trust == "off" or text in self._texts

    def register(self, asked: Asked, text: str) -> None:
        """Keeps a document, which was found valid, for requests that send its hash alone."""
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
                raise _untrusted(f"The document {id_[:80]!r} is not one of those that this gateway knows.")
            message = f"There is no document {id_[:80]!r}; send the document itself in query."
            raise RefusedDocumentError(request_error("DOCUMENT_NOT_FOUND", message))
        if query is not None and query != text:
            message = "The parameters query and documentId name two documents; send one of them."
            raise RefusedDocumentError(request_error("PERSISTED_QUERY_HASH_MISMATCH", message))
        return text

    def _by_hash(self, hash_: str, query: str | None) -> str:
        if query is None:
            if (text := self._trusted.get(hash_)) is not None:
                return text
            if (text := self._registered.get(hash_)) is not None:
                self._registered.move_to_end(hash_)
                return text
            if self._trust == "only":
                raise _untrusted("This persisted query is not one of those that this gateway knows.")
            code = "PERSISTED_QUERY_NOT_FOUND" if self._register else "PERSISTED_QUERY_NOT_SUPPORTED"
            # the message is what clients of the protocol look for
            message = "PersistedQueryNotFound" if self._register else "PersistedQueryNotSupported"
            raise RefusedDocumentError(request_error(code, message))
        if digest(query) != hash_:
            message = "extensions.persistedQuery.sha256Hash is not the SHA-256 of the query."
            raise RefusedDocumentError(request_error("PERSISTED_QUERY_HASH_MISMATCH", message))
        if self._trust == "only" and query not in self._texts:
            raise _untrusted("This document is not one of those that this gateway knows.")
        return query


def _untrusted(what: str) -> RefusedDocumentError:
    message = f"{what} Only trusted documents are answered here; send the documentId of one."
    return RefusedDocumentError(request_error("DOCUMENT_NOT_TRUSTED", message))


def known_documents(settings: Settings) -> KnownDocuments:
    """The documents that the settings name.

    Raises:
        TrustedDocumentsError: They cannot be read.
    """
    trust, path = settings.trusted_documents, settings.trusted_documents_path
    if trust == "off":
        return KnownDocuments({}, trust, register=settings.persisted_queries)
    if path is None:
        raise TrustedDocumentsError("GATEWAY_TRUSTED_DOCUMENTS needs GATEWAY_TRUSTED_DOCUMENTS_PATH, a file or folder")
    return KnownDocuments(load(path), trust, register=settings.persisted_queries)
