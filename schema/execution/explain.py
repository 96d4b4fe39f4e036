"""Lists without a suitable index in the connected database, by its planner.

Postgres plans the gateway's own statements with sorts and sequential scans discouraged, so that it uses any suitable
index, however few rows there are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.attach import facts
from db.attach.attach import Difference, Differences
from db.attach.compare_indexes import unserved_lookup, unserved_order, unserved_search
from db.base.system_catalog import IN_SCHEMAS
from db.base.vocabulary import entities, is_own
from db.engine.errors import cannot_be_planned
from db.engine.readers import set_local
from schema.catalogue.from_models import catalogue
from schema.catalogue.records import Missing
from schema.search.text import MAX_COMPARED
from schema.sql import list_statements
from schema.sql.indexes import Indexes
from schema.sql.list_statements import ListStatement
from schema.sql.lists import Lists

Node = dict[str, Any]
Key = tuple[str, tuple[str, ...]]
"""A type and columns of its table."""

Parts = Mapping[str, tuple[str, str | None]]
"""The names of partitions and of their indexes, with those of the whole table, and an index's first column."""
FIRST = "First Column"
_PARTS = text(f"""
    SELECT p.relname::text, c.relname::text, a.attname::text
    FROM pg_class AS t
    JOIN pg_namespace AS n ON n.oid = t.relnamespace
    CROSS JOIN LATERAL pg_partition_tree(t.oid) AS part
    JOIN pg_class AS s ON s.oid = part.relid AND part.isleaf
    CROSS JOIN LATERAL (
        SELECT s.oid AS oid, t.oid AS of, NULL::smallint AS first
        UNION ALL
        SELECT i.indexrelid, coalesce(pg_partition_root(i.indexrelid)::oid, i.indexrelid), i.indkey[0]
        FROM pg_index AS i WHERE i.indrelid = s.oid
    ) AS each
    JOIN pg_class AS p ON p.oid = each.oid
    JOIN pg_class AS c ON c.oid = each.of
    LEFT JOIN pg_attribute AS a ON a.attrelid = s.oid AND a.attnum = each.first
    WHERE t.relkind = 'p' AND {IN_SCHEMAS} AND t.relname = ANY (:names)
""")
_ENCODING = text("SELECT current_setting('server_encoding')")
_TEXTS = re.compile(r"(?:text|uuid|citext|character(?: varying)?)\b")
"""Types that an index's expression can cast to text."""
_DISCOURAGED = {"enable_seqscan": "off", "enable_sort": "off"}


async def explain(connection: AsyncConnection, found: Differences) -> list[Difference]:
    """Lookups that read a whole table and pages that sort all rows, each with a suitable index. Nothing is executed;
    statements that cannot be planned, because of a missing right or column, are omitted.

    The connection must be in a transaction.
    """
    missing = Missing(found.missing_tables, found.missing_columns)
    there = await facts.read(connection)
    lists = Lists(catalogue(), missing, Indexes(there))
    parts = {row[0]: tuple(row[1:]) for row in await connection.execute(_PARTS, facts.known_tables())}
    looked_up: dict[Key, list[str]] = {}
    sorted_: dict[Key, list[ListStatement]] = {}
    async with connection.begin_nested() as savepoint:
        await set_local(connection, _DISCOURAGED)
        for one in _statements(lists):
            key = one.type.name, one.equal
            if set(one.type.key) <= set(one.equal):  # the index of its key finds the row
                continue
            if one.lookup and not _finds(await _plan(connection, one.lookup, parts), one, lists):
                looked_up.setdefault(key, []).append(one.field)
            elif one.page and _sorts(await _plan(connection, one.page, parts), one, lists):
                sorted_.setdefault(key, []).append(one)
        await savepoint.rollback()
    known = entities()
    notes = [unserved_lookup(known[name], columns, fields) for (name, columns), fields in looked_up.items()]
    for (name, columns), found_ in sorted_.items():
        rows = await _expected(connection, found_[0], parts)
        notes.append(unserved_order(known[name], columns, [one.field for one in found_], rows))
    if await connection.scalar(_ENCODING) == "UTF8":
        notes += _unserved_searches(missing, there)
    return notes


