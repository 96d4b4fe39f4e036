"""Queries made at random from the schema, by a seed; and made small again when one of them shows a fault.

A query is a tree of plain objects, so that parts of it can be taken away; it is rendered to text with its variables.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
)

from schema.catalogue.catalogue import Catalogue, Type
from schema.graph.inputs import upper_snake
from tests.support.search_texts import SearchTexts

Row = dict[str, Any]

DEPTH = 4
"""Levels of rows below a root."""
LONG = "x" * 70
"""An alias longer than Postgres's names."""
TEXTS = ["", "a", "é", "日本", "'", '"', "\\", "%", "_", "\n", "🙂", "{row}", "$1", "null"]


NUMBERS = [1, -1, 0, 0.5, 2**31, 2**63, -(2**63) - 1, 12345678901234567890123, 1e300, 5e-324, -0.0, 0.1]


class Word(str):
    """A member of an enum: rendered without quotes."""

    __slots__ = ()


@dataclass
class Var:
    """A value that the query takes as a variable, and another one for the same query.

    ``default`` is a literal; without ``given`` the variable is not sent.
    """

    type: str
    value: Any
    default: Any = ...
    given: bool = True
    other: Any = ...


@dataclass
class Node:
    """A field, or a fragment where ``name`` is empty: ``on`` is its condition, ``named`` puts it aside."""

    name: str = ""
    alias: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    directives: dict[str, Any] = field(default_factory=dict)
    children: list[Node] | None = None
    on: str = ""
    named: bool = False

    @property
    def key(self) -> str:
        return self.alias or self.name


@dataclass
class Query:
    """An operation with its root fields."""

    roots: list[Node]

    @property
    def adds_up(self) -> bool:
        """Whether it adds numbers up: the last digit depends on the order of the rows, and plans differ in that."""
        return any(_at(self.roots, path).name in {"sum", "avg", "stddev"} for path in _paths(self.roots))

    def render(self, *, other: bool = False) -> tuple[str, dict[str, Any]]:
        """The text and the variables, with their ``other`` values if asked."""
        return _Rendering(other).render(self)


class _Rendering:
    def __init__(self, other: bool) -> None:  # noqa: FBT001 - as it is passed on
        self._other = other
        self._variables: list[tuple[str, Var]] = []
        self._fragments: list[str] = []

    def render(self, query: Query) -> tuple[str, dict[str, Any]]:
        body = self._set(query.roots)
        defined = [
            f"${name}: {one.type}{'' if one.default is ... else ' = ' + self._value(one.default)}"
            for name, one in self._variables
        ]
        head = f"query Q({', '.join(defined)}) " if defined else ""
        values = {
            name: one.other if self._other and one.other is not ... else one.value
            for name, one in self._variables
            if one.given
        }
        return "\n".join([f"{head}{body}", *self._fragments]), values

    def _set(self, nodes: list[Node]) -> str:
        return "{ " + (" ".join(self._node(node) for node in nodes) or "__typename") + " }"

    def _node(self, node: Node) -> str:
        directives = "".join(f" @{name}(if: {self._value(value)})" for name, value in node.directives.items())
        if not node.name:
            below = self._set(node.children or [])
            if not node.named:
                return f"...{f' on {node.on}' if node.on else ''}{directives} {below}"
            name = f"F{len(self._fragments)}"
            self._fragments.append(f"fragment {name} on {node.on} {below}")
            return f"...{name}{directives}"
        alias = f"{node.alias}: " if node.alias else ""
        given = ", ".join(f"{name}: {self._value(value)}" for name, value in node.arguments.items())
        below = "" if node.children is None else f" {self._set(node.children)}"
        return f"{alias}{node.name}{f'({given})' if given else ''}{directives}{below}"

    def _value(self, value: Any) -> str:
        match value:
            case Var():
                name = f"v{len(self._variables)}"
                self._variables.append((name, value))
                return f"${name}"
            case Word():
                return str(value)
            case dict():
                return "{" + ", ".join(f"{key}: {self._value(item)}" for key, item in value.items()) + "}"
            case list():
                return "[" + ", ".join(self._value(item) for item in value) + "]"
            case _:
                return json.dumps(value, ensure_ascii=False)


