"""The faults of a file: of Python by Cosmic Ray's operators and a few of our own, of SQL by `sql_text`.

Faults that say nothing are left out, and those that make no program: see `quiet`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from tests.mutants import sql_text
from tests.mutants.quiet import quiet, starts

_OPERATORS = re.compile(
    r"core/(?:AddNot|ReplaceTrueWithFalse|ReplaceFalseWithTrue|ReplaceAndWithOr|ReplaceOrWithAnd|NumberReplacer|"
    r"ReplaceBreakWithContinue|ReplaceContinueWithBreak|ExceptionReplacer|ZeroIterationForLoop|"
    r"ReplaceBinaryOperator_(?:Add_Sub|Sub_Add|Mul_FloorDiv|FloorDiv_Mul|Div_Mul|Mod_Mul|BitAnd_BitOr|BitOr_BitAnd)|"
    r"ReplaceUnaryOperator_(?:USub_UAdd|Delete_Not)|ReplaceComparisonOperator_(?:Eq_NotEq|NotEq_Eq|Lt_LtE|Lt_GtE|"
    r"LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt|Is_IsNot|IsNot_Is|In_NotIn|NotIn_In))"
)
"""Each comparison to its neighbour and to its opposite: the others of Cosmic Ray (``==`` to ``is``, ``!=`` to ``<``)
are the same as these over most values."""
_SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Fault:
    """One change of one file. ``place`` and ``family`` say which faults are of one kind at one place."""

    path: str
    place: int
    family: str
    operator: str
    occurrence: int
    edit: sql_text.Edit | None = None

    def applied(self, source: str) -> str:
        """The file with the fault in it."""
        if self.edit:
            return source[: self.edit.start] + self.edit.text + source[self.edit.end :]
        mutated: str | None = mutate_code(source, get_operator(self.operator)(), self.occurrence)
        assert mutated is not None
        return mutated


def faults(root: Path, path: str) -> Iterator[Fault]:
    """Every fault of a file."""
    source = (root / path).read_text(encoding="utf-8")
    if path.endswith(".sql"):
        for number, edit in enumerate(sql_text.in_file(source)):
            yield Fault(path, edit.start, f"sql {edit.family}", "sql", number, edit)
        return
    for number, edit in enumerate(sql_text.in_python(source)):
        yield Fault(path, edit.start, f"sql {edit.family}", "sql", number, edit)
    yield from _of_python(path, source)


def _of_python(path: str, source: str) -> Iterator[Fault]:
    silent, begins = quiet(source), starts(source)
    nodes = list(ast_nodes(get_ast(source)))

    def speaks(place: int) -> bool:
        return not any(start <= place < end for start, end in silent)

    for name in filter(_OPERATORS.fullmatch, operator_names()):
        operator = get_operator(name)()
        positions = (start for node in nodes for start, _ in operator.mutation_positions(node))
        for occurrence, (line, column) in enumerate(positions):
            place = begins[line - 1] + column
            star = source[place] == "*" and source[place + 1] != " "  # of a signature or a call
            if speaks(place) and not star:
                yield Fault(path, place, name.split("/")[1].split("_")[0], name, occurrence)
    for number, found in enumerate(re.finditer(r"(?<![\w.])(min|max|any|all)(?=\()", source)):
        if speaks(found.start()):
            edit = sql_text.Edit(found.start(), found.end(), _SWAPPED[found[0]], "name")
            yield Fault(path, found.start(), "name", "name", number, edit)
