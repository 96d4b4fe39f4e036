"""Limits of an operation, checked before any SQL: depth, root fields, fields, and cost in rows.

Each refusal has its own code and names the limit and the value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLSchema,
    OperationType,
    SelectionSetNode,
    get_nullable_type,
    is_list_type,
)

from db.attach.facts import Facts
from gateway.operations.introspection import BESIDE_ROWS, ROOTS, Introspection
from gateway.operations.refusals import SHALLOWER, refuse
from gateway.operations.row_estimates import most_groups
from gateway.operations.scan_kinds import Scan
from gateway.operations.scans import COUNTED, Scans
from gateway.settings import Settings
from schema.catalogue.catalogue import Catalogue, RelationField, Type
from schema.catalogue.selection import Operation, Selection
from schema.catalogue.value_sizes import Sizes, too_large
from schema.error_codes import ErrorCode
from schema.errors import GatewayError
from schema.fields.registry import FIELDS
from schema.recording.answers import OnConflict
from schema.recording.purging import rows_of_purge
from schema.recording.record_types import child_rows, purge_mutations, recording_mutations
from schema.search.texts import TEXT
from schema.sql.entities import ENTITIES, REPRESENTATIONS
from schema.sql.lists import NESTED_PAGE, ROOT_PAGE, page_size

POINT = 2e-6
"""Seconds of Postgres that a point stands for."""
BYTES_OF_ROW = 500
"""Bytes of a row in a response that its point covers."""
BYTES_PER_POINT = 250
"""Bytes of longer rows per further point: Postgres writes, and the gateway sends, 100 MB a second."""
SURELY = 2
"""The multiple of the limit from which the response's keys alone cause a refusal before execution."""
VALUES_PER_POINT = 100
"""Values of the schema, read and kept in Python, that cost as much as a row."""
VALUE = 16
"""Bytes of a number or a short word in a response, with its key and punctuation."""
OWN = 60
"""Bytes of a value of a field outside the catalogue: ids, labels, words."""
MAX_RECORDED = 5_000
"""Rows that one operation records."""
PER_BATCH, PER_UPDATED = 10, 2
"""Points of a batch of rows, and of each of its rows that may update an existing one."""
PER_TEXT = 500
"""Points of a vector that the embedding service makes of a text."""
ROW_VALUES = 40
"""Values per point that are read, those within JSON included."""
BESIDE = 10
"""Assumed rows per row in a list of unknown length, such as the blockers of a change."""


class Price(int):
    """What an operation costs in rows; ``worst``, where statistics of the filter at ``path`` mislead."""

    worst: int
    path: str

    def __new__(cls, cost: int, scans: Sequence[Scan] = ()) -> Self:
        made = super().__new__(cls, cost)
        made.worst = cost + sum(scan.beyond for scan in scans)
        made.path = max(scans, key=lambda scan: scan.beyond).path if made.worst > cost else ""
        return made


