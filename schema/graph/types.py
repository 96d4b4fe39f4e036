"""Strawberry types from the catalogue. The module is generic over tables; other fields are in `schema.fields`."""

from __future__ import annotations

import enum
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Generic, Protocol, TypeVar

import strawberry
from strawberry import UNSET

from db.base.column_facts import ColumnFacts
from db.base.vocabulary import Argument, Labels
from schema.adapters.strawberry import annotate
from schema.catalogue.catalogue import (
    ArgumentField,
    Arguments,
    Catalogue,
    ColumnField,
    ObjectField,
    RelationField,
    Root,
    Type,
)
from schema.catalogue.column_types import ColumnKind
from schema.catalogue.records import TOTALS_OF, Record, object_name
from schema.catalogue.scalars import BY_NAME
from schema.catalogue.selection import Operation, Selection
from schema.execution.loaders import Loaders
from schema.execution.similarity import SimilaritySearch
from schema.graph.directives import TableDirective, fact_directives
from schema.graph.inputs import EXACT_PERCENTILES, Inputs, group_argument, list_arguments
from schema.sql.aggregates import AggregateTypes
from schema.sql.lists import MAX_IDS, MAX_PAGE, NESTED_PAGE, ROOT_PAGE, few_ids


class RequestContext:
    """The context of resolvers: the operation's selection tree, and the loaders. The gateway's context extends it."""

    operation: Operation
    loaders: Loaders
    together: Any = None
    """The changes of a mutation in one transaction."""
    seen: Any = None
    """Records or checks the rows affected by such a mutation (`RowsSeen`)."""


Info = strawberry.Info[RequestContext, None]


@strawberry.interface(description="Anything with a global id: every row of every table and view.")
class Node:
    id: strawberry.ID = strawberry.field(description="Global id, readable: the type and the key, `Model:1f0e...`.")
    row_version: str | None = strawberry.field(
        name="rowVersion",
        description="Version of the row, kept by the database: it changes with every update. Opaque text; null for "
        "rows of views.",
    )

    @classmethod
    def resolve_type(cls, record: Record, _info: object, _abstract: object) -> str:
        """The type name in a record."""
        return str(record["__typename"])

    @classmethod
    def is_type_of(cls, _record: object, _info: object) -> bool:
        """Always true: relations have known types."""
        return True


@strawberry.type(description="Position of a page in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more rows follow.")
    has_previous_page: bool = strawberry.field(description="Whether rows precede this page.")
    start_cursor: str | None = strawberry.field(
        description="Cursor of the first row; null if the page is empty. Pass it as `before`."
    )
    end_cursor: str | None = strawberry.field(
        description="Cursor of the last row; null if the page is empty. Pass it as `after`."
    )


Row = TypeVar("Row")


@strawberry.type(description="A row of a connection and its cursor.")
class Edge(Generic[Row]):
    cursor: str = strawberry.field(description="Position of the row in this order; pass it as `after` or `before`.")
    node: Row = strawberry.field(description="The row.")


@strawberry.type(description="A page of rows, in a stable order.")
class Connection(Generic[Row]):
    nodes: list[Row] = strawberry.field(description="The rows of this page.")
    edges: list[Edge[Row]] = strawberry.field(description="The rows of this page with their cursors.")
    page_info: PageInfo = strawberry.field(description="Position of this page in the list.")


def read(source: Any, name: str) -> Any:
    """Reads fields without a resolver: records are dicts by GraphQL name."""
    return source[name] if isinstance(source, dict) else getattr(source, name)


def selection_of(info: Info) -> Selection:
    """The selection of the field that is being resolved."""
    return info.context.operation.at(info.path)


def page_arguments(default: int) -> dict[str, Any]:
    """The paging arguments of every connection."""

    def argument(type_: Any, description: str) -> Any:
        return Annotated[type_ | None, strawberry.argument(description=description)]

    return {
        "first": argument(int, f"Number of rows from the start of the list, 0 to {MAX_PAGE}, {default} by default."),
        "after": argument(str, "Rows after this cursor: `pageInfo.endCursor` of the previous page."),
        "last": argument(int, f"Number of rows from the end of the list, 0 to {MAX_PAGE}. Not together with `first`."),
        "before": argument(str, "Rows before this cursor: `pageInfo.startCursor` of the next page."),
    }


