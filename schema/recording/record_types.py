"""What a recordable type takes as input, by its GraphQL names, and how each value reaches its column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from db.base.markers import Group, RowNature
from db.base.recording import RecordPlan, RowReference, plan_of, recordables
from schema.catalogue.catalogue import Catalogue, Type, camel
from schema.catalogue.column_types import ColumnKind
from schema.catalogue.from_models import catalogue
from schema.scopes import column_scope


@dataclass(frozen=True)
class RowField:
    """A field of the input of a row: one column, or a reference to a row of another type."""

    name: str
    column: str
    kind: ColumnKind
    description: str
    required: bool
    scope: str | None
    """What a caller needs to give it, beside the scope of the type."""
    reference: RowReference | None = None


@dataclass(frozen=True)
class Lookup:
    """A way to name a row of a type by what is unique: the name of the member, and its columns by argument."""

    name: str
    columns: Mapping[str, str]

    @property
    def is_single(self) -> bool:
        return len(self.columns) == 1


@dataclass(frozen=True, eq=False)
class RecordType:
    """A type whose rows are recorded."""

    type: Type
    plan: RecordPlan
    group: Group

    @property
    def name(self) -> str:
        return self.type.name

    @property
    def is_fact(self) -> bool:
        return self.plan.declared.nature is RowNature.FACT

    @cached_property
    def fields(self) -> Mapping[str, RowField]:
        """By GraphQL name, in the order of the columns."""
        return {one.name: one for one in self._fields()}

    @cached_property
    def by_column(self) -> Mapping[str, RowField]:
        return {one.column: one for one in self.fields.values()}

    @cached_property
    def is_confidential(self) -> bool:
        """Whether its rows hold what is known of single patients."""
        return any(column_scope(self.type, column.name) for column in self.type.table.columns)

    @cached_property
    def makes_ids(self) -> bool:
        """Whether a row without an id gets one: a UUID, which the database would make too."""
        return len(self.type.key) == 1 and self.type.column_kind(self.type.key[0]).name == "uuid"

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns that name a row beside its id."""
        return tuple(self.plan.declared.key)

    @cached_property
    def time(self) -> str | None:
        """The column of the time that a row tells of, None where there is none among the inputs."""
        one = self.by_column.get(self.type.ordered_by or "")
        return one.column if one is not None and one.kind.name == "time" else None

    def _fields(self) -> Iterator[RowField]:
        type_, plan = self.type, self.plan
        for column in plan.inputs:
            reference = plan.refs.get(column)
            name = camel(reference.name) if reference else camel(column)
            description = reference.doc if reference else type_.table.columns[column].comment or ""
            if type_.key == (column,) and not reference:
                name, description = "id", "Its key: made here unless given, so that other rows can name it."
            yield RowField(
                name,
                column,
                type_.column_kind(column),
                description,
                column in plan.required or column in self.key,
                column_scope(type_, column),
                reference,
            )


def lookups(models: Catalogue, target: str) -> Sequence[Lookup]:
    """The ways to name a row of a type beside its id."""
    type_ = models[target]
    root = models.roots[type_.singular]
    return [Lookup(_member(type_, one), one) for one in root.lookups]


def _member(type_: Type, columns: Mapping[str, str]) -> str:
    """Of several columns the last one's name, without the type's own: ``version`` for a model's name and version."""
    last = list(columns.values())[-1]
    if len(columns) == 1:
        return camel(last)
    own = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in type_.name).lstrip("_")
    return camel(last.removeprefix(f"{own}_").removesuffix("_id"))


@cache
def record_types() -> Mapping[str, RecordType]:
    """Every type whose rows are recorded, by name."""
    models = catalogue()
    found = {}
    for entity, _ in recordables():
        group = entity.__group__
        assert group is not None  # noqa: S101 - the gateway's own tables are not recordable
        found[entity.__name__] = RecordType(models[entity.__name__], plan_of(entity), group)
    return found


@cache
def batch_mutations() -> Mapping[str, RecordType]:
    """The mutations that record batches of facts, by name: ``recordServingMetrics``."""
    return {
        f"record{one.type.plural[0].upper()}{one.type.plural[1:]}": one
        for one in record_types().values()
        if one.is_fact
    }
