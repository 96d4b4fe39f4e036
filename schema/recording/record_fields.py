"""The mutations that record rows, with typed inputs generated from the catalogue.

Strawberry provides the types only: its resolvers would build an object of each row, which takes five times as long as
the rest of a mutation. `install` sets graphql-core resolvers, which read the coerced values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from typing import Annotated, Any

import strawberry
from graphql import GraphQLInputObjectType, GraphQLSchema, get_named_type
from strawberry import UNSET

from db.base.recording import RowReference
from schema.adapters.strawberry import annotate
from schema.catalogue.from_models import catalogue
from schema.catalogue.scalars import UUID
from schema.changes.mutation_steps import Surroundings
from schema.changes.registry import ROW_CHANGES, RowChange
from schema.execution.coercions import CONFIDENTIAL, ROWS, SERVER
from schema.graph.types import Types, selection_of
from schema.recording.answers import OnConflict, RecordResult
from schema.recording.columns import MAX_LIST, vector_size
from schema.recording.entities import OPTIONS, write
from schema.recording.record_types import (
    ChildRows,
    EntityMutation,
    Lookup,
    RecordType,
    RowField,
    Verb,
    batch_mutations,
    child_rows,
    entity_mutations,
    lookups,
    recording_mutations,
)
from schema.recording.recorder import MAX_ROWS, record
from schema.scopes import writing

REF = "Ref"
"""Suffix of the input types that reference a row."""

_KEY = (
    "A key chosen by the client, such as a UUID: a repeated request with the same key and input returns the first "
    "answer and records nothing."
)


Described = tuple[Any, str, Any]
"""A field of an input: its annotation, description and default; `...` if it is required."""

_HOW: dict[str, Described] = {
    "reason": (str | None, "Reason, kept in the record of changes.", UNSET),
    "idempotencyKey": (
        str | None,
        "A key chosen by the client: a repeated request with the same key and input changes nothing.",
        UNSET,
    ),
    "dryRun": (bool | None, "Runs the change, returns its result, and rolls back.", UNSET),
}


class RecordFields:
    """Builds the Strawberry fields and input types of recording."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._references: dict[str, Any] = {}

    def fields(self) -> dict[str, Any]:
        """The fields of the mutation type, by name."""
        batches = {name: self._batch(name, one) for name, one in sorted(batch_mutations().items())}
        return batches | {name: self._entity(one) for name, one in sorted(entity_mutations().items())}

    def _batch(self, name: str, one: RecordType) -> Any:
        type_name = name[0].upper() + name[1:]
        row = self._row(one)
        fields: dict[str, Described] = {
            "rows": (list[row], f"The rows, at most {MAX_ROWS:,}: all of them are recorded, or none.", ...),  # type: ignore[valid-type]
            "idempotencyKey": (str | None, _KEY, UNSET),
            "dryRun": (bool | None, "Records the rows, returns the result, and rolls back.", UNSET),
        }
        fields |= self._conflict(one)
        input_ = self._input(f"{type_name}Input", f"Input of `{name}`.", fields)
        doc = f"Records {one.name} rows in one transaction: all of them, or none. {one.type.description}"
        return self._field(name, input_, doc)

    def _field(self, name: str, input_: Any, doc: str) -> Any:
        def resolve(info: strawberry.Info, input: Any) -> Any:  # noqa: A002 - replaced by `install`
            raise NotImplementedError

        resolve.__annotations__ |= {
            "input": Annotated[input_, strawberry.argument(description="The rows to record, and options.")],
            "return": RecordResult | None,
        }
        return strawberry.field(resolver=resolve, name=name, description=doc)

    def _conflict(self, one: RecordType) -> dict[str, Described]:
        names = [one.by_column[column].name for column in one.named_by if column in one.by_column]
        if not names:
            return {}
        words = f"What to do if another row has the same {' and '.join(names)}: ERROR by default."
        return {"onConflict": (OnConflict | None, words, UNSET)}

    def _entity(self, mutation: EntityMutation) -> Any:
        one, verb = mutation.type, mutation.verb
        if verb is Verb.RETIRE:
            return self._field(mutation.name, self._retirement, mutation.doc)
        given = one.fields if verb is Verb.CREATE else one.changeable
        if twice := OPTIONS - {"id"} & given.keys():
            raise ValueError(f"{one.name} has columns that are named as options of its inputs are: {twice}")
        columns = {name: self._row_field(one, field) for name, field in given.items()}
        if verb is Verb.CREATE:
            children = child_rows(one.name)
            if both := columns.keys() & children.keys():
                raise ValueError(f"{one.name} has columns that are named as rows which are part of it are: {both}")
            fields = (
                columns | {name: self._children(one, rows) for name, rows in children.items()} | self._conflict(one)
            )
        else:
            fields = self._subject(one.name) | columns
        input_ = self._input(mutation.input_type, f"Input of `{mutation.name}`.", fields | _HOW)
        return self._field(mutation.name, input_, mutation.doc)

    def _children(self, parent: RecordType, rows: ChildRows) -> Described:
        fields = {name: self._row_field(rows.type, field) for name, field in rows.fields.items()}
        words = f"A {rows.type.name} row, created together with the {parent.name} that it belongs to."
        row = self._input(f"{rows.type.name}Child", words, fields)
        return (
            list[row] | None,  # type: ignore[valid-type]  # a generated class
            f"{rows.description} They are created in the same transaction, at most {MAX_ROWS - 1:,} in all lists.",
            UNSET,
        )

    @cached_property
    def _retirement(self) -> Any:
        words = "Input of the mutations that take a row out of use."
        return self._input("RetireInput", words, self._subject("row") | _HOW)

    def _subject(self, name: str) -> dict[str, Described]:
        return {
            "id": (strawberry.ID, f"The {name}, by its global id or the bare key.", ...),
            "expectedVersion": (
                str | None,
                "The `rowVersion` that was read. The change is refused if the row has another version now.",
                UNSET,
            ),
        }

    def _row(self, one: RecordType) -> Any:
        fields = {name: self._row_field(one, field) for name, field in one.fields.items()}
        words = f"A row of {one.name} to record. Columns that are left out take their defaults; null is stored as null."
        return self._input(f"{one.name}Row", words, fields)

    def _row_field(self, one: RecordType, field: RowField) -> Described:
        state = one.plan.state
        if field.reference is not None:
            annotation = self._reference(field.reference)
        elif field.name == "id" and field.kind.name == "uuid" and one.makes_ids:
            annotation = UUID
        elif state is not None and state.column == field.column:
            annotation = self._types.enum(state.states)
        else:
            annotation = self._types.annotation(field.kind)
        words = f"{field.description}{_most(field)}"
        return (annotation, words, ...) if field.required else (annotation | None, words, UNSET)

    def _reference(self, reference: RowReference) -> Any:
        """A oneOf input that references a row of a type by its id or a unique key."""
        name = reference.target + REF
        if name not in self._references:
            type_ = self._types.catalogue[reference.target]
            fields: dict[str, Described] = {
                "id": (strawberry.ID | None, f"The {type_.name} by its global id, or the bare key.", UNSET)
            }
            for way in lookups(self._types.catalogue, type_.name):
                fields[way.name] = (self._lookup(reference.target, way), f"The {type_.name} by a unique key.", UNSET)
            words = f"A reference to an existing {type_.name} row, by exactly one of these fields."
            self._references[name] = self._input(name, words, fields, one_of=True)
        return self._references[name]

    def _lookup(self, target: str, way: Lookup) -> Any:
        type_ = self._types.catalogue[target]
        described = {
            argument: (self._types.annotation(type_.column_kind(column)), type_.leaf(column).description, ...)
            for argument, column in way.columns.items()
        }
        if way.is_single:
            ((annotation, _, _),) = described.values()
            return annotation | None
        name = f"{target}By{way.name[0].upper()}{way.name[1:]}"
        return self._input(name, f"Identifies a row of {target} by a unique key.", described) | None

    def _input(self, name: str, description: str, fields: Mapping[str, Described], *, one_of: bool = False) -> Any:
        cls: Any = type(name, (), {})
        annotations: dict[str, Any] = {}
        ordered = sorted(fields.items(), key=lambda item: item[1][2] is UNSET)  # dataclass: defaults come last
        for field_name, (annotation, words, default) in ordered:
            attribute = f"{field_name}_"
            annotations[attribute] = annotation
            given = {"default": UNSET} if default is UNSET else {}
            setattr(cls, attribute, strawberry.field(name=field_name, description=words, **given))
        annotate(cls, annotations)
        return strawberry.input(cls, name=name, description=description, one_of=one_of)


