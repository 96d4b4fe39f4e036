"""The cost of rows that are read but not returned: for filters, orders, counts, aggregates and relations.

The unit is a point, about two microseconds of Postgres: a row that is sent, or compared with a pattern, costs one.
Sizes and indexes come from the facts of the database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

from db.attach.facts import Facts
from db.base.rollups import DAY
from db.base.sums import sums_table
from db.base.vocabulary import OWN_SCHEMA
from gateway.operations.row_estimates import LISTS, NARROWED, RowEstimates
from gateway.operations.scan_kinds import ELEMENTS, FILTER, PATTERN, RELATION, SORT, SUM, WHOLE, Scan
from schema.catalogue.catalogue import Catalogue, RelationField, Type
from schema.catalogue.selection import Selection
from schema.sql.aggregates import PERCENTILES, aggregated
from schema.sql.builder import NEARBY, looked_at
from schema.sql.conditions import compared_with_usual, few, joins, named, only_rare
from schema.sql.filters import MAX_JOINED
from schema.sql.indexes import Served
from schema.sql.lists import NESTED_PAGE, ROOT_PAGE, TOTALS, page_size
from schema.sql.operators import DOCUMENTS, TEXT
from schema.sql.orders import LEAF, of_field
from schema.sql.rollups import RollupReading, groups_reading, reading
from schema.sql.served import divided

COUNTED = 20
"""Rows counted per point: 100 ns each."""
FILTERED = 5
"""Rows filtered per point without an index: 300 ns to 1.2 us each, and most pages are full before the last row."""
SORTED = 5
"""Rows sorted, or grouped by a key, per point: 500 ns each."""
SUMMED = 20
"""Rows aggregated by one function per point: 80 ns each."""
RANKED = 3
"""Rows sorted for the percentiles of a column per point: 750 ns each."""
PROBED = 5
"""Values of a list that are looked up in an index per point: four pages each."""
STEP = 10
"""Points per occurrence of a relation in a statement's filter or order: planning takes 20 to 100 us."""
ASKED = 5
"""Points of a SELECT that runs for each filtered row, besides the rows that it reads: 10 us."""
SELECTED = 10
"""Rows that such a SELECT reads per point: 200 ns each."""
AT_EDGES = 100
"""The assumed number of units whose rows are read besides the sums of a window: at its edges, and marked ones."""
_BOUNDS = {"since": "gte", "until": "lt"}
"""Comparisons of the time by the arguments of an object that sums up rows."""

BUCKETS = 200
"""The assumed number of buckets with rows of a sketch of many rows."""

PATTERNS = {operator.name for operator in (*TEXT, *DOCUMENTS)} - {"startsWith", "isNull"}
"""Operators that read the value of every row; the gateway's indexes do not serve them."""


