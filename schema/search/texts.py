"""Search texts: their vectors are requested before the operation runs, and provided to it here.

Vectors come from another service, which the schema does not call. The caller of an operation requests the vectors of
its `TextPlace`s beforehand; the SQL of both executors reads them, or the error in their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from graphql import NullValueNode, StringValueNode, VariableNode

from db.base.entity import camel
from schema.catalogue.catalogue import Catalogue
from schema.catalogue.selection import Selection
from schema.error_codes import ErrorCode
from schema.errors import GatewayError, bad_argument
from schema.sql.parameters import Variables, filled

EMBEDDING, TEXT = "embedding", "text"
MAX_TEXT = 4_000
"""The longest text in characters, about 1,000 tokens."""


@dataclass(frozen=True)
class TextPlace:
    """A search text of an operation: the root, and the text or the parameter of a variable."""

    root: str
    text: Any

    def read(self, variables: Variables) -> str:
        """The text."""
        text: str = filled(self.text, variables)
        return text


@dataclass(frozen=True)
class NoVector:
    """Why a text has no vector."""

    code: ErrorCode
    message: str | None = None


Vectors = Mapping[tuple[str, str], Sequence[float] | NoVector]
"""The vectors of texts, by root and text."""

_VECTORS: ContextVar[Vectors | None] = ContextVar("vectors", default=None)


def places(catalogue: Catalogue, fields: Mapping[str, Selection]) -> tuple[TextPlace, ...]:
    """The texts of root fields that search by a text alone."""
    found = []
    for one in fields.values():
        root = catalogue.roots.get(one.name)
        if root is None or root.nearest is None or (text := _argument(one, TEXT)) is None:
            continue
        if _argument(one, EMBEDDING) is None and _argument(one, camel(root.nearest.like)) is None:
            found.append(TextPlace(root.name, text))
    return tuple(found)


def _argument(selection: Selection, name: str) -> Any:
    """A text, the parameter of a variable, or a literal of another kind; None if it is not given. Other arguments of
    the field may be invalid."""
    for node in selection.nodes[0].arguments or ():
        if node.name.value != name or isinstance(node.value, NullValueNode):
            continue
        if isinstance(node.value, VariableNode):
            return selection.operation.variables.coerced.get(node.value.name.value)
        return node.value.value if isinstance(node.value, StringValueNode) else node.value
    return None


@contextmanager
def searching_by(vectors: Vectors) -> Iterator[None]:
    """A context in which searches use these vectors."""
    token = _VECTORS.set(vectors)
    try:
        yield
    finally:
        _VECTORS.reset(token)


def checked(text: str) -> str:
    """A valid search text.

    Raises:
        GatewayError: ``BAD_USER_INPUT``: it is empty or too long.
    """
    if not text.strip() or "\x00" in text:
        raise bad_argument(TEXT, "is empty, or has NUL in it; pass words of what you look for")
    if len(text) > MAX_TEXT:
        raise bad_argument(TEXT, f"has {len(text):,} characters; pass at most {MAX_TEXT:,}")
    return text


def vector_of(root: str, text: str) -> Sequence[float]:
    """The vector of a text.

    Raises:
        GatewayError: There is none, since no service is available.
    """
    found = (_VECTORS.get() or {}).get((root, checked(text)), NoVector(ErrorCode.EMBEDDINGS_NOT_CONFIGURED))
    if isinstance(found, NoVector):
        raise GatewayError(found.code, found.message)
    return found