@cache
def row_changes(type_name: str) -> Sequence[RowChange]:
    """The mutations that update or retire an existing row of a type, for the list of its possible changes."""
    found = []
    for one in entity_mutations().values():
        if one.type.name == type_name and one.verb is not Verb.CREATE:
            columns = one.type.changeable if one.verb is Verb.UPDATE else ()
            scopes = [scope for scope in (writing(one.type.group), one.type.scope) if scope]
            optional = ["expectedVersion", *columns, *_HOW]
            found.append(RowChange(one.name, one.doc, one.input_type, ["id"], optional, scopes))
    return found


ROW_CHANGES.append(row_changes)


def _most(field: RowField) -> str:
    """A sentence about the length of a list column; empty for other columns."""
    if field.kind.name == "vector":
        return f" Exactly {vector_size(field.kind)} numbers."
    return f" Pass at most {MAX_LIST:,}." if field.kind.is_list else ""


def install(schema: GraphQLSchema) -> None:
    """Sets the resolvers of recording in a schema, and marks the inputs whose values no error may quote."""
    mutation = schema.mutation_type
    assert mutation is not None  # noqa: S101 - there are mutations
    for name, one in recording_mutations().items():
        field = mutation.fields[name]
        field.resolve = _resolver(name, one)
        (input_,) = field.args.values()
        named: Any = get_named_type(input_.type)
        _mark(named, confidential=one.is_confidential)
        row = get_named_type(named.fields["rows"].type) if "rows" in named.fields else named
        row.extensions[SERVER] = _servers(one)
        if name in entity_mutations() and entity_mutations()[name].verb is Verb.CREATE:
            for children in child_rows(one.name).values():
                inner: Any = get_named_type(named.fields[children.name].type)
                _mark(inner, confidential=children.type.is_confidential)
                inner.extensions[SERVER] = _servers(children.type)


