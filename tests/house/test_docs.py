"""The documentation is true: its examples run on the demo data, its links lead somewhere, what it names exists."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.mcp.tools.registry import TOOLS
from gateway.settings import Settings
from schema.recording.retention import Policy
from tests.support.client import Client
from tests.support.databases import Clone, Database, connect
from tests.support.sockets import listening, until
from tests.support.sources import LAYERS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "gateway" / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
TEXTS = {page: page.read_text() for page in PAGES}
EXAMPLES = sorted((ROOT / "gateway" / "static" / "graphiql-examples").glob("*.graphql"))
QUESTIONS = re.findall(r"^\| ([^|]+) \| `(.+)` \|$", TEXTS[DOCS / "how-to" / "questions.md"], re.MULTILINE)
TUTORIAL = DOCS / "tutorial.md"


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", TEXTS[page], re.DOTALL)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_readme_is_a_page() -> None:
    assert len(TEXTS[ROOT / "README.md"].splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```|`[^`\n]*`", "", TEXTS[page], flags=re.DOTALL)):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            broken.append(target)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_linked() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s:]+)\)", TEXTS[page])
    }
    decisions = DOCS / "decisions"
    assert [named(page) for page in PAGES if page not in linked and decisions not in page.parents] == ["README.md"]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_settings_that_are_named_exist(page: Path) -> None:
    known = {str(field.validation_alias or f"GATEWAY_{name.upper()}") for name, field in Settings.model_fields.items()}
    assert set(re.findall(r"\bGATEWAY_[A-Z_]*[A-Z]\b", TEXTS[page])) - known == set()


@cache
def _test_sources() -> dict[str, str]:
    """What the files of tests contain, by their names."""
    folders = (folder for folder in (ROOT / "tests").iterdir() if folder.is_dir())
    return {path.name: path.read_text() for folder in folders for path in folder.glob("test_*.py")}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_tests_that_are_named_exist(page: Path) -> None:
    for file, test in set(re.findall(r"`(?:\w+/)*(test_\w+\.py)(?:::(test_\w+))?`", TEXTS[page])):
        assert not test or f"def {test}(" in _test_sources()[file], (file, test)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_paths_that_are_named_exist(page: Path) -> None:
    paths = set(re.findall(r"`((?:db|schema|gateway|tests)/[\w/.-]*)`", TEXTS[page]))
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def test_every_room_has_a_row() -> None:
    """Of contributing.md, where an engineer looks for the place of something new."""
    rooms = {
        f"{path.parent.parent.name}/{path.parent.name}"
        for layer in LAYERS
        for path in ROOT.glob(f"{layer}/*/__init__.py")
    }
    text = TEXTS[DOCS / "contributing.md"]
    rows = {room for row in text.splitlines() if row.startswith("| `") for room in re.findall(r"`(\S+/\w+)/`", row)}
    assert {room for room in rooms - rows if not room.endswith("/adapters")} == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_prose_is_wrapped(page: Path) -> None:
    """At 130 characters, outside tables and code; what cannot be broken aside."""
    prose = re.sub(r"```.*?```", "", TEXTS[page], flags=re.DOTALL).splitlines()
    made = "<!-- Made" in TEXTS[page] or page.name == "lifecycles.md"
    assert [line for line in prose if len(line) > 130 and not made and not re.match(r"[|#<!\[]", line)] == []


def test_changelog_is_grouped_and_wrapped() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().partition("## Unreleased")[2].splitlines()
    assert [line for line in lines if len(line) > 130] == []
    assert [line[4:] for line in lines if line.startswith("### ")][:4] == ["Added", "Changed", "Fixed", "Security"]
    entries = [line for line in lines if line.startswith("- ")]
    assert len(entries) == len(set(entries))


def test_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    found = re.findall(r"(?:`|^\$ )make ([a-z-]+)", "\n".join(TEXTS.values()), re.MULTILINE)
    assert set(found) - targets == set()


@pytest.fixture(scope="module")
async def subjects(demo: Client) -> dict[str, Any]:
    """What the variables of examples are: rows of the demo data about which there is something to tell."""
    data = await demo.data(
        """{ models(where: { stage: { eq: PRODUCTION }, driftStatus: { some: {} }, performanceMetrics: { some: {} } }) {
               nodes { id } }
             experiments(where: { fidelityComparisons: { some: {} }, interimAnalyses: { some: {} } }, first: 1) {
               nodes { id rowId } }
             twinModels(where: { fidelityHistory: { some: {} } }, first: 1) { nodes { id } } }"""
    )
    (model, other, *_), (experiment,), (twin,) = (one["nodes"] for one in data.values())
    return {
        "model: ID!": model["id"],
        "other: ID!": other["id"],
        "experiment: ID!": experiment["id"],
        "experiment: UUID!": experiment["rowId"],
        "twinModel: ID!": twin["id"],
        "dryRun: Boolean!": True,
        "to: ModelStage!": "ARCHIVED",
        "force: Boolean!": False,
    }


def variables(operation: str, subjects: dict[str, Any]) -> dict[str, Any]:
    return {one.split(":")[0]: subjects[one] for one in re.findall(r"\$(\w+: \w+!)", operation)}


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "graphql")], ids=named)
async def test_examples(page: Path, demo: Client, subjects: dict[str, Any]) -> None:
    """A lookup of a model's id is followed by what is asked of it. Mutations are dry runs."""
    here = dict(subjects)
    for block in blocks(page, "graphql"):
        if block.startswith("subscription"):
            continue  # `test_the_client` runs it
        assert "dryRun" in block or not re.search(r"^mutation\b", block, re.MULTILINE)
        data = await demo.data(block, **variables(block, here))
        assert leaves(data), "it has something to tell"
        if isinstance(data.get("model"), dict) and "id" in data["model"]:
            here["model: ID!"] = data["model"]["id"]


