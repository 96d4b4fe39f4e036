"""The mapper: catalogue -> Strawberry types. Nothing here knows a table by name; exceptions live in `schema.fields`."""

from __future__ import annotations

import enum
import inspect
import types
from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

import strawberry
from strawberry import UNSET
from strawberry.schema_directive import Location

from db.base import Labels
from schema.aggregates import AggregateTypes
from schema.catalogue import Catalogue, ColumnField, ObjectField, RelationField, Type
from schema.errors import bad_argument
from schema.inputs import Inputs, group_argument, list_arguments
from schema.kinds import Kind
from schema.loaders import MAX_PAGE, NESTED_PAGE, ROOT_PAGE, Loaders
from schema.records import Record, object_name
from schema.scalars import BY_NAME
from schema.selection import Operation, Selection


class RequestContext:
    """What resolvers read of a request: the operation as a tree, and the loaders. The gateway's context extends it."""

    operation: Operation
    loaders: Loaders


Info = strawberry.Info[RequestContext, None]


@strawberry.schema_directive(
    locations=[Location.OBJECT], name="table", description="The table or view of the database behind a type."
)
class TableDirective:
    name: str = strawberry.directive_field(name="name")


@strawberry.interface(description="Anything with a global id: every row of every table and view.")
class Node:
    id: strawberry.ID = strawberry.field(description="Global id, readable: the type and the key, `Model:1f0e...`.")

    @classmethod
    def resolve_type(cls, record: Record, _info: object, _abstract: object) -> str:
        """Records carry the name of their type."""
        return str(record["__typename"])

    @classmethod
    def is_type_of(cls, _record: object, _info: object) -> bool:
        """A relation's type is known; nobody needs to ask a record."""
        return True


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more rows follow.")
    has_previous_page: bool = strawberry.field(description="Whether rows come before.")
    start_cursor: str | None = strawberry.field(
        description="Cursor of the first row; null when the page is empty. Pass it as `before`."
    )
    end_cursor: str | None = strawberry.field(
        description="Cursor of the last row; null when the page is empty. Pass it as `after`."
    )


Row = TypeVar("Row")


@strawberry.type(description="A row of a connection and its cursor.")
class Edge(Generic[Row]):
    cursor: str = strawberry.field(description="Where the row stands in this order; pass it as `after` or `before`.")
    node: Row = strawberry.field(description="The row.")


@strawberry.type(description="A page of rows, in a stable order.")
class Connection(Generic[Row]):
    nodes: list[Row] = strawberry.field(description="The rows of this page.")
    edges: list[Edge[Row]] = strawberry.field(description="The rows of this page with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where this page lies in the list.")
    total_count: int = strawberry.field(
        description="How many rows the whole list has. Costs a statement when selected."
    )


def read(source: Any, name: str) -> Any:
    """How fields without a resolver read their source: records are dicts by GraphQL name."""
    return source[name] if isinstance(source, dict) else getattr(source, name)


def selection_of(info: Info) -> Selection:
    """What the query asks for at the field that is being resolved."""
    raw = info._raw_info  # noqa: SLF001 - Strawberry has no public way to the path's type names
    return info.context.operation.at(raw.path, raw.parent_type.name)


def page_arguments(default: int) -> dict[str, Any]:
    """The arguments of every connection, by Python name."""

    def argument(type_: Any, description: str) -> Any:
        return Annotated[type_ | None, strawberry.argument(description=description)]

    return {
        "first": argument(int, f"How many rows from the start: 0 to {MAX_PAGE}, {default} unless said."),
        "after": argument(str, "Read on behind this cursor: `pageInfo.endCursor` of the page before."),
        "last": argument(int, f"How many rows from the end: 0 to {MAX_PAGE}. Not together with `first`."),
        "before": argument(str, "Read backward from this cursor: `pageInfo.startCursor` of the page behind."),
    }


Extras = Callable[["Types", Type], dict[str, Any]]
"""The fields that a type has beside those of the catalogue, from `schema.fields`."""