class Extras(Protocol):
    """Fields and interfaces of types beside the catalogue's."""

    def interface(self, type_: Type) -> type[Node]:
        """The interface of a node type; it may be created with the first such type."""
        ...

    def __call__(self, types: Types, type_: Type) -> dict[str, Any]:
        """The fields of a type."""
        ...


class Types:
    """The Strawberry types of a catalogue."""

    def __init__(self, catalogue: Catalogue, extras: Extras) -> None:
        self.catalogue = catalogue
        self._extras = extras
        self.enums: dict[type[Labels], Any] = {}
        self.nodes: dict[str, type] = {
            type_.name: type(type_.name, (extras.interface(type_),) if type_.is_node else (), {}) for type_ in catalogue
        }
        self.inputs = Inputs(catalogue, self.enum)
        self._aggregates = AggregateTypes(self.annotation)
        self.connections: dict[str, Any] = {type_.name: self._connection(type_) for type_ in catalogue}
        for type_ in catalogue:
            self._define(type_)

    def _define(self, type_: Type) -> None:
        cls = self.nodes[type_.name]
        annotations: dict[str, Any] = {}
        for leaf in type_.columns.values():
            annotations[leaf.name] = self._leaf_annotation(leaf)
            setattr(cls, leaf.name, _leaf(leaf))
        for made in type_.objects.values():
            setattr(cls, made.name, self._object(made))
        for relation in type_.relations.values():
            setattr(cls, relation.name, self._relation(relation))
        for name, field in self._extras(self, type_).items():
            setattr(cls, name, field)
        annotate(cls, annotations)
        strawberry.type(
            cls,
            name=type_.name,
            description=type_.description,
            directives=[
                *([] if type_.is_derived else [TableDirective(name=type_.sql_name)]),
                *fact_directives(ColumnFacts(aliases=type_.aliases)),
            ],
        )

    def _connection(self, type_: Type) -> Any:
        """The connection type of a type's rows: a page, counts and aggregates."""
        generic: Any = Connection
        cls: Any = types.new_class(f"{type_.name}Connection", (generic[self.nodes[type_.name]],))
        aggregate: Any = self._aggregates.aggregate(type_)
        arguments = {"groupBy": group_argument(self.inputs.group_by[type_.name])}
        if type_.rollup and type_.rollup.sketched:
            arguments["exact"] = EXACT_PERCENTILES
        for name, field in totals("Runs one SQL statement when selected.").items():
            setattr(cls, name, field)
        cls.aggregate = strawberry.field(
            resolver=taking(arguments, list[aggregate] | None, _aggregate),
            description="Aggregates over all rows of the list, not only this page: counts, sums, percentiles, by "
            "group.",
        )
        return strawberry.type(cls, description=f"A page of {type_.name} rows, in a stable order.")

    def _leaf_annotation(self, leaf: ColumnField) -> Any:
        annotation = self.annotation(leaf.kind)
        return annotation if leaf.required else annotation | None

    def annotation(self, kind: ColumnKind) -> Any:
        """The annotation for values of a kind."""
        scalar = self.enum(kind.labels) if kind.labels else BY_NAME[kind.graphql]
        return list[scalar | None] if kind.is_list else scalar  # type: ignore[valid-type]

    def enum(self, labels: type[Labels]) -> Any:
        """The GraphQL enum of a Postgres enum; its members' values stay the labels."""
        if labels not in self.enums:
            members = {member.name: strawberry.enum_value(member.value, description=member.doc) for member in labels}
            description = " ".join((labels.__doc__ or "").split())
            cls: Any = enum.Enum(labels.__name__, members)  # type: ignore[misc]  # members come from the models
            self.enums[labels] = strawberry.enum(cls, name=labels.__name__, description=description)
        return self.enums[labels]

    def _object(self, made: ObjectField) -> Any:
        cls: Any = type(made.type_name, (), {})
        for leaf in made.leaves.values():
            setattr(cls, leaf.name, _leaf(leaf))
        annotate(cls, {leaf.name: self.annotation(leaf.kind) | None for leaf in made.leaves.values()})
        strawberry.type(cls, name=made.type_name, description=made.description)
        resolver = taking(self.own_arguments(made.arguments), cls | None, _object)
        return strawberry.field(resolver=resolver, name=made.name, description=made.description)

    def own_arguments(self, arguments: Arguments) -> dict[str, Any]:
        """The annotations of arguments that fill placeholders in SQL, by name."""
        return {name: self._own_argument(one) for name, one in arguments.items()}

    def _own_argument(self, field: ArgumentField) -> Any:
        argument = field.argument
        scalar = strawberry.ID if argument.of else self.annotation(field.kind)
        taken: Any = scalar if argument.required else scalar | None
        described = Annotated[taken, strawberry.argument(name=field.name, description=_bounds(argument))]
        return described if argument.default is None else (described, argument.default)

    def list_arguments(self, type_: Type, default: int) -> dict[str, Any]:
        """The annotations of the arguments of a connection, by name."""
        asked = list_arguments(self.inputs.where[type_.name], self.inputs.order[type_.name])
        return self.own_arguments(type_.arguments) | page_arguments(default) | asked

    def _relation(self, relation: RelationField) -> Any:
        target = self.catalogue[relation.target]
        if relation.many:
            returns = self.connections[target.name] | None
            resolver = taking(self.list_arguments(target, NESTED_PAGE), returns, _related_connection(relation))
        else:
            own = self.own_arguments(target.arguments)
            resolver = taking(own, self.nodes[target.name] | None, _related_row(relation))
        facts = fact_directives(ColumnFacts(aliases=relation.aliases))
        return strawberry.field(
            resolver=resolver, name=relation.name, description=relation.description, directives=facts
        )

    def query(self, own: Mapping[str, Any]) -> type:
        """The query type: the catalogue's roots, ``node`` and ``nodes``, and the fields in ``own``, by name."""
        cls: Any = type("Query", (), {})
        cls.node = strawberry.field(resolver=_node, description="Any row by its global id; null if there is none.")
        cls.nodes = strawberry.field(
            resolver=_nodes,
            description="Rows by their global ids, in the order of `ids`; null for an id without a row.",
        )
        for root in self.catalogue.roots.values():
            setattr(cls, root.name, self._root(root))
        for name, made in own.items():
            setattr(cls, name, made)
        query: type = strawberry.type(cls, name="Query", description="Everything that can be read.")
        return query

    def _root(self, root: Root) -> Any:
        type_ = self.catalogue[root.target]
        if root.nearest:
            search = SimilaritySearch(self.catalogue, root)
            connection = search.connection(self.nodes[type_.name], PageInfo, totals("Compares every vector."))
            taken = search.arguments(self.inputs.where[type_.name])
            resolver = taking(taken, connection | None, _similar(search))
        elif root.many:
            returns = self.connections[type_.name] | None
            resolver = taking(self.list_arguments(type_, ROOT_PAGE), returns, _root_connection(type_))
        else:
            resolver = taking(self._row_arguments(type_, root), self.nodes[type_.name] | None, _root_row(type_, root))
        return strawberry.field(resolver=resolver, name=root.name, description=root.description)

    def _row_arguments(self, type_: Type, root: Root) -> dict[str, Any]:
        """The arguments that identify one row: its id, or a unique key."""
        arguments = self.own_arguments(type_.arguments)
        if not type_.is_node:
            return arguments
        if not root.lookups:
            return {"id": Annotated[strawberry.ID, strawberry.argument(description=_ID)]}
        arguments["id"] = Annotated[strawberry.ID | None, strawberry.argument(description=_ID)]
        for one in root.lookups:
            for name, column in one.items():
                leaf = type_.leaf(column)
                others = " and ".join(f"`{other}`" for other in one if other != name)
                doc = f"In place of `id`{f', with {others}' if others else ''}: {leaf.description}"
                scalar = self.annotation(leaf.kind)
                arguments.setdefault(name, Annotated[scalar | None, strawberry.argument(name=name, description=doc)])
        return arguments


