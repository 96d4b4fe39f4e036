"""The recordable types: their input fields, the columns behind them, and the names of their mutations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache, cached_property

from db.base.entity import camel
from db.base.markers import Group, RowNature
from db.base.recording import RecordPlan, RowReference, plan_of, recordables
from db.base.vocabulary import relations
from schema.catalogue.catalogue import Catalogue, Type
from schema.catalogue.column_types import ColumnKind
from schema.catalogue.from_models import catalogue
from schema.scopes import column_scope


@dataclass(frozen=True)
class RowField:
    """An input field of a row: one column, which may be a reference to a row of another type."""

    name: str
    column: str
    kind: ColumnKind
    description: str
    required: bool
    scope: str | None
    """The scope that a caller needs to give it, besides the scope of the type."""
    reference: RowReference | None = None


@dataclass(frozen=True)
class Lookup:
    """A unique key by which a row can be referenced: the name of the oneOf member, and its columns by argument."""

    name: str
    columns: Mapping[str, str]

    @property
    def is_single(self) -> bool:
        return len(self.columns) == 1


class Verb(Enum):
    """The kinds of mutations of one row of an entity."""

    CREATE = "create"
    UPDATE = "update"
    RETIRE = "retire"


@dataclass(frozen=True, eq=False)
class RecordType:
    """A type whose rows can be recorded."""

    type: Type
    plan: RecordPlan
    group: Group
    scope: str | None
    """The scope that a caller needs to record any row of it, besides the scope of the group."""

    @property
    def name(self) -> str:
        return self.type.name

    @property
    def is_fact(self) -> bool:
        return self.plan.declared.nature is RowNature.FACT

    @cached_property
    def fields(self) -> Mapping[str, RowField]:
        """The fields of a new row, by GraphQL name, in the order of the columns."""
        return {one.name: one for one in self._fields()}

    @cached_property
    def by_column(self) -> Mapping[str, RowField]:
        return {one.column: one for one in self.fields.values()}

    @cached_property
    def changeable(self) -> Mapping[str, RowField]:
        """The fields of an existing row that may be updated, by GraphQL name."""
        return {one.name: replace(one, required=False) for one in self._fields_of(self.plan.updates)}

    @cached_property
    def verbs(self) -> Sequence[Verb]:
        """The mutations of one row; none for facts, which are recorded in batches and immutable."""
        if self.is_fact:
            return ()
        there = {
            Verb.CREATE: self.plan.declared.door is None,
            Verb.UPDATE: self.changeable,
            Verb.RETIRE: self.plan.declared.retired,
        }
        return [verb for verb, one in there.items() if one]

    @cached_property
    def demanded(self) -> tuple[str, ...]:
        """The columns of the natural key that every row must give: those of a fact; an entity also has its id."""
        return self.key if self.is_fact else ()

    @cached_property
    def is_confidential(self) -> bool:
        """Whether its rows contain data of individual patients, so that errors do not quote values."""
        return bool(self.scope) or any(column_scope(self.type, one.name) for one in self.type.table.columns)

    @cached_property
    def makes_ids(self) -> bool:
        """Whether a row without an id gets a generated one: whether the key is one UUID."""
        return len(self.type.key) == 1 and self.type.column_kind(self.type.key[0]).name == "uuid"

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns of the natural key; empty if there is none."""
        return tuple(self.plan.declared.key)

    @cached_property
    def named_by(self) -> tuple[str, ...]:
        """The columns that identify an existing row: those of the natural key, or an id that callers must give."""
        return self.key or (() if self.makes_ids else self.type.key)

    @cached_property
    def time(self) -> str | None:
        """The input column with the time of a row; None if there is none."""
        one = self.by_column.get(self.type.ordered_by or "")
        return one.column if one is not None and one.kind.name == "time" else None

    def _fields(self) -> Iterator[RowField]:
        return self._fields_of(self.plan.inputs)

    def _fields_of(self, columns: Iterable[str]) -> Iterator[RowField]:
        type_, plan = self.type, self.plan
        for column in columns:
            reference = plan.refs.get(column)
            name = camel(reference.name) if reference else camel(column)
            description = reference.doc if reference else type_.table.columns[column].comment or ""
            if type_.key == (column,) and not reference:
                given = "Key of the row; generated by default. Give one so that other rows can refer to it."
                name, description = "id", given if self.makes_ids else f"Its key. {description}"
            yield RowField(
                name,
                column,
                type_.column_kind(column),
                description,
                column in plan.required or column in self.demanded,
                column_scope(type_, column),
                reference,
            )


