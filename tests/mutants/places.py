"""What is mutated, and by which tests each place is meant to be held, the likeliest first.

Files are named by their paths; an entry that no file answers to any more is told by `stale`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

BUILT = ("migrations", "attach")
"""What builds databases of models, and compares them."""
READS = ("selection", "paging", "bad_input", "values")
CHANGES = (
    "special_changes", "boundaries", "changes", "stamps", "lifecycles", "offered_changes", "declarations",
    "own_platform", "attached_changes",
)  # fmt: skip
QUESTIONS = (
    "boundaries", "oracle_questions", "oracle_relations", "questions", "views", "causal_gate", "known_values",
)  # fmt: skip
LINEAGE = ("oracle_lineage", "lineage_answers", "lineage", "lineage_limits", "lineage_links", "openlineage")
PRICES = ("golden_prices", "prices", "costs", "answer_size", "expensive_requests", "bad_input")
ACCESS = ("scopes", "masking", "withheld")
LOADERS = ("turns", "golden", "selection", "paging", "oracle", "differential")
RECORDING = (
    "row_values", "recording", "entities", "lines", "recordable_types", "children", "one_of", "round_trips",
    "one_bad_row", "unwritable", "own_platform",
)  # fmt: skip

TESTS: dict[str, tuple[str, ...]] = {
    "schema/": READS,
    "schema/adapters/": ("adapters", *READS),
    "schema/catalogue/catalogue": ("architecture", "paging", "indexes", "every_table", "own_platform"),
    "schema/catalogue/from_models": ("architecture", "paging", "indexes", "every_table", "own_platform"),
    "schema/catalogue/column_types": ("values", "every_table", "oracle"),
    "schema/catalogue/graph_map": ("graph_map",),
    "schema/catalogue/exact_json": ("values", "changes", "bad_input", "lines"),
    "schema/catalogue/ids": ("bad_input", "paging", "arguments", "changes"),
    "schema/catalogue/relative_times": ("relative_times",),
    "schema/catalogue/records": ("withheld", "attach", "scopes"),
    "schema/catalogue/scalars": ("values", "bad_input", "arguments"),
    "schema/catalogue/selection": ("selection", "compiler", "arguments", "every_table"),
    "schema/catalogue/value_sizes": ("golden_prices", "answer_size", "prices"),
    "schema/changes/": CHANGES,
    "schema/changes/constraint_errors": ("changes", "own_platform", "special_changes"),
    "schema/changes/diagrams": ("architecture", "lifecycles"),
    "schema/changes/idempotency": ("changes",),
    "schema/changes/operation_transaction": ("transactions",),
    "schema/changes/permissions": ACCESS,
    "schema/changes/lifecycle_field": ("stateful", "lifecycles", "changes"),
    "schema/changes/previews": ("changes", "special_changes", "changes_by_agents"),
    "schema/changes/transactions": ("transactions", "recording"),
    "schema/errors": ("bad_input", "error_codes", "changes"),
    "schema/execution/": ("selection", "compiler", "engine"),
    "schema/execution/change_answer": ("changes", "selection", "engine"),
    "schema/execution/coercions": ("coercions", "recording", "arguments", "bad_input"),
    "schema/execution/compiler/": (
        "compiler",
        "golden",
        "selection",
        "more",
        "paging",
        "federation",
        "similarity",
        "search",
        "questions",
        "differential",
    ),
    "schema/execution/compiler/connections": (
        "paging",
        "compiler",
        "oracle",
        "selection",
        "rollups",
        "totals",
        "more",
        "differential",
    ),
    "schema/execution/compiler/statements": ("compiler", "answer_size", "paging", "differential"),
    "schema/execution/explain": ("attach", "doctor", "odd_databases"),
    "schema/execution/input_errors": ("input_errors", "bad_input", "arguments", "values"),
    "schema/execution/batch_reader": (*LOADERS, "offered_changes"),
    "schema/execution/connection_loaders": LOADERS,
    "schema/execution/loaders": LOADERS,
    "schema/execution/plans": ("compiler", "selection", "arguments", "trusted_documents"),
    "schema/execution/relative_literals": ("relative_times",),
    "schema/execution/row_loaders": LOADERS,
    "schema/execution/similarity": ("similarity", "similarity_by_text", "differential"),
    "schema/execution/tables": ("tables",),
    "schema/execution/time_slices": ("turns", "paging"),
    "schema/federation": ("federation",),
    "schema/fields/": ("golden_prices", "federation", "architecture", "bad_input"),
    "schema/fields/clock": ("clock",),
    "schema/fields/search": ("search",),
    "schema/fields/tool_plan": ("tool_plan",),
    "schema/graph/": ("arguments", "architecture", "golden", "bad_input"),
    "schema/graph/root_field": ("bad_input", "paging"),
    "schema/graph/types": ("architecture", "golden", "totals"),
    "schema/lineage/": LINEAGE,
    "schema/lineage/answer": ("lineage_search", *LINEAGE),
    "schema/lineage/fields/impact": ("lineage_impact",),
    "schema/lineage/fields/paths": ("lineage_answers", "lineage"),
    "schema/lineage/impact": ("lineage_impact",),
    "schema/lineage/paths": ("lineage_search", "lineage_answers", "lineage"),
    "schema/names/": ("suggestions", "find_fields"),
    "schema/recording/": RECORDING,
    "schema/recording/children": ("children", *RECORDING),
    "schema/recording/lines": ("lines", "recording"),
    "schema/recording/old_rows": ("retention", "purging"),
    "schema/recording/purging": ("purge_bounds", "purging", "retention"),
    "schema/recording/retention": ("retention", "purging"),
    "schema/runner": ("selection", "compiler", "engine"),
    "schema/scopes": ACCESS,
    "schema/search/": ("search", "similarity"),
    "schema/search/text": ("search", "ended", "differential"),
    "schema/search/texts": ("similarity_by_text", "similarity", "differential"),
    "schema/search/vector": ("similarity", "similarity_by_text", "differential"),
    "schema/sql/": ("oracle", "paging", "values", "bad_input", "differential"),
    "schema/sql/aggregates": ("aggregates", "oracle"),
    "schema/sql/arguments": ("arguments", "bad_input", "values"),
    "schema/sql/builder": ("aggregates", "paging", "oracle", "platform_plans"),
    "schema/sql/conditions": ("prices", "indexes", "oracle", "current_state"),
    "schema/sql/cursors": ("paging", "oracle", "bad_input"),
    "schema/sql/entities": ("federation",),
    "schema/sql/filters": (
        "oracle",
        "values",
        "bad_input",
        "filters",
        "filter_plans",
        "oracle_relations",
        "prices",
        "differential",
    ),
    "schema/sql/indexes": ("indexes", "platform_plans", "paging", "oracle", "prices"),
    "schema/sql/list_statements": ("attach", "doctor", "indexes", "platform_plans"),
    "schema/sql/lists": (
        "paging",
        "selection",
        "more",
        "oracle",
        "totals",
        "current_state",
        "stored_state",
        "platform_plans",
        "differential",
    ),
    "schema/sql/operators": ("oracle", "values", "bad_input", "filters", "filter_plans"),
    "schema/sql/orders": ("paging", "oracle", "bad_input", "indexes"),
    "schema/sql/rollup_groups": ("rollups",),
    "schema/sql/rollups": ("rollups", "aggregates", "oracle", "differential"),
    "schema/subscriptions": ("live", "scopes", "websocket"),
    "schema/webhooks/": ("webhook_changes", "webhooks"),
    "db/models/": QUESTIONS,
    "db/models/g01_mlops_core": (
        "oracle_relations",
        "oracle_questions",
        "sql_behaviour",
        "boundaries",
        "lineage_links",
    ),
    "db/models/g01_mlops_data": ("oracle_relations", "oracle_questions", "sql_behaviour", "lineage_links"),
    "db/models/g01_mlops_serving": (
        "oracle_relations",
        "oracle_questions",
        "sql_behaviour",
        "boundaries",
        "lineage_links",
    ),
    "db/models/g02_causal_validation": ("oracle_relations", "sql_behaviour", "causal_gate"),
    "db/models/g03_digital_twin": ("oracle_relations", "sql_behaviour", "special_changes"),
    "db/models/g04_tool_composer": (
        "oracle_relations",
        "tool_plan",
    ),
    "db/models/g07_model_monitoring": ("oracle_relations", "oracle_questions", "sql_behaviour", "views", "boundaries"),
    "db/models/g07_monitoring_alerts": ("oracle_relations", "oracle_questions", "sql_behaviour", "views", "boundaries"),
    "db/models/g08_ab_results": ("oracle_relations", "sql_behaviour", "questions"),
    "db/models/g08_ab_testing": ("oracle_relations", "sql_behaviour", "questions"),
    "db/models/g12_feast_tracking": (*QUESTIONS, "search"),
    "db/models/g14_cohort_constructor": ("oracle_relations", "sql_behaviour", "questions"),
    "db/models/gateway": ("own_tables", "live"),
    "db/sql/g00_common": ("sql_behaviour", "changes"),
    "db/sql/g01_mlops_core": ("oracle_questions", "sql_behaviour", "boundaries", "lineage_links"),
    "db/sql/g02_causal_validation": ("sql_behaviour", "causal_gate"),
    "db/sql/g03_digital_twin": ("sql_behaviour", "special_changes"),
    "db/sql/g07_model_monitoring": ("oracle_questions", "sql_behaviour", "views", "boundaries"),
    "db/sql/g08_ab_testing": ("sql_behaviour", "questions"),
    "db/sql/g14_cohort_constructor": ("sql_behaviour", "questions"),
    "db/sql/own": (
        "attached_changes",
        "own_tables",
        "live",
        "audit",
        "rollups",
        "stored_state",
        "timelines",
        "partitions",
    ),
    "db/base/lifecycles": (*CHANGES, "reference"),
    "db/engine/limiter": ("limiter", "pool", "lanes"),
    "db/engine/locks": ("locks", "lost_connections"),
    "gateway/operations/budgets": ("budgets",),
    "gateway/operations/cost": PRICES,
    "gateway/operations/scans": PRICES,
    "gateway/operations/deadline": ("deadline", "deadlines"),
    "gateway/operations/limiter": ("limiter", "budgets", "resilience"),
}
"""Path of a file without its suffix, or what paths of a room begin with -> stems of test files without ``test_``."""


def mutated(root: Path) -> Iterator[str]:
    """The files in which faults are put."""
    yield from (str(path.relative_to(root)) for path in sorted((root / "schema").rglob("*.py")))
    yield from (str(path.relative_to(root)) for path in sorted((root / "db").rglob("*.sql")))
    yield from (str(path.relative_to(root)) for path in sorted((root / "db" / "models").rglob("*.py")))
    limits = [f"gateway/**/{name}.py" for name in ("cost", "scans", "limiter", "budgets", "deadline")]
    for name in ("db/**/lifecycles.py", "db/**/locks.py", "db/**/limiter.py", *limits):
        yield from (str(path.relative_to(root)) for path in sorted(root.glob(name)))


def is_data(path: str) -> bool:
    """Whether only the SQL of a file is mutated: models are declarations, but for those of lifecycles."""
    return path.startswith("db/models/") and "lifecycles" not in path


def held_by(root: Path, path: str) -> list[str]:
    """The test files that are meant for a file, in order: those of the longest entry that its path begins with, of
    models those of what is built of them, and those that import it, unless many do."""
    importing = _importing(root).get(path.removesuffix(".py").replace("/", "."), ())
    names = (*TESTS[_entry(path)], *(BUILT if path.startswith("db/models/") and is_data(path) else ()))
    named = [str(found) for name in names if (found := find(root, name))]
    return list(dict.fromkeys([*named, *(importing if len(importing) <= FEW else ())]))


@cache
def _importing(root: Path) -> Mapping[str, list[str]]:
    """Modules of ours -> the test files that import them or something of them."""
    found: dict[str, list[str]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        if "browser" in path.parts or "drills" in path.parts:
            continue
        for module, names in _IMPORT.findall(path.read_text(encoding="utf-8")):
            said = [name.split(" as ")[0].strip() for name in names.strip("()").replace("\n", " ").split(",")]
            for one in dict.fromkeys([module, *(f"{module}.{name}" for name in said)]):
                found.setdefault(one, []).append(str(path.relative_to(root)))
    return MappingProxyType(found)


_IMPORT = re.compile(r"^from ((?:schema|db|gateway)[\w.]*) import (\([^)]*\)|[^\n]*)", re.MULTILINE)
FEW = 3
"""A module that more test files import than this is a means of theirs, not their subject."""


def _entry(path: str) -> str:
    """The entry for a file: its own, its room's, or its lifecycle's."""
    if "lifecycles" in path:
        return "db/base/lifecycles"
    stem = path.rpartition(".")[0]
    fitting = [entry for entry in TESTS if entry == stem or (entry.endswith("/") and stem.startswith(entry))]
    return max(fitting, key=len)


def stale(root: Path) -> list[str]:
    """Entries of the table that no file answers to, and tests in it that no file has."""
    used = {_entry(path) for path in mutated(root)}
    named = {name for names in TESTS.values() for name in names}
    return sorted(TESTS.keys() - used) + sorted(name for name in named if find(root, name) is None)


def find(root: Path, name: str) -> Path | None:
    """A test file by its name, relative to the root."""
    return next((path.relative_to(root) for path in (root / "tests").rglob(f"test_{name}.py")), None)
