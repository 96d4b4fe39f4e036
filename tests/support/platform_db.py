"""A stand-in for the platform's own database, built from the data dictionary and not from our models or migrations.

The tables have every column of ``spec/platform_columns.csv``, more than we map, with the keys, constraints and defaults
that the dictionary names, and the indexes of ``spec/platform_indexes.csv``; views, functions and triggers come from
``db/sql``. Foreign keys to tables of the platform that are not in the dictionary are left out.
"""

import csv
import itertools
import json
import re
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg

from tests.support import platform_own
from tests.support.platform_indexes import create_indexes

SPEC = Path(__file__).parents[1] / "spec"
SQL_FILES = sorted((Path(__file__).parents[2] / "db" / "sql").glob("g*.sql"))
ROWS = 3

# The dictionary names these types and leaves their labels to other chapters.
FOREIGN_ENUMS = {
    "brand_type": ["Remibrutinib", "Fabhalta", "Kisqali", "competitor", "other"],
    "region_type": ["northeast", "south", "midwest", "west"],
    "data_split_type": ["train", "validation", "test", "holdout", "unassigned"],
    "workstream_type": ["WS1", "WS2", "WS3"],
    "agent_name_enum": [
        "orchestrator", "causal_impact", "heterogeneous_optimizer", "gap_analyzer", "experiment_designer",
        "prediction_synthesizer", "drift_monitor",
    ],
}  # fmt: skip

# Constraints that the dictionary tells in prose.
PROSE_CONSTRAINTS = [
    "ALTER TABLE tool_dependencies ADD CHECK (consumer_tool_id <> producer_tool_id)",
    "ALTER TABLE tool_dependencies ADD UNIQUE (consumer_tool_id, producer_tool_id)",
    "CREATE UNIQUE INDEX ON optimized_instructions (agent_name, predictor_name) WHERE is_active",
]

GENERATED = {
    "rank_difference": "(predictive_rank - causal_rank)",
    "execution_time_seconds": "(execution_time_ms / 1000.0)",
}

# JSON documents that are lists by their meaning.
LISTS = {
    "cohort_ids", "confounding_factors", "covariates_adjusted", "dependencies", "edge_list", "entities",
    "entity_join_keys", "exclusion_criteria", "failed_criteria", "failed_expectations", "fallback_chain",
    "feature_names", "features", "few_shot_examples", "gate_reasons", "inclusion_criteria", "parallelizable_groups",
    "protocol_deviations", "rankings", "required_fields", "retrieved_contexts", "source_tables", "sub_questions",
    "tool_outputs",
}  # fmt: skip

# Words that mean something where plain text stands in the database.
WORDS = {
    "alert_type": ["drift", "performance", "staleness"],
    "analysis_type": ["global", "local", "segment"],
    "approval_status": ["approved", "pending", "rejected"],
    "direction": ["maximize", "minimize"],
    "environment": ["production", "staging", "development"],
    "estimate_source": ["causal_paths", "ml_experiments"],
    "fidelity_grade": ["excellent", "good", "fair"],
    "freshness_status": ["fresh", "stale", "critical"],
    "health_status": ["healthy", "degraded", "unknown"],
    "metric_name": ["roc_auc", "precision", "rmse"],
    "ml_cohort_definitions.status": ["active", "draft", "archived"],
    "ml_cohort_executions.status": ["success", "failed", "partial"],
    "ml_feast_materialization_jobs.status": ["success", "running", "pending"],
    "ml_observability_spans.status": ["success", "error"],
    "improvement_actions.status": ["applied", "rolled_back"],
    "state": ["COMPLETE", "PRUNED", "FAIL"],
    "status": ["completed", "running", "pending"],
    "trigger_type": ["scheduled", "manual", "event"],
    "version": ["1.0.0", "1.1.0", "2.0.0"],
}
NUMBERS = {
    "minimum_auc": "0.75",
    "vector_weight": "0.5",
    "fulltext_weight": "0.3",
    "graph_weight": "0.2",
}
LABELS = {"fidelity_grade": "unvalidated", "gate_decision": "review"}
NAMESPACE = uuid.UUID("2f0c1f5e-6a0b-5d2c-9d0e-0e2153a1c0de")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Column:
    """One line of platform_columns.csv."""

    table: str
    name: str
    type: str
    nullable: bool
    default: str  # yes, no or generated
    documented_type: str
    parent: tuple[str, str] | None  # table and column, of the dictionary's tables only

    @property
    def is_key(self) -> bool:
        return "PK" in self.documented_type


@cache
def catalog() -> dict[str, Any]:
    """The dictionary's groups with their tables, enums, views and functions, and the columns of the views."""
    loaded: dict[str, Any] = json.loads((SPEC / "catalog.json").read_text())
    return loaded