EVERYWHERE = {"console", "graphql", "json", "sql", "toml"}
"""Languages whose examples run below, on whichever page they stand; ``console`` in `test_docs_commands`."""
HERE = {
    ("python", "pipelines.md"): "test_pipelines_write",
    ("python", "subscribe.md"): "test_the_client",
    ("python", "tables.md"): "test_libraries_read_tables",
    ("js", "subscribe.md"): "test_the_script_of_the_documentation_follows_changes",
    ("sh", "deploy.md"): "test_the_environment_of_a_deployment_makes_settings",
}
"""The tests that run examples of other languages."""
PICTURED = {"mermaid", "text"}


def test_every_example_is_run() -> None:
    tests = "".join(_test_sources().values())
    assert [test for test in HERE.values() if f"def {test}(" not in tests] == []
    found = {
        (language, page.name)
        for page, text in TEXTS.items()
        for language in re.findall(r"^```(\w+)", text, re.MULTILINE)
    }
    assert {one for one in found if one[0] not in EVERYWHERE | PICTURED} == set(HERE)


async def test_the_answer_to_agents(demo: Client) -> None:
    """An error as it is told, and whatever else is told in JSON can be read."""
    told = [json.loads(block) for page in PAGES for block in blocks(page, "json")]
    (refused,) = [one for one in told if "errors" in one]
    answer = await demo.http.post("/graphql", json={"query": '{ model(id: "nonsense") { id } }'})
    (error,) = answer.json()["errors"]
    assert {key: error[key] for key in ("message", "path", "extensions")} == {
        **refused["errors"][0], "extensions": {**error["extensions"], **refused["errors"][0]["extensions"]}
    }  # fmt: skip


def test_policies_are_read() -> None:
    found = [Policy.read(block.encode()) for page in PAGES for block in blocks(page, "toml")]
    assert all(policy.days for policy in found)


async def test_statements_for_the_owner_run(demo_database: Database) -> None:
    """On a server of Supabase's roles and users; nothing of it stays."""
    sql = await connect(demo_database.admin_url)
    running = sql.transaction()
    await running.start()
    try:
        await sql.execute(
            "CREATE SCHEMA auth; CREATE TABLE auth.users (email text, raw_app_meta_data jsonb); "
            "DO $$ BEGIN CREATE ROLE anon; EXCEPTION WHEN duplicate_object THEN END $$; "
            "DO $$ BEGIN CREATE ROLE authenticated; EXCEPTION WHEN duplicate_object THEN END $$"
        )
        for page in PAGES:
            for block in blocks(page, "sql"):
                await sql.execute(block)
    finally:
        await running.rollback()
        await sql.close()


@pytest.mark.parametrize(("question", "operation"), QUESTIONS, ids=[question for question, _ in QUESTIONS])
async def test_questions(question: str, operation: str, demo: Client, subjects: dict[str, Any]) -> None:
    assert leaves(await demo.data(operation, **variables(operation, subjects))), "it has something to tell"


def leaves(value: object) -> int:
    """Values in an answer, ids and nulls aside."""
    if isinstance(value, dict):
        return sum(leaves(one) for one in value.values())
    if isinstance(value, list):
        return sum(leaves(one) for one in value)
    return value is not None


def test_every_tool_of_agents_has_a_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", TEXTS[DOCS / "how-to" / "agents.md"], re.MULTILINE)
    assert rows == [tool.name for tool in TOOLS], "the rows are those of gateway/mcp/tools/registry.py"


def test_the_questions_have_every_read_of_the_platform() -> None:
    assert len(QUESTIONS) == 20


