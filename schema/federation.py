"""The schema as a subgraph of Apollo Federation 2: the SDL with its keys, for composition.

Every type with a global id has `@key(fields: "id")`, and a key for each further unique set of fields; `PageInfo`,
`Query.node` and `Query.nodes` are shareable, since other Relay-style subgraphs have them, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import DirectiveNode, DocumentNode, ObjectTypeDefinitionNode, SchemaDefinitionNode, parse, print_ast

LINK = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable"])\n'
SHAREABLE_ROOTS = ("node", "nodes")


def subgraph_sdl(sdl: str, entities: Mapping[str, Sequence[Sequence[str]]]) -> str:
    """The SDL of the subgraph, from that of the schema; ``entities`` are types with an id, and their other keys."""
    shareable = _directive("@shareable")
    definitions = []
    for one in parse(sdl, no_location=True).definitions:
        if isinstance(one, SchemaDefinitionNode):
            continue  # root types of a subgraph have no schema definition
        made: Any = one
        if isinstance(one, ObjectTypeDefinitionNode):
            if one.name.value in entities:
                keys = [("id",), *entities[one.name.value]]
                named = [_directive(f'@key(fields: "{" ".join(fields)}")') for fields in keys]
                made = _with(one, directives=(*named, *(one.directives or ())))
            elif one.name.value == "PageInfo":
                made = _with(one, directives=(shareable, *(one.directives or ())))
            elif one.name.value == "Query":
                fields = tuple(
                    _with(field, directives=(shareable, *(field.directives or ())))
                    if field.name.value in SHAREABLE_ROOTS
                    else field
                    for field in one.fields or ()
                )
                made = _with(one, fields=fields)
        definitions.append(made)
    return f"{LINK}\n{print_ast(DocumentNode(definitions=tuple(definitions)))}\n"


def _with(node: Any, **changed: Any) -> Any:
    """The same node with other attributes."""
    parts = {name: getattr(node, name) for name in node.keys if name != "loc"}
    return type(node)(**(parts | changed))


def _directive(text: str) -> DirectiveNode:
    made: Any = parse(f"type T {text} {{ a: Int }}", no_location=True).definitions[0]
    directive: DirectiveNode = made.directives[0]
    return directive