def _leaf(leaf: ColumnField) -> Any:
    return strawberry.field(name=leaf.name, description=leaf.description, directives=fact_directives(leaf.facts))


_ID = "Its global id, or the bare key."


def _bounds(argument: Argument) -> str:
    if argument.least is None or argument.most is None:
        return argument.doc
    return f"{argument.doc} {argument.least:g} to {argument.most:g}."


def totals(costs: str) -> dict[str, Any]:
    """The count fields of a connection, by name; ``costs`` describes their cost."""
    exact = Annotated[bool | None, strawberry.argument(description="Count all rows, without the limit.")]
    return {
        "total_count": strawberry.field(
            resolver=taking({"exact": exact}, int, _total),
            description="Number of rows of the whole list; the least number if `totalCountIsExact` is false: 10,001 of "
            "more than 10,000 (`GATEWAY_COUNT_UP_TO`), or fewer where a filter without an index was looked at for some "
            f"of the rows only. `exact` counts all. {costs}",
        ),
        "total_count_is_exact": strawberry.field(
            resolver=taking({}, bool, _total_is_exact),
            description="Whether `totalCount` without `exact` has counted all rows. Costs as much.",
        ),
    }


def _total(root: Any, info: Info) -> int:
    found: int = root[TOTALS_OF][info.context.loaders.lists.count_up_to(selection_of(info))]
    return max(found, ~found)