async def test_the_tutorial(demo_template: Database, clone: Clone, serve: Any) -> None:
    """Step by step, with the answers that it tells of."""
    alert, lineage, allowed, promotion, history = blocks(TUTORIAL, "graphql")
    async with clone(demo_template) as copy, serve(copy) as client:
        (told,) = (await client.data(alert))["monitoringAlerts"]["nodes"]
        assert told["model"] == {"modelVersion": "1.3.0", "stage": "DEPRECATED"}
        (retraining,) = told["retrainings"]["nodes"]
        assert retraining["newModel"]["modelVersion"] == "1.4.0"
        walk = (await client.data(lineage, model=retraining["newModel"]["id"]))["lineage"]
        assert (walk["complete"], walk["reason"]) == (False, "maxDepth: edges lead on from nodes at depth 2.")
        assert {"PRODUCES", "TRIGGERS"} <= {edge["kind"] for edge in walk["edges"]}
        model = (await client.data(allowed))["model"]
        moves = {one["to"]: one["blockedBy"] for one in model["lifecycle"]["allowedTransitions"]}
        assert moves == {"STAGING": [], "ARCHIVED": []}

        async def promote(to: str, *, dry_run: bool = False, force: bool = False) -> dict[str, Any]:
            given = {"model": model["id"], "to": to, "dryRun": dry_run, "force": force}
            return dict((await client.data(promotion, **given))["promoteModel"])

        preview = await promote("STAGING", dry_run=True)
        assert (preview["__typename"], preview["blockers"]) == ("TransitionPreview", [])
        assert preview["wouldChange"][0]["after"]["stage"] == "STAGING"
        applied = await promote("STAGING")
        assert (applied["__typename"], applied["event"]["actor"]) == ("TransitionApplied", "anonymous")
        assert (await promote("STAGING"))["__typename"] == "IllegalTransition"
        assert (await promote("SHADOW"))["__typename"] == "TransitionApplied"
        blocked = await promote("PRODUCTION")
        assert blocked["__typename"] == "TransitionBlocked"
        assert [(one["code"], one["overridable"]) for one in blocked["blockers"]] == [("NO_SHADOW_EVIDENCE", True)]
        assert (await promote("PRODUCTION", force=True))["__typename"] == "TransitionApplied"
        events = (await client.data(history))["model"]["lifecycle"]["history"]["nodes"]
        assert [(one["toState"], one["forced"]) for one in events] == [
            ("PRODUCTION", True), ("SHADOW", False), ("STAGING", False),
        ]  # fmt: skip


async def test_the_lineage_of_the_reference(demo: Client) -> None:
    """The story that is told of the model: a retraining, a critical alert, a drift record."""
    lookup, walk = blocks(DOCS / "reference" / "lineage.md", "graphql")
    model = (await demo.data(lookup))["model"]["id"]
    found = (await demo.data(walk, model=model))["lineage"]
    assert found["complete"]
    assert {"Model", "Retraining", "MonitoringAlert"} <= {node["type"] for node in found["nodes"]}
    kinds = {(edge["from"].split(":")[0], edge["to"].split(":")[0], edge["kind"]) for edge in found["edges"]}
    assert {("Retraining", "Model", "PRODUCES"), ("MonitoringAlert", "Retraining", "TRIGGERS")} <= kinds


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_example_tabs_of_graphiql(path: Path, demo: Client) -> None:
    """Where they speak of a model, of the newest in a stage, as GraphiQL fills it in."""
    text = path.read_text()
    given = {}
    if "$model" in text:
        stage = "SHADOW" if "mutation" in text else "PRODUCTION"
        found = await demo.data(f"{{ models(first: 1, where: {{ stage: {{ eq: {stage} }} }}) {{ nodes {{ id }} }} }}")
        given = {"model": found["models"]["nodes"][0]["id"]}
    data = await demo.data(text, **given)
    told = ("nodes", "aggregate", "blockers", "wouldChange")
    assert all(any(answer.get(name) for name in told) for answer in data.values())


@pytest.mark.slow
async def test_the_client(database: Database) -> None:
    """It follows, outlasts a gateway that is started again, and hears everything once."""
    page = DOCS / "how-to" / "subscribe.md"
    (source,) = blocks(page, "python")
    (query,) = blocks(page, "graphql")
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    heard: list[str] = []
    begun = asyncio.Event()

    def handle(change: dict[str, Any]) -> None:
        begun.set()
        if change["event"]:
            heard.append(change["event"]["reason"])

    sql = await connect(database.admin_url)
    async with listening(database.gateway_url) as gateway:
        following = asyncio.create_task(namespace["follow"](gateway.address, query, handle))
        await begun.wait()
        await promoted(sql, "one")
        await until(lambda: heard)
    await promoted(sql, "two")
    async with listening(database.gateway_url, port=gateway.port):
        await until(lambda: len(heard) == 2)
        await promoted(sql, "three")
        await until(lambda: len(heard) == 3)
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    assert heard == ["one", "two", "three"]
    await sql.close()


