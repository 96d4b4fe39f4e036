"""Several changes of one operation in one transaction: all or none, previewed and asked for twice as a whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from gateway.context import Caller
from schema.scopes import PREVIEW, read_scopes
from tests.support.changing import RESULT, deployed, events_of, model_in, shadowed, state, uuid_of, versions
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect
from tests.support.sockets import listening, peer


@pytest.fixture(scope="module")
async def own(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    async with clone(demo_template) as copy:
        yield copy


UNDONE = " ... on TransactionUndone { cause causeCode }"


def operation(steps: list[tuple[str, str, dict[str, Any]]], terms: str = "") -> tuple[str, dict[str, Any]]:
    """A document of steps, each with its response key, mutation and input, and its variables."""
    taken = ", ".join(f"${key}: {name[0].upper()}{name[1:]}Input!" for key, name, _ in steps)
    fields = " ".join(f"{key}: {name}(input: ${key}) {{ {RESULT} {UNDONE} }}" for key, name, _ in steps)
    return f"mutation({taken}) @transaction{terms} {{ {fields} }}", {key: input_ for key, _, input_ in steps}


async def together(client: Client, *steps: tuple[str, str, dict[str, Any]], terms: str = "") -> dict[str, Any]:
    """The answer to steps in one transaction."""
    query, variables = operation(list(steps), terms)
    return await client.ask(query, **variables)


def promote(key: str, model: str, to: str, **more: Any) -> tuple[str, str, dict[str, Any]]:
    return key, "promoteModel", {"id": model, "to": to, **more}


def kinds(answer: dict[str, Any]) -> dict[str, str]:
    assert "errors" not in answer, answer["errors"]
    return {key: result["__typename"] for key, result in answer["data"].items()}


async def test_all_are_made_in_their_order_and_answered_as_the_transaction_leaves_them(
    client: Client, sql: asyncpg.Connection
) -> None:
    one, other = await model_in(sql, "development"), await model_in(sql, "development")
    answer = await together(
        client, promote("a", one, "STAGING", reason="r"), promote("b", other, "STAGING"), promote("c", one, "SHADOW")
    )
    assert list(answer["data"]) == ["a", "b", "c"]
    assert set(kinds(answer).values()) == {"TransitionApplied"}
    data = answer["data"]
    assert data["a"]["node"] == data["c"]["node"]
    assert data["a"]["node"]["stage"] == "SHADOW"
    assert [data[key]["event"]["toState"] for key in "abc"] == ["STAGING", "STAGING", "SHADOW"]
    assert [event[1:3] for event in await events_of(sql, one)] == [
        ("DEVELOPMENT", "STAGING"), ("STAGING", "SHADOW"),
    ]  # fmt: skip
    ids = [uuid_of(one), uuid_of(other)]
    assert await sql.fetchval("SELECT count(DISTINCT xmin::text) FROM ml_model_registry WHERE id = ANY ($1)", ids) == 1
    requests = "SELECT count(DISTINCT request_id) FROM gateway.lifecycle_events WHERE node_id = ANY ($1)"
    assert await sql.fetchval(requests, [one, other]) == 1


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_problem_of_one_undoes_all_and_the_others_say_whose(
    client: Client, sql: asyncpg.Connection, place: int
) -> None:
    models = [await model_in(sql, "development") for _ in range(3)]
    steps = [promote(f"s{n}", model, "PRODUCTION" if n == place else "STAGING") for n, model in enumerate(models)]
    answer = await together(client, *steps)
    assert "errors" not in answer
    for n, result in enumerate(answer["data"].values()):
        if n == place:
            assert (result["__typename"], result["node"]) == ("IllegalTransition", {"id": models[n]})
            continue
        assert result == {
            "__typename": "TransactionUndone", "code": "TRANSACTION_UNDONE", "path": ["@transaction"],
            "cause": f"s{place}", "causeCode": "ILLEGAL_TRANSITION",
            "message": f"Nothing was changed: 's{place}' answers ILLEGAL_TRANSITION, and the operation is one "
            "transaction.",
        }  # fmt: skip
    for model in models:
        assert await state(sql, model) == ("development", False)
        assert await events_of(sql, model) == []


async def test_guards_judge_what_the_steps_before_have_left(client: Client, sql: asyncpg.Connection) -> None:
    """A model cannot be champion in development: it can once the step before has moved it."""
    model = await model_in(sql, "development")
    champion = ("champion", "setChampion", {"id": model})
    answer = await together(client, champion, promote("to", model, "STAGING"))
    assert kinds(answer) == {"champion": "TransitionBlocked", "to": "TransactionUndone"}
    steps = [promote("a", model, "STAGING"), promote("b", model, "SHADOW"), champion]
    assert set(kinds(await together(client, *steps)).values()) == {"TransitionApplied"}
    assert await state(sql, model) == ("shadow", True)


@pytest.mark.parametrize(
    "wrong", [{"id": "Model:nonsense"}, {"id": "Alert:1"}, {"reason": "\0"}, {"reason": "x" * 5000}]
)
async def test_input_that_cannot_be_used_stops_all_before_any_sql(
    client: Client, sql: asyncpg.Connection, wrong: dict[str, Any]
) -> None:
    model = await model_in(sql, "development")
    answer = await together(client, promote("a", model, "STAGING"), promote("b", model, "SHADOW", **wrong))
    assert kinds(answer) == {"a": "TransactionUndone", "b": "InvalidInput"}
    assert (answer["data"]["a"]["cause"], answer["data"]["a"]["causeCode"]) == ("b", "INVALID_INPUT")
    assert await events_of(sql, model) == []


async def test_a_step_has_neither_a_key_nor_a_dry_run_of_its_own(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    for name, value in (("idempotencyKey", "k"), ("dryRun", True)):
        answer = await together(client, promote("a", model, "STAGING", **{name: value}), promote("b", model, "SHADOW"))
        assert kinds(answer) == {"a": "InvalidInput", "b": "TransactionUndone"}
        assert answer["data"]["a"]["field"] == name
        assert "@transaction(" in answer["data"]["a"]["message"]
    assert await state(sql, model) == ("development", False)


# -- previews ----------------------------------------------------------------------------------------------------------

DRY = "(dryRun: true)"


async def test_a_preview_shows_each_step_as_those_before_leave_the_rows_and_undoes_all(
    client: Client, sql: asyncpg.Connection
) -> None:
    model = await model_in(sql, "development")
    steps = [promote("a", model, "STAGING"), promote("b", model, "SHADOW", dryRun=True)]
    answer = await together(client, *steps, terms=DRY)
    assert kinds(answer) == {"a": "TransitionPreview", "b": "TransitionPreview"}
    seen = [answer["data"][key]["wouldChange"][0] for key in "ab"]
    assert [(one["before"]["stage"], one["after"]["stage"]) for one in seen] == [
        ("DEVELOPMENT", "STAGING"), ("STAGING", "SHADOW"),
    ]  # fmt: skip
    assert await state(sql, model) == ("development", False)
    assert await events_of(sql, model) == []
    assert set(kinds(await together(client, *steps[:1], promote("b", model, "SHADOW"))).values()) == {
        "TransitionApplied"
    }


async def test_a_preview_of_what_would_be_refused_says_so_in_every_field(
    client: Client, sql: asyncpg.Connection
) -> None:
    model = await model_in(sql, "staging")
    answer = await together(client, promote("a", model, "SHADOW"), promote("b", model, "PRODUCTION"), terms=DRY)
    assert kinds(answer) == {"a": "TransactionUndone", "b": "TransitionPreview"}
    assert [one["code"] for one in answer["data"]["b"]["blockers"]] == ["NO_SHADOW_EVIDENCE"]
    assert answer["data"]["b"]["wouldChange"] == []
    assert answer["data"]["a"]["cause"] == "b"


async def test_a_preview_tells_no_key_of_a_row_that_another_step_would_make(
    client: Client, sql: asyncpg.Connection
) -> None:
    """The second deployment would stand behind the first, which has no id that anybody could use."""
    model = await shadowed(sql)
    await deployed(sql, model, status="active")
    start = {"modelId": model, "environment": "production"}
    answer = await together(client, ("a", "startDeployment", start), ("b", "startDeployment", start), terms=DRY)
    for result in answer["data"].values():
        (made,) = result["wouldChange"]
        assert (made["nodeId"], made["before"], made["type"]) == (None, None, "Deployment")
        assert "id" not in made["after"]


async def test_whoever_may_only_preview_does(
    own: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await model_in(sql, "development"), await model_in(sql, "staging")
    steps = [promote("a", one, "STAGING"), ("b", "setChampion", {"id": other})]
    anonymous = "gateway.auth.authentication.ANONYMOUS"
    monkeypatch.setattr(anonymous, Caller("looker", frozenset({*read_scopes(), PREVIEW})))
    async with serving(own.gateway_url) as client:
        answer = await together(client, promote("a", one, "STAGING"), promote("b", other, "SHADOW"), terms=DRY)
        assert set(kinds(answer).values()) == {"TransitionPreview"}
        assert kinds(await together(client, *steps)) == {"a": "Forbidden", "b": "TransactionUndone"}
    monkeypatch.setattr(anonymous, Caller("mover", frozenset({*read_scopes(), "change:promoteModel"})))
    async with serving(own.gateway_url) as client:
        assert kinds(await together(client, *steps)) == {"a": "TransactionUndone", "b": "Forbidden"}
    assert await state(sql, one) == ("development", False)


# -- keys --------------------------------------------------------------------------------------------------------------


def keyed(key: str) -> str:
    return f"(idempotencyKey: {json.dumps(key)})"


async def test_a_key_stands_for_all_of_them(client: Client, sql: asyncpg.Connection) -> None:
    one, other = await model_in(sql, "development"), await model_in(sql, "development")
    steps = [promote("a", one, "STAGING"), promote("b", other, "STAGING"), promote("c", one, "SHADOW")]
    first = await together(client, *steps, terms=keyed(one))
    await together(client, promote("on", one, "STAGING"))
    renamed = [(f"x{key}", name, input_) for key, name, input_ in steps]
    again = await together(client, *renamed, terms=keyed(one))
    assert [result["replayed"] for result in first["data"].values()] == [False] * 3
    assert [result["replayed"] for result in again["data"].values()] == [True] * 3
    events = [[result["event"]["id"] for result in answer["data"].values()] for answer in (first, again)]
    assert events[0] == events[1]
    assert again["data"]["xa"]["node"]["stage"] == "STAGING", "rows are shown as they are now"
    assert len(await events_of(sql, one)) == 3


async def test_a_key_is_for_the_same_steps_in_the_same_order(client: Client, sql: asyncpg.Connection) -> None:
    one, other = await model_in(sql, "development"), await model_in(sql, "development")
    a, b = promote("a", one, "STAGING"), promote("b", other, "STAGING")
    assert set(kinds(await together(client, a, b, terms=keyed(one))).values()) == {"TransitionApplied"}
    for steps in ([b, a], [a], [a, b, promote("c", one, "SHADOW")], [a, promote("b", other, "ARCHIVED")]):
        answer = await together(client, *steps, terms=keyed(one))
        assert set(kinds(answer).values()) == {"InvalidInput"}
        for result in answer["data"].values():
            assert result["path"] == ["@transaction", "idempotencyKey"]
            assert "was used for another input" in result["message"]
    alone = await client.data(
        f"mutation($i: PromoteModelInput!) {{ promoteModel(input: $i) {{ {RESULT} }} }}",
        i=a[2] | {"idempotencyKey": one},
    )
    assert "was used for a whole transaction" in alone["promoteModel"]["message"]


@pytest.mark.parametrize(("key", "words"), [(" ", "is empty"), ("\0", "NUL"), ("k" * 201, "has 201 characters")])
async def test_a_key_that_cannot_be_kept(client: Client, sql: asyncpg.Connection, key: str, words: str) -> None:
    model = await model_in(sql, "development")
    query, variables = operation(
        [promote("a", model, "STAGING"), promote("b", model, "SHADOW")], "(idempotencyKey: $k)"
    )
    answer = await client.ask(query.replace("mutation(", "mutation($k: String, "), k=key, **variables)
    for result in answer["data"].values():
        assert (result["__typename"], result["field"]) == ("InvalidInput", "idempotencyKey")
        assert words in result["message"]
    assert await events_of(sql, model) == []


async def test_refusals_and_previews_use_no_key(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    good = [promote("a", model, "STAGING"), promote("b", model, "SHADOW")]
    await together(client, good[0], promote("b", model, "PRODUCTION"), terms=keyed(model))
    await together(client, *good, terms=f"(idempotencyKey: {json.dumps(model)}, dryRun: true)")
    answer = await together(client, *good, terms=keyed(model))
    assert [result["replayed"] for result in answer["data"].values()] == [False, False]


# -- versions ----------------------------------------------------------------------------------------------------------


async def test_an_expected_version_is_that_from_before_the_transaction(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    (version,) = await versions(client, model)
    steps = [
        promote("a", model, "STAGING", expectedVersion=version),
        promote("b", model, "SHADOW", expectedVersion=version),
    ]
    assert set(kinds(await together(client, *steps)).values()) == {"TransitionApplied"}
    stale = [promote("a", model, "STAGING"), promote("b", model, "ARCHIVED", expectedVersion=version)]
    answer = await together(client, *stale)
    assert kinds(answer) == {"a": "TransactionUndone", "b": "StaleVersion"}
    assert answer["data"]["b"]["current"]["stage"] == "SHADOW"


async def test_a_version_holds_where_a_trigger_writes_the_row_meanwhile(
    client: Client, sql: asyncpg.Connection
) -> None:
    """The step before changes the row by way of a trigger: that is the transaction's own doing."""
    one, other = await model_in(sql, "development"), await model_in(sql, "development")
    (version,) = await versions(client, other)
    await sql.execute(
        f"""
        CREATE FUNCTION touch_other() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN UPDATE ml_model_registry SET auc = 0.9 WHERE id = '{uuid_of(other)}'; RETURN NULL; END $$;
        CREATE TRIGGER touch_other AFTER UPDATE ON ml_model_registry FOR EACH ROW
        WHEN (NEW.id = '{uuid_of(one)}') EXECUTE FUNCTION touch_other();
        """
    )
    try:
        answer = await together(
            client, promote("a", one, "STAGING"), promote("b", other, "STAGING", expectedVersion=version)
        )
    finally:
        await sql.execute("DROP TRIGGER touch_other ON ml_model_registry; DROP FUNCTION touch_other()")
    assert set(kinds(answer).values()) == {"TransitionApplied"}


