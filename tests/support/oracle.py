"""An oracle of lists: what a query must answer, worked out without the gateway's code.

It knows the data dictionary (the columns of a few tables, their relations) and the API's contract (the names of fields,
what filters, orders, cursors and aggregates mean), and writes plain SQL of its own: every predicate is true or false,
never null; groups, percentiles and pages are worked out in Python over the rows themselves. Nothing here imports
`schema`, `db` or `gateway`; the committed SDL tells which names there are.
"""

from __future__ import annotations

import json
import math
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

# -- the data dictionary -----------------------------------------------------------------------------------------------

TYPES = {
    "Experiment": ("ml_experiments", "experiments", "id", "created_at"),
    "Model": ("ml_model_registry", "models", "id", "registered_at"),
    "TrainingRun": ("ml_training_runs", "trainingRuns", "id", "started_at"),
    "Deployment": ("ml_deployments", "deployments", "id", "created_at"),
    "BentoService": ("ml_bentoml_services", "bentoServices", "id", "created_at"),
    "ServingMetric": ("ml_bentoml_serving_metrics", "servingMetrics", "id", "recorded_at"),
    "HpoStudy": ("ml_hpo_studies", "hpoStudies", "id", "created_at"),
    "HpoTrial": ("ml_hpo_trials", "hpoTrials", "id", "datetime_start"),
    "ComposerEpisode": ("composer_episodes", "composerEpisodes", "episode_id", "created_at"),
    "CompositionStep": ("composition_steps", "compositionSteps", "step_id", "created_at"),
    "MonitoringAlert": ("ml_monitoring_alerts", "monitoringAlerts", "id", "created_at"),
}
"""Type -> table, root, key, and the time by which rows are listed, newest first."""

TO_ONE = {
    "Model": {"experiment": ("Experiment", "experiment_id")},
    "TrainingRun": {"experiment": ("Experiment", "experiment_id"), "model": ("Model", "model_registry_id")},
    "Deployment": {
        "model": ("Model", "model_registry_id"),
        "previousDeployment": ("Deployment", "previous_deployment_id"),
    },
    "BentoService": {"deployment": ("Deployment", "deployment_id"), "model": ("Model", "model_registry_id")},
    "ServingMetric": {"service": ("BentoService", "service_id")},
    "HpoStudy": {"experiment": ("Experiment", "experiment_id")},
    "CompositionStep": {"episode": ("ComposerEpisode", "episode_id")},
    "MonitoringAlert": {"model": ("Model", "model_id")},
}
"""Relation -> the type of its row, and the column that holds that row's key."""

TO_MANY = {
    "Experiment": {"models": ("Model", "experiment_id"), "trainingRuns": ("TrainingRun", "experiment_id"),
                   "hpoStudies": ("HpoStudy", "experiment_id")},
    "Model": {"trainingRuns": ("TrainingRun", "model_registry_id"), "deployments": ("Deployment", "model_registry_id"),
              "services": ("BentoService", "model_registry_id")},
    "Deployment": {"services": ("BentoService", "deployment_id")},
    "BentoService": {"metrics": ("ServingMetric", "service_id")},
    "HpoStudy": {"trials": ("HpoTrial", "study_id")},
    "ComposerEpisode": {"steps": ("CompositionStep", "episode_id")},
}  # fmt: skip
"""Relation -> the type of its rows, and their column that holds the parent's key."""

SCALARS = {"String", "Int", "Float", "Boolean", "DateTime", "Date", "UUID", "BigInt", "JSON"}


@dataclass(frozen=True)
class Column:
    """A column as the graph shows it: ``kind`` is the name of its scalar, or of its enum."""

    name: str
    field: str
    kind: str
    sql_type: str
    is_list: bool = False

    @property
    def is_enum(self) -> bool:
        return self.kind not in SCALARS

    @property
    def sortable(self) -> bool:
        return not self.is_list and self.kind != "JSON"


@dataclass
class Table:
    """A type with the columns that the oracle asks about, and some values of each."""

    type: str
    name: str
    root: str
    key: str
    time: str
    columns: list[Column]
    values: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def ordered(self) -> list[Column]:
        return [one for one in self.columns if one.sortable]


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def upper(name: str) -> str:
    """A field as members of enums are called: ``p50LatencyMs`` -> ``P50_LATENCY_MS``."""
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in name)