class Scans:
    """Estimates of the rows that are read, by the sizes of tables."""

    def __init__(self, catalogue: Catalogue, facts: Facts, count_up_to: int = 0) -> None:
        """``count_up_to``: the limit of counts that are not exact; 0 for none."""
        self._catalogue = catalogue
        self._count_up_to = count_up_to
        self.estimates = RowEstimates(catalogue, facts)
        self._keeps = True
        """Whether all relations of the current filter are joins: their targets are read once then."""

    def list(
        self, type_: Type, selection: Selection, relation: RelationField | None, rows: int, lists: int = 1
    ) -> Iterator[Scan]:
        """What ``lists`` connections with ``rows`` rows in total read beyond their pages.

        It has the scans of filter, order, counts and aggregates.
        """
        arguments = selection.arguments
        where = arguments.get("where") or {}
        asked = [child.name for child in selection.fields.values()]
        pages = any(name in {"nodes", "edges", "pageInfo"} for name in asked)
        branches = 2 * len(arguments.get("orderBy") or "1") if arguments.get("after") or arguments.get("before") else 1
        copies = (branches if pages else 0) + sum(name in TOTALS for name in asked) + asked.count("aggregate")
        left = self.estimates.left(type_, where, rows)
        rare = _is_rare(type_, where)
        sums = self._rolled_up(type_, selection, relation, lists)
        copies_of_rows = copies - len(sums)
        looks = self._looked_at(type_, where, relation)
        if where:
            path = f"{selection.key}.where"
            self._keeps = joins(self._catalogue, type_, where) <= MAX_JOINED
            only_counts = bool(looks) and self._only_counts(type_, selection)
            tested = min(rows, lists * looks) if only_counts else rows
            found = list(self._patterns(type_, where, path, tested, copies, tested))
            yield from found
            if relation is None and self._reads_whole(type_, selection, where, left, sums):
                yield Scan(WHOLE, path, rows, rows // FILTERED)
            elif copies_of_rows and self.estimates.is_found(type_, where, relation, LISTS):
                wanted = lists * page_size(selection, NESTED_PAGE if relation else ROOT_PAGE) if pages else 0
                yield from self._of_values(where, path, left, rows, lists, wanted)
            elif copies_of_rows and not only_counts and all(one.kind is not PATTERN for one in found):
                read = min(left, lists * self._until_full(type_, selection, relation, left))
                points = left // NARROWED // FILTERED if rare else self._read_points(type_, read, FILTERED)
                beyond = 0 if rare else self._read_points(type_, left, FILTERED) - points
                yield Scan(FILTER, path, left if rare else read, points, beyond=beyond)
        if relation and relation.join.elements:
            yield from self._elements(type_, selection, relation.join.elements, lists, copies, paged=pages)
        if pages:
            yield from self._order(type_, selection, relation, left, branches)
        for child in selection.fields.values():
            if child.name in TOTALS:
                counted = self._counted(type_, child, left, lists, looks)
                points = self._read_points(type_, counted, FILTERED if looks else COUNTED)
                yield Scan(SUM, f"{selection.key}.{child.name}", counted, points)
            elif child.name == "aggregate":
                read = min(left, sums.get(child.key, left))
                points = self._read_points(type_, read, COUNTED) + self._sums(type_, child, read)
                yield Scan(SUM, f"{selection.key}.{child.key}", read, points)

    def _until_full(self, type_: Type, selection: Selection, relation: RelationField | None, left: int) -> int:
        """The rows, of ``left`` rows, that are read for a list by a filter that no index serves: in the order of the
        list until a page is full, or all."""
        where, asked = selection.arguments.get("where") or {}, selection.arguments.get("orderBy") or ()
        beside = any(
            child.name == "aggregate" or (child.name in TOTALS and not self._is_limited(type_, child))
            for child in selection.fields.values()
        )
        if type_.is_view or beside or not self._is_served(type_, selection, relation, asked):
            return left
        wanted = page_size(selection, NESTED_PAGE if relation else ROOT_PAGE) + 1
        return self.estimates.until(type_, where, wanted, left)

    def _of_values(
        self, where: Mapping[str, Any], path: str, left: int, rows: int, lists: int, wanted: int
    ) -> Iterator[Scan]:
        """What an index is read for the rows of lists of values: each value by itself, and for pages of ``wanted`` rows
        all rows of them, which are sorted, or as many in the pages' order as fill these, whichever are fewer."""
        values = [few(value["in"]) for value in where.values() if isinstance(value, Mapping) and "in" in value]
        if values:
            read = min(left, wanted * rows // max(left, 1))
            probes = lists * min(prod(values), max(left, *values))
            yield Scan(SORT, path, read, probes // PROBED + read // SORTED)

    def _elements(
        self, type_: Type, selection: Selection, column: str, lists: int, copies: int, *, paged: bool
    ) -> Iterator[Scan]:
        """What ``lists`` lists by elements of a column read beside their rows: those nearby, and all of them ``copies``
        times where no index finds them."""
        there = self.estimates.rows(type_)
        looked = lists * min(NEARBY * page_size(selection, NESTED_PAGE), there) if paged else 0
        points = looked // COUNTED
        if not self.estimates.indexes.finds_elements(type_, column):
            looked += copies * lists * there
            points += copies * lists * there // COUNTED  # pages of frequent elements are full before the last row
        yield Scan(ELEMENTS, selection.key, looked, points)

    def _reads_whole(
        self, type_: Type, selection: Selection, where: Mapping[str, Any], left: int, sums: Mapping[str, int]
    ) -> bool:
        """Whether Postgres reads the whole table to sum up, sort or count the ``left`` rows of a filter, which are
        scattered over it; ``sums`` are the response keys of aggregates that a rollup answers. Limited counts end
        before."""
        compared = [name for name in named(where) if name in type_.columns]
        asked = selection.arguments.get("orderBy") or ()
        pages = any(child.name in {"nodes", "edges", "pageInfo"} for child in selection.fields.values())
        if pages and not self._is_served(type_, selection, None, asked):
            every = {column for leaf in type_.columns.values() for column in leaf.columns}
            if self.estimates.is_read_whole(type_, where, left, every):
                return True
        for child in selection.fields.values():
            names = list(compared)
            if child.name == "aggregate" and child.key not in sums:
                names += [one["field"].value for one in child.arguments.get("groupBy") or ()]
                names += [one.name for one in child.fields.values() if one.name in type_.columns]
            elif child.name not in TOTALS or (self._count_up_to and not child.arguments.get("exact")):
                continue
            read = {column for name in names for column in type_.columns[name].columns}
            if self.estimates.is_read_whole(type_, where, left, read):
                return True
        return False

    def _rolled_up(
        self, type_: Type, selection: Selection, relation: RelationField | None, lists: int
    ) -> Mapping[str, int]:
        """The approximate number of sums and rows that aggregates of ``lists`` connections read, by response key.

        Aggregates that the rollup of the type does not serve are left out.
        """
        if type_.rollup is None or type_.sql_name not in self.estimates.indexes.rollups:
            return {}
        where, equal = selection.arguments.get("where") or {}, relation.join.equal if relation else None
        left = self.estimates.left(type_, where, max(self.estimates.rows(type_), 1))
        stored, edges = self.estimates.indexes.rollups[type_.sql_name], lists if relation else AT_EDGES
        return {
            child.key: self._sums_read(type_, found, left, edges)
            for child in selection.fields.values()
            if child.name == "aggregate" and (found := reading(type_, where, child, stored, equal))
        }

    def groups(self, type_: Type, selection: Selection, rows: int) -> int | None:
        """The approximate number of sums and rows that are read for a type's rows, where these are groups of another's
        rollup, of which ``rows`` are summed up; None where they are not."""
        select = type_.rolled_up
        if select is None or selection.arguments.get("exact"):
            return None
        source = self._catalogue[select.of]
        found = groups_reading(source, select, self.estimates.indexes.rollups.get(source.sql_name, ()))
        if found is None:
            return None
        return self._sums_read(source, found, rows, AT_EDGES)

    def summed_up(self, type_: Type, selection: Selection, parent: Type, parents: int) -> int:
        """The approximate number of rows of a type that an object of ``parents`` parents sums up, within its window."""
        below = self.estimates.below(type_, parent, parents)
        asked = {_BOUNDS[name]: value for name, value in selection.arguments.items() if name in _BOUNDS and value}
        if not asked or type_.ordered_by is None:
            return below
        return self.estimates.left(type_, {type_.field_name(type_.ordered_by): asked}, below)

    def _sums_read(self, type_: Type, found: RollupReading, left: int, edges: int) -> int:
        """The approximate number of sums for ``left`` rows, with the buckets of their sketches, and of the rows in
        ``edges`` units, of which filters of keys leave a part."""
        rows, unit = max(self.estimates.rows(type_), 1), found.rollup.unit.seconds
        for keys in found.keys:
            edges = -(-edges * self.estimates.left(type_, keys, rows) // rows)
        all_sums = self.estimates.of_table(f"{OWN_SCHEMA}.{sums_table(type_.table.name)}")
        of_unit = int(all_sums / sum(unit / one.seconds for one in found.rollup.units))
        longest = of_unit * unit // min(found.units[-1].seconds, 2 * DAY.seconds)  # weeks, and days beside them
        in_sum = min(rows // max(longest, 1), BUCKETS) if found.is_approximate else 1
        return longest * left // rows * max(in_sum, 1) + edges * rows // max(of_unit, 1)

    def _read_points(self, type_: Type, rows: int, at_a_point: int) -> int:
        """The points of reading ``rows`` rows: ``at_a_point`` rows per point; a view computes each from base tables."""
        if not (type_.behind and type_.over) or type_.sql_name in self.estimates.indexes.kept:
            return rows // at_a_point
        behind = max((self.estimates.of_table(name) for name in type_.behind), default=0)
        return rows * (ASKED + behind // max(self.estimates.rows(type_), 1) // SELECTED)

    def _counted(self, type_: Type, total: Selection, rows: int, lists: int, looks: int) -> int:
        """The number of rows that are read to count ``rows``; views and SELECTs are read in full."""
        if not self._is_limited(type_, total):
            return rows
        return min(rows, lists * (looks or self._count_up_to + 1))

    def _looked_at(self, type_: Type, where: Mapping[str, Any], relation: RelationField | None) -> int:
        """The rows that a limited count looks at for conditions that no index serves; 0 without such conditions."""
        served, unserved = divided(self.estimates.indexes, type_, where, relation.join.equal if relation else ())
        return looked_at(self._count_up_to, found=bool(served or relation)) if unserved else 0

    def _only_counts(self, type_: Type, selection: Selection) -> bool:
        """Whether nothing of a list is read but counts that end at a limit, of which none goes through relations."""
        where = selection.arguments.get("where") or {}
        return not any(name in type_.relations for name in named(where)) and all(
            child.name == "__typename" or (child.name in TOTALS and self._is_limited(type_, child))
            for child in selection.fields.values()
        )

    def _is_limited(self, type_: Type, total: Selection) -> bool:
        """Whether a count ends at a limit."""
        return bool(self._count_up_to and not total.arguments.get("exact") and not type_.is_view)

    # -- filters ---------------------------------------------------------------------------------------------------

    def _patterns(
        self, type_: Type, where: Mapping[str, Any], path: str, rows: int, copies: int, tried: int
    ) -> Iterator[Scan]:
        """The patterns and relations of a filter over ``rows`` rows, which a statement contains ``copies`` times.

        An equality with an index leaves few rows for a pattern. A nested query runs ``tried`` times: once for each row
        of the list, or of the list's relation that leads to it.
        """
        narrow = self.estimates.is_narrow(type_, where)
        left = self.estimates.left(type_, where, rows)
        for name, value in where.items():
            here = f"{path}.{name}"
            if value is None:
                continue
            if name in {"and", "or"}:
                for place, one in enumerate(value):
                    rest = 0 if narrow else left
                    yield from self._patterns(type_, one or {}, f"{here}[{place}]", rest, copies, min(tried, left))
            elif name == "not":
                yield from self._patterns(type_, value, here, 0 if narrow else left, copies, min(tried, left))
            elif name in type_.columns:
                for operator, operand in value.items():
                    if operator in PATTERNS and not narrow and not _is_anchored(operator, operand):
                        yield Scan(PATTERN, f"{here}.{operator}", left, left)
            else:
                asked = min(tried, left) if narrow else tried
                yield from self._through(type_, name, value, here, left, copies, asked)

    def _through(
        self, type_: Type, name: str, value: Mapping[str, Any], path: str, rows: int, copies: int, tried: int
    ) -> Iterator[Scan]:
        """A relation of a filter: planning, reading its table, and a lookup for each row."""
        relation = type_.relations[name]
        target = self._catalogue[relation.target]
        quantified = value.items() if relation.many else [("", value)]
        for quantifier, inner in quantified:
            here = f"{path}.{quantifier}" if quantifier else path
            there = self.estimates.rows(target)
            joined = relation.unique and relation.join.equality and target.select is None
            looked_up = rows // COUNTED if joined else rows  # others run a query per row
            if target.select is not None:
                looked_up = self._selected(type_, relation, target, max(rows, tried), first=_is_first(path))
            reached = self.estimates.below(target, type_, rows) if joined else there
            yield Scan(RELATION, here, rows, copies * (STEP + looked_up + reached // COUNTED), copies)
            # Postgres memoizes the results per target row, or hashes the table; with further or optional conditions it
            # does so for relations of the list itself only
            near = _is_first(path) or _must_hold(path)
            once = self._keeps and joined and not relation.many and near
            yield from self._patterns(target, inner or {}, here, there, copies, min(tried, there) if once else tried)

    def _selected(self, type_: Type, relation: RelationField, target: Type, tried: int, *, first: bool) -> int:
        """The points of a SELECT or view that a filter evaluates for ``tried`` rows.

        Each evaluation reads the related rows. For a relation of the list itself Postgres may read all rows once.
        """
        there = max((self.estimates.of_table(name) for name in (*target.reads, *target.behind)), default=0)
        by_key = set(relation.join.local_columns) <= set(type_.key)
        read = there // max(self.estimates.rows(type_), 1) if by_key else there // NARROWED
        each = tried * (ASKED + read // SELECTED)
        return min(each, tried + there // SELECTED) if first and relation.unique else each

    # -- orders ----------------------------------------------------------------------------------------------------

    def _order(
        self, type_: Type, selection: Selection, relation: RelationField | None, rows: int, branches: int
    ) -> Iterator[Scan]:
        asked: Sequence[Mapping[str, Any]] = selection.arguments.get("orderBy") or ()
        path = f"{selection.key}.orderBy"
        steps = sum(_relations(one) for one in asked)
        if steps:
            named = steps * (branches + 1)
            yield Scan(RELATION, path, rows, steps * rows + STEP * named, named)
        elif not self._is_served(type_, selection, relation, asked):
            yield Scan(SORT, path, rows, rows // SORTED)

    def _is_served(
        self, type_: Type, selection: Selection, relation: RelationField | None, asked: Sequence[Mapping[str, Any]]
    ) -> bool:
        equal = set(relation.join.remote_columns) if relation is not None and relation.join.equality else set()
        for name, value in (selection.arguments.get("where") or {}).items():
            leaf = type_.columns.get(name)
            if leaf and isinstance(value, Mapping) and value.get("eq") is not None:
                equal.update(leaf.columns)
        terms = type_.order
        if asked:
            terms = tuple(of_field(type_, one) for one in asked if one.get(LEAF) is not None)
        served = self.estimates.indexes.serves(type_, terms, equal)
        if served is None and type_.walk and relation is None:
            served = self.estimates.indexes.serves(type_, terms, equal, walked=True)
        return served is not None and (served.terms == len(terms) or _tells_apart(type_, served))

    # -- sums ------------------------------------------------------------------------------------------------------

    def _sums(self, type_: Type, selection: Selection, rows: int) -> int:
        """The points of an aggregate beyond counting: its keys, functions, and percentiles, which sort."""
        functions = ranked = 0
        for child in selection.fields.values():
            leaf = type_.columns.get(child.name)
            if leaf is not None and aggregated(leaf):
                names = [one.name for one in child.fields.values() if not one.name.startswith("__")]
                functions += len(names)
                ranked += any(name in PERCENTILES for name in names)
        keys = len(selection.arguments.get("groupBy") or ())
        return keys * rows // SORTED + functions * rows // SUMMED + ranked * rows // RANKED


def _is_rare(type_: Type, where: Mapping[str, Any]) -> bool:
    """Whether a filter matches only unusual values, which statistics show to be few."""
    return any(
        only_rare(operator, rare.usual, operand) for rare, _, operator, operand in compared_with_usual(type_, where)
    )


def _tells_apart(type_: Type, served: Served) -> bool:
    """Whether an index prefix of an order is nearly unique: it has a time, or is unique."""
    columns = served.index.columns
    names = [column.name for column in columns[: served.equal + served.terms] if column.name in type_.table.columns]
    timed = any(type_.column_kind(name).graphql == "DateTime" for name in names)
    return timed or (served.index.unique and len(names) == len(columns))


def _relations(term: Mapping[str, Any]) -> int:
    """The number of relations that a term of an order uses."""
    named = [value for name, value in term.items() if isinstance(value, Mapping)]
    return sum(1 + _relations(value) for value in named)


def _is_first(path: str) -> bool:
    """Whether a relation of a filter belongs to the list's own type."""
    return path.count(".") - path.count(".and[") - path.count(".or[") - path.count(".not.") == 2


def _must_hold(path: str) -> bool:
    """Whether a condition is required for a row to match, through single relations alone."""
    return not any(one in path for one in (".or[", ".not.", ".some", ".none", ".every"))


def _is_anchored(operator: str, operand: Any) -> bool:
    """Whether a `like` pattern begins with literal text."""
    return operator == "like" and isinstance(operand, str) and operand[:1] not in {"%", "_"}
