"""The README is true: its queries run on the demo data, its settings are the settings, its codes are all explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from client import Client
from gateway.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
QUERIES = re.findall(r"```graphql\n(.*?)```", README, re.DOTALL)
EXAMPLES = sorted((ROOT / "gateway" / "static" / "graphiql-examples").glob("*.graphql"))


def settings_table() -> str:
    """The settings as the README lists them."""
    lines = []
    for name, field in Settings.model_fields.items():
        variable = field.validation_alias or f"GATEWAY_{name.upper()}"
        default = (
            "unset"
            if field.default is None
            else f"`{str(field.default).lower() if field.default in (True, False) else field.default}`"
        )
        lines.append(f"| `{variable}` | {default} | {field.description} |")
    return "\n".join(lines)


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
async def test_queries_of_the_readme(query: str, demo: Client) -> None:
    assert await demo.data(query)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_example_tabs_of_graphiql(path: Path, demo: Client) -> None:
    data = await demo.data(path.read_text())
    assert all(connection.get("nodes") or connection.get("aggregate") for connection in data.values())


def test_settings_table() -> None:
    found = re.search(r"<!-- settings -->\n(.*)\n<!-- /settings -->", README, re.DOTALL)
    assert found
    assert found[1] == settings_table()


def test_every_code_is_explained() -> None:
    sources = "".join(path.read_text() for room in ("gateway", "schema") for path in (ROOT / room).glob("*.py"))
    codes = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+|INTERNAL)"', sources))
    explained = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)*)`", README))
    environment = {str(f.validation_alias) for f in Settings.model_fields.values() if f.validation_alias}
    assert codes - explained - environment - {"GATEWAY_"} == set()
