"""What `changes` of a row offers is what the gateway does: each is tried, on rows of every type in every state."""

from __future__ import annotations

from typing import Any

import pytest

from db.base.entity import camel
from db.base.lifecycles import lifecycles_of
from schema.catalogue.from_models import catalogue
from schema.changes.mutations import Mutation, mutations_of
from tests.changes.test_lifecycles import sample
from tests.support.changing import RESULT
from tests.support.client import Client

pytestmark = pytest.mark.slow

TYPES = sorted(
    type_.name
    for type_ in catalogue()
    if type_.plural and any(one.subject == type_.name for one, _ in mutations_of(type_.name))
)
ROWS = 12
"""Of each type: the demo has each of the states among them."""
OFFERED = "changes { mutation to idField allowed blockedBy { code } }"


def given(one: Mutation, to: str | None) -> dict[str, Any]:
    """What the mutation cannot do without."""
    needed = [*(name for name, given in one.given.items() if given.required), *one.needs.get(to or "", ())]
    if (one.name, to) == ("approveReview", "APPROVED"):
        needed += ["checklist_json", "valid_until"]
    return {camel(name): sample(one.given[name], name) for name in needed}


async def tried(client: Client, one: Mutation, input_: dict[str, Any]) -> dict[str, Any]:
    asked = f"mutation($input: {one.input_type}!) {{ result: {one.name}(input: $input) {{ {RESULT} }} }}"
    result: dict[str, Any] = (await client.data(asked, input={**input_, "dryRun": True}))["result"]
    return result


@pytest.mark.parametrize("name", TYPES)
async def test_what_nothing_blocks_changes_something_and_the_rest_is_refused(name: str, demo: Client) -> None:
    type_ = catalogue()[name]
    offered = f"lifecycle {{ state {OFFERED} }}" if lifecycles_of(name) else OFFERED
    data = await demo.data(f"{{ rows: {type_.plural}(first: {ROWS}) {{ nodes {{ id {offered} }} }} }}")
    own = [one for one, field in mutations_of(name) if field == "id" and one.subject == name]
    for row in data["rows"]["nodes"]:
        changes = row["lifecycle"]["changes"] if "lifecycle" in row else row["changes"]
        for one in own:
            ways = [way for way in changes if way["mutation"] == one.name]
            if one.guards is None or (one.states and any(way["to"] is None for way in ways)):
                continue  # its input decides
            for way in ways:
                to = way["to"]
                input_ = {"id": row["id"], "reason": "a test", **given(one, to), **({"to": to} if one.states else {})}
                result = await tried(demo, one, input_)
                assert result["__typename"] == "TransitionPreview", (row, one.name, result)
                blocked, told = ([found["code"] for found in said] for said in (result["blockers"], way["blockedBy"]))
                is_lifted = to is not None and any(given.stored for given in one.given.values())
                assert (set(blocked) <= set(told)) if is_lifted else (blocked == told), (row, one.name, result)
                assert bool(result["wouldChange"]) is not bool(blocked), (row, one.name, result)
            lapsed = {lapse.into.name for life in lifecycles_of(name) for lapse in life.lapses}
            if not ways and not one.states and row.get("lifecycle", {}).get("state") not in lapsed:
                result = await tried(demo, one, {"id": row["id"], "reason": "a test", **given(one, None)})
                assert result["__typename"] == "IllegalTransition", (row, one.name, result)