# -- documents ---------------------------------------------------------------------------------------------------------


async def test_what_stands_in_the_document(client: Client, sql: asyncpg.Connection) -> None:
    """Fields that are left out are no steps; `__typename` is none; a fragment's are; variables may be null."""
    model = await model_in(sql, "development")
    query = """
        mutation M($id: ID!, $key: String, $dry: Boolean, $no: Boolean!)
            @transaction(idempotencyKey: $key, dryRun: $dry)
        {
          __typename
          gone: promoteModel(input: {id: $id, to: PRODUCTION}) @include(if: $no) { __typename }
          a: promoteModel(input: {id: $id, to: STAGING}) { __typename }
          ...Rest
          last: __typename
        }
        fragment Rest on Mutation { b: promoteModel(input: {id: $id, to: SHADOW}) { __typename } }
    """
    data = await client.data(query, id=model, key=None, no=False)
    applied = {"__typename": "TransitionApplied"}
    assert list(data.items()) == [("__typename", "Mutation"), ("a", applied), ("b", applied), ("last", "Mutation")]
    assert await client.data("mutation @transaction(dryRun: true) { __typename }") == {"__typename": "Mutation"}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("query @transaction { models { totalCount } }", "'@transaction' may not be used on query"),
        ("subscription @transaction { alerts { cursor } }", "'@transaction' may not be used on subscription"),
        ("mutation { expireOverdueReviews(input: {}) @transaction { __typename } }", "may not be used on field"),
        ("mutation @transaction @transaction { __typename }", "can only be used once"),
        ("mutation @transaction(key: 1) { __typename }", "Unknown argument 'key' on directive '@transaction'"),
        ("mutation @transaction(dryRun: 1) { __typename }", "Boolean cannot represent a non boolean value: 1"),
        (
            "mutation @transaction { ... @defer { expireOverdueReviews(input: {}) { __typename } } }",
            "Defer directive cannot be used",
        ),
        ("mutation @transaction { models { totalCount } }", "Cannot query field 'models' on type 'Mutation'"),
    ],
)
async def test_where_it_may_not_stand(client: Client, query: str, words: str) -> None:
    answer = await client.ask(query)
    assert words in answer["errors"][0]["message"]
    assert answer["errors"][0]["extensions"]["code"] in {"GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT"}
    assert "data" not in answer