@cache
def enums() -> dict[str, list[str]]:
    """Labels by the name of the type, in order; a dot separates the schema."""
    named = [pair for group in catalog()["groups"] for pair in group["enums"].items()]
    return {**dict(named), **FOREIGN_ENUMS}


@cache
def tables() -> dict[str, list[Column]]:
    """Columns by table, parents before children."""
    with (SPEC / "platform_columns.csv").open(newline="") as lines:
        records = list(csv.DictReader(lines))
    known = {record["table"] for record in records}
    found: dict[str, list[Column]] = {}
    for record in records:
        parent, _, key = record["references"].rpartition(".")
        column = Column(
            table=record["table"],
            name=record["column"],
            type=record["platform_type"],
            nullable=record["nullable"] == "yes",
            default=record["has_default"],
            documented_type=record["documented_type"],
            parent=(parent, key) if parent in known else None,
        )
        found.setdefault(column.table, []).append(column)
    ordered: dict[str, list[Column]] = {}
    while len(ordered) < len(found):
        for table, columns in found.items():
            if all(c.parent is None or c.parent[0] in {table, *ordered} for c in columns):
                ordered.setdefault(table, columns)
    return ordered


def key_of(table: str) -> list[str]:
    """Names of the columns of the primary key."""
    if table == "ml_patient_cohort_assignments":
        return ["patient_journey_id", "cohort_id", "execution_id"]
    return [column.name for column in tables()[table] if column.is_key]


def _default(column: Column) -> str:
    kind = column.type.partition("(")[0]
    if column.documented_type.startswith("SERIAL"):
        return f"nextval('{column.table}_{column.name}_seq')"
    if column.name in NUMBERS:
        return NUMBERS[column.name]
    if column.type in enums():
        return f"'{LABELS.get(column.type, enums()[column.type][0])}'"
    if kind in {"character varying", "text"}:
        return f"'{_word(column, 0)}'"
    return {
        "uuid": "gen_random_uuid()",
        "timestamp with time zone": "now()",
        "timestamp without time zone": "now()",
        "date": "current_date",
        "jsonb": "'[]'" if column.name in LISTS else "'{}'",
        "boolean": "false",
    }.get(kind, "'{}'" if kind.endswith("[]") else "0")


def _create_table(table: str, columns: list[Column], vector_schema: str, *, own: bool) -> Iterator[str]:
    lines = []
    for column in columns:
        kind = column.type.replace("vector(", f"{vector_schema}.vector(")
        line = f"{column.name} {kind}"
        if column.default == "generated":
            line += f" GENERATED ALWAYS AS {GENERATED[column.name]} STORED"
        elif column.default == "yes":
            line += f" DEFAULT {_default(column)}"
        if not column.nullable:
            line += " NOT NULL"
        if not own and ("UNIQUE" in column.documented_type or (table, column.name) == ("tool_registry", "name")):
            line += " UNIQUE"
        if column.parent:
            line += f" REFERENCES {column.parent[0]} ({column.parent[1]})"
        lines.append(line)
        if column.documented_type.startswith("SERIAL"):
            yield f"CREATE SEQUENCE {table}_{column.name}_seq"
    lines.append(f"PRIMARY KEY ({', '.join(key_of(table))})")
    yield f"CREATE TABLE {table} ({', '.join(lines)})"


def _constraints() -> Iterator[str]:
    for table in itertools.chain.from_iterable(group["tables"] for group in catalog()["groups"]):
        for text in table.get("constraints", []):
            for columns in re.findall(r"UNIQUE\(([^)]*)\)", text):
                yield f"ALTER TABLE {table['name']} ADD UNIQUE ({columns})"
            for name, check in re.findall(r"`(\w+) CHECK (\(.*\))`", text):
                yield f"ALTER TABLE {table['name']} ADD CONSTRAINT {name} CHECK {check}"
    yield from PROSE_CONSTRAINTS


def _word(column: Column, n: int) -> str:
    words = WORDS.get(f"{column.table}.{column.name}") or WORDS.get(column.name)
    if words:
        return words[n % len(words)]
    limit = re.search(r"\((\d+)\)", column.type)
    return f"{column.name} {n}"[-int(limit[1]) if limit else 0 :]


