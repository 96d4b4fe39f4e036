"""What tests of recording share: asking for a batch, and rows of every type."""

from __future__ import annotations

from typing import Any

from tests.support.client import Client

ANSWER = """
    __typename
    ... on Recorded { inserted updated kept differing replayed dryRun }
    ... on Problem { code message path }
    ... on RowsRejected { rows { code message path row } }
    ... on InvalidInput { field }
"""


async def record(
    client: Client, mutation: str, rows: list[dict[str, Any]], select: str = "", **input_: Any
) -> dict[str, Any]:
    """The result of a mutation that records a batch, which must not fail outside its union."""
    type_ = f"{mutation[0].upper()}{mutation[1:]}Input!"
    below = f"... on Recorded {{ {select} }}" if select else ""
    data = await client.data(
        f"mutation($input: {type_}) {{ result: {mutation}(input: $input) {{ {ANSWER} {below} }} }}",
        input={"rows": rows, **input_},
    )
    result: dict[str, Any] = data["result"]
    return result


async def write(client: Client, mutation: str, select: str = "", **input_: Any) -> dict[str, Any]:
    """The result of a mutation of one row of an entity, which must not fail outside its union."""
    type_ = "RetireInput!" if mutation.startswith("retire") else f"{mutation[0].upper()}{mutation[1:]}Input!"
    data = await client.data(
        f"mutation($input: {type_}) {{ result: {mutation}(input: $input) {{ {ANSWER} "
        f"... on Recorded {{ ids {select} }} ... on StaleVersion {{ expected }} }} }}",
        input=input_,
    )
    result: dict[str, Any] = data["result"]
    return result