async def test_a_single_field_may_have_it(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    answer = await together(client, promote("a", model, "STAGING"), terms=keyed(model))
    again = await together(client, promote("a", model, "STAGING"), terms=keyed(model))
    assert (answer["data"]["a"]["replayed"], again["data"]["a"]["replayed"]) == (False, True)


async def test_a_batch_has_a_transaction_for_each_of_its_operations(own: Database, sql: asyncpg.Connection) -> None:
    one, other = await model_in(sql, "development"), await model_in(sql, "development")
    documents = [
        operation([promote("a", one, "STAGING"), promote("b", one, "PRODUCTION")]),
        operation([promote("a", other, "STAGING"), promote("b", other, "SHADOW")]),
    ]
    body = [{"query": query, "variables": variables} for query, variables in documents]
    async with serving(own.gateway_url, max_batch=2) as client:
        answers = (await client.http.post("/graphql", json=body)).json()
    assert kinds(answers[0]) == {"a": "TransactionUndone", "b": "IllegalTransition"}
    assert set(kinds(answers[1]).values()) == {"TransitionApplied"}
    assert [await state(sql, model) for model in (one, other)] == [("development", False), ("shadow", False)]


async def test_over_a_socket_and_told_to_whoever_follows(own: Database, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    follow = f'subscription {{ lifecycleEvents(nodeIds: ["{model}"]) {{ cursor event {{ toState }} }} }}'
    async with listening(own.gateway_url) as gateway, peer(gateway) as follower, peer(gateway) as one:
        stream = await follower.followed(follow)
        for to in ("PRODUCTION", "SHADOW"):  # of what is undone, nothing is told
            query, variables = operation([promote("a", model, "STAGING"), promote("b", model, to)])
            id_ = await one.subscribe(query, **variables)
            assert "errors" not in await one.payload(id_)
            assert (await one.hear())["type"] == "complete"
        told = [(await follower.payload(stream.id))["data"]["lifecycleEvents"]["event"]["toState"] for _ in range(2)]
    assert told == ["STAGING", "SHADOW"]


# -- side by side ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_operations_in_opposite_orders_all_end_well(client: Client, sql: asyncpg.Connection) -> None:
    """Each moves all of the models there and back: one after the other, since rows are locked in one order."""
    models = [await model_in(sql, "development") for _ in range(4)]

    async def moved(place: int) -> dict[str, Any]:
        order = models if place % 2 else models[::-1]
        there = [promote(f"a{n}", model, "STAGING") for n, model in enumerate(order)]
        back = [promote(f"b{n}", model, "DEVELOPMENT") for n, model in enumerate(order[::-1])]
        return await together(client, *there, *back)

    for answer in await asyncio.gather(*(moved(place) for place in range(8))):
        assert set(kinds(answer).values()) == {"TransitionApplied"}


async def test_the_same_key_at_the_same_time(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    steps = [promote("a", model, "STAGING"), promote("b", model, "SHADOW")]
    answers = await asyncio.gather(*(together(client, *steps, terms=keyed(model)) for _ in range(6)))
    replayed = sorted([result["replayed"] for result in answer["data"].values()] for answer in answers)
    assert replayed == [[False, False]] + [[True, True]] * 5
    assert len(await events_of(sql, model)) == 2


# -- what fails --------------------------------------------------------------------------------------------------------


def codes(answer: dict[str, Any]) -> dict[str, str]:
    """The code of each field's error."""
    return {error["path"][0]: error["extensions"]["code"] for error in answer["errors"]}


async def test_an_error_of_one_undoes_all_and_the_others_say_whose(database: Database) -> None:
    """The gateway may not write what the second step writes; the first could have been made."""
    sql = await connect(database.admin_url)
    await sql.execute("REVOKE UPDATE, INSERT ON ml_deployments FROM e2i_gateway")
    model = await shadowed(sql)
    start = ("b", "startDeployment", {"modelId": model, "environment": "production"})
    async with serving(database.gateway_url) as client:
        answer = await together(client, promote("a", model, "STAGING"), start, promote("c", model, "ARCHIVED"))
    assert answer["data"] == {"a": None, "b": None, "c": None}
    undone = "TRANSACTION_UNDONE"
    assert codes(answer) == {"a": undone, "b": "CHANGES_UNAVAILABLE", "c": undone}
    errors = {error["path"][0]: error for error in answer["errors"]}
    assert errors["a"]["message"] == "Nothing was changed: 'b' failed, and the operation is one transaction."
    assert errors["c"]["extensions"]["cause"] == "b"
    assert await state(sql, model) == ("shadow", False)
    await sql.close()


async def test_what_the_database_refuses_is_the_problem_of_its_step(database: Database) -> None:
    """Also what is judged at the end of a transaction only: each step is judged by itself."""
    sql = await connect(database.admin_url)
    await sql.execute(
        """
        CREATE FUNCTION no_shadow() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.stage = 'shadow' THEN RAISE EXCEPTION 'no shadows here'; END IF; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER no_shadow AFTER UPDATE ON ml_model_registry DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION no_shadow();
        """
    )
    model = await model_in(sql, "development")
    async with serving(database.gateway_url) as client:
        steps = [promote(f"s{n}", model, to) for n, to in enumerate(("STAGING", "SHADOW", "ARCHIVED"))]
        answer = await together(client, *steps)
        assert kinds(answer) == {"s0": "TransactionUndone", "s1": "TransitionBlocked", "s2": "TransactionUndone"}
        assert "no shadows here" in answer["data"]["s1"]["message"]
        assert await events_of(sql, model) == []
        assert set(kinds(await together(client, steps[0], steps[2])).values()) == {"TransitionApplied"}
    await sql.close()


async def test_an_answer_that_fails_as_a_whole_undoes_all(database: Database) -> None:
    sql = await connect(database.admin_url)
    await sql.execute(
        "REVOKE SELECT ON gateway.lifecycle_events FROM e2i_gateway; "
        "GRANT SELECT (event_id) ON gateway.lifecycle_events TO e2i_gateway"
    )
    model = await model_in(sql, "development")
    query = """
        mutation($id: ID!) @transaction {
          a: promoteModel(input: {id: $id, to: STAGING}) { ... on TransitionApplied { node { id } } }
          b: promoteModel(input: {id: $id, to: SHADOW}) { ... on TransitionApplied { event { reason } } }
        }
    """
    async with serving(database.gateway_url) as client:
        answer = await client.ask(query, id=model)
        assert answer["data"] == {"a": None, "b": None}
        assert codes(answer) == {"a": "TRANSACTION_UNDONE", "b": "MISSING_IN_DATABASE"}
        assert await state(sql, model) == ("development", False)
        answer = await client.ask(query.replace("event { reason }", "replayed"), id=model)
        assert answer["data"] == {"a": {"node": {"id": model}}, "b": {"replayed": False}}
    await sql.close()


async def test_an_answer_that_takes_long_is_read_after_the_commit_of_all(database: Database) -> None:
    """Then they stay made, also where one of the answers fails as a whole."""
    sql, other = await connect(database.admin_url), await connect(database.admin_url)
    model = await model_in(sql, "development")
    query = """
        mutation($id: ID!) @transaction {
          a: promoteModel(input: {id: $id, to: STAGING}) {
            ... on TransitionApplied { node { ... on Model { trainingRuns { nodes { id } } } } }
          }
          b: promoteModel(input: {id: $id, to: SHADOW}) { ... on TransitionApplied { event { toState } } }
        }
    """
    async with serving(database.gateway_url, lock_timeout=60, change_read_timeout=0.2) as client:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("LOCK TABLE ml_training_runs")
        asking = asyncio.create_task(client.ask(query, id=model))
        async with asyncio.timeout(30):
            while await state(sql, model) != ("shadow", False):  # noqa: ASYNC110 - nobody tells a test
                await asyncio.sleep(0.01)
        assert not asking.done()
        await transaction.rollback()
        answer = await asking
    assert answer["data"] == {"a": {"node": {"trainingRuns": {"nodes": []}}}, "b": {"event": {"toState": "SHADOW"}}}
    assert len(await events_of(sql, model)) == 2
    await sql.close()
    await other.close()
