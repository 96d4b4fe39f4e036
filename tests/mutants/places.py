"""What is mutated, and by which tests each place is meant to be held, the likeliest first.

Files are named by their stem, wherever they lie; one that no file has any more is told by `stale`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

READS = ("selection", "paging", "bad_input", "values")
CHANGES = ("special_changes", "boundaries", "changes", "stamps", "lifecycles")
QUESTIONS = ("boundaries", "oracle_questions", "questions", "views", "causal_gate")
LINEAGE = ("oracle_lineage", "lineage_answers", "lineage", "lineage_limits", "lineage_links")
PRICES = ("prices", "costs", "answer_size", "expensive_requests", "bad_input")

TESTS: dict[str, tuple[str, ...]] = {
    "filters": ("oracle", "values", "bad_input", "filters"),
    "orders": ("paging", "oracle", "bad_input", "indexes"),
    "cursors": ("paging", "oracle", "bad_input"),
    "aggregates": ("aggregates", "oracle"),
    "sql": ("aggregates", "paging", "oracle"),
    "indexes": ("indexes", "platform_plans", "paging", "oracle"),
    "loaders": ("turns", "golden", "selection", "paging"),
    "compiler": ("compiler", "golden", "selection"),
    "plans": ("compiler", "selection", "arguments", "trusted_documents"),
    "pages": ("paging", "compiler", "oracle", "selection"),
    "lists": ("paging", "selection", "more", "oracle"),
    "statements": ("compiler", "answer_size", "paging"),
    "selection": ("selection", "compiler", "arguments", "every_table"),
    "arguments": ("arguments", "bad_input", "values"),
    "input_errors": ("bad_input", "arguments", "values"),
    "scalars": ("values", "bad_input", "arguments"),
    "exact_json": ("values", "changes", "bad_input"),
    "kinds": ("values", "every_table", "oracle"),
    "ids": ("bad_input", "paging", "arguments", "changes"),
    "search_sql": ("search", "ended"),
    "nearest": ("similarity",),
    "similarity": ("similarity",),
    "subscriptions": ("watching", "live", "scopes"),
    "sizes": ("answer_size", "prices"),
    "turns": ("turns", "paging"),
    "explain": ("tool_plan", "costs", "bad_input"),
    "scopes": ("scopes", "masking", "withheld"),
    "permissions": ("scopes", "masking", "withheld"),
    "records": ("withheld", "attach", "scopes"),
    "every_list": ("more", "every_table", "paging"),
    "diagrams": ("architecture", "lifecycles"),
    "types": ("architecture", "golden"),
    "previews": ("changes", "special_changes"),
    "constraint_errors": ("changes", "own_platform", "special_changes"),
    "idempotency": ("changes",),
    "execution": ("changes", "selection", "engine"),
    "answers": ("selection", "compiler", "engine"),
    "g04_tool_composer": ("tool_plan",),
    "root_field": ("bad_input", "paging"),
    "search": ("search",),
    "impact": ("lineage_impact",),
    "paths": ("lineage_answers", "lineage"),
    "cost": PRICES,
    "limiter": ("budgets", "resilience"),
    "budgets": ("budgets",),
    "locks": ("locks", "lost_connections"),
    "own": ("attached_changes", "own_tables", "live", "audit"),
    "catalogue": ("architecture", "paging", "indexes", "every_table", "own_platform"),
    "g00_common": ("sql_behaviour", "changes"),
    "g01_mlops_core": ("oracle_questions", "sql_behaviour", "boundaries", "lineage_links"),
    "g02_causal_validation": ("sql_behaviour", "causal_gate"),
    "g03_digital_twin": ("sql_behaviour", "special_changes"),
    "g07_model_monitoring": ("oracle_questions", "sql_behaviour", "views", "boundaries"),
    "g08_ab_testing": ("sql_behaviour", "questions"),
    "g14_cohort_constructor": ("sql_behaviour", "questions"),
}
"""Stem of a file -> stems of test files without ``test_``."""


def mutated(root: Path) -> Iterator[str]:
    """The files in which faults are put."""
    yield from (str(path.relative_to(root)) for path in sorted((root / "schema").rglob("*.py")))
    yield from (str(path.relative_to(root)) for path in sorted((root / "db").rglob("*.sql")))
    yield from (str(path.relative_to(root)) for path in sorted((root / "db" / "models").rglob("*.py")))
    limits = [f"gateway/**/{name}.py" for name in ("cost", "limiter", "budgets", "deadline")]
    for name in ("db/**/lifecycle.py", "db/**/locks.py", *limits):
        yield from (str(path.relative_to(root)) for path in sorted(root.glob(name)))


def is_data(path: str) -> bool:
    """Whether only the SQL of a file is mutated: models are declarations, but for those of lifecycles."""
    return path.startswith("db/models/") and "lifecycles" not in path


def held_by(root: Path, path: str) -> list[str]:
    """The test files that are meant for a file, in order."""
    stem = Path(path).stem
    if stem in TESTS:
        names = TESTS[stem]
    elif "lifecycle" in path or "changes" in path:
        names = CHANGES
    elif path.startswith("db/models/"):
        names = QUESTIONS
    elif "lineage" in path or stem in {"walks", "places"}:
        names = LINEAGE
    else:
        names = READS
    return [str(found) for name in names if (found := find(root, name))]


def stale(root: Path) -> list[str]:
    """Names in the table that no file has."""
    stems = {Path(path).stem for path in mutated(root)}
    named = [name for names in TESTS.values() for name in names]
    return sorted(TESTS.keys() - stems) + sorted({name for name in named if find(root, name) is None})


def find(root: Path, name: str) -> Path | None:
    """A test file by its name, relative to the root."""
    return next((path.relative_to(root) for path in (root / "tests").rglob(f"test_{name}.py")), None)
