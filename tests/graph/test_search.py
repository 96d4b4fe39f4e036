"""`search`: ranked, forgiving, complete or saying that it is not; and what it never does."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from schema.catalogue.from_models import catalogue
from schema.fields.search import MAX_TEXT, searchable, type_words
from schema.search import text as search_sql
from schema.search.text import Searched, SearchStatement
from schema.search.words import Text
from tests.support.client import Client
from tests.support.databases import MISSING_COLUMN, Database, connect, execute

SEARCH = """query($text: String!, $types: [SearchType!], $first: Int = 20) {
  search(text: $text, types: $types, first: $first) {
    complete omissions { type reason } hits { score field text node { __typename id } }
  }
}"""
TOOL = "causal_effect_estimator"


async def search(client: Client, text: str, *types: str, first: int = 20) -> dict[str, Any]:
    return (await client.data(SEARCH, text=text, types=list(types) or None, first=first))["search"]


async def texts(client: Client, text: str, *types: str) -> list[str]:
    return [hit["text"] for hit in (await search(client, text, *types))["hits"]]


def name_of(number: int) -> str:
    return str(uuid.UUID(int=number))


@pytest.fixture(scope="module")
async def named(module_database: Database, serve: Any) -> AsyncIterator[Client]:
    """Knowledge with titles of all kinds, the later ones newer; a title twice."""
    titles = [
        "Risk", "Risk of switching", "Switching at risk", "Switching risky patients", "asterisk", "Rsik of switching",
        "100% coverage", "1000 coverages", "a_b test", "axb test", "back\\slash", "snake_case_name", "Übergröße É",
        "twice", "twice", "it's 'quoted' $1 {row}", "Tramadol 🙂 study", "heterogeneous treatment effect", "cdk46",
    ]  # fmt: skip
    connection = await connect(module_database.owner_url)
    try:
        await connection.executemany(
            """INSERT INTO experiment_knowledge_store (knowledge_id, source_type, source_id, lesson_type, title,
                   description, created_at)
               VALUES ($1, 'experiment', $1, 'finding', $2, '', '2026-01-01'::timestamptz + $3 * interval '1 day')""",
            [(name_of(place), title, place) for place, title in enumerate(titles, 1)],
        )
    finally:
        await connection.close()
    async with serve(module_database) as client:
        yield client


async def test_ranking_goes_from_exact_to_typo(named: Client) -> None:
    answer = await search(named, "risk", "ExperimentKnowledge")
    assert [hit["text"] for hit in answer["hits"]] == [
        "Risk",
        "Risk of switching",
        "Switching at risk",
        "Switching risky patients",
        "asterisk",
        "Rsik of switching",
    ]
    scores = [hit["score"] for hit in answer["hits"]]
    bands = [(0.94, 0.94), (0.8, 0.9), (0.65, 0.75), (0.65, 0.75), (0.5, 0.6), (0, 0.4)]
    assert all(low <= score <= high for score, (low, high) in zip(scores, bands, strict=True))
    assert answer["complete"]
    assert {hit["field"] for hit in answer["hits"]} == {"title"}


async def test_where_no_row_has_all_words_those_with_most_of_them_may_be_asked_for(named: Client) -> None:
    query = """query($text: String!, $any: Boolean, $first: Int) {
        search(text: $text, types: [ExperimentKnowledge], anyWords: $any, first: $first) {
            complete hits { score text lacks } } }"""

    async def found(text: str, *, any_words: bool | None = True, first: int = 20) -> dict[str, Any]:
        return (await named.data(query, text=text, any=any_words, first=first))["search"]

    hits = (await found("switching risk xylophone"))["hits"]
    assert {hit["text"] for hit in hits[:3]} == {"Risk of switching", "Switching at risk", "Switching risky patients"}
    assert all(hit["lacks"] == ["xylophone"] for hit in hits[:3])
    assert [len(hit["lacks"]) for hit in hits] == sorted(len(hit["lacks"]) for hit in hits)
    assert all(hit["score"] < 0.1 for hit in hits)
    assert (await found("switching risk xylophone", any_words=False))["hits"] == []
    assert (await found("switching risk xylophone", any_words=None))["hits"] == []
    cut = await found("switching risk xylophone", first=1)
    assert (len(cut["hits"]), cut["complete"]) == (1, False)
    assert (await found("xylophone quokka")) == {"complete": True, "hits": []}
    for text in ("switching risk", "switching", "Rsik of switching", "switchng risky"):  # found as without it
        assert await found(text) == await found(text, any_words=False)
        assert all(hit["lacks"] == [] for hit in (await found(text))["hits"])
    assert (await found("100% xylophone"))["hits"][0]["lacks"] == ["xylophone"]


async def test_ties_are_newest_first(named: Client) -> None:
    answer = await search(named, "twice")
    assert [hit["node"]["id"] for hit in answer["hits"]] == [f"ExperimentKnowledge:{name_of(n)}" for n in (15, 14)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("switching risk", ["Risk of switching", "Switching at risk", "Switching risky patients"]),
        ("RISK  Of\tswitching", ["Risk of switching", "Rsik of switching"]),
        ("snake-case", ["snake_case_name"]),
        ("case name", ["snake_case_name"]),
        ("übergröße é", ["Übergröße É"]),
        ("🙂", ["Tramadol 🙂 study"]),
        ("nothing like it", []),
    ],
)
async def test_words_case_and_separators(named: Client, text: str, found: list[str]) -> None:
    assert sorted((await texts(named, text, "ExperimentKnowledge"))[: len(found)]) == sorted(found)


@pytest.mark.parametrize(
    "text",
    [
        "tramadl", "tramadool", "tarmadol", "trxmadol", "tramadlo", "Tramadol stdy", "xtramadol",
    ],
)  # fmt: skip
async def test_a_typo_in_a_word(named: Client, text: str) -> None:
    answer = await search(named, text)
    assert [hit["text"] for hit in answer["hits"]] == ["Tramadol 🙂 study"]
    assert 0 < answer["hits"][0]["score"] < 0.4


async def test_long_words_may_have_a_typo_in_each_half(named: Client) -> None:
    assert await texts(named, "hetrogenous treatmnt efect") == ["heterogeneous treatment effect"]
    assert await texts(named, "hetrgenous treatmnt efect") == []


async def test_words_with_digits_and_short_ones_are_taken_literally(named: Client) -> None:
    assert await texts(named, "cdk46") == ["cdk46"]
    for text in ("cdk47", "cdk64", "ppv"):
        assert await texts(named, text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("100%", ["100% coverage"]),
        ("%", ["100% coverage"]),
        ("a_b", ["a_b test"]),
        ("back\\", ["back\\slash"]),
        ("\\", ["back\\slash"]),
        ("'quoted' $1 {row}", ["it's 'quoted' $1 {row}"]),
        ("[a-z]+", []),
        ("test.*|.", []),
        ("tests\\M", []),
    ],
)
async def test_nothing_in_the_text_is_a_pattern(named: Client, text: str, found: list[str]) -> None:
    assert await texts(named, text, "ExperimentKnowledge") == found


async def test_ids_come_first(demo: Client) -> None:
    node = (await demo.data("{ models(first: 1) { nodes { id rowId } } }"))["models"]["nodes"][0]
    for text in (node["id"], node["rowId"], node["rowId"].upper(), f"  {node['rowId']} "):
        hit = (await search(demo, text))["hits"][0]
        assert (hit["score"], hit["field"], hit["text"], hit["node"]["id"]) == (1, "id", node["id"], node["id"])
    assert (await search(demo, node["id"], "Experiment"))["hits"] == []
    query = "{ servingMetrics(first: 1) { nodes { id } } patientCohortAssignments(first: 1) { nodes { id } } }"
    for connection in (await demo.data(query)).values():
        (id_,) = (one["id"] for one in connection["nodes"])
        assert [hit["node"]["id"] for hit in (await search(demo, id_))["hits"]] == [id_]


async def test_a_key_that_is_also_a_name_is_one_hit(demo: Client) -> None:
    cohort = (await demo.data("{ cohortDefinitions(first: 1) { nodes { id cohortId } } }"))["cohortDefinitions"]
    (node,) = cohort["nodes"]
    hits = (await search(demo, node["cohortId"], "CohortDefinition"))["hits"]
    assert [hit["node"]["id"] for hit in hits].count(node["id"]) == 1
    assert hits[0]["score"] == 1


EXTERNAL = {
    "Experiment": ("experiments", "mlflowExperimentId"),
    "Model": ("models", "mlflowModelUri"),
    "TrainingRun": ("trainingRuns", "mlflowRunId"),
    "ObservabilitySpan": ("observabilitySpans", "spanId"),
    "BentoService": ("bentoServices", "bentoTag"),
    "HpoStudy": ("hpoStudies", "studyName"),
    "ExpertReview": ("expertReviews", "dagVersionHash"),
    "CausalValidation": ("causalValidations", "estimateId"),
    "Tool": ("tools", "name"),
    "PromptOptimizationRun": ("promptOptimizationRuns", "runName"),
}


@pytest.mark.parametrize("type_", EXTERNAL)
async def test_external_references(demo: Client, type_: str) -> None:
    root, field = EXTERNAL[type_]
    query = f"{{ {root}(first: 1, where: {{ {field}: {{ isNull: false }} }}) {{ nodes {{ id {field} }} }} }}"
    (node,) = (await demo.data(query))[root]["nodes"]
    hits = (await search(demo, node[field], first=100))["hits"]
    (hit,) = (hit for hit in hits if hit["node"]["id"] == node["id"])
    assert hit["score"] == 0.95
    assert (hit["text"], hit["node"]["__typename"]) == (node[field], type_)


async def test_a_trace_is_found_with_all_its_spans(demo: Client) -> None:
    (span,) = (await demo.data("{ observabilitySpans(first: 1) { nodes { traceId } } }"))["observabilitySpans"]["nodes"]
    query = "query($t: String) { observabilitySpans(where: { traceId: { eq: $t } }) { totalCount } }"
    total = (await demo.data(query, t=span["traceId"]))["observabilitySpans"]["totalCount"]
    answer = await search(demo, span["traceId"], "ObservabilitySpan")
    assert len(answer["hits"]) == total
    assert (await search(demo, span["traceId"][:-1], "ObservabilitySpan"))["hits"] == []


async def test_words_of_several_values(demo: Client) -> None:
    (model,) = (await demo.data("{ models(first: 1) { nodes { id modelName modelVersion } } }"))["models"]["nodes"]
    hits = (await search(demo, f"{model['modelVersion']} {model['modelName']}", "Model"))["hits"]
    assert hits[0]["node"]["id"] == model["id"]
    assert 0.4 <= hits[0]["score"] < 0.5


async def test_the_nodes_are_nodes(demo: Client) -> None:
    data = await demo.data(
        """{ search(text: "kisqali", types: [Model, Experiment, Deployment], first: 50) { hits { node { id __typename
             ... on Model { modelName experiment { experimentName } }
             ... on Experiment { experimentName models { totalCount } } } } } }"""
    )
    nodes = [hit["node"] for hit in data["search"]["hits"]]
    assert {node["__typename"] for node in nodes} == {"Model", "Experiment", "Deployment"}
    for node in nodes:
        if node["__typename"] == "Model":
            assert node["experiment"]["experimentName"]
        elif node["__typename"] == "Experiment":
            assert node["models"]["totalCount"] >= 0


async def test_statements(demo: Client, doubled: Client) -> None:
    """One for the hits, whatever is found, and one for each type of which more than the id is asked for."""
    for client in (demo, doubled):
        for text in ("kisqali", "kisqlai", "nothing like it"):
            answer = await client.ask(SEARCH, text=text)
            assert answer["extensions"]["cost"]["statements"] == 1
        query = """{ search(text: "kisqali", types: [Model, Experiment, Deployment], first: 100) { hits { node { id
                     ... on Model { modelName } ... on Experiment { experimentName } } } } }"""
        answer = await client.ask(query)
        assert answer["extensions"]["cost"]["statements"] == 3


async def test_never_a_silent_cut(demo: Client) -> None:
    everything = await search(demo, "kisqali", first=100)
    assert len(everything["hits"]) > 20
    some = await search(demo, "kisqali", first=5)
    assert (some["complete"], some["hits"]) == (False, everything["hits"][:5])
    tools = await search(demo, "estimator", "Tool")
    assert tools["complete"]
    assert (await search(demo, "estimator", "Tool", first=len(tools["hits"])))["complete"]
    assert not (await search(demo, "estimator", "Tool", first=len(tools["hits"]) - 1))["complete"]


async def test_large_tables_are_compared_in_part_and_say_so(
    demo_template: Database, clone: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schema.fields.search.MAX_COMPARED", 3)
    monkeypatch.setattr(search_sql, "MAX_COMPARED", 3)
    async with clone(demo_template) as copy, serve(copy) as client:
        newest = (await client.data("{ deployments(first: 4) { nodes { id deploymentName } } }"))["deployments"][
            "nodes"
        ]
        answer = await search(client, "a", "Deployment", "Tool")
        assert answer["complete"] is False
        assert [omission["type"] for omission in answer["omissions"]] == ["Deployment", "Tool"]
        assert "the newest 3 were" in answer["omissions"][0]["reason"]
        found = {hit["node"]["id"] for hit in answer["hits"] if hit["node"]["__typename"] == "Deployment"}
        assert found <= {node["id"] for node in newest[:3]}
        assert (await search(client, newest[3]["id"]))["hits"][0]["score"] == 1


@pytest.mark.parametrize(
    ("variables", "argument", "said"),
    [
        ({"text": ""}, "text", "nothing to search for"),
        ({"text": " \t\n"}, "text", "nothing to search for"),
        ({"text": "-_/ :."}, "text", "nothing to search for"),
        ({"text": "a\x00b"}, "text", "NUL"),
        ({"text": "x" * (MAX_TEXT + 1)}, "text", "301 characters; pass at most 300"),
        ({"text": "a b c d e f g h i j k l m"}, "text", "13 words; pass at most 12"),
        ({"text": "a", "first": 0}, "first", "pass 1 to 100"),
        ({"text": "a", "first": -1}, "first", "pass 1 to 100"),
        ({"text": "a", "first": 101}, "first", "pass 1 to 100"),
        ({"text": "a", "first": 2147483647}, "first", "pass 1 to 100"),
        ({"text": "a", "types": []}, "types", "leave it out"),
        ({"text": "a", "types": ["Tool"] * 101}, "types", "101 types; pass at most 100"),
    ],
)
async def test_bad_input(demo: Client, variables: dict[str, Any], argument: str, said: str) -> None:
    error = await demo.error(SEARCH, **variables)
    assert (error["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", argument)
    assert said in error["message"]
    assert error["path"] == ["search"]
    assert len(error["message"]) < 200


async def test_an_unknown_type_is_refused_with_a_near_one(demo: Client) -> None:
    response = await demo.post(SEARCH, text="a", types=["Modl"])
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "types" in error["message"]
    assert "Did you mean 'Model'" in error["message"]


async def test_null_arguments_are_the_defaults(demo: Client) -> None:
    data = await demo.data('{ search(text: "kisqali", types: null, first: null) { hits { text } } }')
    assert len(data["search"]["hits"]) == 20
    long = "word" * 74
    assert (await search(demo, long))["hits"] == []


async def test_the_price(demo: Client) -> None:
    """The hits with the rows that they belong to, what is selected of their nodes, and the names that are compared."""

    async def price(query: str) -> int:
        answer = await demo.ask(query)
        requested: int = answer["extensions"]["cost"]["requested"]
        return requested

    plain = await price('{ search(text: "x", types: [Tool], first: 10) { complete } }')
    assert plain == 2 * 10 + 6 * 13
    plain = await price('{ search(text: "x", types: [BentoService], first: 10) { complete } }')
    below = "... on BentoService { metrics(first: 100) { nodes { id } } }"
    deep = await price(f'{{ search(text: "x", types: [BentoService], first: 10) {{ hits {{ node {{ {below} }} }} }} }}')
    assert deep == plain + 10 + 10 * (1 + 100)
    assert await price('{ search(text: "x", types: [ServingMetric], first: 10) { complete } }') == 2 * 10
    words = "query ($t: String!, $any: Boolean) {"
    words += " search(text: $t, types: [Tool], first: 10, anyWords: $any) { complete } }"
    for text, points in ("model", 6), ("model drift", 7), ("model drift 12", 8), ("v1.2 0f3c", 6):
        assert (await demo.cost(words, t=text))["requested"] == 2 * 10 + points * 13
    for text, points in ("model", 6), ("model drift", 7 + 6):  # of one word, some are all
        assert (await demo.cost(words, t=text, any=True))["requested"] == 2 * 10 + points * 13


@pytest.mark.parametrize("word", ["modl", "kisqali", "deployment", "abcdefghijklmnop", "aabbaabb"])
def test_whatever_a_typo_makes_of_a_word_has_one_of_its_pieces(word: str) -> None:
    """What is compared first leaves nothing out that the regular expression of the word finds."""
    text = Text(word)
    (pattern,) = text.patterns
    letters = ["", *"qz", word[0], word[-1]]
    changed = {
        word[:at] + letter + word[at + more :] for at in range(len(word) + 1) for more in (0, 1) for letter in letters
    }
    changed |= {word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :] for at in range(1, len(word))}
    twice = {one[:-1] + "q" for one in changed} | {"q" + one for one in changed} | {one[::-1] for one in changed}
    found = [one for one in changed | twice if re.search(pattern, f" {one}")]
    assert len(found) > len(word)
    for one in found:
        assert all(any(piece in one for piece in some) for some in text.pieces), one


async def test_an_attached_database(platform_database: Database, serve: Any) -> None:
    """What is there is searched; what it lacks is no failure."""
    async with serve(platform_database) as client:
        tool = (await client.data("{ tools(first: 1) { nodes { id name } } }"))["tools"]["nodes"][0]
        answer = await search(client, tool["name"])
        assert tool["id"] in {hit["node"]["id"] for hit in answer["hits"]}
        # MISSING_COLUMN is searched by nobody, and the gateway's own table is made by attaching
        assert [omission["type"] for omission in answer["omissions"]] == ["LifecycleEvent"]
    assert MISSING_COLUMN[1] not in {column for type_ in catalogue() for column in type_.search}


async def test_what_the_database_lacks_is_said(demo_template: Database, clone: Any, serve: Any) -> None:
    async with clone(demo_template) as copy:
        await execute(
            copy.owner_url,
            "ALTER TABLE ml_experiments DROP COLUMN mlflow_experiment_id CASCADE, DROP COLUMN created_at CASCADE",
            "ALTER TABLE ml_hpo_studies DROP COLUMN study_name CASCADE",
            "DROP TABLE tool_registry CASCADE",
        )
        async with serve(copy) as client:
            answer = await search(client, "kisqali", first=100)
            assert {hit["node"]["__typename"] for hit in answer["hits"]} >= {"Experiment", "Model"}
            assert {(one["type"], one["reason"].split(" ")[0]) for one in answer["omissions"]} == {
                ("Experiment", "ml_experiments.mlflow_experiment_id"),
                ("HpoStudy", "ml_hpo_studies.study_name"),
                ("Tool", "tool_registry"),
            }
            assert (await search(client, TOOL, "Tool"))["hits"] == []


async def test_large_tables_are_reached_through_an_index(demo_template: Database, clone: Any) -> None:
    """References lead an index, and nothing else of their tables is searched."""
    for type_ in searchable(catalogue()).values():
        assert not (type_.references and type_.search), type_.name
    async with clone(demo_template) as copy:
        connection = await connect(copy.owner_url)
        try:
            await connection.execute("SET enable_seqscan = off")
            for type_ in searchable(catalogue()).values():
                for column in type_.references:
                    one = Searched(type_, (), (column,), type_.order, "NULL::timestamptz", bounded=False)
                    statement = SearchStatement(Text(name_of(1)), 10)
                    sql = statement.build([one])
                    plan = await connection.fetch(f"EXPLAIN {sql}", *statement.bind.values)
                    assert f"({column} = " in " ".join(row[0] for row in plan).replace(
                        f"({column})::text", f"({column}"
                    )
                    assert "Seq Scan" not in " ".join(row[0] for row in plan)
        finally:
            await connection.close()


def edits(word: str) -> set[str]:
    """The words that differ by a letter: one less, one more, another, two exchanged."""
    cuts = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    return (
        {a + b[1:] for a, b in cuts if b}
        | {f"{a}x{b}" for a, b in cuts}
        | {f"{a}x{b[1:]}" for a, b in cuts if b}
        | {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    )


@pytest.mark.parametrize("word", ["risk", "churn", "kisqali", "tramadol", "heterogeneous"])
def test_patterns_match_every_typo(word: str) -> None:
    for typo in edits(word):
        for pattern in Text(typo).patterns:
            assert re.search(pattern, f" of {word} at"), typo
    assert not any(re.search(pattern, " something else") for pattern in Text(word).patterns)


@pytest.mark.parametrize(
    ("word", "other"),
    [
        ("risk", "ri"),
        ("risk", "rksi"),
        ("risk", "risrkisk"),
        ("heterogeneous", "heterhoeterogeneous"),
        ("heterogeneous", "hetxrxgeneous"),
    ],
)
def test_patterns_match_no_word_that_differs_by_more(word: str, other: str) -> None:
    """Than a letter, or one in each half of a long word."""
    assert not any(re.search(pattern, f" of {other} at") for pattern in Text(word).patterns)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=strategies.text(min_size=1, max_size=40))
async def test_any_text_has_an_answer(named: Client, text: str) -> None:
    """Whatever is typed, it is searched for or refused as what it is."""
    answer = await named.ask(SEARCH, text=text)
    codes = {error["extensions"]["code"] for error in answer.get("errors", [])}
    assert codes <= {"BAD_USER_INPUT"}, answer
    if not codes and any(letter.isalnum() for letter in text):
        assert answer["data"]["search"]["omissions"] == []


def test_every_searched_column_is_text_or_an_id() -> None:
    for type_ in catalogue():
        for column in (*type_.search, *type_.references):
            assert type_.column_kind(column).name in {"text", "uuid"}, f"{type_.name}.{column}"
            assert not type_.is_view


# -- folding, labels, types, and what a hit says ----------------------------------------------------------------------


@pytest.fixture(scope="module")
async def folded(template: Database, clone: Any, serve: Any) -> AsyncIterator[Client]:
    titles = [
        "zq_\u0130zmir", "zq Stra\u00dfe", "zq Caf\u00e9", "zq Cafe\u0301 noir",
        "zq \u039f\u03b4\u03c5\u03c3\u03c3\u03b5\u03cd\u03c2", "zq case", "ZQ CASE", "zq case and more",
    ]  # fmt: skip
    async with clone(template) as database:
        sql = await connect(database.owner_url)
        await sql.executemany(
            "INSERT INTO experiment_knowledge_store (knowledge_id, source_type, source_id, lesson_type, title, "
            "description) VALUES ($1, 'experiment', $1, 'finding', $2, '')",
            [(name_of(place), title) for place, title in enumerate(titles, 1)],
        )
        experiment = await sql.fetchval(
            "INSERT INTO ml_experiments (experiment_name, prediction_target) VALUES ('zq trial', 't') RETURNING id"
        )
        for name, version in (("zqm", "1.4.0"), ("zqm 1.4.0 copy", "2.0.0"), ("zqm 1.4.0", "old")):
            await sql.execute(
                "INSERT INTO ml_model_registry (experiment_id, model_name, model_version, algorithm, stage) "
                "VALUES ($1, $2, $3, 'a', 'staging')",
                experiment, name, version,
            )  # fmt: skip
        await sql.close()
        async with serve(database) as client:
            yield client


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("zq_\u0130zmir", ["zq_\u0130zmir"]),
        ("ZQ \u0130ZM\u0130R", ["zq_\u0130zmir"]),
        ("\u0130zmir", ["zq_\u0130zmir"]),
        ("izmir", ["zq_\u0130zmir"]),
        ("stra\u00dfe", ["zq Stra\u00dfe"]),
        ("STRASSE", ["zq Stra\u00dfe"]),
        ("STRA\u1e9eE", ["zq Stra\u00dfe"]),
        ("cafe\u0301", ["zq Caf\u00e9", "zq Cafe\u0301 noir"]),
        ("CAF\u00c9", ["zq Caf\u00e9", "zq Cafe\u0301 noir"]),
        ("\u039f\u0394\u03a5\u03a3\u03a3\u0395\u038e\u03a3", ["zq \u039f\u03b4\u03c5\u03c3\u03c3\u03b5\u03cd\u03c2"]),
    ],
)
async def test_both_sides_are_folded_by_the_database(folded: Client, text: str, found: list[str]) -> None:
    hits = (await search(folded, text, "ExperimentKnowledge"))["hits"]
    assert [hit["text"] for hit in hits] == found
    assert min(hit["score"] for hit in hits) >= 0.5


async def test_the_text_as_it_is_comes_before_the_same_in_another_case(folded: Client) -> None:
    for text in ("zq case", "ZQ CASE"):
        hits = (await search(folded, text, "ExperimentKnowledge"))["hits"]
        assert [hit["score"] for hit in hits[:2]] == [0.95, 0.94]
        assert hits[0]["text"] == text
        assert hits[2]["text"] == "zq case and more"


async def test_what_a_row_is_called_comes_before_rows_that_contain_it(folded: Client) -> None:
    for text, score in (("zqm 1.4.0", 0.95), ("ZQM 1.4.0", 0.94)):
        hits = (await search(folded, text, "Model"))["hits"]
        assert [hit["score"] for hit in hits[:2]] == [score, score], "a name of two values, and one of one"
        assert len(hits) == 3
        assert hits[2]["text"] == "zqm 1.4.0 copy"


def test_every_type_and_its_list_are_known_by_their_graphql_names() -> None:
    types = catalogue()
    for type_ in searchable(types).values():
        assert types.roots[type_.plural].many
        one = Searched(type_, (), (), (), "NULL", bounded=False, words=type_words(type_))
        for text in (type_.name, type_.plural):
            assert "0.45::float8 AS score" in SearchStatement(Text(text), 1).build([one]), text


@pytest.mark.parametrize(
    ("text", "type_", "score"),
    [
        ("monitoring alerts", "MonitoringAlert", 0.45),
        ("Monitoring_Alert", "MonitoringAlert", 0.45),
        ("MonitoringAlert", "MonitoringAlert", 0.45),
        ("monitoringAlerts", "MonitoringAlert", 0.45),
        ("alerts", "MonitoringAlert", 0.42),
        ("alert", "MonitoringAlert", 0.42),
        ("experiments", "Experiment", 0.45),
    ],
)
async def test_the_name_of_a_type_finds_its_newest_rows(
    demo: Client, text: str, type_: str, score: float | None
) -> None:
    hits = (await search(demo, text, type_, first=100))["hits"]
    typed = [hit for hit in hits if hit["field"] == "__typename"]
    assert {(hit["text"], hit["score"], hit["node"]["__typename"]) for hit in typed} == {(type_, score, type_)}
    everywhere = (await search(demo, text, first=100))["hits"]
    assert [hit["score"] for hit in everywhere] == sorted((hit["score"] for hit in everywhere), reverse=True)


async def test_a_hit_says_its_state_its_time_and_whose_it_is(demo: Client) -> None:
    query = """query($t: String!, $types: [SearchType!]) { search(text: $t, types: $types, first: 20) { hits {
      state time belongsTo { __typename id } node { __typename ... on Model { stage experiment { id } }
        ... on Deployment { deploymentName model { id } } ... on Experiment { createdAt } } } } }"""
    hits = (await demo.data(query, t="kisqali", types=["Model", "Experiment", "Deployment"]))["search"]["hits"]
    kinds = {hit["node"]["__typename"] for hit in hits}
    assert kinds == {"Model", "Experiment", "Deployment"}
    for hit in hits:
        node, owner = hit["node"], hit["belongsTo"]
        match node["__typename"]:
            case "Model":
                assert (hit["state"], owner["id"]) == (node["stage"], node["experiment"]["id"])
                assert "time" in hit
            case "Deployment":
                assert owner["id"] == node["model"]["id"]
            case "Experiment":
                assert (hit["time"], owner) == (node["createdAt"], None)