def _unserved_searches(missing: Missing, there: facts.Facts) -> Iterator[Difference]:
    """The searched types with more rows than are compared, without an index of trigrams."""
    for type_ in catalogue():
        columns = there.columns.get(type_.sql_name, {})  # foreign tables, which have no indexes, are not in it
        names = tuple(column for column in type_.search if missing.first(type_, [column]) is None)
        many = there.rows.get(type_.sql_name, 0) > MAX_COMPARED
        indexable = bool(names) and all(name in columns and _TEXTS.match(columns[name].type) for name in names)
        if many and indexable and (type_.sql_name, names) not in there.trigrams:
            yield unserved_search(entities()[type_.name], names, MAX_COMPARED)


def _statements(lists: Lists) -> Iterator[ListStatement]:
    for type_ in list_statements.tables(lists):
        if not is_own(type_.table):
            yield list_statements.of_type(lists, type_)
    for parent, relation in list_statements.relations(lists):
        if not is_own(lists.catalogue[relation.target].table):
            yield list_statements.of_relation(lists, parent, relation)


async def _expected(connection: AsyncConnection, one: ListStatement, parts: Parts) -> int:
    """The number of rows that Postgres expects in a list of one parent."""
    nodes = await _plan(connection, one.lookup, parts) if one.lookup else ()
    return sum(round(scan["Plan Rows"]) for scan in _scans(nodes[0], one)) if nodes else 0


async def _plan(connection: AsyncConnection, statement: tuple[str, Sequence[Any]], parts: Parts) -> list[Node]:
    """The nodes of a statement's plan, outermost first; empty if it cannot be planned. Those that read partitions and
    their indexes name the whole table and its index."""
    sql, values = statement
    try:
        async with connection.begin_nested():
            result = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sql}", tuple(values))
            answer: Any = result.scalar_one()
    except DBAPIError as error:
        if not cannot_be_planned(error):
            raise
        return []
    (tree,) = json.loads(answer) if isinstance(answer, str) else answer
    nodes = list(_nodes(tree["Plan"]))
    for node in nodes:
        for name in ("Relation Name", "Index Name"):
            if node.get(name) in parts:
                node[name], first = parts[node[name]]
                node.update({FIRST: first} if first else {})
    return nodes


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def _scans(node: Node, one: ListStatement) -> Iterator[Node]:
    """The nodes at or below a node that read the list's table."""
    return (each for each in _nodes(node) if each.get("Relation Name") == one.type.table.name)


def _uses(scan: Node, one: ListStatement, lists: Lists) -> bool:
    """Whether an index finds the rows of one parent: a column that leads the index is compared with it."""
    for each in _nodes(scan):
        first = each.get(FIRST) or lists.indexes.first_column(one.type, each.get("Index Name", ""))
        if first in one.equal and re.search(rf"\b{first}\b", each.get("Index Cond", "")):
            return True
    return False


def _finds(nodes: Sequence[Node], one: ListStatement, lists: Lists) -> bool:
    """Whether a lookup reads no more than what it returns; True if it cannot be planned."""
    return not nodes or all(_uses(scan, one, lists) for scan in _scans(nodes[0], one))


def _sorts(nodes: Sequence[Node], one: ListStatement, lists: Lists) -> bool:
    """Whether a page sorts all rows of its list, or reads rows of other parents. Rows without a value of the order's
    first term may be sorted: they are read separately."""
    order = one.type.ordered_by
    sorts = [node for node in nodes if node["Node Type"] == "Sort"]
    if any(not _reads_nulls(scan, order) for node in sorts for scan in _scans(node, one)):
        return True
    scans = _scans(nodes[0], one) if nodes and one.equal else ()
    return any(not (_uses(scan, one, lists) or _reads_nulls(scan, order)) for scan in scans)


def _reads_nulls(scan: Node, column: str | None) -> bool:
    conditions = " ".join(f"{each.get('Index Cond', '')} {each.get('Filter', '')}" for each in _nodes(scan))
    return bool(column) and f"{column} IS NULL" in conditions