async def tables(sql: asyncpg.Connection, fields: Mapping[str, Mapping[str, str]]) -> dict[str, Table]:
    """The tables as the database has them; ``fields`` are the fields of each type with their types, from the SDL."""
    found: dict[str, Table] = {}
    for type_, (name, root, key, time) in TYPES.items():
        rows = await sql.fetch(
            "SELECT column_name, udt_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name = $1 ORDER BY column_name",
            name,
        )
        columns = []
        for column, udt in rows:
            shown = "rowId" if column == "id" else camel(column)
            kind = fields[type_].get(shown, "").strip("[]!")
            if kind and kind != "Vector" and udt != "vector":
                columns.append(Column(column, shown, kind, udt.lstrip("_"), udt.startswith("_")))
        table = Table(type_, name, root, key, time, columns)
        for one in columns:
            some = await sql.fetch(
                f"SELECT DISTINCT {one.name}::text FROM {name} WHERE {one.name} IS NOT NULL ORDER BY 1 LIMIT 400"
            )
            table.values[one.name] = [row[0] for row in some]
        found[type_] = table
    return found


# -- questions ---------------------------------------------------------------------------------------------------------


def quoted(text: str, sql_type: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'::{sql_type}"


def wire(column: Column, text: str) -> Any:
    """A value, given as Postgres writes it, as a variable."""
    if column.is_enum:
        return text.upper()
    if column.kind in {"Int", "BigInt"}:
        return int(text)
    if column.kind == "Float":
        return float(text)
    if column.kind == "Boolean":
        return text == "true"
    if column.kind == "DateTime":
        return _moment(text).isoformat().replace("+00:00", "Z")
    return text


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text if text[-3] in "+-" or text[-6] in "+-" else f"{text}+00").astimezone(UTC)


@dataclass
class Where:
    """A filter: as a client writes it, and as SQL over an alias, which is true or false for every row."""

    asked: dict[str, Any]
    sql: str


