"""Each error of a value of a variable: its path, what it says, and what beside it is right."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLInputObjectType, build_schema
from graphql.language import parse_type
from graphql.utilities import type_from_ast

from schema.catalogue.exact_json import path_text
from schema.execution.coercions import CONFIDENTIAL, ROWS
from schema.execution.input_errors import wrong_values

SCHEMA = build_schema("""
    scalar Day
    enum Side { LEFT RIGHT }
    input Row { name: String!, count: Int! = 3, side: Side, tags: [String!], nested: Row, on: Boolean, patient: String }
    input One @oneOf { id: ID, name: String }
    type Query { rows(rows: [Row!]!, one: One, day: Day): Int }
""")
ROW = SCHEMA.type_map["Row"]
assert isinstance(ROW, GraphQLInputObjectType)
ROW.fields["patient"].extensions = {CONFIDENTIAL: True}

NEEDED = "and the type 'String!' needs a value."
ONE = "exactly one field of the type 'One' is needed, with a value: id, name."


@pytest.mark.parametrize(
    ("type_", "value", "errors"),
    [
        ("String!", None, {"": "it is null, and the type 'String!' needs a value."}),
        ("String", None, {}),
        ("String", 1, {"": "1 is not a text."}),
        ("Boolean", True, {}),
        ("Boolean", "true", {"": '"true" is not true or false.'}),
        ("Boolean", 0, {"": "0 is not true or false."}),
        ("[String!]", ["a", None, 2], {"[1]": f"it is null, {NEEDED}", "[2]": "2 is not a text."}),
        ("[String!]", "a", {}),
        ("[String!]", 1, {"": "1 is not a text."}),
        ("[String]", [None], {}),
        ("Side", "LEFT", {}),
        ("Side", "left", {"": "\"left\" is not a member of the enum 'Side'."}),
        ("Side", 1, {"": "1 is not a member of the enum 'Side'."}),
        ("Side", ["LEFT"], {"": "[\"LEFT\"] is not a member of the enum 'Side'."}),
        ("Row", {"name": "a"}, {}),
        ("Row", {}, {"name": f"it is missing, {NEEDED}"}),
        ("Row", {"name": None}, {"name": f"it is null, {NEEDED}"}),
        ("Row", {"name": "a", "count": None}, {"count": "it is null, and the type 'Int!' needs a value."}),
        ("Row", {"name": "a", "nested": {"name": 1}}, {"nested.name": "1 is not a text."}),
        ("Row", {"name": "a", "tags": ["b", 1]}, {"tags[1]": "1 is not a text."}),
        ("Row", {"name": "a", "patient": 77}, {"patient": "it is not a text."}),
        ("Row", {"name": "a", "patient": None}, {}),
        ("Row", [], {"": "[] is not an object of the type 'Row'."}),
        ("Row", "x", {"": "\"x\" is not an object of the type 'Row'."}),
        ("Row", {"name": "a", "nam": 1}, {"nam": "the type 'Row' has no field 'nam'."}),
        ("Row", {"name": "a", "n" * 81: 1}, {"n" * 80: f"the type 'Row' has no field '{'n' * 80}'."}),
        ("One", {"id": "1"}, {}),
        ("One", {}, {"": ONE}),
        ("One", {"id": "1", "name": "a"}, {"": ONE}),
        ("One", {"id": None}, {"": ONE}),
        ("One", {"id": "1", "name": None}, {"": ONE}),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_value(type_: str, value: Any, errors: dict[str, str]) -> None:
    found = wrong_values(type_from_ast(SCHEMA, parse_type(type_)), value, None)
    assert {path_text(path): message for path, message in found} == errors


def test_rows_of_a_user_are_not_quoted() -> None:
    row = SCHEMA.type_map["Row"]
    row.extensions = {ROWS: True}
    try:
        assert [message for _, message in wrong_values(row, ["secret"], None)] == [
            "it is not an object of the type 'Row'."
        ]
    finally:
        row.extensions = {}


def test_a_scalar_says_itself_what_is_wrong() -> None:
    assert list(wrong_values(SCHEMA.type_map["ID"], [1], None)) == [((), "ID cannot represent value: [1]")]


def test_paths_are_written_as_in_json() -> None:
    assert path_text(("where", "and", 0, "auc", "gt")) == "where.and[0].auc.gt"
    assert path_text((0, "a")) == "[0].a"
    assert path_text(()) == ""