# -- making ------------------------------------------------------------------------------------------------------------


@dataclass
class Samples:
    """What a database holds of each type: ids, cursors of the default order, and values by leaf.

    ``searches`` are similarity searches by root: arguments that say what is searched for, and cursors of their lists.
    ``names`` are values that `search` finds rows by.
    """

    ids: dict[str, list[str]] = field(default_factory=dict)
    cursors: dict[str, list[str]] = field(default_factory=dict)
    values: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    searches: dict[str, list[tuple[dict[str, Any], list[str]]]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


class Maker:
    """Makes queries; equal seeds make equal ones."""

    def __init__(self, schema: GraphQLSchema, catalogue: Catalogue, samples: Samples, seed: int) -> None:
        self._schema = schema
        self._catalogue = catalogue
        self._samples = samples
        self._random = random.Random(seed)
        self._texts = SearchTexts(self._random, samples.names, [name for t in catalogue for name in (t.name, t.plural)])
        self._budget = 0
        query = schema.query_type
        assert query is not None
        self._query = query

    def query(self) -> Query:
        self._budget = 25
        roots: list[Node] = []
        used: dict[str, Node] = {}
        names = [*self._catalogue.roots, "node", "nodes", *4 * ["search", *self._samples.searches]]
        for _ in range(self._random.choice([1, 1, 1, 2, 2, 3])):
            name = self._random.choice(names)
            node = self._field(self._query, name, DEPTH, used)
            if node:
                roots.append(node)
        if self._chance(0.05):
            roots.append(Node("__typename", alias="t"))
        return Query(roots or [Node("__typename")])

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    # -- selections ------------------------------------------------------------------------------------------------

    def _selection(self, type_: GraphQLObjectType, depth: int, used: dict[str, Node], prefix: str = "") -> list[Node]:
        nodes: list[Node] = []
        names = list(type_.fields)
        leaves = [name for name in names if not _is_composite(type_, name)]
        others = [name for name in names if _is_composite(type_, name)]
        if type_.name.endswith("Connection"):
            leaves, others = ["totalCount", "complete"], ["nodes", "nodes", "edges", "pageInfo", "aggregate"]
            others = [name for name in others if name in type_.fields]
            leaves = [name for name in leaves if name in type_.fields]
        for _ in range(self._random.choice([1, 1, 2, 2, 3, 4])):
            if self._budget <= 0:
                break
            pool = others if others and (not leaves or self._chance(0.5)) and depth > 0 else leaves
            if not pool:
                break
            if node := self._field(type_, self._random.choice(pool), depth, used, prefix):
                nodes.append(node)
        if self._chance(0.1):
            self._add_typename(nodes, used, prefix)
        if len(nodes) > 1 and self._chance(0.2):
            nodes = self._fragment(nodes, type_.name)
        return nodes

    def _add_typename(self, nodes: list[Node], used: dict[str, Node], prefix: str) -> None:
        node = Node("__typename", alias=f"{prefix}t" if prefix else "")
        if used.setdefault(node.key, node).name == "__typename":
            nodes.append(node)

    def _fragment(self, nodes: list[Node], on: str) -> list[Node]:
        cut = self._random.randrange(1, len(nodes))
        of_node = self._implements_node(on) and all(node.name in {"id", "__typename"} for node in nodes[cut:])
        condition = self._random.choice([on, on, "Node" if of_node else on, ""])
        named = bool(condition) and self._chance(0.4)
        part = Node(on=condition, named=named, children=nodes[cut:], directives=self._directives())
        return [*nodes[:cut], part]

    def _implements_node(self, name: str) -> bool:
        type_ = self._schema.get_type(name)
        return isinstance(type_, GraphQLObjectType) and any(one.name == "Node" for one in type_.interfaces)

    def _directives(self) -> dict[str, Any]:
        if not self._chance(0.15):
            return {}
        value = self._chance(0.5)
        asked: Any = self._variable("Boolean!", lambda: self._chance(0.5)) if self._chance(0.5) else value
        return {self._random.choice(["skip", "include"]): asked}

    def _field(
        self, type_: GraphQLObjectType, name: str, depth: int, used: dict[str, Node], prefix: str = ""
    ) -> Node | None:
        self._budget -= 1
        definition = type_.fields[name]
        target = get_named_type(definition.type)
        node = Node(name)
        if prefix or self._chance(0.2):
            node.alias = f"{prefix}{self._random.choice(['a', 'b', 'c', name.upper(), '_'])}"
            if self._chance(0.02):
                node.alias = LONG
        if node.key in used:
            other = used[node.key]
            if other.name != name or other.children is not None or other.arguments:
                return None  # two fields of one key must be the same
        node.arguments = self._arguments(type_, name)
        if node.key in used and node.arguments:
            return None
        node.directives = self._directives()
        used[node.key] = node
        if isinstance(target, GraphQLInterfaceType):
            node.children = self._of_interface(depth)
        elif isinstance(target, GraphQLObjectType):
            is_rows = target.name in self._catalogue.types
            node.children = self._selection(target, depth - is_rows, {})
        return node

    def _of_interface(self, depth: int) -> list[Node]:
        nodes = [Node("id")] if self._chance(0.7) else [Node("__typename")]
        for place in range(self._random.randrange(3)):
            type_ = self._random.choice([t for t in self._catalogue if t.is_node])
            below = self._selection(self._object(type_.name), depth - 1, {}, f"{type_.singular}{place}_")
            nodes.append(Node(on=type_.name, named=self._chance(0.3), children=below, directives=self._directives()))
        return nodes

    def _object(self, name: str) -> GraphQLObjectType:
        found = self._schema.get_type(name)
        assert isinstance(found, GraphQLObjectType)
        return found

    # -- arguments -------------------------------------------------------------------------------------------------

    def _arguments(self, parent: GraphQLObjectType, name: str) -> dict[str, Any]:
        definition = parent.fields[name]
        target = get_named_type(definition.type)
        type_name = target.name.removesuffix("Connection").removesuffix("Aggregate")
        arguments: dict[str, Any] = {}
        for argument, taken in definition.args.items():
            required = isinstance(taken.type, GraphQLNonNull)
            make = self._maker(parent, name, argument, taken.type, type_name)
            if make is None or (not required and not self._chance(_SHARES.get(argument, 0.3))):
                continue
            arguments[argument] = self._given(str(taken.type), make, nullable=not required)
        if searches := self._samples.searches.get(name):
            return self._searched(arguments, definition.args, searches)
        if "first" in arguments and "last" in arguments:
            del arguments[self._random.choice(["first", "last"])]
        if "orderBy" in arguments or not self._chance(0.7):  # a cursor belongs to an order
            arguments.pop("after", None)
            arguments.pop("before", None)
        if "last" in arguments or "before" in arguments:
            arguments.pop("after", None)
            arguments.pop("first", None)
        return arguments

    def _searched(
        self, arguments: dict[str, Any], taken: Any, searches: list[tuple[dict[str, Any], list[str]]]
    ) -> dict[str, Any]:
        """The arguments of a similarity search: for something that is there, and behind one of its cursors at times."""
        what, cursors = self._random.choice(searches)
        by_variable = self._chance(0.7)
        for name in {name for one, _ in searches for name in one}:
            arguments.pop(name, None)
        for name, value in what.items():
            others = [one[name] for one, _ in searches if name in one]
            type_ = str(taken[name].type)
            arguments[name] = Var(type_, value, other=self._random.choice(others)) if by_variable else value
        if cursors and self._chance(0.3):
            cursor = self._random.choice(cursors)
            arguments["after"] = Var("String", cursor) if self._chance(0.5) else cursor
        return arguments

    def _given(self, type_: str, make: Callable[[], Any], *, nullable: bool) -> Any:
        if nullable and self._chance(0.06):
            return self._random.choice([None, Var(type_, None), Var(type_, None, given=False)])
        if self._chance(0.45):
            return self._variable(type_, make)
        return make()

    def _variable(self, type_: str, make: Callable[[], Any]) -> Var:
        if self._chance(0.15):
            return Var(type_.removesuffix("!"), None, default=_plain(make(), words=True), given=False)
        return Var(type_, _plain(make()), other=_plain(make()))

    def _maker(  # noqa: C901, PLR0911 - a table
        self, parent: GraphQLObjectType, name: str, argument: str, taken: Any, type_name: str
    ) -> Callable[[], Any] | None:
        choose = self._random.choice
        if (parent, name) == (self._query, "search"):
            return self._search_maker(argument, taken)
        match argument:
            case "first" | "last":
                return lambda: choose([0, 1, 1, 2, 2, 3, 5])
            case "after" | "before":
                found = self._samples.cursors.get(type_name, [])
                return (lambda: choose(found)) if found else None
            case "where":
                filtered = get_named_type(taken).name.removesuffix("Where")
                return lambda: self._where(filtered, 2)
            case "orderBy":
                return lambda: [self._order(type_name, 2) for _ in range(choose([0, 1, 1, 2]))]
            case "groupBy":
                return lambda: [self._group(type_name) for _ in range(choose([0, 1, 1, 2]))]
            case "id":
                return lambda: choose(self._ids(type_name))
            case "ids":
                every = [id_ for ids in self._samples.ids.values() for id_ in ids]
                return lambda: [choose(every) for _ in range(choose([0, 1, 2, 4]))]
        named = get_named_type(taken)
        if isinstance(named, GraphQLScalarType) and not isinstance(get_nullable_type(taken), GraphQLList):
            return self._scalar(named.name)
        if isinstance(named, GraphQLEnumType):
            return lambda: Word(choose(list(named.values)))
        return None

    def _search_maker(self, argument: str, taken: Any) -> Callable[[], Any]:
        choose = self._random.choice
        match argument:
            case "text":
                return self._texts.text
            case "types":
                return lambda: [self._member(taken) for _ in range(choose([0, 1, 1, 1, 2, 5]))]
            case "first":
                return lambda: choose([0, 1, 1, 2, 5, 20, 100, 101])
        return lambda: choose([True, False])

    def _ids(self, type_name: str) -> list[str]:
        if type_name == "Node":
            return [id_ for ids in self._samples.ids.values() for id_ in ids]
        return [*self._samples.ids.get(type_name, []), f"{type_name}:00000000-0000-0000-0000-000000000000"]

    def _scalar(self, name: str) -> Callable[[], Any] | None:
        choose = self._random.choice
        makers: dict[str, Callable[[], Any]] = {
            "Int": lambda: choose([1, 2, 7, 30]),
            "Float": lambda: choose([0.0, 0.5, 1.0]),
            "Boolean": lambda: choose([True, False]),
            "String": lambda: choose(TEXTS),
            "DateTime": lambda: choose(["2026-05-01T00:00:00Z", "2026-05-20T12:30:00+02:00"]),
            "ID": lambda: choose([id_ for ids in self._samples.ids.values() for id_ in ids]),
        }
        return makers.get(name)

    def _where(self, type_name: str, depth: int) -> dict[str, Any]:
        where: dict[str, Any] = {}
        input_ = self._schema.get_type(f"{type_name}Where")
        assert isinstance(input_, GraphQLInputObjectType)
        type_ = self._catalogue[type_name]
        leaves = [name for name in input_.fields if name in type_.columns]
        relations = [name for name in input_.fields if name in type_.relations]
        for _ in range(self._random.choice([0, 1, 1, 1, 2])):
            kind = self._random.random()
            if kind < 0.12 and depth > 0:
                items = range(self._random.randrange(3))
                where[self._random.choice(["and", "or"])] = [self._where(type_name, depth - 1) for _ in items]
            elif kind < 0.2 and depth > 0:
                where["not"] = self._where(type_name, depth - 1)
            elif kind < 0.4 and depth > 0 and relations:
                relation = type_.relations[self._random.choice(relations)]
                inner = self._where(relation.target, depth - 1)
                word = self._random.choice(["some", "none", "every"])
                where[relation.name] = {word: inner} if relation.many else inner
            elif leaves:
                name = self._random.choice(leaves)
                where[name] = self._condition(type_, name, input_.fields[name].type)
        return where

    def _condition(self, type_: Type, name: str, filter_: Any) -> dict[str, Any]:  # noqa: PLR0911 - a table
        fields = get_named_type(filter_).fields
        operator = self._random.choice([one for one in fields if one != "path"])
        leaf = type_.columns[name]
        seen = self._samples.values.get(type_.name, {}).get(name, [])
        seen = [item for value in seen for item in (value or [] if leaf.kind.is_list else [value]) if item is not None]
        if operator == "isNull":
            return {operator: self._chance(0.5)}
        if operator in {"in", "notIn", "hasAny", "hasAll"}:
            return {
                operator: [
                    self._seen(leaf, self._random.choice(seen)) for _ in range(self._random.randrange(3)) if seen
                ]
            }
        if leaf.kind.graphql == "JSON":
            return {operator: self._random.choice(TEXTS) if operator == "hasKey" else self._part(seen)}
        if operator in {"contains", "iContains", "startsWith", "like"}:
            pieces = [*TEXTS, *(str(text)[:3] for text in seen)]
            return {operator: self._random.choice(pieces)}
        if not seen:
            return {"isNull": True}
        if operator == "eq" and self._chance(0.1):
            return {operator: None}
        return {operator: self._seen(leaf, self._random.choice(seen))}

    def _part(self, documents: list[Any]) -> Any:
        """JSON that some document contains, or a number of many digits that hardly one does."""
        found = [{"n": self._random.choice(NUMBERS)}, self._random.choice(NUMBERS), {"a": None}, [None], {}, []]
        for document in documents:
            if isinstance(document, dict):
                found += [{key: value} for key, value in document.items() if key.isidentifier() and _is_written(value)]
            elif _is_written(document):
                found.append(document)
        return self._random.choice(found)

    def _seen(self, leaf: Any, value: Any) -> Any:
        if leaf.kind.graphql == "DateTime":
            return self._elsewhere(value)
        return Word(value) if leaf.kind.labels else value

    def _elsewhere(self, text: str) -> str:
        """The same moment, as another zone's clocks say it, or in other letters."""
        moment = datetime.fromisoformat(text)
        minutes = self._random.choice([0, 0, 330, -210, 14 * 60, -12 * 60, 1439, -1439])
        try:
            shown = moment.astimezone(timezone(timedelta(minutes=minutes))).isoformat()
        except OverflowError:  # no year there
            shown = text
        return self._random.choice([shown, shown.lower(), shown.replace("+00:00", "z")])

    def _order(self, type_name: str, depth: int) -> dict[str, Any]:
        input_ = self._schema.get_type(f"{type_name}Order")
        assert isinstance(input_, GraphQLInputObjectType)
        relations = [name for name in input_.fields if name in self._catalogue[type_name].relations]
        if depth and relations and self._chance(0.3):
            name = self._random.choice(relations)
            return {name: self._order(self._catalogue[type_name].relations[name].target, depth - 1)}
        term: dict[str, Any] = {"field": self._member(input_.fields["field"].type)}
        if self._chance(0.6):
            term["direction"] = Word(self._random.choice(["ASC", "DESC"]))
        if self._chance(0.4):
            term["nulls"] = Word(self._random.choice(["FIRST", "LAST"]))
        return term

    def _group(self, type_name: str) -> dict[str, Any]:
        input_ = self._schema.get_type(f"{type_name}GroupBy")
        assert isinstance(input_, GraphQLInputObjectType)
        member = self._member(input_.fields["field"].type)
        times = [
            upper_snake(leaf.name)
            for leaf in self._catalogue[type_name].columns.values()
            if leaf.kind.graphql in {"DateTime", "Date"}
        ]
        if member in times and self._chance(0.7):
            return {"field": member, "bucket": Word(self._random.choice(["DAY", "WEEK", "MONTH"]))}
        return {"field": member}

    def _member(self, type_: Any) -> Word:
        enum = get_named_type(type_)
        assert isinstance(enum, GraphQLEnumType)
        return Word(self._random.choice(list(enum.values)))


_SHARES = {"first": 0.55, "last": 0.15, "after": 0.2, "before": 0.1, "where": 0.3, "orderBy": 0.25, "groupBy": 0.6}


def _is_composite(type_: GraphQLObjectType, name: str) -> bool:
    return isinstance(get_named_type(type_.fields[name].type), GraphQLObjectType | GraphQLInterfaceType)


def _is_written(value: Any) -> bool:
    """Whether a literal can say a value: the keys of its objects are names."""
    if isinstance(value, dict):
        return all(key.isidentifier() and key.isascii() and _is_written(item) for key, item in value.items())
    return not isinstance(value, list) or all(map(_is_written, value))


def _plain(value: Any, *, words: bool = False) -> Any:
    """The value as it is sent in variables: members of enums are texts."""
    match value:
        case Var():
            return _plain(value.value, words=words)
        case Word():
            return value if words else str(value)
        case dict():
            return {key: _plain(item, words=words) for key, item in value.items()}
        case list():
            return [_plain(item, words=words) for item in value]
        case _:
            return value


# -- shrinking ---------------------------------------------------------------------------------------------------------


def smaller(query: Query) -> Iterator[Query]:
    """Queries with one thing less, the largest things first."""
    for path in sorted(_paths(query.roots), key=len):
        for change in (_drop, _unwrap, _bare):
            copy = deepcopy(query)
            if change(copy, path):
                yield copy
    for path in _paths(query.roots):
        for argument in _at(query.roots, path).arguments:
            copy = deepcopy(query)
            del _at(copy.roots, path).arguments[argument]
            yield copy


Path = tuple[int, ...]


def _paths(nodes: list[Node], start: Path = ()) -> Iterator[Path]:
    for place, node in enumerate(nodes):
        yield (*start, place)
        yield from _paths(node.children or [], (*start, place))


def _at(nodes: list[Node], path: Path) -> Node:
    node = nodes[path[0]]
    for place in path[1:]:
        assert node.children is not None
        node = node.children[place]
    return node


def _siblings(query: Query, path: Path) -> list[Node]:
    return query.roots if len(path) == 1 else _at(query.roots, path[:-1]).children or []


def _drop(query: Query, path: Path) -> bool:
    siblings = _siblings(query, path)
    if len(path) == 1 and len(siblings) == 1:
        return False
    del siblings[path[-1]]
    return True


def _unwrap(query: Query, path: Path) -> bool:
    """A fragment is replaced by what is in it."""
    node = _at(query.roots, path)
    if node.name:
        return False
    _siblings(query, path)[path[-1] : path[-1] + 1] = node.children or []
    return True


def _bare(query: Query, path: Path) -> bool:
    """A field loses its alias and directives."""
    node = _at(query.roots, path)
    if not (node.alias or node.directives):
        return False
    node.alias, node.directives = "", {}
    return True