def value(column: Column, n: int) -> str:
    """Row ``n``'s value in a column that is no foreign key, as text for Postgres to read by the column's type."""
    kind = column.type.partition("(")[0]
    if column.type in enums():
        labels = enums()[column.type]
        return labels[n % len(labels)]
    if column.name in NUMBERS:
        return NUMBERS[column.name]
    # Later columns are later times, so that periods begin before they end.
    moment = EPOCH + timedelta(days=n, minutes=tables()[column.table].index(column))
    return {
        "uuid": str(uuid.uuid5(NAMESPACE, f"{column.table}.{column.name}.{n}")),
        "timestamp with time zone": moment.isoformat(),
        "timestamp without time zone": moment.replace(tzinfo=None).isoformat(),
        "date": (moment + timedelta(days=365)).date().isoformat(),
        "jsonb": json.dumps([{"n": n}] if column.name in LISTS else {"n": n}),
        "boolean": "true" if n % 2 == 0 else "false",
        "integer": str(n + 1),
        "bigint": str(n + 1),
        "smallint": str(n + 1),
        "double precision": str((n + 1) / 8),
        "numeric": str((n + 1) / 8),
        "vector": json.dumps([float(i == n) for i in range(1536)]),
        "text[]": f"{{{column.name} {n},shared}}",
        "integer[]": f"{{{n}}}",
        "uuid[]": f"{{{uuid.uuid5(NAMESPACE, f'{column.table}.{column.name}.{n}')}}}",
    }.get(kind) or _word(column, n)


def row(table: str, n: int) -> dict[str, str | None]:
    """Row ``n`` of a table as text by column, the same on every call; foreign keys lead to rows of their tables.

    A second foreign key to one table leads to another row, and one to the same table to the row before.
    """
    values: dict[str, str | None] = {}
    seen: Counter[str] = Counter()
    for column in tables()[table]:
        if column.default == "generated":
            continue
        if column.parent is None:
            values[column.name] = value(column, n)
            continue
        parent, key = column.parent
        there = n - 1 if parent == table else (n + seen[parent]) % ROWS
        seen[parent] += 1
        target = next(c for c in tables()[parent] if c.name == key)
        values[column.name] = value(target, there) if there >= 0 else None
    return values


def _insert(table: str, n: int) -> str:
    values = row(table, n)
    quoted = ["NULL" if value is None else "'" + value.replace("'", "''") + "'" for value in values.values()]
    return f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(quoted)})"


async def apply_sql(connection: asyncpg.Connection) -> None:
    """Runs the files of db/sql whole, in the order of their names, in one transaction."""
    async with connection.transaction():
        for file in SQL_FILES:
            await connection.execute(file.read_text())


async def build(
    connection: asyncpg.Connection,
    *,
    rows: bool,
    vector_schema: str = "public",
    extra_label: tuple[str, str] | None = None,
    extra_column: tuple[str, str, str] | None = None,
    without_column: tuple[str, str] | None = None,
    without_view: str | None = None,
    own: bool = False,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Builds the platform's schema in an empty database, in one transaction.

    ``rows`` puts three rows into every table, before the triggers exist, so that what is in them is what :func:`row`
    says. ``vector_schema`` is where pgvector lives. The deviations: an enum type with a label more (type, label), a
    table with a column more (table, name, type), a table without one of its columns (table, name; what depends on it
    goes too), and a view that is missing. With ``own`` it has the platform's own constraints, triggers and functions
    instead of the dictionary's and ours; ``labels`` are those of enums that have others. The caller must be allowed to
    create extensions, unless pgvector is there.
    """
    async with connection.transaction():
        await connection.execute(f"CREATE SCHEMA ml; CREATE SCHEMA IF NOT EXISTS {vector_schema}")
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector')"):
            await connection.execute(f"CREATE EXTENSION vector SCHEMA {vector_schema}")
        for name, known in {**enums(), **(labels or {})}.items():
            more = [extra_label[1]] if extra_label and extra_label[0] == name else []
            quoted = ", ".join(f"'{label}'" for label in [*known, *more])
            await connection.execute(f"CREATE TYPE {name} AS ENUM ({quoted})")
        for table, columns in tables().items():
            for statement in _create_table(table, columns, vector_schema, own=own):
                await connection.execute(statement)
        for statement in platform_own.constraints(connection.get_server_version()) if own else _constraints():
            await connection.execute(statement)
        await create_indexes(connection)
        if rows:
            for table, n in itertools.product(tables(), range(ROWS)):
                await connection.execute(_insert(table, n))
        await apply_sql(connection)
        await connection.execute("DROP TRIGGER tell_of_alerts ON ml_monitoring_alerts")  # which is ours alone
        if own:
            await platform_own.make_own(connection)
        for statement in _deviations(extra_column, without_column, without_view):
            await connection.execute(statement)


def _deviations(
    extra_column: tuple[str, str, str] | None, without_column: tuple[str, str] | None, without_view: str | None
) -> Iterator[str]:
    if extra_column:
        table, name, kind = extra_column
        yield f"ALTER TABLE {table} ADD COLUMN {name} {kind}"
    if without_column:
        table, name = without_column
        yield f"ALTER TABLE {table} DROP COLUMN {name} CASCADE"
    if without_view:
        yield f"DROP VIEW {without_view} CASCADE"
