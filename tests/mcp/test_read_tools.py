"""The tools that read, over HTTP, by clients of both eras of the protocol."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import pytest
from jsonschema import Draft202012Validator

from db.base.entity import derived, entities
from db.base.lifecycles import lifecycles
from db.base.markers import Group
from tests.support.agents import LEGACY, MODERN, Agent, tokens
from tests.support.client import Client, serving
from tests.support.databases import Database, connect


@pytest.fixture(scope="module")
async def client(module_database: Database) -> AsyncIterator[Client]:
    async with serving(module_database.gateway_url) as served:
        yield served


@pytest.fixture(params=[MODERN, LEGACY])
def agent(client: Client, request: pytest.FixtureRequest) -> Agent:
    return Agent(client, request.param)


async def test_tools_are_listed_in_few_words(agent: Agent) -> None:
    result = await agent.result("tools/list")
    names = [tool["name"] for tool in result["tools"]]
    assert names[:4] == ["answer", "find_fields", "describe_type", "query"]
    assert tokens(json.dumps(result["tools"], separators=(",", ":"))) <= 3_000
    inputs = [{key: one for key, one in tool.items() if key != "outputSchema"} for tool in result["tools"]]
    assert tokens(json.dumps(inputs, separators=(",", ":"))) <= 1_500
    for tool in result["tools"]:
        assert tool["annotations"]["readOnlyHint"] is True
        assert tool["annotations"]["openWorldHint"] is False
        assert tool["inputSchema"]["additionalProperties"] is False


async def test_a_client_of_this_era_learns_how_long_lists_hold(client: Client) -> None:
    agent = Agent(client)
    for method in ("tools/list", "resources/list", "resources/templates/list", "prompts/list"):
        result = await agent.result(method)
        assert result["ttlMs"] > 0
        assert result["cacheScope"] == "private"


async def test_answers_and_failures_are_of_the_output_schema(agent: Agent) -> None:
    """Clients of the SDKs check both against it."""
    [schema] = {json.dumps(tool["outputSchema"]) for tool in (await agent.result("tools/list"))["tools"]}
    valid = Draft202012Validator(json.loads(schema))
    valid.validate(await agent.call("find", text="kisqali"))
    valid.validate(await agent.fails("find", text=1))
    assert not valid.is_valid({"data": {}})


async def test_a_query_is_answered(agent: Agent) -> None:
    envelope = await agent.call("query", query="{ tools(first: 3) { totalCount nodes { id name } } }")
    assert set(envelope) == {"data", "complete", "more", "units", "warnings", "asOf"}
    assert list(envelope["data"]["tools"]) == ["totalCount", "nodes"]
    assert len(envelope["data"]["tools"]["nodes"]) == 3
    assert envelope["complete"] is False
    [more] = envelope["more"]
    assert (more["path"], more["shown"], more["of"]) == ("tools", 3, 13)
    rest = await agent.call(
        "query",
        query="query Rest($c: String) { tools(after: $c) { nodes { name } } }",
        variables={"c": more["after"]},
    )
    assert rest["complete"] is True
    assert len(rest["data"]["tools"]["nodes"]) == 10


async def test_a_page_that_holds_all_is_complete(agent: Agent) -> None:
    envelope = await agent.call("query", query="{ tools { nodes { name } } }")
    assert envelope["complete"] is True
    assert envelope["more"] == []


async def test_rows_beyond_the_budget_are_read_on(agent: Agent) -> None:
    query = "query Tools($c: String) { tools(after: $c) { nodes { name description } } }"
    names, cursor = [], None
    for _ in range(20):
        envelope = await agent.call("query", query=query, variables={"c": cursor}, maxBytes=1500)
        assert len(json.dumps(envelope, separators=(",", ":"), ensure_ascii=False).encode()) <= 1500
        names += [one["name"] for one in envelope["data"]["tools"]["nodes"]]
        if envelope["complete"]:
            break
        cursor = envelope["more"][0]["after"]
    assert len(names) == len(set(names)) == 13


@pytest.mark.parametrize("era", [MODERN, LEGACY])
async def test_find_gives_ids_that_lineage_takes(demo: Client, era: str) -> None:
    agent = Agent(demo, era)
    model = (await agent.call("query", query="{ models(first: 1) { nodes { id modelName } } }"))["data"]["models"][
        "nodes"
    ][0]
    found = await agent.call("find", text=model["modelName"], types=["Model"])
    assert found["data"]["matched"] == "all words"
    assert model["id"] in [row["id"] for row in found["data"]["rows"]]
    lineage = await agent.call("lineage", ids=[model["id"]], maxDepth=1)
    assert model["id"] in lineage["data"]["outline"]
    assert lineage["complete"] is ("NOT COMPLETE" not in lineage["data"]["outline"])


async def test_rows_like_another_are_by_vectors_and_those_like_a_text_by_words(demo: Client) -> None:
    agent = Agent(demo)
    episodes = "{ composerEpisodes(first: 1) { nodes { id queryText } } }"
    [episode] = (await demo.data(episodes))["composerEpisodes"]["nodes"]
    by_vectors = await agent.call("similar", kind="episodes", id=episode["id"], first=3)
    assert by_vectors["data"]["by"] == "vectors"
    assert len(by_vectors["data"]["rows"]) == 3
    assert all(-1 <= row["score"] <= 1 for row in by_vectors["data"]["rows"])
    assert by_vectors["complete"] is False
    [more] = by_vectors["more"]
    rest = await agent.call("similar", kind="episodes", id=episode["id"], first=3, after=more["after"])
    ids = [row["id"] for row in (*by_vectors["data"]["rows"], *rest["data"]["rows"])]
    assert (more["path"], len(ids)) == ("rows", len(set(ids)))
    by_words = await agent.call("similar", kind="episodes", text=episode["queryText"].split()[0])
    assert by_words["data"]["by"] == "words"
    assert any("no similarity" in one for one in by_words["warnings"])


@pytest.mark.parametrize(
    ("kind", "table", "column", "only"),
    [
        ("episodes", "composer_episodes", "query_embedding", "success"),
        ("lessons", "experiment_knowledge_store", "embedding", "validated"),
    ],
)
async def test_rows_without_a_vector_are_counted(
    demo: Client, demo_database: Database, kind: str, table: str, column: str, only: str
) -> None:
    connection = await connect(demo_database.admin_url)
    try:
        every = await connection.fetchval(f"SELECT count(*) FROM {table} WHERE {column} IS NULL")
        some = await connection.fetchval(f"SELECT count(*) FROM {table} WHERE {column} IS NULL AND {only}")
        key = "episode_id" if kind == "episodes" else "knowledge_id"
        row = await connection.fetchval(f"SELECT {key}::text FROM {table} WHERE {column} IS NOT NULL LIMIT 1")
    finally:
        await connection.close()
    for successful, number in ((False, every), (True, some)):
        envelope = await Agent(demo).call("similar", kind=kind, id=row, onlySuccessful=successful)
        assert envelope["data"]["withoutVector"] == number
        assert any(one.startswith(f"{number:,} {kind} have no vector") for one in envelope["warnings"]) is (number > 0)


async def test_a_word_too_many_finds_the_rows_with_the_others(demo: Client) -> None:
    agent = Agent(demo)
    right = await agent.call("find", text="nrx propensity model", types=["Model"])
    wrong = await agent.call("find", text="nrx propensity xylophone model", types=["Model"])
    assert [row["id"] for row in wrong["data"]["rows"]] == [row["id"] for row in right["data"]["rows"]] != []
    assert wrong["data"]["matched"] == "some words"
    assert all(row["lacks"] == ["xylophone"] for row in wrong["data"]["rows"])
    assert wrong["complete"] is right["complete"]
    assert any("No row has all words" in one for one in wrong["warnings"])
    assert not any("lacks" in row for row in right["data"]["rows"])
    nothing = await agent.call("find", text="xylophone quokka", types=["Model"])
    assert (nothing["data"], nothing["complete"]) == ({"rows": [], "matched": "nothing"}, True)
    wrong_service = {"service": "nrx propensity xylophone"}
    said = json.dumps(await agent.fails("answer", question="trace_service", args=wrong_service))
    assert "no BentoService has such a name" in said
    assert "without xylophone: BentoService:" in said


async def test_words_are_shown_where_they_stand_and_not_found_in_names_of_other_rows(demo: Client) -> None:
    agent = Agent(demo)
    found = (await agent.call("similar", kind="lessons", text="rep visits", first=20))["data"]
    assert found["by"] == "words"
    assert all("isit" in row["title"] for row in found["rows"])
    assert all(row["in"] == {"title": "visits", "description": "visits"} for row in found["rows"])
    query = "{ experimentKnowledgeEntries { nodes { id title description experiment { experimentName } } } }"
    rows = (await demo.data(query))["experimentKnowledgeEntries"]["nodes"]
    learned = [row for row in rows if row["experiment"] and row["experiment"]["experimentName"] in row["description"]]
    row, word = next(
        (row, word)
        for row in learned
        for word in row["experiment"]["experimentName"].split()
        if len(word) > 5 and row["description"].count(word) == 1 and word.isalpha()
    )
    named = await agent.call("similar", kind="lessons", text=word, first=20)
    assert row["id"] not in [one["id"] for one in named["data"]["rows"]]


async def test_what_null_means_and_whose_words_are_fenced(demo: Client) -> None:
    query = """{ monitoringAlerts(first: 1) { nodes { title lifecycle {
        changes { mutation description blockedBy { message } } } } } }"""
    envelope = await Agent(demo).call("query", query=query)
    [alert] = envelope["data"]["monitoringAlerts"]["nodes"]
    changes = alert["lifecycle"]["changes"]
    assert {one["blockedBy"] is None for one in changes} == {True, False}
    assert any("only a preview tells" in one for one in envelope["warnings"])
    assert alert["title"].startswith("\u00ab")
    assert not any("\u00ab" in one["description"] for one in changes)


async def test_a_reference_is_a_row_wherever_one_is_asked_for(demo: Client) -> None:
    agent = Agent(demo)
    [row] = (await agent.call("find", text="comp-kisqali-midwest"))["data"]["rows"]
    by_name = await agent.call("similar", kind="episodes", id="comp-kisqali-midwest", first=2)
    assert by_name["data"] == (await agent.call("similar", kind="episodes", id=row["id"], first=2))["data"]
    outline = (await agent.call("lineage", ids=["comp-kisqali-midwest"], maxDepth=1))["data"]["outline"]
    assert row["id"] in outline
    said = json.dumps(await agent.fails("lineage", ids=["kisqali"]))
    assert "at least 12 rows" in said
    assert re.search(r"[A-Z]\w+:[\w-]{36} \([A-Z]+ ", said)


async def test_facts_are_counted_in_an_outline_unless_they_are_asked_for(demo: Client) -> None:
    agent = Agent(demo)
    [row] = (await agent.call("find", text="kisqali-nrx-propensity-model 1.4.0", types=["Deployment"]))["data"]["rows"]
    model = row["belongsTo"]
    envelope = await agent.call("lineage", ids=[model], direction="DOWNSTREAM")
    outline = envelope["data"]["outline"]
    assert not re.search("(ObservabilitySpan|DriftRecord|PerformanceMetric):", outline)
    assert "Deployment:" in outline
    assert "BentoService:" in outline
    counted = {entry["types"][0]: entry["of"] for entry in envelope["more"]}
    query = """query Q($id: ID!) { model(id: $id) { spans { totalCount } driftHistory { totalCount }
        performanceMetrics { totalCount } } }"""
    rows = (await agent.call("query", query=query, variables={"id": model}))["data"]["model"]
    assert counted == {
        "ObservabilitySpan": rows["spans"]["totalCount"],
        "DriftRecord": rows["driftHistory"]["totalCount"],
        "PerformanceMetric": rows["performanceMetrics"]["totalCount"],
    }
    assert envelope["complete"] is False
    drift = await agent.call("lineage", ids=[model], direction="downstream", maxDepth=1, types=["DriftRecord"])
    assert len(re.findall("DriftRecord:", drift["data"]["outline"])) == counted["DriftRecord"]


async def test_kinds_of_edges_are_taken_as_the_outline_says_them(demo: Client) -> None:
    agent = Agent(demo)
    model = (await agent.call("find", text="kisqali-nrx-propensity-model", types=["Model"]))["data"]["rows"][0]["id"]
    said = await agent.call("lineage", ids=[model], direction="DOWNSTREAM", through=["served by", "deployed as"])
    named = await agent.call("lineage", ids=[model], direction="DOWNSTREAM", through=["SERVED_BY", "DEPLOYED_AS"])
    assert said["data"] == named["data"]
    assert "-> served by BentoService:" in said["data"]["outline"]
    assert said["complete"] is True
    assert said["warnings"][0].startswith("Restricted to SERVED_BY, DEPLOYED_AS")


async def test_fields_are_found_by_words(demo: Client) -> None:
    envelope = await Agent(demo).call("find_fields", text="error rate of a deployment")
    assert any(line.startswith("Deployment.errorRate") for line in envelope["data"])
    assert len(envelope["data"]) <= 13
    assert tokens(json.dumps(envelope["data"])) <= 350


async def test_other_fields_of_the_type_are_named(client: Client) -> None:
    """Where the words do not find the field, they find the type, and its fields by their names."""
    found = (await Agent(client).call("find_fields", text="reviewer"))["data"]
    type_, also, names = found[-1].partition(" also has: ")
    assert (type_, also) == ("ExpertReview", " also has: ")
    assert "approvalStatus" in names.split(", ")
    assert not {line.partition(":")[0].partition(".")[2] for line in found[:-1]} & set(names.split(", "))
    assert tokens(json.dumps(found)) <= 350
    assert not any("also has" in line for line in (await Agent(client).call("find_fields", text="qqqq"))["data"])


async def test_a_field_is_found_by_words_that_it_does_not_have(client: Client) -> None:
    found = (await Agent(client).call("find_fields", text="what must the reviewer tick off"))["data"]
    assert any(line.startswith("ExpertReview.checklistJson: ") for line in found[:3]), found


async def test_the_card_of_agent_latency_says_its_period(client: Client) -> None:
    [card] = (await Agent(client).call("describe_type", names=["AgentLatency"]))["data"]
    assert "`windowHours` before `until`: the last 24 hours by default" in card


async def test_types_are_cards_of_few_words(client: Client) -> None:
    agent = Agent(client)
    names = [type_.name for type_ in client.app.state.mcp.box.schema.catalogue]
    sizes = []
    for name in names:
        envelope = await agent.call("describe_type", names=[name])
        sizes.append(tokens(envelope["data"][0]))
    assert max(sizes) <= 400
    assert sum(sizes) / len(sizes) <= 200


async def test_resources_and_prompts_are_there_for_clients_that_have_a_place_for_them(agent: Agent) -> None:
    [outline] = (await agent.result("resources/list"))["resources"]
    [text] = (await agent.result("resources/read", {"uri": outline["uri"]}))["contents"]
    assert "Model" in text["text"]
    assert tokens(text["text"]) <= 350
    listed = (await agent.result("resources/templates/list"))["resourceTemplates"]
    templates = {one["name"]: one["uriTemplate"] for one in listed}
    assert list(templates) == ["group", "type", "lifecycle"]

    async def read(template: str, name: str) -> str:
        uri = templates[template].replace("{name}", name)
        [content] = (await agent.result("resources/read", {"uri": uri}))["contents"]
        assert tokens(content["text"]) <= 400
        return str(content["text"])

    assert (await read("type", "Model")).startswith("Model: ")
    told = "".join([await read("group", group) for group in Group])
    assert all(f"\n{name}: " in told for name, one in {**entities(), **derived()}.items() if one.__group__)
    for lifecycle in lifecycles():
        moves = await read("lifecycle", lifecycle.entity)
        assert all(change.name in moves for change in lifecycle.changes if change.to)
        assert all(guard.code in moves for step in lifecycle.entering.values() for guard in step.guards)
    assert "ACTIVE -> ACKNOWLEDGED (acknowledgeAlert), " in await read("lifecycle", "MonitoringAlert")
    prompts = (await agent.result("prompts/list"))["prompts"]
    assert [one["name"] for one in prompts] == ["triage", "rollback_review", "gate_review", "retraining_plan"]
    made = await agent.result("prompts/get", {"name": "gate_review", "arguments": {"estimate": "Estimate:1"}})
    assert "Estimate:1" in made["messages"][0]["content"]["text"]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("resources/read", {"uri": "e2i://types/__Schema"}),
        ("resources/read", {"uri": "e2i://lifecycles/Tool"}),
        ("resources/read", {"uri": "e2i://groups/Model"}),
        ("resources/read", {"uri": "e2i://groups/"}),
        ("resources/read", {"uri": "file:///etc/passwd"}),
        ("resources/read", {"uri": "http://127.0.0.1/"}),
        ("prompts/get", {"name": "nothing"}),
        ("prompts/get", {"name": "gate_review"}),
    ],
)
async def test_what_is_not_there_is_said(client: Client, method: str, params: dict[str, str]) -> None:
    answer = (await Agent(client).send(method, params)).json()
    assert answer["error"]["code"] == -32602
    assert "there are" in answer["error"]["message"] or "needs" in answer["error"]["message"]


async def test_the_unit_of_every_number_is_said(demo: Client) -> None:
    query = """{ deployments(first: 1, where: {errorRate: {isNull: false}}) { nodes { errorRate latencyP99Ms } }
        servingMetrics(first: 1, where: {errorRate: {isNull: false}}) { nodes { errorRate } } }"""
    envelope = await Agent(demo).call("query", query=query)
    assert envelope["units"] == {
        "Deployment.errorRate": "of 1",
        "Deployment.latencyP99Ms": "ms",
        "ServingMetric.errorRate": "%",
    }


async def test_aggregates_of_a_number_are_in_its_unit(demo: Client) -> None:
    query = """{ cohortExecutions { aggregate { executionTimeMs { avg count } inputRowCount { count } } }
        deployments { aggregate(groupBy: [{field: ERROR_RATE}]) { group { errorRate } latencyP99Ms { max } } } }"""
    envelope = await Agent(demo).call("query", query=query)
    assert envelope["units"] == {
        "CohortExecutionAggregate.executionTimeMs": "ms",
        "DeploymentAggregate.latencyP99Ms": "ms",
        "DeploymentGroup.errorRate": "of 1",
    }


async def test_a_card_names_an_id_where_there_is_one(client: Client) -> None:
    envelope = await Agent(client).call("describe_type", names=["MonitoringAlertConnection", "MonitoringAlert"])
    page, row = envelope["data"]
    assert "fields: totalCount" in page
    assert "fields: id, " in row


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("alerts by severity", "MonitoringAlertConnection.aggregate"),
        ("count alerts by severity group", "MonitoringAlertConnection.aggregate"),
        ("how many deployments per environment", "DeploymentConnection.aggregate"),
        ("actions allowed on an alert", "MonitoringAlert.lifecycle"),
        ("what may be done about a deployment", "Deployment.lifecycle"),
    ],
)
async def test_groups_and_what_may_be_done_are_found(client: Client, text: str, field: str) -> None:
    found = (await Agent(client).call("find_fields", text=text))["data"]
    assert any(line.startswith(f"{field}: ") for line in found[:2]), found


async def test_the_example_of_query_is_one(client: Client) -> None:
    [tool] = [one for one in (await Agent(client).result("tools/list"))["tools"] if one["name"] == "query"]
    example = tool["description"].partition("such as ")[2].rpartition(" Rows beyond")[0].removesuffix(".")
    assert set((await Agent(client).call("query", query=example))["data"]) == {"monitoringAlerts"}


@pytest.mark.parametrize(
    ("query", "right"),
    [
        ("{ monitoringAlerts(orderBy: [{createdAt: DESC}]) { totalCount } }", "{field: CREATED_AT, direction: DESC}"),
        ("{ monitoringAlerts { aggregate(groupBy: [severity]) { count } } }", "{field: SEVERITY}"),
        ("{ agentLatencySummaries(orderBy: [{p95Ms: DESC}]) { totalCount } }", "{field: P95_MS, direction: DESC}"),
        ('{ monitoringAlerts(where: {severity: "HIGH"}) { totalCount } }', "{eq: HIGH}"),
        ("{ monitoringAlerts(where: {status: {eq: open}}) { totalCount } }", "ACTIVE, ACKNOWLEDGED, INVESTIGATING, "),
    ],
)
async def test_an_error_about_an_input_has_a_right_example(client: Client, query: str, right: str) -> None:
    [error] = (await Agent(client).fails("query", query=query))["errors"]
    assert right in error["try"]
    wrong = query[query.index("(") :]
    if right.startswith("{"):
        made = re.sub(r"\{createdAt: DESC\}|\bseverity(?=\])|\{p95Ms: DESC\}|\"HIGH\"", right, wrong)
        assert (await Agent(client).call("query", query=query[: query.index("(")] + made))["data"]


@pytest.mark.parametrize(
    ("where", "variables", "said"),
    [
        ('{ studyName: { contains: "C3G" } }', None, "contains"),
        ("{ studyName: { startsWith: $text } }", {"text": "Fabhalta"}, "startsWith"),
        ('{ and: [{ experiment: { experimentName: { eq: "FABHALTA C3G" } } }] }', None, "eq"),
        ('{ studyName: { iContains: "no such study" } }', None, None),
        ('{ createdAt: { gte: "now-1h" }, rowId: { eq: "00000000-0000-4000-8000-000000000000" } }', None, None),
        ('{ studyName: { contains: "c3g" } }', None, None),
    ],
)
async def test_no_row_by_the_letters_of_a_text_says_so(
    demo: Client, where: str, variables: dict[str, str] | None, said: str | None
) -> None:
    """No row is no proof that nothing is called so; rows need no such word."""
    head = "query ($text: String) " if variables else ""
    query = f"{head}{{ studies: hpoStudies(where: {where}) {{ totalCount nodes {{ id }} }} }}"
    envelope = await Agent(demo).call("query", query=query, **({"variables": variables} if variables else {}))
    assert bool(envelope["data"]["studies"]["nodes"]) is ("c3g" in where)
    told = [one for one in envelope["warnings"] if "upper and lower case" in one]
    assert told == (
        [f"studies has no row, but {said} heeds upper and lower case: try iContains, or find."] if said else []
    )


@pytest.mark.parametrize(
    "query",
    [
        "{ latestDataQualities(where: {overallStatus: {eq: SKIPPED}}) { nodes { id } } }",
        '{ expertReviews(where: {approvalStatus: {eq: "approved"}, validUntil: {lt: "now-9000d"}}) { nodes { id } } }',
        '{ models(where: {deployments: {some: {environment: {eq: "production"}}}, auc: {lt: 0}}) { nodes { id } } }',
    ],
)
async def test_a_word_of_a_closed_vocabulary_is_not_doubted(demo: Client, query: str) -> None:
    """It has the case of the vocabulary, or it would be an error."""
    envelope = await Agent(demo).call("query", query=query)
    assert not any(page["nodes"] for page in envelope["data"].values())
    assert envelope["warnings"] == []


@pytest.mark.parametrize(
    ("query", "warning"),
    [
        (
            "{ roiCalculations { totalCount } }",
            "RoiCalculation rows out of use count too: where: {isActive: {eq: true}} leaves them out.",
        ),
        ("{ experiments(first: 1) { nodes { roiCalculations { nodes { id } } } } }", "RoiCalculation rows out of use"),
        (
            "{ roiCostDetails { aggregate { totalCost { sum } } } }",
            "RoiCostDetail rows of a RoiCalculation out of use count too: where: {calculation: {isActive: {eq: true}}}",
        ),
        ("{ featureViews(first: 1) { totalCount } }", "{deletedAt: {isNull: true}} leaves them out."),
        ("{ roiCalculations(where: {isActive: {eq: true}}) { totalCount } }", None),
        ("{ roiCalculations { nodes { id isActive } } }", None),
        ("{ roiCalculations(first: 1) { nodes { costs { nodes { id } } isActive } } }", None),
        ("{ models { totalCount } }", None),
    ],
)
async def test_rows_out_of_use_are_told_where_nothing_leaves_them_out(
    demo: Client, query: str, warning: str | None
) -> None:
    envelope = await Agent(demo).call("query", query=query)
    said = [one for one in envelope["warnings"] if "out of use" in one]
    assert len(said) == (warning is not None)
    assert all(warning in one for one in said if warning)


async def test_rows_in_use_are_what_the_warning_filters(demo: Client) -> None:
    """The filters of the warnings are valid, and the demo has rows that they leave out."""
    for root, where in (
        ("roiCalculations", "{isActive: {eq: true}}"),
        ("roiCostDetails", "{calculation: {isActive: {eq: true}}}"),
        ("roiValueDriverDetails", "{calculation: {isActive: {eq: true}}}"),
        ("toolDependencies", "{consumerTool: {deprecatedAt: {isNull: true}}}"),
        ("featureViews", "{deletedAt: {isNull: true}}"),
    ):
        envelope = await Agent(demo).call("query", query=f"{{ {root} {{ totalCount }} }}")
        [warning] = [one for one in envelope["warnings"] if "out of use" in one]
        assert f"where: {where} " in warning
        query = f"{{ every: {root} {{ totalCount }} used: {root}(where: {where}) {{ totalCount }} }}"
        data = (await Agent(demo).call("query", query=query))["data"]
        assert 0 < data["used"]["totalCount"] <= data["every"]["totalCount"]


async def test_parts_of_rows_have_units_and_the_way_to_them(demo: Client) -> None:
    found = (await Agent(demo).call("find_fields", text="recurring costs of ROI calculations"))["data"]
    assert "RoiCalculationBreakdown.recurringCost: Float <USD> [roiCalculations { breakdown }]" in found
    [card] = (await Agent(demo).call("describe_type", names=["RoiCalculationBreakdown"]))["data"]
    assert "recurringCost <USD>" in card
    query = "{ roiCalculations(first: 1) { nodes { breakdown { recurringCost } } } }"
    envelope = await Agent(demo).call("query", query=query)
    assert envelope["units"] == {"RoiCalculationBreakdown.recurringCost": "USD"}


async def test_past_forms_of_verbs_are_understood(client: Client) -> None:
    found = (await Agent(client).call("find_fields", text="why units withdrew from an experiment"))["data"]
    assert any(line.startswith("Enrollment.withdrawalReason: ") for line in found[:4]), found


async def test_the_way_to_an_aggregate_is_advice(client: Client) -> None:
    query = "{ roiCostDetails { aggregate { sum { totalCost } } } }"
    [error] = (await Agent(client).fails("query", query=query))["errors"]
    assert error["try"] == "Aggregates stand below the field that they are of: totalCost { sum }."


@pytest.mark.parametrize(
    ("query", "is_told"),
    [
        ('{ expertReviews(where: {approvalStatus: {eq: "approved"}}) { totalCount } }', True),
        ("{ expertReviews(first: 1) { nodes { approvalStatus } } }", True),
        ("{ expertReviews(first: 1) { nodes { approvalStatus state } } }", False),
        ("{ expertReviews(first: 1) { nodes { approvalStatus validUntil } } }", False),
        ("{ expertReviews(first: 1) { nodes { reviewType } } }", False),
    ],
)
async def test_an_approval_that_may_have_lapsed_is_told(demo: Client, query: str, *, is_told: bool) -> None:
    warnings = (await Agent(demo).call("query", query=query))["warnings"]
    assert (
        any("EXPIRED from the day after `validUntil`" in one and "Select state." in one for one in warnings) == is_told
    )