def _total_is_exact(root: Any, info: Info) -> bool:
    found: int = root[TOTALS_OF][info.context.loaders.lists.count_up_to(selection_of(info))]
    return found >= 0


async def _node(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description="A global id, `Model:1f0e...`.")],  # noqa: A002
) -> Node | None:
    found = await info.context.loaders.nodes("id", [id], selection_of(info))
    return found[0]  # type: ignore[return-value]  # records stand for nodes, and errors for what cannot be answered


async def _nodes(
    info: Info,
    ids: Annotated[
        list[strawberry.ID], strawberry.argument(description=f"Global ids of any types, at most {MAX_IDS}.")
    ],
) -> list[Node | None] | None:
    return await info.context.loaders.nodes("ids", few_ids(ids), selection_of(info))  # type: ignore[return-value]  # records


# Resolvers read arguments from the selection, like the cost and the compiler. Strawberry reads them from a signature,
# which is built from the catalogue.


_RESERVED = tuple(
    inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)
    for name, annotation in {"root": strawberry.Parent[Any], "info": Info}.items()  # type: ignore[misc]  # an alias
)
"""The parameters of resolvers that are no arguments of fields."""


def taking(arguments: dict[str, Any], returns: Any, resolve: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A resolver with these arguments, ``{name: annotation}`` or ``{name: (annotation, default)}``."""

    def resolver(root: Any, info: Info, **_arguments: Any) -> Any:
        return resolve(root, info)

    given = []
    for name, asked in arguments.items():
        annotation, default = asked if isinstance(asked, tuple) else (asked, UNSET)
        given.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation))
    resolver.__signature__ = inspect.Signature([*_RESERVED, *given], return_annotation=returns)  # type: ignore[attr-defined]
    return resolver


def _related_connection(relation: RelationField) -> Callable[[Any, Info], Any]:
    return lambda root, info: info.context.loaders.related_connection(root, relation, selection_of(info))


def _related_row(relation: RelationField) -> Callable[[Any, Info], Any]:
    return lambda root, info: info.context.loaders.related_row(root, relation, selection_of(info))


def _root_connection(type_: Type) -> Callable[[Any, Info], Any]:
    return lambda _root, info: info.context.loaders.root_connection(type_, selection_of(info))


def _similar(search: SimilaritySearch) -> Callable[[Any, Info], Any]:
    return lambda _root, info: search.resolve(info.context.loaders, selection_of(info))


def _root_row(type_: Type, root: Root) -> Callable[[Any, Info], Any]:
    return lambda _root, info: info.context.loaders.root_row(type_, root, selection_of(info))


def _aggregate(root: Any, info: Info) -> Any:
    return info.context.loaders.aggregate(root, selection_of(info))


def _object(root: Any, info: Info) -> Any:
    return root[object_name(selection_of(info))]
