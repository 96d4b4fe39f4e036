"""Curated questions as they are defined in ``answers/``: documents with directions in comments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from graphql import OperationDefinitionNode, VariableDefinitionNode, parse, print_ast
from graphql.utilities import separate_operations

_NOTE, _ROW, _SAID, _SINGLE = "note:", "row:", "said:", "single:"
FIRST, AFTER = "first", "after"
PAGING = (FIRST, AFTER)
"""Variables of the list that an operation pages through."""


@dataclass(frozen=True)
class QuestionOperation:
    """An operation of a question, with its name."""

    name: str
    document: str
    variables: Mapping[str, VariableDefinitionNode]

    @property
    def needed(self) -> tuple[str, ...]:
        """Its required variables."""
        return tuple(
            name
            for name, one in self.variables.items()
            if one.type.kind == "non_null_type" and one.default_value is None
        )

    @property
    def pages(self) -> bool:
        """Whether it has a list that can be paged through."""
        return "after" in self.variables


@dataclass(frozen=True)
class Curated:
    """A question: its description, warnings, and operations.

    The first of ``operations`` whose variables are all given is run. The one of ``helpers`` under a variable's name
    finds its default row (for an id), or its possible words (for a text).
    """

    name: str
    about: str
    notes: tuple[str, ...]
    operations: tuple[QuestionOperation, ...]
    helpers: Mapping[str, QuestionOperation]
    rows: Mapping[str, str] = field(default_factory=dict)
    """The types of the rows that variables name."""
    said: Mapping[str, str] = field(default_factory=dict)
    """Sentences for the answer of an operation, by its name."""
    single: frozenset[str] = frozenset()
    """Lists of which only the first row is shown, as an object."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The variables of all operations; a question mark ends optional ones."""
        names = dict.fromkeys(name for one in self.operations for name in one.variables if name not in PAGING)
        must = set.intersection(*(set(one.needed) for one in self.operations)) - self.helped
        return tuple(name if name in must else f"{name}?" for name in names)

    @property
    def helped(self) -> set[str]:
        """The variables that have a default row."""
        return {name for name in self.helpers if name in self.rows}


@cache
def curated() -> dict[str, Curated]:
    """All questions by name."""
    found = sorted(
        (one for one in files("gateway.mcp.answers").iterdir() if one.name.endswith(".graphql")),
        key=lambda one: one.name,
    )
    return {made.name: made for made in (_read(one.name, one.read_text("utf-8")) for one in found)}


def _read(file: str, text: str) -> Curated:
    lines = text.splitlines()
    comments = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
    parts = separate_operations(parse(text, no_location=True))
    asked = {}
    for name, document in parts.items():
        (operation,) = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
        variables = {one.variable.name.value: one for one in operation.variable_definitions or ()}
        asked[name] = QuestionOperation(name, print_ast(document), variables)
    taken = {name for one in asked.values() for name in one.variables}
    return Curated(
        file.removesuffix(".graphql"),
        comments[0],
        tuple(_those(comments, _NOTE)),
        tuple(one for name, one in asked.items() if name not in taken),
        {name: one for name, one in asked.items() if name in taken},
        dict(line.split() for line in _those(comments, _ROW)),
        dict(line.split(maxsplit=1) for line in _those(comments, _SAID)),
        frozenset(name for line in _those(comments, _SINGLE) for name in line.split()),
    )


def _those(comments: list[str], mark: str) -> list[str]:
    return [one.removeprefix(mark).strip() for one in comments if one.startswith(mark)]