def _servers(one: RecordType) -> frozenset[str]:
    return frozenset(one.type.field_name(column) for column in one.plan.server)


def _mark(type_: Any, *, confidential: bool) -> None:
    if isinstance(type_, GraphQLInputObjectType):
        type_.extensions[ROWS] = True
        if type_.name.removesuffix(REF) in catalogue().types:  # Strawberry sets oneOf in its own SDL only
            type_.is_one_of = True
            type_.out_type = GraphQLInputObjectType.out_type  # type: ignore[method-assign]  # a plain dictionary
        for field in type_.fields.values():
            if confidential:
                field.extensions[CONFIDENTIAL] = True
            _mark(get_named_type(field.type), confidential=confidential)


def _resolver(name: str, one: RecordType) -> Callable[..., Any]:
    entity = entity_mutations().get(name)

    async def resolve(_source: Any, info: Any, **_arguments: Any) -> Any:
        context = info.context
        selection = selection_of(info)
        around = Surroundings.of(context)
        answered = {field.name for field in _answered(selection)}
        keys, shows = bool({"ids", "node", "nodes"} & answered), "wouldChange" in answered
        input_, facts = selection.arguments["input"], context.loaders.facts
        if entity is not None:
            return await write(entity, selection.key, input_, around, facts, keys=keys, shows=shows)
        return await record(name, selection.key, one, input_, around, facts, keys=keys, shows=shows)

    return resolve


def _answered(selection: Any) -> Sequence[Any]:
    return list(selection.on("Recorded").values())
