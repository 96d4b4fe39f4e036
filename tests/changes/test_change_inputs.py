"""What changes take, beside the schema and the columns that it is written to."""

from __future__ import annotations

import pytest
from graphql import GraphQLInputObjectType, is_required_input_field
from sqlalchemy import String

from schema.catalogue.from_models import catalogue
from schema.changes.mutations import mutations, mutations_of
from schema.recording.record_fields import row_changes
from schema.schema import build


@pytest.mark.parametrize("name", sorted(type_.name for type_ in catalogue()))
def test_the_inputs_of_a_change_are_those_of_its_input_type(name: str) -> None:
    """Each field of it once, required where the schema demands it or the state does."""
    types = build().graphql.type_map
    offered = [(one, to, *one.inputs(to)) for one, _ in mutations_of(name) for to in (None, *one.needs)]
    for one, to, required, optional in [
        *offered, *((one, None, one.required, one.optional) for one in row_changes(name)),
    ]:  # fmt: skip
        input_ = types[one.input_type]
        assert isinstance(input_, GraphQLInputObjectType)
        assert sorted([*required, *optional]) == sorted(input_.fields), (one, to)
        demanded = {field for field, given in input_.fields.items() if is_required_input_field(given)}
        assert demanded <= set(required), (one, to)


def test_a_change_takes_texts_as_long_as_their_columns_hold() -> None:
    """Neither shorter, nor longer, which the database would refuse without the input's name."""
    compared = 0
    for one in mutations().values():
        for name, given in one.given.items():
            columns = [
                type_.table.c[name]
                for type_ in catalogue()
                if type_.sql_name in one.reads and name in type_.table.c and isinstance(given.type, String)
            ]
            for column in columns:
                assert getattr(column.type, "length", None) == given.type.length, (one.name, name, str(column))
                compared += 1
    assert compared > 10
