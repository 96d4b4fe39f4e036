"""The inputs of lists, built from the catalogue: a filter, an order, and an enum of fields per type."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from db.base.sketches import RELATIVE_ERROR
from db.base.vocabulary import Labels
from schema.adapters.strawberry import annotate
from schema.catalogue.catalogue import Catalogue, RelationField, Type
from schema.catalogue.column_types import ColumnKind
from schema.catalogue.scalars import BY_NAME, JSON
from schema.sql.aggregates import MAX_GROUPS, MAX_KEYS, TimeBucket
from schema.sql.operators import LISTS, MAX_LIST, Operator, filtered, operators
from schema.sql.orders import MAX_TERMS, sortable


@strawberry.enum(description="Direction of an order.")
class Direction(enum.Enum):
    ASC = strawberry.enum_value("ASC", description="Smallest first.")
    DESC = strawberry.enum_value("DESC", description="Largest first.")


@strawberry.enum(description="Position of rows without a value in an order.")
class Nulls(enum.Enum):
    FIRST = strawberry.enum_value("FIRST", description="Before all values.")
    LAST = strawberry.enum_value("LAST", description="After all values.")


def described(cls: type, fields: dict[str, tuple[Any, str]], description: str) -> Any:
    """An input class with optional fields, ``{GraphQL name: (annotation, description)}``."""
    annotations: dict[str, Any] = {}
    for name, (annotation, text) in fields.items():
        attribute = f"{name}_"  # `in`, `not`, `and` and `or` are Python keywords
        annotations[attribute] = annotation | None
        setattr(cls, attribute, strawberry.field(name=name, description=text, default=UNSET))
    annotate(cls, {**cls.__annotations__, **annotations})
    return strawberry.input(cls, description=description)


def upper_snake(name: str) -> str:
    """``p99LatencyMs`` -> ``P99_LATENCY_MS``."""
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in name)


def reached(catalogue: Catalogue, type_: Type) -> list[RelationField]:
    """The relations that filters and orders can use: those to rows without arguments."""
    return [one for one in type_.relations.values() if not catalogue[one.target].arguments]


_BESIDE = "Beside a relation it applies to the field that the relation's order names."


class Inputs:
    """The input classes of every type of a catalogue."""

    def __init__(self, catalogue: Catalogue, enum_of: Callable[[type[Labels]], Any]) -> None:
        self._catalogue = catalogue
        self._enum_of = enum_of
        self._filters: dict[str, Any] = {}
        self.where: dict[str, Any] = {type_.name: type(f"{type_.name}Where", (), {}) for type_ in catalogue}
        self.order: dict[str, Any] = {type_.name: type(f"{type_.name}Order", (), {}) for type_ in catalogue}
        self._some: dict[str, Any] = {type_.name: type(f"{type_.name}ListWhere", (), {}) for type_ in catalogue}
        self.fields: dict[str, Any] = {type_.name: self._fields(type_) for type_ in catalogue}
        self.group_by: dict[str, Any] = {type_.name: self._group_by(type_) for type_ in catalogue}
        for type_ in catalogue:
            self._define_where(type_)
            self._define_some(type_)
            self._define_order(type_)

    def _define_where(self, type_: Type) -> None:
        own = self.where[type_.name]
        fields: dict[str, tuple[Any, str]] = {
            "and": (list[own], f"All of these hold (at most {MAX_LIST}); an empty list matches everything."),  # type: ignore[valid-type]  # created at run time
            "or": (list[own], f"At least one of these holds (at most {MAX_LIST}); an empty list matches nothing."),  # type: ignore[valid-type]
            "not": (own, "The condition does not hold."),
        }
        for leaf in type_.columns.values():
            if filtered(leaf):
                fields[leaf.name] = (self._filter(leaf.kind), leaf.description)
        for relation in reached(self._catalogue, type_):
            target = self._some if relation.many else self.where
            fields[relation.name] = (target[relation.target], relation.description)
        described(own, fields, f"Filter of {type_.name} rows: all conditions must hold.")

    def _define_some(self, type_: Type) -> None:
        own = self.where[type_.name]
        fields: dict[str, tuple[Any, str]] = {
            "some": (own, "At least one of the rows matches; `{}` matches if there is any row."),
            "none": (own, "None of the rows matches; `{}` matches if there are no rows."),
            "every": (own, "All of the rows match; true if there are no rows."),
        }
        described(self._some[type_.name], fields, f"Filter by the {type_.name} rows of a relation.")

    def _define_order(self, type_: Type) -> None:
        cls = self.order[type_.name]
        fields: dict[str, tuple[Any, str]] = {"field": (self.fields[type_.name], "The field to order by.")}
        for relation in reached(self._catalogue, type_):
            if not relation.many:
                fields[relation.name] = (
                    self.order[relation.target],
                    f"Order by a field of `{relation.name}`. {relation.description}",
                )
        fields["direction"] = (Direction, f"Ascending or descending; ASC by default. {_BESIDE}")
        fields["nulls"] = (Nulls, f"Position of rows without a value; LAST by default. {_BESIDE}")
        described(cls, fields, f"One term of an order of {type_.name} rows: a field, or one relation's order.")

    def _fields(self, type_: Type) -> Any:
        members = {
            upper_snake(leaf.name): strawberry.enum_value(leaf.name, description=leaf.description)
            for leaf in type_.columns.values()
            if sortable(leaf)
        }
        cls: Any = enum.Enum(f"{type_.name}Field", members)  # type: ignore[misc]  # members come from the models
        return strawberry.enum(
            cls, name=f"{type_.name}Field", description=f"A field that {type_.name} rows are ordered or grouped by."
        )

    def _group_by(self, type_: Type) -> Any:
        cls: Any = type(f"{type_.name}GroupBy", (), {"__annotations__": {"field": self.fields[type_.name]}})
        cls.field = strawberry.field(description="The field to group by.")
        fields = {"bucket": (TimeBucket, "Length of the intervals, for times; exact times by default.")}
        return described(cls, fields, f"One key by which {type_.name} rows are grouped.")

    def _filter(self, kind: ColumnKind) -> Any:
        """The filter of a kind; columns with equal operators share one input."""
        base = kind.labels.__name__ if kind.labels else kind.graphql
        name = f"{base}ListFilter" if kind.is_list else f"{base}Filter"
        if name not in self._filters:
            scalar = self._enum_of(kind.labels) if kind.labels else BY_NAME[kind.graphql]
            fields = {operator.name: (_operand(operator, scalar), operator.description) for operator in operators(kind)}
            what = f"lists of {base}" if operators(kind) is LISTS else f"{base} values"
            self._filters[name] = described(type(name, (), {}), fields, f"Filter of {what}: all conditions must hold.")
        return self._filters[name]


def _operand(operator: Operator, scalar: Any) -> Any:
    match operator.takes:
        case "value":
            return scalar
        case "list":
            return list[scalar]
        case "flag":
            return bool
        case "json":
            return JSON
        case _:
            return str


def list_arguments(where: Any, order: Any) -> dict[str, Any]:
    """The arguments for filtering and ordering a list."""
    return {
        "where": Annotated[where | None, strawberry.argument(description="Only rows that match; all rows by default.")],
        "orderBy": Annotated[
            list[order] | None,
            strawberry.argument(
                name="orderBy",
                description=f"Sort order, at most {MAX_TERMS} terms, the most significant first; newest first by "
                "default. "
                "Ties are broken by the key.",
            ),
        ],
    }


EXACT_PERCENTILES = Annotated[
    bool | None,
    strawberry.argument(
        description="Compute percentiles from all rows. By default they are read off sketches where rollups are kept, "
        f"with a relative error of at most {RELATIVE_ERROR:.0%}, which `extensions.rollup` says."
    ),
]


def group_argument(group_by: Any) -> Any:
    """The argument for grouping an aggregate."""
    return Annotated[
        list[group_by] | None,
        strawberry.argument(
            name="groupBy",
            description=f"The keys of the groups, at most {MAX_KEYS}; all rows are one group by default. More than "
            f"{MAX_GROUPS} groups are an error; a part of them is never returned.",
        ),
    ]