@dataclass(frozen=True, eq=False)
class ChildRows:
    """Facts that can be recorded within the input of their parent row."""

    name: str
    """The field of the parent's input, named like the list on the parent."""
    type: RecordType
    column: str
    """Their column that references the parent; filled by the gateway."""
    description: str

    @cached_property
    def fields(self) -> Mapping[str, RowField]:
        """The input fields of a child row, by GraphQL name."""
        return {name: one for name, one in self.type.fields.items() if one.column != self.column}


def lookups(models: Catalogue, target: str) -> Sequence[Lookup]:
    """The unique keys by which a row of a type can be referenced, besides its id."""
    type_ = models[target]
    root = models.roots[type_.singular]
    return [Lookup(_member(type_, one), one) for one in root.lookups]


def _member(type_: Type, columns: Mapping[str, str]) -> str:
    """The GraphQL name of a key: that of its last column, for several columns without the type's name.

    ``version`` for a model's name and version.
    """
    last = list(columns.values())[-1]
    if len(columns) == 1:
        return camel(last)
    own = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in type_.name).lstrip("_")
    return camel(last.removeprefix(f"{own}_").removesuffix("_id"))


@cache
def record_types() -> Mapping[str, RecordType]:
    """Every recordable type, by name."""
    models = catalogue()
    found = {}
    for entity, _ in recordables():
        group = entity.__group__
        assert group is not None  # noqa: S101 - the gateway's own tables are not recordable
        found[entity.__name__] = RecordType(models[entity.__name__], plan_of(entity), group, entity.__scope__)
    return found


@cache
def child_rows(parent: str) -> Mapping[str, ChildRows]:
    """The facts that can be recorded with a row of a type, by the name of their list."""
    found = {}
    for one in record_types().values():
        column = one.plan.declared.part_of
        reference = one.plan.refs[column] if column else None
        if column and reference and reference.target == parent:
            relation = relations(one.plan.entity)[reference.name]
            name = camel(relation.inverse or one.type.plural)
            found[name] = ChildRows(name, one, column, relation.inverse_doc)
    return found


@cache
def batch_mutations() -> Mapping[str, RecordType]:
    """The mutations that record batches of facts, by name: ``recordServingMetrics``."""
    return {
        f"record{one.type.plural[0].upper()}{one.type.plural[1:]}": one
        for one in record_types().values()
        if one.is_fact
    }


@cache
def purge_mutations() -> Mapping[str, RecordType]:
    """The mutations that purge old rows, by name: ``purgeServingMetrics``."""
    return {
        f"purge{one.type.plural[0].upper()}{one.type.plural[1:]}": one
        for one in record_types().values()
        if one.plan.declared.retention is not None
    }


@dataclass(frozen=True)
class EntityMutation:
    """A mutation of one row of an entity."""

    name: str
    verb: Verb
    type: RecordType

    @property
    def input_type(self) -> str:
        """The GraphQL type of its input."""
        return "RetireInput" if self.verb is Verb.RETIRE else f"{self.name[0].upper()}{self.name[1:]}Input"

    @property
    def doc(self) -> str:
        """Its description."""
        match self.verb:
            case Verb.CREATE:
                does = f"Creates a row of {self.type.name}: columns that are left out take their defaults;"
                does += " null is stored as null."
            case Verb.UPDATE:
                does = f"Updates a row of {self.type.name}: columns that are left out stay as they are;"
                does += " null is stored as null."
            case Verb.RETIRE:
                does = f"Takes a row of {self.type.name} out of use; the row is kept."
                does += " One that is retired already stays so."
        return does


@cache
def entity_mutations() -> Mapping[str, EntityMutation]:
    """The mutations that create, update and retire single rows, by name: ``createExperiment``."""
    every = (
        EntityMutation(f"{verb.value}{one.name}", verb, one) for one in record_types().values() for verb in one.verbs
    )
    return {one.name: one for one in every}


@cache
def recording_mutations() -> Mapping[str, RecordType]:
    """Every mutation that records rows, by name, with the type of the rows."""
    return {**batch_mutations(), **{name: one.type for name, one in entity_mutations().items()}}