class Types:
    """The Strawberry classes of every type of a catalogue."""

    def __init__(self, catalogue: Catalogue, extras: Extras) -> None:
        self.catalogue = catalogue
        self._extras = extras
        self.enums: dict[type[Labels], Any] = {}
        self.nodes: dict[str, type] = {type_.name: type(type_.name, (Node,), {}) for type_ in catalogue}
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
            setattr(cls, leaf.name, strawberry.field(name=leaf.name, description=leaf.description))
        for made in type_.objects.values():
            setattr(cls, made.name, self._object(made))
        for relation in type_.relations.values():
            setattr(cls, relation.name, self._relation(relation))
        for name, field in self._extras(self, type_).items():
            setattr(cls, name, field)
        cls.__annotations__ = annotations
        strawberry.type(
            cls,
            name=type_.name,
            description=type_.description,
            directives=[TableDirective(name=type_.sql_name)],
        )

    def _connection(self, type_: Type) -> Any:
        """The connection type of a type's rows: a page of them, and what all of them come to."""
        generic: Any = Connection
        cls: Any = types.new_class(f"{type_.name}Connection", (generic[self.nodes[type_.name]],))
        aggregate: Any = self._aggregates.aggregate(type_)
        resolver = _aggregate_resolver()
        resolver.__annotations__ |= {
            "group_by": group_argument(self.inputs.group_by[type_.name]),
            "return": list[aggregate] | None,
        }
        cls.aggregate = strawberry.field(
            resolver=resolver,
            description="What all rows of the list come to, whatever the page: counts, sums, percentiles, by groups.",
        )
        return strawberry.type(cls, description=f"A page of {type_.name} rows, in a stable order.")

    def _leaf_annotation(self, leaf: ColumnField) -> Any:
        annotation = self.annotation(leaf.kind)
        return annotation if leaf.required else annotation | None

    def annotation(self, kind: Kind) -> Any:
        """The annotation of a kind's values."""
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
            setattr(cls, leaf.name, strawberry.field(name=leaf.name, description=leaf.description))
        cls.__annotations__ = {leaf.name: self.annotation(leaf.kind) | None for leaf in made.leaves.values()}
        strawberry.type(cls, name=made.type_name, description=made.description)
        arguments = {
            name: Annotated[self.annotation(kind) | None, strawberry.argument(name=name, description=doc)]
            for name, (_, kind, doc) in made.arguments.items()
        }
        resolver = _object_resolver(arguments, cls | None)
        return strawberry.field(resolver=resolver, name=made.name, description=made.description)

    def list_arguments(self, name: str, default: int) -> dict[str, Any]:
        """The annotations of a connection's resolver."""
        asked = list_arguments(self.inputs.where[name], self.inputs.order[name])
        return page_arguments(default) | asked | {"return": self.connections[name] | None}

    def _relation(self, relation: RelationField) -> Any:
        if relation.many:
            resolver = _connection_resolver(relation)
            resolver.__annotations__ |= self.list_arguments(relation.target, NESTED_PAGE)
        else:
            resolver = _row_resolver(relation)
            resolver.__annotations__ |= {"return": self.nodes[relation.target] | None}
        return strawberry.field(resolver=resolver, name=relation.name, description=relation.description)

    def query(self) -> type:
        """The query type: two roots for every type, ``node`` and ``nodes``."""
        cls: Any = type("Query", (), {})
        cls.node = strawberry.field(resolver=_node, description="Any row by its global id; null where there is none.")
        cls.nodes = strawberry.field(
            resolver=_nodes, description="Rows by their global ids, in that order, null where there is none."
        )
        for type_ in self.catalogue:
            one, many = _root_row_resolver(type_), _root_connection_resolver(type_)
            one.__annotations__ |= {"return": self.nodes[type_.name] | None}
            many.__annotations__ |= self.list_arguments(type_.name, ROOT_PAGE)
            setattr(
                cls,
                type_.singular,
                strawberry.field(
                    resolver=one,
                    name=type_.singular,
                    description=f"One {type_.name} by its id, null where there is none. {type_.description}",
                ),
            )
            setattr(
                cls,
                type_.plural,
                strawberry.field(
                    resolver=many,
                    name=type_.plural,
                    description=f"All {type_.name} rows. {type_.description}",
                ),
            )
        query: type = strawberry.type(cls, name="Query", description="Everything that can be read.")
        return query


MAX_IDS = 1000


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
    if len(ids) > MAX_IDS:
        raise bad_argument("ids", f"{len(ids)} ids are too many; pass at most {MAX_IDS} at once")
    return await info.context.loaders.nodes("ids", ids, selection_of(info))  # type: ignore[return-value]  # records


# The resolvers below differ by what they close over. They read their arguments from the selection, where the request's
# cost and the compiler read them too; Strawberry needs the parameters for the schema. The mapper completes annotations.


def _connection_resolver(relation: RelationField) -> Callable[..., Any]:
    def resolve(
        root: strawberry.Parent[Any],
        info: Info,
        first: Any = UNSET,
        after: Any = UNSET,
        last: Any = UNSET,
        before: Any = UNSET,
        where: Any = UNSET,
        order_by: Any = UNSET,
    ) -> Any:
        return info.context.loaders.related_connection(root, relation, selection_of(info))

    return resolve


def _aggregate_resolver() -> Callable[..., Any]:
    def resolve(root: strawberry.Parent[Any], info: Info, group_by: Any = UNSET) -> Any:
        return info.context.loaders.aggregate(root, selection_of(info))

    return resolve


def _object_resolver(arguments: dict[str, Any], returns: Any) -> Callable[..., Any]:
    """A resolver with these arguments, which differ by the catalogue: Strawberry reads them from its signature."""

    def resolve(root: strawberry.Parent[Any], info: Info, **_arguments: Any) -> Any:
        return root[object_name(selection_of(info))]

    own = [
        parameter
        for parameter in inspect.signature(resolve).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    given = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=UNSET, annotation=annotation)
        for name, annotation in arguments.items()
    ]
    resolve.__signature__ = inspect.Signature([*own, *given], return_annotation=returns)  # type: ignore[attr-defined]
    return resolve


def _row_resolver(relation: RelationField) -> Callable[..., Any]:
    def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        return info.context.loaders.related_row(root, relation, selection_of(info))

    return resolve


def _root_connection_resolver(type_: Type) -> Callable[..., Any]:
    async def resolve(
        info: Info,
        first: Any = UNSET,
        after: Any = UNSET,
        last: Any = UNSET,
        before: Any = UNSET,
        where: Any = UNSET,
        order_by: Any = UNSET,
    ) -> Any:
        return await info.context.loaders.root_connection(type_, selection_of(info))

    return resolve


def _root_row_resolver(type_: Type) -> Callable[..., Any]:
    async def resolve(
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its global id, or the bare key.")],  # noqa: A002
    ) -> Any:
        return await info.context.loaders.root_row(type_, selection_of(info), "id", id)

    return resolve
