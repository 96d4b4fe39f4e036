"""The connections of the rows that are most similar to a vector, as SQL."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from schema.catalogue.selection import Selection
from schema.execution.compiler.connections import ConnectionPage, RowCompiler
from schema.execution.compiler.statements import Object
from schema.search.texts import TEXT
from schema.search.vector import Similarity
from schema.sql import cursors
from schema.sql.lists import TOTALS
from schema.sql.parameters import Parameter


class NearestPage(ConnectionPage):
    """A page of the rows most similar to a vector."""

    _ends = True

    def __init__(
        self, compiler: RowCompiler, similarity: Similarity, selection: Selection, arguments: dict[str, Any]
    ) -> None:
        super().__init__(compiler, similarity.type, selection)
        self._similarity = similarity
        if isinstance(text := arguments.get(TEXT), str):  # its vector is made for each request, like a variable's
            arguments[TEXT] = Parameter(f"text {text}", lambda _variables: text)
        self._search = search = similarity.search(arguments, compiler.indexes)
        self._lists = compiler.lists
        self._limit = search.limit
        self._wants_rows = any(name not in {*TOTALS, "__typename"} for name in self._asked)
        if not self._wants_rows:
            self._check([search.vector, search.what, search.position, search.least])
        least = "'-Infinity'" if search.least is None else similarity.least(search, self._bind)
        self._shown = f" WHERE score >= {least}"
        if search.like is not None:  # fails without a vector to compare with, so that the loaders report why
            refused = "('nothing is similar: ' || vectors)::integer"
            liked = similarity.liked(search, self._bind)
            self._read = f"(SELECT CASE WHEN vectors = 0 THEN {refused} ELSE 0 END FROM ({liked}) s)"

    @property
    def settings(self) -> dict[str, str]:
        """The settings that its page is read with; empty if the index is not used."""
        return self._search.settings if self._wants_rows else {}

    def _page(self, columns: Sequence[str]) -> tuple[str, Sequence[str]]:
        select = [f"t.{column} AS f{place}" for place, column in enumerate(columns)]
        rows = self._similarity.page(self._search, select, self._lists, self._bind)
        return rows, ["score", "o0", "o1"]

    def _total(self, up_to: int | None) -> str:
        return self._similarity.total(self._search, self._lists, self._bind, up_to)

    def _other_side(self) -> str:
        return "false" if self._search.position is None else "true"

    @cached_property
    def _start(self) -> str:
        return self._bind(self._similarity.cursor_start(self._search), "text")

    def _cursor(self, row: str) -> str:
        return cursors.sql(self._start, [f"{row}.o0", f"{row}.o1"])

    def _edge_leaf(self, child: Selection, row: str) -> str:
        return f"{row}.score" if child.name == "score" else super()._edge_leaf(child, row)

    def _own_field(self, child: Selection, made: Object) -> str:
        if child.name != "complete":
            return super()._own_field(child, made)
        if self._search.exact:
            return "true"
        left = self._similarity.left(self._search, self._lists, self._bind)
        full = "true" if self._search.fills else "false"
        return f"(SELECT CASE WHEN count(*) > {self._limit} THEN {full} ELSE count(*) = ({left}) END FROM {self._p})"
