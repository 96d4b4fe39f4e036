"""What `make mutants` is made of: faults of SQL and of Python, and the table of what is tested where."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.mutants import sql_text, watch
from tests.mutants.again import Patch, diff, survivors
from tests.mutants.lines import Lines
from tests.mutants.names import Naming, declared, names
from tests.mutants.names import read as read_names
from tests.mutants.order import Order
from tests.mutants.places import held_by, mutated, stale
from tests.mutants.quiet import quiet
from tests.mutants.runs import NONE_FAILED
from tests.mutants.sample import drawn, interval, refused
from tests.mutants.warm import Asked, Ended, Seen, changes, place_of, waited

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


def test_the_tests_that_run_a_line_come_first() -> None:
    """Then what is left of the files that are meant for it; a line that has moved is found by its text."""
    source = "A = 1\ndef f():\n    return 2\ndef g():\n    return 3\n"
    contexts = {1: [""], 2: [""], 3: ["b.py::x", "far.py::slow", "far.py::quick"], 4: [""], 5: ["", "far.py::quick"]}
    seconds = {"a.py::x": 9.0, "b.py::x": 1.0, "b.py::y": 1.0, "far.py::slow": 8.0, "far.py::quick": 2.0}
    lines = Lines({"m.py": contexts}, {"m.py": source}, seconds)
    meant = ["a.py", "b.py"]
    far = ["far.py::quick", "far.py::slow"]
    assert lines.chosen("m.py", source, 3, meant, 100) == ["b.py::x", *far, *meant]
    assert lines.chosen("m.py", source, 3, meant, 12) == ["b.py::x", *far]
    assert lines.chosen("m.py", source, 3, meant, 1) == ["b.py::x"]
    assert lines.chosen("m.py", source, 5, meant, 100) == ["far.py::quick", *meant]  # as well before any test
    assert lines.chosen("m.py", source, 1, meant, 1) == meant
    assert lines.chosen("m.py", f"# new\n\n{source}", 5, meant, 1) == ["b.py::x"]
    assert lines.chosen("new.py", source, 3, meant, 1) == meant


def test_the_tests_of_a_line_have_a_bound() -> None:
    """Those that are meant for its file too, quick ones before; a file that is chosen whole is not named by test."""
    source = "def f():\n    return 2\n"
    contexts = {1: [""], 2: ["a.py::x", "a.py::y", "far.py::x"]}
    lines = Lines({"m.py": contexts}, {"m.py": source}, {"a.py::x": 5.0, "a.py::y": 1.0, "far.py::x": 2.0})
    assert [lines.chosen("m.py", source, 2, ["a.py"], most) for most in (1, 3, 6)] == [
        ["a.py::y"],
        ["a.py::y", "far.py::x"],
        ["a.py::y", "a.py::x"],
    ]


def test_a_name_is_one_in_each_of_its_forms() -> None:
    assert names("calibrationErrors: calibration_error CALIBRATION_ERROR a") == {"calibration_error"}


def test_what_a_line_declares() -> None:
    """A private name is followed to what is made of it."""
    source = (
        "_LIMITS = (\n    1,\n)\n_SQL = f'{_LIMITS}'\nGUARD = guard(_SQL)\n"
        "class Health:\n    measured: int = 1\n    @property\n    def worst(self, most=1):\n        return most\n"
    )
    assert {line: declared("m.py", source, line) for line in (2, 5, 7, 8, 10)} == {
        2: ["_LIMITS", "_SQL", "GUARD"],
        5: ["GUARD"],
        7: ["Health", "measured"],
        8: ["Health", "worst"],
        10: ["Health", "worst"],
    }
    sql = "CREATE FUNCTION gateway.one() AS $$\n1\n$$;\nCREATE OR REPLACE VIEW public.two AS\nSELECT 2;\n"
    assert [declared("m.sql", sql, line) for line in (2, 5)] == [["one"], ["two"]]


def test_what_tests_name_is_in_what_they_use_too(tmp_path: Path) -> None:
    """Constants, helpers and fixtures of their file; the test that says the rarest names comes first."""
    (tmp_path / "test_it.py").write_text(
        "QUERY = '{ health { measured } }'\n\n"
        "def asks(world):\n    return QUERY\n\n"
        "@fixture\ndef asked(world):\n    return asks(world)\n\n"
        "def test_health(asked): pass\n\n"
        "def test_limits(asked, limits): pass\n\n"
        "def test_nothing(world): pass\n"
    )
    found = read_names(tmp_path, ["test_it.py"])
    assert found.rank(["Health", "LIMIT"]) == ["test_it.py::test_limits", "test_it.py::test_health"]
    assert found.rank(["other"]) == []


def test_a_line_that_runs_before_any_test_has_tests_by_its_names() -> None:
    """Those that name what it declares, of a matrix the parameter that does, and those that run what uses it."""
    source = "class Health:\n    LIMIT = 2\ndef f():\n    return LIMIT\n"
    contexts = {1: [""], 2: [""], 3: [""], 4: ["far.py::quick", "far.py::late"]}
    matrix = [f"a.py::every[{name}]" for name in ("Drift", "Health", "Model")]
    seconds = {**dict.fromkeys(matrix, 4.0), "meant.py::x": 50.0, "far.py::quick": 1.0, "far.py::late": 30.0}
    said = {"a.py::every": frozenset({"health"}), "b.py::unknown": frozenset({"limit", "health"})}
    lines = Lines({"m.py": contexts}, {"m.py": source}, seconds, Naming(said))
    chosen = ["b.py::unknown", "a.py::every[Health]", "far.py::quick", "meant.py"]
    assert lines.chosen("m.py", source, 2, ["meant.py"], 100) == chosen
    assert lines.chosen("m.py", source, 2, ["meant.py"], 8) == ["b.py::unknown", "far.py::quick", "meant.py"]
    assert lines.chosen("m.py", source, 4, ["meant.py"], 8) == ["far.py::quick"]
    of_class = lines.chosen("m.sql", "CREATE VIEW health AS\nSELECT 1", 2, ["meant.py"], 100)
    assert of_class == ["a.py::every[Health]", "b.py::unknown", "meant.py"]


def test_the_seconds_of_a_fault_begin_with_its_tests(tmp_path: Path) -> None:
    """Not with the import of our own code, which a process that reads it anew needs some of."""
    order = Order(["test_it.py"], {}, frozenset(), tmp_path / "told.json", most=0.0)
    assert not order.is_over
    order.pytest_collection_modifyitems([])
    assert order.is_over


@pytest.mark.slow
def test_only_a_test_that_fails_notices_a_fault(tmp_path: Path) -> None:
    """Not that there is none to run, or no time left; slow tests are met where there are no others."""
    path = tmp_path / "test_it.py"
    slow = "import pytest\n\n@pytest.mark.slow\ndef test_slow():\n    pass\n\n"
    spins = "def test_spins():\n    ends = time.process_time() + 0.2\n    while time.process_time() < ends: pass\n\n"
    path.write_text(f"import time\n{slow}{spins}def test_late():\n    pass\n")

    class Ran:
        def __init__(self, **how: Any) -> None:
            self.order = Order(how.pop("tests", [path.name]), {}, frozenset(), tmp_path / "told.json", **how)
            arguments = [str(path), "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:asyncio", "-c", os.devnull]
            self.status = pytest.main([*arguments, f"--rootdir={tmp_path}"], plugins=[self.order])
            self.names = [one.split("::")[1] for one in self.order.durations]

    assert Ran().names == ["test_spins", "test_late", "test_slow"]
    assert Ran(quick=True).names == ["test_spins", "test_late"]
    assert Ran(quick=True, tests=[f"{path.name}::test_slow"]).names == ["test_slow"]
    late, none = Ran(most=0.1), Ran(tests=["test_other.py"])
    assert (late.names, none.names) == (["test_spins"], [])
    assert {late.status, none.status} <= NONE_FAILED


def test_survivors_are_tried_again_where_they_stand_now(tmp_path: Path) -> None:
    source = "".join(f"a{number} = {number}\n" for number in range(20))
    patch = diff("m.py", source, source.replace("a9 = 9", "a9 = 8"))
    elsewhere = patch.replace("m.py", "gone.py")
    told = [("m.py", patch, None), ("gone.py", elsewhere, None), ("m.py", patch, "test_it.py::test_it")]
    rows = [
        {"key": key, "path": path, "family": "NumberReplacer", "diff": text, "by": by}
        for key, (path, text, by) in enumerate(told)
    ]
    results = tmp_path / "results.jsonl"
    results.write_text("".join(f"{json.dumps(one)}\n" for one in rows))
    moved = f"first = 0\n{source}"
    (tmp_path / "m.py").write_text(moved)
    found, gone = survivors(tmp_path, results)
    assert [one.applied(moved) for one in found] == [moved.replace("a9 = 9", "a9 = 8")]
    assert [moved[one.place] for one in found] == ["9"]
    assert [one.path for one, _ in gone] == ["gone.py"]
    with pytest.raises(ValueError, match="patch does not apply"):
        Patch("m.py", 0, "", patch).applied(source.replace("a9 = 9", "a9 = 7"))


def test_the_share_has_an_interval() -> None:
    assert [round(one, 3) for one in interval(19, 23)] == [0.629, 0.930]
    assert interval(0, 0) == (0.0, 1.0)


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


def test_types_that_are_expressions_have_no_faults() -> None:
    """With another operator they fail where they stand, whatever is tested."""
    source = (
        "Vectors = Mapping[str, Sequence[float] | Gap]\n"
        "Row = dict[str, int | str]\n"
        "TAKEN = {'only': Annotated[list[int] | None, 1 | 2]}\n"
        "field = taking({}, Node | None, read)\n"
        "def f(a: int | None) -> str | bytes:\n    return names[a | b] | ONE | two\n"
    )
    parts = quiet(source)
    places = [place for place, letter in enumerate(source) if letter == "|"]
    loud = [place for place in places if not any(start <= place < end for start, end in parts)]
    assert [source[place - 2 : place + 3].strip() for place in loud] == ["1 | 2", "a | b", "] | O", "E | t"]


@dataclass(frozen=True)
class Change:
    """A fault of a text."""

    path: str
    place: int
    family: str
    text: str

    def applied(self, source: str) -> str:
        return source[: self.place] + self.text + source[self.place :]


def test_what_is_no_program_is_not_drawn() -> None:
    source = "if x := f():\n    g(1)\n"
    walrus, other = Change("a.py", 3, "AddNot", "not "), Change("a.py", 3, "AddNot", "y := not ")
    argument = Change("a.py", 19, "AddNot", "not ")
    found = [walrus, other, argument]
    assert [bool(refused(one.path, one.applied(source))) for one in found] == [True, True, False]
    for seed in range(5):
        sample = drawn(found, 2, seed, lambda _: source)
        assert sample.faults == [argument]
        assert {one for one, _ in sample.left_out} == {walrus, other}
        assert all(why.startswith("does not parse: ") for _, why in sample.left_out)
    many = [Change("a.py", 19, str(family), "not ") for family in range(20)]
    samples = [drawn([*found, *many], 7, 1, lambda _: source).faults for _ in range(2)]
    assert len(samples[0]) == 7
    assert samples[0] == samples[1]
    assert refused("a.sql", "SELECT not := 1") is None


def ended(code: str, timeout: float, first: float = 0.01) -> Ended:
    """What is told of a process that does this, where the first pause between two looks takes so many seconds."""
    pauses = iter([first])
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        return waited(
            process.pid, Asked(None, "", "", (), {}, (), "", "", timeout), lambda: time.sleep(next(pauses, 0.01))
        )
    finally:
        process.returncode = 0  # it has been waited for


SPIN = "while True: pass"
BY_CHILD = f"import os\nif not os.fork():\n    {SPIN}\nos.wait()"


@pytest.mark.slow
def test_a_run_is_ended_by_the_seconds_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its children too; one that only waits has none, and is ended when nothing has moved for long."""
    monkeypatch.setattr(watch, "EVERY", 0.02)
    for code in (SPIN, BY_CHILD):
        found = ended(code, 1)
        assert (found.over, found.status) == ("endless", None)
        assert found.cpu >= 1
    waits = ended("import time; time.sleep(2)", 1)  # longer than the limit, by the clock on the wall
    assert (waits.over, waits.status) == (None, 0)
    assert waits.cpu < 1
    monkeypatch.setattr(watch, "STILL", 1.0)
    assert ended("import time; time.sleep(1e6)", 1e6).over == "still"
    monkeypatch.setattr(watch, "STOPPED", 0.5)
    assert ended("import time; time.sleep(2)", 1e6, first=1.5).over is None, "who looks was stopped"
    works = ended("import time\nwhile time.process_time() < 2: pass", 1e6)
    assert (works.over, works.status) == (None, 0)
