"""SQL statements of the graph, built from the catalogue's fragments: pages, rows by key, counts.

Values enter as typed binds alone. The builders serve the loaders, which bind values, and the compiler, which binds
parameters that each request fills.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from schema.catalogue.catalogue import OrderTerm, Type
from schema.sql.parameters import applied


@dataclass
class Binds:
    """The typed parameters of one statement, in order."""

    values: list[Any] = field(default_factory=list)

    def __call__(self, value: Any, pg_type: str) -> str:
        """Binds a value; returns its placeholder with a cast."""
        self.values.append(value)
        return f"${len(self.values)}::{pg_type}"


@dataclass(frozen=True)
class Page:
    """A slice of an ordered list: ``limit`` rows after (or before) a position.

    ``position`` holds the texts of the order's values at the cursor, None for a NULL; ``order`` is already reversed if
    the page is read backward. ``nearby``: rows are first looked for among those that come next in the order, whatever
    the conditions, and then among all others.
    """

    order: tuple[OrderTerm, ...]
    limit: int
    position: tuple[str | None, ...] | None = None
    nearby: bool = False


def order_by(order: Sequence[OrderTerm], row: str) -> str:
    """``row.created_at DESC NULLS LAST, row.id DESC``; NULLS is omitted where it is the default."""
    return ", ".join(f"{term.over(row)}{' DESC' if term.descending else ''}{_nulls(term)}" for term in order)


def _nulls(term: OrderTerm) -> str:
    if term.descending == term.nulls_at_start:
        return ""  # Postgres's default: NULLS FIRST when descending, NULLS LAST when ascending
    return " NULLS FIRST" if term.nulls_at_start else " NULLS LAST"


def after(order: Sequence[OrderTerm], position: Sequence[str | None], row: str, bind: Binds) -> list[str]:
    """The predicates of the rows after a position, as branches that each can use the order's index.

    A row is after the position if its first terms are equal and the next one is greater in the order; the branches are
    disjoint. If all remaining terms have the same direction and no nulls, one row comparison replaces a branch per
    term. Nothing is after nulls that are last in every term, as keys of views may be.
    """
    values = [None if value is None else _value(term, value, bind) for term, value in zip(order, position, strict=True)]
    branches: list[str] = []
    equal: list[str] = []
    for index, (term, value) in enumerate(zip(order, values, strict=True)):
        rest = order[index:]
        if value is not None and all(v is not None for v in values[index:]) and len({t.descending for t in rest}) == 1:
            columns = ", ".join(t.over(row) for t in rest)
            compared = ", ".join(str(v) for v in values[index:])
            operator = "<" if term.descending else ">"
            branches.append(_and(equal, f"({columns}) {operator} ({compared})"))
            branches.extend(_null_branches(rest, values[index:], row, equal))
            return branches
        if value is None:
            if term.nulls_first:
                branches.append(_and(equal, f"{term.over(row)} IS NOT NULL"))
            equal.append(f"{term.over(row)} IS NULL")
            continue
        branches.append(_and(equal, f"{term.over(row)} {'<' if term.descending else '>'} {value}"))
        branches.extend(_null_branches([term], [value], row, equal))
        equal.append(f"{term.over(row)} = {value}")
    return branches or ["false"]


def _value(term: OrderTerm, value: str, bind: Binds) -> str:
    return bind(value, f"text::{term.pg_type}")


def _null_branches(
    terms: Sequence[OrderTerm], values: Sequence[str | None], row: str, equal: Sequence[str]
) -> list[str]:
    """Branches for nulls, which no comparison matches; if they are last, they are after every value."""
    branches = []
    before = list(equal)
    for term, value in zip(terms, values, strict=True):
        if term.may_be_null and not term.nulls_first:
            branches.append(_and(before, f"{term.over(row)} IS NULL"))
        before.append(f"{term.over(row)} = {value}")
    return branches


def _and(conditions: Sequence[str], last: str) -> str:
    return " AND ".join([*conditions, last])


def page(
    rows: str, select: Sequence[str], page_: Page, bind: Binds, *, where: Sequence[str] = (), row: str = "t"
) -> str:
    """One page of ``rows`` (a table, or a SELECT in parentheses); ``where`` and ``select`` refer to the alias
    ``row``."""
    limit = bind(page_.limit, "bigint")
    select = select or ["NULL"]  # the driver does not return rows without columns
    return _page(f"FROM {rows} {row}", select, page_, limit, bind, where, row)


def first(
    rows: str,
    select: Sequence[str],
    order: tuple[OrderTerm, ...],
    *,
    where: Sequence[str] = (),
    row: str = "t",
    limit: int = 1,
) -> str:
    """The first rows of an order, as a subquery."""
    return _page(f"FROM {rows} {row}", select, Page(order, limit), str(limit), Binds(), where, row)


def _page(
    source: str, select: Sequence[str], page_: Page, limit: str, bind: Binds, where: Sequence[str], row: str
) -> str:
    parts = _parts(page_, source, limit, bind, where, row)
    if len(parts) > 1:
        # Append executes its children in sequence, since a LIMIT excludes parallel workers, and the outer LIMIT stops
        # before children that are not needed
        made = [_page(source, select, part, limit, bind, of_part, row) for part, of_part in parts]
        return f"SELECT * FROM (({') UNION ALL ('.join(made)})) u LIMIT {limit}"
    ((page_, where),) = parts
    order = f" ORDER BY {order_by(page_.order, row)}" if page_.order else ""
    if page_.position is None:
        return f"SELECT {', '.join(select)} {source}{conditions(where)}{order} LIMIT {limit}"
    branches = after(page_.order, page_.position, row, bind)
    if len(branches) == 1:
        return f"SELECT {', '.join(select)} {source}{conditions([*where, branches[0]])}{order} LIMIT {limit}"
    # each branch computes the select list itself (subqueries have no system columns), with its order beside it
    ordering = [f"{term.over(row)} AS o{i}" for i, term in enumerate(page_.order)]
    union = " UNION ALL ".join(
        f"(SELECT {', '.join([*select, *ordering])} {source}{conditions([*where, branch])}{order} LIMIT {limit})"
        for branch in branches
    )
    by = order_by([replace(term, value=f"{{row}}.o{i}") for i, term in enumerate(page_.order)], "u")
    names = ", ".join(f"u.f{i}" for i in range(len(select))) or "NULL"
    return f"SELECT {names} FROM ({union}) u ORDER BY {by} LIMIT {limit}"


NEARBY = 50
"""Rows, for each row of a page, that are looked through in its order before all others are."""


def _parts(
    page_: Page, source: str, limit: str, bind: Binds, where: Sequence[str], row: str
) -> list[tuple[Page, list[str]]]:
    """The parts of a page in their order, each with its conditions: see `_by_nulls` and `_nearby`."""
    head = page_.order[0].name if page_.nearby else None
    parts: list[tuple[Page, list[str]]] = []
    for part, more in _by_nulls(page_, row):
        if part.order and part.order[0].name == head:
            parts += _nearby(replace(part, nearby=False), source, limit, bind, [*where, *more], row)
        else:
            parts.append((replace(part, nearby=False), [*where, *more]))
    return parts


def _nearby(
    page_: Page, source: str, limit: str, bind: Binds, where: Sequence[str], row: str
) -> list[tuple[Page, list[str]]]:
    """A page of the rows up to a value of the order's first term, `NEARBY` rows for each row of the page further on,
    and one of those behind it.

    Where conditions hold for many rows, some of these are among the first, which the order's index has; where they hold
    for few, an index of the conditions finds these, and the order's index would be read to its end. The planner cannot
    tell: it takes every element to be as frequent as others.
    """
    head = replace(page_.order[0], never_null=True)
    value, descending, order = head.over(row), head.descending, order_by([head], row)
    begun = [f"{value} IS NOT NULL"]
    if page_.position is not None and page_.position[0] is not None:
        begun = [f"{value} {'<=' if descending else '>='} {_value(head, page_.position[0], bind)}"]
    walked = f"SELECT {value} AS v {source}{conditions(begun)} ORDER BY {order} LIMIT {NEARBY} * {limit}"
    last = f"(SELECT {'min' if descending else 'max'}(b.v) FROM ({walked}) b)"
    # in this form no index is used for the conditions, and these rows are read in their order: the last one, which is
    # always true, makes the planner expect few between the two values
    nearby = [f"({condition}) IS TRUE" for condition in where]
    nearby.append(f"{value} >= {last}" if descending else f"{value} <= {last}")
    nearby.append(f"{value} <= 'infinity'" if descending else f"{value} >= '-infinity'")
    # the last condition is always true; it lowers the planner's estimate of rows, which it then looks for by the
    # conditions rather than in the order
    others = [*where, f"{value} {'<' if descending else '>'} {last}", f"{value} = coalesce({value}, {value})"]
    return [(page_, nearby), (page_, others)]


def _by_nulls(page_: Page, row: str) -> list[tuple[Page, list[str]]]:
    """The page itself; or, if an index has the nulls of the first term at the other end, or rows nearby come first, a
    page of the rows with a value and one of those without, in their order. Each with its additional conditions."""
    if not (page_.order[1:] and (page_.order[0].apart or page_.nearby) and page_.order[0].may_be_null):
        return [(page_, [])]
    head, rest, position = page_.order[0], page_.order[1:], page_.position
    valued = replace(page_, order=(replace(head, never_null=True), *rest))
    without = replace(page_, order=rest, position=None)
    is_null = [f"{head.over(row)} IS NULL"]
    if position is None:
        parts = [(valued, [f"{head.over(row)} IS NOT NULL"]), (without, is_null)]
        return parts[::-1] if head.nulls_first else parts
    if position[0] is not None:
        return [(valued, []), *([] if head.nulls_first else [(without, is_null)])]
    behind = (replace(without, position=position[1:]), is_null)
    all_valued = (replace(valued, position=None), [f"{head.over(row)} IS NOT NULL"])
    return [behind, *([all_valued] if head.nulls_first else [])]


def planned_by_value(value: Any, bind: Binds) -> str:
    """A condition that is always true, and makes Postgres plan a prepared statement for the values of each execution.

    A generic plan assumes that ``column > $1`` matches a third of the rows, and ``column = $1`` the average number per
    value. Under a LIMIT, as in pages and bounded counts, a sequential scan then looks cheap, and is chosen for rare
    values, too. With known values this condition folds to a constant; in a generic plan it contains a subquery with a
    high estimated cost that is never executed, so that the generic plan is never chosen.
    """
    known = bind(applied(lambda _: True, value), "boolean")
    return f"({known} OR (SELECT count(*) FROM generate_series(1, 1000000000)) = 0)"


def conditions(where: Sequence[str]) -> str:
    """The predicates as a WHERE clause, empty without any."""
    return f" WHERE {' AND '.join(f'({condition})' for condition in where)}" if where else ""


def parents(type_: Type, columns: Sequence[str], keys: Sequence[tuple[str | None, ...]], bind: Binds) -> str:
    """The parents of a batch as a relation ``k``: these columns, and ``ord``, each parent's index.

    Keys are bound as text, as they were selected: one array per column, cast to the column's type.
    """
    arrays = ", ".join(bind([key[i] for key in keys], "text[]") for i in range(len(columns)))
    names = ", ".join(f"c{i}" for i in range(len(columns)))
    casts = ", ".join(f"c{i}::{type_.column_kind(column).pg_type} AS {column}" for i, column in enumerate(columns))
    return f"(SELECT ord, {casts} FROM unnest({arrays}) WITH ORDINALITY AS u({names}, ord)) k"


def per_parent(statement: str, parents_: str) -> str:
    """Runs a statement over ``k`` for every parent; rows are ordered by ``ord``, then by the statement's order.

    A lateral subquery with a LIMIT always runs in a nested loop, which preserves the order per parent.
    """
    return f"SELECT k.ord, r.* FROM {parents_} CROSS JOIN LATERAL ({statement}) r"


IN_SEQUENCE, APART = 3, 2
"""Rows, for each that may be counted, that a count looks at where they lie side by side (30,000 take 6 ms of
processor time); and, where an index finds them in a page each, one for so many that may be counted (5,000: 14 ms)."""


def looked_at(up_to: int, *, found: bool) -> int:
    """The rows that a count up to a number looks at; ``found``: an index finds them, else all are read in sequence."""
    return max(up_to // APART, 1) if found else IN_SEQUENCE * up_to


def count(
    rows: str,
    *,
    where: Sequence[str] = (),
    up_to: int | None = None,
    unserved: Sequence[str] = (),
    found: bool = True,
) -> str:
    """The number of rows; the complement ``~n`` of a number if there are at least ``n``, and it is not known how many.

    ``up_to`` limits the number, and the rows, of those that fulfil the other conditions, for which ``unserved`` ones
    are looked at, to `looked_at`. All rows are counted by default.
    """
    if up_to is None:
        return f"SELECT count(*) AS count FROM {rows} t{conditions([*where, *unserved])}"
    if not unserved:
        counted = f"(SELECT FROM {rows} t{conditions(where)} LIMIT {up_to + 1}) c"
        return f"SELECT CASE WHEN count(*) > {up_to} THEN ~count(*) ELSE count(*) END AS count FROM {counted}"
    most = looked_at(up_to, found=found)
    fulfilled = " AND ".join(f"({condition})" for condition in unserved)
    looked = f"SELECT {fulfilled} AS is_one FROM {rows} t{conditions(where)} LIMIT {most + 1}"
    both = f"SELECT count(*) AS looked_at, count(*) FILTER (WHERE c.is_one) AS found FROM ({looked}) c"
    more = f"c.looked_at > {most} OR c.found > {up_to}"
    return f"SELECT CASE WHEN {more} THEN ~least(c.found, {up_to + 1}) ELSE c.found END AS count FROM ({both}) c"


def counted_beside(number: str, page: str, limit: int, *, whole: bool) -> str:
    """A count as `count` makes it, beside a page of the list with at most ``limit`` rows: a list has no fewer rows than
    its page. One that is the ``whole`` list unless it is full, since no cursor cuts it, tells the exact number."""
    least = f"least({number}, ~count(*))"
    told = f"CASE WHEN count(*) < {limit} THEN count(*) ELSE {least} END" if whole else least
    return f"CASE WHEN {number} < 0 THEN (SELECT {told} FROM {page}) ELSE {number} END"


def known_beside(number: int, rows: int, limit: int, *, whole: bool) -> int:
    """What `counted_beside` is, of numbers that were read."""
    if number >= 0:
        return number
    return rows if whole and rows < limit else min(number, ~rows)


def counted(number: str) -> str:
    """SQL of the least number that a count stands for."""
    return f"greatest({number}, ~{number})"


def exists_up_to(
    rows: str,
    order: Sequence[OrderTerm],
    position: Sequence[str | None],
    bind: Binds,
    *,
    where: Sequence[str] = (),
) -> str:
    """Whether there is a row at or before a position in the order: on the other side of a page."""
    backward = [term.reversed() for term in order]
    at = " AND ".join(
        f"{term.over('t')} IS NULL" if value is None else f"{term.over('t')} = {_value(term, value, bind)}"
        for term, value in zip(order, position, strict=True)
    )
    branches = [at, *after(backward, position, "t", bind)]
    found = " OR ".join(f"EXISTS (SELECT FROM {rows} t{conditions([*where, branch])})" for branch in branches)
    return f"SELECT {found} AS found"


def by_keys(type_: Type, select: Sequence[str], keys: Sequence[tuple[str | None, ...]], bind: Binds) -> str:
    """The rows with these keys, each with ``ord``, the index of its key in ``keys``.

    Enum labels are compared as text: an unknown label matches no row, and is no error.
    """
    arrays = [bind([key[i] for key in keys], "text[]") for i in range(len(type_.key))]
    names = ", ".join(f"c{i}" for i in range(len(type_.key)))
    on = " AND ".join(same_key(type_, column, f"k.c{i}") for i, column in enumerate(type_.key))
    source = f"unnest({', '.join(arrays)}) WITH ORDINALITY AS k({names}, ord)"
    if not type_.is_derived:
        return f"SELECT {', '.join(['k.ord', *select])} FROM {source} JOIN {type_.source({})} t ON {on}"
    # a join is not pushed into a SELECT with groups, a condition is: OFFSET 0 keeps the lateral subquery from being
    # flattened
    rows = f"SELECT {', '.join(select)} FROM {type_.source({})} t WHERE {on} OFFSET 0"
    return per_parent(rows, source)


def by_columns(
    type_: Type,
    columns: Sequence[str],
    select: Sequence[str],
    keys: Sequence[tuple[str | None, ...]],
    order: tuple[OrderTerm, ...],
    bind: Binds,
    where: Sequence[str] = (),
) -> str:
    """The first row for each of these values of some columns, with ``ord``, the index of the values in ``keys``."""
    arrays = [bind([key[i] for key in keys], "text[]") for i in range(len(columns))]
    names = ", ".join(f"c{i}" for i in range(len(columns)))
    on = [same_key(type_, column, f"k.c{i}") for i, column in enumerate(columns)]
    source = f"unnest({', '.join(arrays)}) WITH ORDINALITY AS k({names}, ord)"
    return per_parent(first(type_.source({}), select, order, where=[*on, *where]), source)


def same_key(type_: Type, column: str, text: str, row: str = "t") -> str:
    """The condition that a column of the row equals a part of a key, given as text."""
    kind = type_.column_kind(column)
    if kind.pg_type in {"uuid", "integer", "date"}:
        return f"{kind.comparable(f'{row}.{column}')} = {text}::{kind.pg_type}"
    return f"{row}.{column}::text = {text}"