class Maker:
    """Makes filters and orders at random over the tables."""

    def __init__(self, known: Mapping[str, Table], seed: int) -> None:
        self._tables = known
        self.random = random.Random(seed)
        self._aliases = 0

    def where(self, type_: str, row: str, depth: int = 2) -> Where:
        """A filter of rows of a type, by the alias ``row``."""
        rng = self.random
        choice = rng.random()
        if depth and choice < 0.3:
            name = rng.choice(["and", "or", "not"])
            if name == "not":
                one = self.where(type_, row, depth - 1)
                return Where({"not": one.asked}, f"NOT ({one.sql})")
            parts = [self.where(type_, row, depth - 1) for _ in range(rng.randint(0, 3))]
            empty = "true" if name == "and" else "false"
            joined = f" {name.upper()} ".join(f"({part.sql})" for part in parts) or empty
            return Where({name: [part.asked for part in parts]}, f"({joined})")
        if depth and choice < 0.45 and type_ in TO_ONE:
            return self._to_one(type_, row, depth)
        if depth and choice < 0.62 and type_ in TO_MANY:
            return self._to_many(type_, row, depth)
        return self._column(type_, row)

    def _alias(self) -> str:
        self._aliases += 1
        return f"x{self._aliases}"

    def _to_one(self, type_: str, row: str, depth: int) -> Where:
        name, (target, column) = self.random.choice(sorted(TO_ONE[type_].items()))
        table, alias = self._tables[target], self._alias()
        inner = self.where(target, alias, depth - 1)
        found = f"SELECT count(*) FROM {table.name} {alias} WHERE {alias}.{table.key} = {row}.{column} AND {inner.sql}"
        return Where({name: inner.asked}, f"(({found}) = 1)")

    def _to_many(self, type_: str, row: str, depth: int) -> Where:
        name, (target, column) = self.random.choice(sorted(TO_MANY[type_].items()))
        table, alias, key = self._tables[target], self._alias(), self._tables[type_].key
        inner = self.where(target, alias, depth - 1)
        quantifier = self.random.choice(["some", "none", "every", "every"])
        theirs = f"SELECT count(*) FROM {table.name} {alias} WHERE {alias}.{column} = {row}.{key}"
        match quantifier:
            case "some":
                sql = f"(({theirs} AND {inner.sql}) >= 1)"
            case "none":
                sql = f"(({theirs} AND {inner.sql}) = 0)"
            case _:
                sql = f"(({theirs} AND NOT {inner.sql}) = 0)"
        return Where({name: {quantifier: inner.asked}}, sql)

    def _column(self, type_: str, row: str) -> Where:
        table = self._tables[type_]
        columns = [one for one in table.columns if table.values[one.name] or one.kind != "JSON"]
        lists = [one for one in columns if one.is_list]
        column = self.random.choice(lists if lists and self.random.random() < 0.2 else columns)
        value = f"{row}.{column.name}"
        if column.is_list or column.kind == "JSON":
            return self._document(column, value, table.values[column.name])
        some = table.values[column.name]
        if not some:
            yes = self.random.random() < 0.5
            return Where({column.field: {"isNull": yes}}, f"({value} IS {'' if yes else 'NOT '}NULL)")
        names = ["eq", "ne", "in", "notIn", "isNull"]
        if column.kind not in {"Boolean", "UUID"}:
            names += ["lt", "lte", "gt", "gte"]
        if column.kind == "String":
            names += ["contains", "startsWith", "iContains"]
        name = self.random.choice(names)
        asked, sql = self._operator(name, column, value, some)
        return Where({column.field: {name: asked}}, sql)

    def _operator(  # noqa: PLR0911 - one for each
        self, name: str, column: Column, value: str, some: Sequence[str]
    ) -> tuple[Any, str]:
        rng, type_ = self.random, column.sql_type
        one = rng.choice(some)
        match name:
            case "isNull":
                yes = rng.random() < 0.5
                return yes, f"({value} IS {'' if yes else 'NOT '}NULL)"
            case "eq" | "ne" if rng.random() < 0.15:
                return None, f"({value} IS {'' if name == 'eq' else 'NOT '}NULL)"
            case "eq" | "ne":
                same = f"coalesce({value} = {quoted(one, type_)}, false)"
                return wire(column, one), same if name == "eq" else f"(NOT {same})"
            case "in" | "notIn":
                few = [rng.choice(some) for _ in range(rng.randint(0, 4))]
                among = " OR ".join(f"coalesce({value} = {quoted(text, type_)}, false)" for text in few) or "false"
                return [wire(column, text) for text in few], f"({among})" if name == "in" else f"(NOT ({among}))"
            case "lt" | "lte" | "gt" | "gte":
                sign = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}[name]
                return wire(column, one), f"coalesce({value} {sign} {quoted(one, type_)}, false)"
            case "startsWith":
                part = one[: rng.randint(1, 4)]
                return part, f"coalesce(left({value}, {len(part)}) = {quoted(part, 'text')}, false)"
            case _:
                start = rng.randrange(max(1, len(one) - 2))
                part = one[start : start + rng.randint(1, 4)]
                if name == "contains":
                    return part, f"coalesce(position({quoted(part, 'text')} in {value}) > 0, false)"
                folded = f"position(lower({quoted(part, 'text')}) in lower({value})) > 0"
                return part.swapcase(), f"coalesce({folded}, false)"

    def _document(self, column: Column, value: str, some: Sequence[str]) -> Where:
        """JSON and lists: whether there is one, and what is in it."""
        if self.random.random() < 0.7 and (inside := self._inside(column, value, some)):
            return inside
        yes = self.random.random() < 0.5
        if column.is_list:
            return Where({column.field: {"isNull": yes}}, f"({value} IS {'' if yes else 'NOT '}NULL)")
        there = f"coalesce(jsonb_typeof({value}) <> 'null', false)"
        return Where({column.field: {"isNull": yes}}, f"(NOT {there})" if yes else there)

    def _inside(self, column: Column, value: str, some: Sequence[str]) -> Where | None:
        """What lists and objects have, of what some of them have; None where these are all empty."""
        rng = self.random
        if column.is_list:
            items = sorted({item for text in some if '"' not in text for item in text.strip("{}").split(",") if item})
            if not items:
                return None
            name = rng.choice(["has", "hasAny", "hasAll"])
            few = [rng.choice(items) for _ in range(1 if name == "has" else rng.randint(1, 3))]
            held = [
                f"(SELECT count(*) FROM unnest({value}) i WHERE i = {quoted(one, column.sql_type)}) > 0" for one in few
            ]
            asked = [wire(column, one) for one in few]
            joined = " AND ".join(held) if name == "hasAll" else " OR ".join(held)
            return Where({column.field: {name: asked[0] if name == "has" else asked}}, f"({joined})")
        objects = [one for text in some if isinstance(one := json.loads(text), dict)]
        pairs = sorted({(key, json.dumps(one)) for each in objects for key, one in each.items()})
        if not pairs:
            return None
        key, text = rng.choice(pairs)
        there = f"jsonb_typeof({value}) = 'object' AND {value} -> {quoted(key, 'text')}"
        if isinstance(json.loads(text), list | dict) or rng.random() < 0.4:
            return Where({column.field: {"hasKey": key}}, f"coalesce({there} IS NOT NULL, false)")
        return Where(
            {column.field: {"contains": {key: json.loads(text)}}}, f"coalesce({there} = {quoted(text, 'jsonb')}, false)"
        )

    def order(self, type_: str) -> tuple[list[dict[str, Any]], str]:
        """An order, as a client writes it and as SQL over the alias ``t``; now and then by a relation's column."""
        table, rng = self._tables[type_], self.random
        if rng.random() < 0.25:
            return [], f"(t.{table.time} IS NULL), t.{table.time} DESC, t.{table.key} DESC"
        asked: list[dict[str, Any]] = []
        terms: list[str] = []
        descending = False
        used: set[str] = set()
        for _ in range(rng.randint(1, 3)):
            down, first = rng.random() < 0.5, rng.random() < 0.5
            said = {"direction": "DESC"} if down else rng.choice([{}, {"direction": "ASC"}])
            said |= {"nulls": "FIRST"} if first else rng.choice([{}, {"nulls": "LAST"}])
            if type_ in TO_ONE and rng.random() < 0.3:
                name, (target, column) = rng.choice(sorted(TO_ONE[type_].items()))
                there = self._tables[target]
                leaf = rng.choice(there.ordered)
                value = f"(SELECT r.{leaf.name} FROM {there.name} r WHERE r.{there.key} = t.{column})"
                term = {name: {"field": upper(leaf.field)} | said}
                if rng.random() < 0.5:
                    term = {name: {"field": upper(leaf.field)}} | said
                label = f"{name}.{leaf.name}"
            else:
                leaf = rng.choice(table.ordered)
                value, term, label = f"t.{leaf.name}", {"field": upper(leaf.field)} | said, leaf.name
            if label in used:
                continue
            used.add(label)
            descending = down
            asked.append(term)
            terms += [f"({value} IS NULL) {'DESC' if first else 'ASC'}", f"{value} {'DESC' if descending else 'ASC'}"]
        terms.append(f"t.{table.key} {'DESC' if descending else 'ASC'}")
        return asked, ", ".join(terms)