@pytest.mark.slow
async def test_pipelines_write(demo_template: Database, clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three of the page, as they stand there, against one gateway."""
    monkeypatch.setenv("no_proxy", "*")
    found = []
    async with clone(demo_template) as copy, listening(copy.gateway_url) as gateway:
        for source in blocks(DOCS / "how-to" / "pipelines.md", "python"):
            namespace: dict[str, Any] = {"GATEWAY": str(gateway.http.base_url), "TOKEN": None}
            await asyncio.to_thread(exec, source, namespace)
            found.append(namespace)
        training, exporter, test = found
        data = await gateway.client.data(
            "query($name: String!) { trainingRuns(where: { mlflowRunId: { eq: $name } }) { nodes { status model { id "
            "shapAnalyses(first: 9) { totalCount } } experiment { id } dataQualityReports(first: 9) { totalCount } } } "
            "hpoStudies(where: { studyName: { eq: $name } }) { nodes { status } } }",
            name=training["name"],
        )
    (run,), (study,) = data["trainingRuns"]["nodes"], data["hpoStudies"]["nodes"]
    assert (run["status"], run["model"]["id"], study["status"]) == ("completed", training["first"], "completed")
    assert (run["model"]["shapAnalyses"]["totalCount"], run["dataQualityReports"]["totalCount"]) == (1, 1)
    assert training["first"] == training["second"]
    assert training["trials"].shape == (100, 4)
    assert list(training["trials"].columns) == ["trialNumber", "value", "params.num_leaves", "study.studyName"]
    assert (exporter["first"], exporter["second"]) == (5_000, 0)
    assert test["first"] == test["second"]
    fidelity = test["found"]["fidelityComparison"]
    assert fidelity["predictionError"] is not None
    assert fidelity["fidelityGrade"]
    assert fidelity["experiment"]["assignments"]["totalCount"] == 1_000
    enrolled = test["found"].to_pandas("enrollments.nodes")
    assert list(enrolled.columns) == ["enrollmentStatus", "assignment.unitId", "assignment.variant"]
    assert list(enrolled["enrollmentStatus"]) == ["ACTIVE"] * 20


@pytest.mark.slow
async def test_libraries_read_tables(demo_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """pandas, polars and DuckDB, as the page has it."""
    monkeypatch.setenv("no_proxy", "*")
    source = "\n".join(blocks(DOCS / "how-to" / "tables.md", "python"))
    async with listening(demo_database.gateway_url) as gateway:
        namespace: dict[str, Any] = {"GATEWAY": f"{gateway.http.base_url}/graphql", "TOKEN": ""}
        await asyncio.to_thread(exec, source, namespace)
        data = await gateway.client.data(
            "{ deployments(first: 1000) { nodes { deploymentName environment deployedAt model { modelName auc } } } }"
        )
    rows = data["deployments"]["nodes"]
    frame, table, counts = namespace["frame"], namespace["table"], dict(namespace["count"])
    names = ["deploymentName", "environment", "deployedAt", "model.modelName", "model.auc"]
    assert list(frame.columns) == table.columns == names
    assert list(frame["deploymentName"]) == table["deploymentName"].to_list() == [row["deploymentName"] for row in rows]
    assert list(frame["model.auc"].dropna()) == [row["model"]["auc"] for row in rows if row["model"]["auc"] is not None]
    assert table["model.auc"].to_list() == [row["model"]["auc"] for row in rows]
    times = [one and one.strftime("%Y-%m-%dT%H:%M:%S.%fZ") for one in table["deployedAt"]]
    assert times == [row["deployedAt"] for row in rows]
    assert counts == Counter(row["environment"] for row in rows)
    namespace["stream"].close()


async def promoted(sql: asyncpg.Connection, reason: str) -> None:
    await sql.execute(
        "INSERT INTO gateway.lifecycle_events "
        "(change_id, mutation, lifecycle, actor, reason, node_id, node_type, to_state) "
        "VALUES (gen_random_uuid(), 'promoteModel', 'stage', 'a', $1, 'Model:x', 'Model', 'PRODUCTION')",
        reason,
    )


def test_every_threat_has_a_test() -> None:
    """Each row says what is threatened, what is done, and at least one test; that it exists is tested above."""
    table = TEXTS[DOCS / "reference" / "security.md"].partition("| threat | what the gateway does | test |")[2]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in table.partition("\n\n")[0].splitlines()[2:]
    ]
    assert len(rows) >= 35
    for row in rows:
        assert len(row) == 3, row
        assert all(row), row
        assert re.fullmatch(
            r"`(?:\w+/)*test_\w+\.py(?:::test_\w+)?`(?:, `(?:\w+/)*test_\w+\.py(?:::test_\w+)?`)*", row[2]
        ), row
