"""What `make mutants` is made of: faults of SQL and of Python, and the table of what is tested where."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

from tests.mutants import sql_text
from tests.mutants.places import held_by, mutated, stale
from tests.mutants.warm import Seen, changes, place_of

ROOT = Path(__file__).parents[2]


def texts(sql: str) -> set[str]:
    return {sql[: one.start] + one.text + sql[one.end :] for one in sql_text.edits(sql)}


def test_faults_of_sql() -> None:
    assert texts("a >= now() - interval '7 days'") == {
        "a > now() - interval '7 days'",
        "a <= now() - interval '7 days'",
        "a >= now() + interval '7 days'",
        "a >= now() - interval '8 days'",
        "a >= now() - interval '6 days'",
    }
    assert texts("ORDER BY a DESC NULLS LAST") == {"ORDER BY a ASC NULLS LAST", "ORDER BY a DESC NULLS FIRST"}
    assert texts("x IS NOT NULL AND y") == {"x IS NULL AND y", "x IS NOT NULL OR y"}
    assert texts("coalesce(s, 'active') IN ('a', 'b')") == {
        "coalesce(s, 'not active') IN ('a', 'b')",
        "coalesce(s, 'active') IN ('b')",
        "coalesce(s, 'active') IN ('a')",
    }
    assert texts("s < 0.40") == {"s <= 0.40", "s > 0.40", "s < 0.41", "s < 0.39"}
    assert texts("d::numeric(12, 6)::text -> 'a'") <= {
        "d::numeric(12, 7)::text -> 'a'",
        "d::numeric(12, 5)::text -> 'a'",
    }


def test_the_last_digit_moves() -> None:
    moved = [sql_text.stepped(number, step) for number in ("0.2", "1.00", "0.0", "7") for step in (1, -1)]
    assert moved == ["0.3", "0.1", "1.01", "0.99", "0.1", "-0.1", "8", "6"]


def test_sql_in_python_is_found_outside_holes_and_prose() -> None:
    source = (
        '"""SELECT what is > 1, it says."""\n'
        "QUERY = f\"SELECT a FROM t WHERE a >= {'>= 1' or LIMIT} AND b\"\n"
        "WORDS = 'more > less, and that is all'\n"
    )
    faults = [source[one.start : one.end] for one in sql_text.in_python(source)]
    assert sorted(faults) == [">=", ">=", "AND"]
    for one in sql_text.in_python(source):
        ast.parse(source[: one.start] + one.text + source[one.end :])


def test_comments_of_files_are_no_sql() -> None:
    source = "-- a >= b\nSELECT a > 1;\nCOMMENT ON VIEW v IS\n    'a >= b';\n"
    assert {source[one.start : one.end] for one in sql_text.in_file(source)} == {">", "1"}


def test_every_place_has_tests() -> None:
    paths = list(mutated(ROOT))
    assert len(paths) > 100
    assert [path for path in paths if not held_by(ROOT, path)] == []
    assert stale(ROOT) == []
    # and a room tests of its own: what is meant for any file of the schema alone says nothing of recording
    of_any = set(held_by(ROOT, "schema/schema.py"))
    rooms = {path for path in paths if path.count("/") > 1 and path.startswith("schema/")}
    left = {path for path in rooms if set(held_by(ROOT, path)) == of_any and not path.endswith("__init__.py")}
    assert left == set()


def test_a_place_has_the_tests_of_the_longest_entry() -> None:
    meant = {path: [Path(test).stem for test in held_by(ROOT, path)] for path in mutated(ROOT)}
    assert meant["schema/search/vector.py"][0] == "test_similarity"
    assert meant["schema/catalogue/exact_json.py"][-1] == "test_turns"  # which imports it
    assert meant["schema/lineage/statements.py"][0] == "test_oracle_lineage"  # of its room, whatever others are called
    assert meant["db/models/g11_bentoml_lifecycles.py"] == meant["db/base/lifecycles.py"]


def test_code_is_changed_in_place_unless_it_has_run() -> None:
    """Of a function, and of one within another; not of a class, a default, variables or what has run."""
    source = (
        "def f(a, b=1):\n    def g():\n        return a + 1\n    return g\n\n"
        "class C:\n    x = 1\n    def m(self):\n        return 2\n"
    )
    made: dict[str, Any] = {}
    seen = Seen()
    sys.setprofile(seen.note)
    exec(compile(source, "a.py", "exec"), made)
    sys.setprofile(None)
    for one in (made["f"], made["C"].m):
        seen.functions[place_of(one.__code__)].append(one)

    def changed(before: str, after: str) -> list[str] | None:
        found = changes("a.py", source, source.replace(before, after), seen)
        return None if found is None else [function.__qualname__ for function, _ in found]

    assert changed("return 2", "return 3") == ["C.m"]
    assert changed("a + 1", "a - 1") == ["f"]  # what it makes from now on
    assert [changed(*one) for one in (("b=1", "b=2"), ("x = 1", "x = 2"), ("return a + 1", "return 1"))] == [None] * 3
    for function, code in changes("a.py", source, source.replace("a + 1", "a - 1"), seen) or ():
        function.__code__ = code
    assert made["f"](5)() == 4
    sys.setprofile(seen.note)
    made["C"]().m()
    sys.setprofile(None)
    assert changed("return 2", "return 3") is None