# -- answers -----------------------------------------------------------------------------------------------------------


def shown(column: Column, value: Any) -> Any:  # noqa: PLR0911 - one for each type
    """A stored value as the contract says that it is answered."""
    match value:
        case None:
            return None
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case date():
            return value.isoformat()
        case Decimal():
            return float(value)
        case UUID():
            return str(value)
        case str() if column.is_enum:
            return value.upper()
        case _:
            return value


def bucket(moment: datetime | None, size: str) -> datetime | None:
    """The start of a moment's interval in UTC; weeks begin on Monday."""
    if moment is None:
        return None
    start = moment.astimezone(UTC).replace(second=0, microsecond=0)
    if size == "MINUTE":
        return start
    start = start.replace(minute=0)
    if size == "HOUR":
        return start
    start = start.replace(hour=0)
    match size:
        case "DAY":
            return start
        case "WEEK":
            return start - timedelta(days=start.weekday())
        case _:
            return start.replace(day=1)


def percentile(values: Sequence[float], part: float) -> float:
    """Interpolated between the two values next to it."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * part
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def summed(values: Sequence[Any]) -> dict[str, Any]:
    """What numbers come to; nulls are left out."""
    numbers = [float(value) for value in values if value is not None]
    if not numbers:
        return {"count": 0} | dict.fromkeys(("min", "max", "avg", "sum", "stddev", "p50", "p95", "p99"))
    return {
        "count": len(numbers),
        "min": min(numbers),
        "max": max(numbers),
        "avg": math.fsum(numbers) / len(numbers),
        "sum": math.fsum(numbers),
        "stddev": statistics.stdev(numbers) if len(numbers) > 1 else None,
        "p50": percentile(numbers, 0.5),
        "p95": percentile(numbers, 0.95),
        "p99": percentile(numbers, 0.99),
    }