class Meter:
    """Checks an operation against the limits and computes its cost in rows."""

    def __init__(self, schema: GraphQLSchema, catalogue: Catalogue, settings: Settings) -> None:
        self._catalogue = catalogue
        self._limits = settings
        self._introspection = Introspection(schema)
        self._connections = {f"{type_.name}Connection": type_ for type_ in catalogue}

    def measure(self, operation: Operation, facts: Facts) -> Price:
        """The cost of an operation: the rows that it can return, at least one per field of rows, and the rows that it
        scans.

        Raises:
            GatewayError: ``ROOT_FIELD_LIMIT``, ``DEPTH_LIMIT``, ``FIELD_LIMIT``, ``RELATION_LIMIT``, ``ANSWER_LIMIT``
                or ``COST_LIMIT``.
        """
        limits = self._limits
        self._check_depth(operation)
        root = operation.root
        fields = root.fields
        if len(fields) > limits.max_root_fields:
            raise refuse(ErrorCode.ROOT_FIELD_LIMIT, limits.max_root_fields, len(fields), "Send several requests.")
        about_schema = self._introspection_cost(root)
        walk = _Walk(
            limits.max_fields, Scans(self._catalogue, facts, limits.count_up_to), Sizes(facts, limits.max_answer_bytes)
        )
        price = self._prices[operation.definition.operation]
        cost = about_schema
        for selection in fields.values():
            walk.there = 1
            cost += price(selection, walk)
        if operation.definition.operation is not OperationType.QUERY:  # what has been changed is answered in any case
            cost += sum(scan.beyond for scan in walk.found)
            walk.found = [replace(scan, points=scan.points + scan.beyond, beyond=0) for scan in walk.found]
        cost += min(walk.beyond, limits.max_answer_bytes) // BYTES_PER_POINT
        if walk.steps > limits.max_relations:
            raise refuse(
                ErrorCode.RELATION_LIMIT,
                limits.max_relations,
                walk.steps,
                "Each counts once for the rows, and for each count, sum and cursor that it is needed for. Ask for less "
                "at once, or read the rows on the way first and filter by their ids.",
            )
        if walk.keys > SURELY * limits.max_answer_bytes:
            raise too_large(limits.max_answer_bytes, walk.keys)
        if cost > limits.max_cost:
            raise self._too_costly(cost, walk)
        return Price(cost, walk.found)

    @property
    def _prices(self) -> Mapping[OperationType, Callable[[Selection, _Walk], int]]:
        return {
            OperationType.QUERY: self._root_cost,
            OperationType.MUTATION: self._change_cost,
            OperationType.SUBSCRIPTION: self._message_cost,
        }

    def _message_cost(self, selection: Selection, walk: _Walk) -> int:
        """The cost of one message of a subscription."""
        return self._below_cost(selection, None, 1, walk)

    def _too_costly(self, cost: int, walk: _Walk) -> GatewayError:
        worst = max(walk.found, key=lambda scan: scan.points, default=None)
        if worst and worst.points > self._limits.max_cost // 2:
            error = refuse(
                ErrorCode.COST_LIMIT,
                self._limits.max_cost,
                cost,
                worst.kind.advice,
                f"{worst.path} {worst.kind.does.format(rows=worst.rows)}",
            )
            error.extensions = {**(error.extensions or {}), "argument": worst.path}
            return error
        return refuse(
            ErrorCode.COST_LIMIT,
            self._limits.max_cost,
            cost,
            "Lower `first` on the lists along the path, page on with cursors, and count fewer lists at once.",
        )

    def _introspection_cost(self, root: Selection) -> int:
        """The cost of introspection, with its values counted as rows."""
        names = {field.name for field in root.fields.values()}
        if not names & ROOTS:
            return 0
        limit = self._introspection.limit
        if not names <= ROOTS | {"__typename"}:
            limit //= BESIDE_ROWS
        price = int(self._introspection.price(root))
        if price > limit:
            raise refuse(
                ErrorCode.INTROSPECTION_LIMIT,
                limit,
                price,
                "Use the standard introspection query by itself, or __type(name:) for one type.",
            )
        return price // VALUES_PER_POINT

    def _root_cost(self, selection: Selection, walk: _Walk) -> int:
        if selection.name in {"node", "nodes"}:
            ids = selection.arguments.get("ids")
            return self._nodes_cost(selection, len(ids) if isinstance(ids, list) else 1, walk)
        if selection.name == ENTITIES:
            return self._nodes_cost(selection, len(selection.arguments[REPRESENTATIONS]), walk)
        if own := FIELDS.get(selection.name):
            rows = own.rows(selection.arguments)
            sizes = {type_.name: walk.scans.estimates.rows(type_) for type_ in self._catalogue}
            read = own.reads(self._catalogue, selection.arguments, sizes)
            return read + sum(rows.values()) + self._own_cost(selection, rows, own.counted, walk)
        root = self._catalogue.roots.get(selection.name)
        if root is None:
            return 0
        type_ = self._catalogue[root.target]
        if not root.many:
            return (
                1
                + _read(type_, walk.scans.estimates.below(type_, type_, 1))
                + self._rows_cost(type_, selection, 1, walk)
            )
        made = PER_TEXT if root.nearest and selection.arguments.get(TEXT) is not None else 0
        return made + self._list_cost(type_, selection, None, 1, ROOT_PAGE, walk)

    def _nodes_cost(self, selection: Selection, rows: int, walk: _Walk) -> int:
        """The cost of ``rows`` rows of one type or of an interface."""
        walk.there = rows
        names = {selection.type_name, *_named_types(selection)} & self._catalogue.types.keys()
        below = [self._rows_cost(self._catalogue[name], selection, rows, walk) for name in names]
        return rows + max(below, default=0)

    def _own_cost(self, selection: Selection, rows: Mapping[str, int], counted: Mapping[str, int], walk: _Walk) -> int:
        """The cost below a field outside the catalogue; ``rows`` are the numbers of rows of its fields."""
        cost = 0
        for child in selection.fields.values() if selection.concrete_types() else ():
            walk.step()
            walk.write(max(rows.values(), default=1), len(child.key) + OWN)
            if child.name in rows:
                cost += self._nodes_cost(child, rows[child.name], walk)
            elif child.concrete_types():
                cost += counted.get(child.name, 0) * max(rows.values(), default=0)
                cost += self._own_cost(child, rows, counted, walk)
        return cost

    def _change_cost(self, selection: Selection, walk: _Walk) -> int:
        """The cost of a mutation's result: the changed rows, and an allowance beside each."""
        if selection.name in recording_mutations() or selection.name in purge_mutations():
            return self._recording_cost(selection, walk)
        items = (selection.arguments.get("input") or {}).get("items")
        return self._below_cost(selection, None, len(items) if isinstance(items, list) else 1, walk)

    def _recording_cost(self, selection: Selection, walk: _Walk) -> int:
        """The cost of rows that are recorded or removed, and of what is selected afterwards.

        Raises:
            GatewayError: ``VALUE_LIMIT``: the operation records too many.
        """
        asked = selection.arguments.get("input") or {}
        if selection.name in purge_mutations():
            rows = rows_of_purge(asked)
        else:
            rows = len(asked["rows"] or ()) if "rows" in asked else 1 + _children(selection.name, asked)
        walk.recorded += rows
        if walk.recorded > MAX_RECORDED:
            advice = "Record them in several requests."
            raise refuse(
                ErrorCode.VALUE_LIMIT, MAX_RECORDED, walk.recorded, advice, "The operation records too many rows"
            )
        price = batch_price(rows, updates=asked.get("onConflict") is OnConflict.UPDATE)
        return price + self._below_cost(selection, None, -(-rows // BESIDE), walk)

    def _below_cost(self, selection: Selection, parent: Type | None, rows: int, walk: _Walk) -> int:
        """The cost of a field outside the catalogue, by the types below it."""
        if selection.type_name == "Node":
            return self._nodes_cost(selection, rows, walk)
        if type_ := self._catalogue.types.get(selection.type_name):
            return rows + self._rows_cost(type_, selection, rows, walk)
        if type_ := self._connections.get(selection.type_name):
            return self._list_cost(type_, selection, parent, rows, NESTED_PAGE, walk)
        cost = 0
        for name in selection.concrete_types():
            for child in selection.on(name).values():
                walk.step()
                if child.concrete_types():
                    many = is_list_type(get_nullable_type(child.definition.type))
                    cost += self._below_cost(child, parent, rows * BESIDE if many else rows, walk)
        return rows + cost

    def _list_cost(
        self,
        type_: Type,
        selection: Selection,
        parent: Type | None,
        parents: int,
        default: int,
        walk: _Walk,
        relation: RelationField | None = None,
    ) -> int:
        first = page_size(selection, default)
        rows = parents * first
        listed = walk.scans.estimates.within(
            type_, selection.arguments, walk.scans.estimates.below(type_, parent, parents), relation
        )
        if (sums := walk.scans.groups(type_, selection, listed)) is not None:
            listed = min(listed, sums)
        outer = walk.there
        walk.there = min(outer * first, walk.scans.estimates.below(type_, parent, outer))
        cost = parents + walk.scan(type_, selection, relation, listed, parents) + _read(type_, listed)
        for child in selection.fields.values():
            walk.step()
            if child.name == "nodes":
                cost += rows + self._rows_cost(type_, child, rows, walk)
            elif child.name == "aggregate":
                where = selection.arguments.get("where") or {}
                alike = most_groups(where, child.arguments.get("groupBy") or ())
                if listed:  # no more groups than rows, of each parent, which may be there many times
                    left = walk.scans.estimates.left(type_, where, listed)
                    alike = min(alike, -(-walk.scans.estimates.below_one(type_, parent) * left // listed) or 1)
                groups = parents * alike
                cost += groups
                walk.write(outer * min(alike, max(listed // max(parents, 1), 1)), _names(child))
            elif child.name == "edges":
                cost += rows
                walk.write(walk.there, _names(child))
                for edge in child.fields.values():
                    if edge.name == "node":
                        cost += self._rows_cost(type_, edge, rows, walk)
        walk.there = outer
        return cost

    def _rows_cost(self, type_: Type, selection: Selection, rows: int, walk: _Walk) -> int:
        cost = size = keys = 0
        for child in selection.on(type_.name).values():
            walk.step()
            keys += walk.sizes.key(type_, child.key)
            if leaf := type_.columns.get(child.name):
                size += walk.sizes.leaf(type_, leaf, child.key)
                continue
            size += _names(child)
            if relation := type_.relations.get(child.name):
                target = self._catalogue[relation.target]
                if relation.many:
                    cost += self._list_cost(target, child, type_, rows, NESTED_PAGE, walk, relation)
                else:
                    cost += rows + _read(target, walk.scans.estimates.below(target, type_, rows))
                    cost += self._rows_cost(target, child, rows, walk)
            elif (made := type_.objects.get(child.name)) and made.sums_up:
                cost += walk.scans.summed_up(self._catalogue[made.sums_up], child, type_, rows) // COUNTED
            elif child.name in type_.extras:
                there, certain, walk.certain = walk.there, walk.certain, False
                cost += self._below_cost(child, type_, rows, walk)
                walk.there, walk.certain = there, certain
        walk.write(walk.there, size, keys)
        return cost

    def _check_depth(self, operation: Operation) -> None:
        depths: dict[str, int] = {}

        def depth(selections: SelectionSetNode) -> int:
            deepest = 0
            for node in selections.selections:
                if isinstance(node, FragmentSpreadNode):
                    name = node.name.value
                    if name not in depths:
                        depths[name] = depth(operation.fragments[name].selection_set)
                    below = depths[name]
                else:
                    inner = getattr(node, "selection_set", None)
                    below = (depth(inner) if inner else 0) + isinstance(node, FieldNode)
                deepest = max(deepest, below)
            return deepest

        found = depth(operation.definition.selection_set)
        if found > self._limits.max_depth:
            raise refuse(ErrorCode.DEPTH_LIMIT, self._limits.max_depth, found, SHALLOWER)


def batch_price(rows: int, *, updates: bool, values: int = 0) -> int:
    """Points of a recorded batch, whose rows have about `ROW_VALUES` values; ``updates``: rows may update existing
    ones."""
    return PER_BATCH + (PER_UPDATED if updates else 1) * max(rows, values // ROW_VALUES)


def _children(mutation: str, asked: Mapping[str, Any]) -> int:
    """The number of child rows in the input of a row."""
    names = child_rows(recording_mutations()[mutation].name)
    return sum(len(rows) for name in names if isinstance(rows := asked.get(name), list))


def _read(type_: Type, rows: int) -> int:
    """The rows that a derived SELECT reads beside those it returns."""
    return rows // COUNTED if type_.is_derived else 0


def _names(selection: Selection) -> int:
    """Bytes of an object with its keys and short values, without those of nested lists of rows."""
    size = len(selection.key) + VALUE
    for child in selection.fields.values() if len(selection.concrete_types()) == 1 else ():
        size += len(child.key) + VALUE
        if child.name == "group" or child.type_name.endswith(("Aggregate", "PageInfo")):
            size += sum(len(one.key) + VALUE for one in child.fields.values())
    return size


@dataclass
class _Walk:
    """The counters of one walk over the fields: fragments can turn few tokens into millions of fields."""

    limit: int
    scans: Scans
    sizes: Sizes
    visited: int = 0
    there: int = 1
    """The estimated number of existing rows at the current place, whatever the requested number."""
    certain: bool = True
    """Whether ``there`` is more than a guess, as it is below lists of assumed length."""
    keys: int = 0
    """Bytes of the keys of rows that Postgres has counted: the least size of the response, filters aside."""
    beyond: int = 0
    """Estimated bytes of the response that the rows' own points do not cover."""
    found: list[Scan] = field(default_factory=list)
    recorded: int = 0
    """Rows that the operation records."""
    steps: int = 0
    """Relations that filters and orders use."""

    def scan(self, type_: Type, selection: Selection, relation: RelationField | None, rows: int, lists: int) -> int:
        """The points for rows that ``lists`` lists of ``rows`` rows together read beyond their pages."""
        found = list(self.scans.list(type_, selection, relation, rows, lists))
        self.found += found
        self.steps += sum(one.steps for one in found)
        return sum(one.points for one in found)

    def write(self, rows: int, size: int, keys: int = 0) -> None:
        """Adds ``rows`` rows or objects of ``size`` bytes to the response; ``keys`` of these bytes are certain."""
        self.keys += rows * keys if self.certain else 0
        self.beyond += rows * max(size - BYTES_OF_ROW, 0)

    def step(self) -> None:
        self.visited += 1
        if self.visited > self.limit:
            raise refuse(ErrorCode.FIELD_LIMIT, self.limit, None, "Select less, or split the operation.")


def _named_types(selection: Selection) -> set[str]:
    """The types of the fragments directly in a selection, with those that implement an interface."""
    schema = selection.operation.schema
    names: set[str] = set()
    pending: list[SelectionSetNode] = [node.selection_set for node in selection.nodes if node.selection_set]
    spread: set[str] = set()
    while pending:
        for node in pending.pop().selections:
            if isinstance(node, FieldNode):
                continue
            fragment: Any = node
            if isinstance(node, FragmentSpreadNode):
                if node.name.value in spread:
                    continue
                spread.add(node.name.value)
                fragment = selection.operation.fragments[node.name.value]
            if fragment.type_condition:
                named = schema.type_map[fragment.type_condition.name.value]
                if isinstance(named, GraphQLInterfaceType) and named.name != "Node":  # no rows are below it
                    names |= {one.name for one in schema.get_possible_types(named)}
                names.add(named.name)
            pending.append(fragment.selection_set)
    return names
