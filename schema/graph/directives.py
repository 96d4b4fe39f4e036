"""The directives of the SDL: `@table` and `@fact`."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

import strawberry
from strawberry import UNSET
from strawberry.schema_directive import Location

from db.base.column_facts import NO_FACTS, ColumnFacts, Holds, Unit


@strawberry.schema_directive(
    locations=[Location.OBJECT], name="table", description="The table or view of the database behind a type."
)
class TableDirective:
    name: str = strawberry.directive_field(name="name")


def _enum(name: str, members: Iterable[Unit | Holds], description: str) -> Any:
    values = {member.name: strawberry.enum_value(member.value, description=member.doc) for member in members}
    cls: Any = enum.Enum(name, values)  # type: ignore[misc]  # members are those of the models' vocabulary
    return strawberry.enum(cls, name=name, description=description)


FactUnit: Any = _enum("FactUnit", Unit, "The unit of a number.")
FactHolds: Any = _enum("FactHolds", Holds, "What a text or a JSON document holds.")


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION, Location.OBJECT],
    name="fact",
    description="Meaning of a field's values: the unit of a number, the kind of a text, the words of a closed "
    "vocabulary; and other names of the field or type.",
)
class FactDirective:
    unit: FactUnit | None = strawberry.directive_field(name="unit", default=UNSET)
    holds: FactHolds | None = strawberry.directive_field(name="holds", default=UNSET)
    values: list[str] | None = strawberry.directive_field(name="values", default=UNSET)
    aliases: list[str] | None = strawberry.directive_field(name="aliases", default=UNSET)


def fact_directives(facts: ColumnFacts) -> list[Any]:
    """The directives of a field with these facts; empty if its type says everything."""
    if facts == NO_FACTS:
        return []
    return [
        FactDirective(
            unit=FactUnit[facts.unit.name] if facts.unit else UNSET,
            holds=FactHolds[facts.holds.name] if facts.holds else UNSET,
            values=list(facts.values) or UNSET,
            aliases=list(facts.aliases) or UNSET,
        )
    ]
