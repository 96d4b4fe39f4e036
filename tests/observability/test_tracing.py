"""Traces, as an OTLP collector receives them over HTTP."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway.settings import SettingsError
from tests.support.agents import LEGACY, Agent
from tests.support.changing import change, model_in
from tests.support.client import serving
from tests.support.databases import Database, connect, execute
from tests.support.process import ROOT, environment, run
from tests.support.sockets import Peer, listening, peer

pytestmark = pytest.mark.slow

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SECRET = "Patient Zero 4711"
BY_NAME = "query ByName($name: String!) { experiments(where: { experimentName: { eq: $name } }) { nodes { id } } }"


class Collector:
    """What arrived, in the order of arrival."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resource: dict[str, str] = {}
        self.raw = b""
        received = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                received.raw += body
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    received.resource |= values(resource.resource.attributes)
                    for scope in resource.scope_spans:
                        received.spans += scope.spans
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def named(self, name: str) -> Span:
        (span,) = [span for span in self.spans if span.name == name]
        return span

    def below(self, parent: Span) -> list[Span]:
        return [span for span in self.spans if span.parent_span_id == parent.span_id]


def values(attributes: Any) -> dict[str, Any]:
    """Attributes as plain values."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    found = Collector()
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{found.server.server_port}")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=tests")
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


async def test_a_request_its_plan_and_its_statement(module_database: Database, collector: Collector) -> None:
    async with serving(module_database.gateway_url, traces=True) as client:
        response = await client.http.post(
            "/graphql",
            json={"query": BY_NAME, "variables": {"name": SECRET}},
            headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
        )
    assert collector.resource["service.name"] == "e2i-gateway"
    assert collector.resource["deployment.environment.name"] == "tests"
    request = collector.named("query ByName")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert request.kind == Span.SPAN_KIND_SERVER
    said = values(request.attributes)
    assert {
        "http.request.method": "POST",
        "http.route": "/graphql",
        "http.response.status_code": 200,
        "graphql.operation.type": "query",
        "graphql.operation.name": "ByName",
        "e2i.statements": 1,
        "e2i.request_id": response.headers["x-request-id"],
    }.items() <= said.items()
    plan, statement = sorted(collector.below(request), key=lambda span: span.start_time_unix_nano)
    assert plan.name == "plan"
    assert request.start_time_unix_nano <= plan.start_time_unix_nano + 1_000_000
    assert plan.end_time_unix_nano <= request.end_time_unix_nano
    assert statement.kind == Span.SPAN_KIND_CLIENT
    of_statement = values(statement.attributes)
    assert of_statement["db.system.name"] == "postgresql"
    assert of_statement["db.namespace"] == module_database.name
    assert "ml_experiments" in of_statement["db.query.text"]
    assert statement.end_time_unix_nano > statement.start_time_unix_nano
    assert SECRET.encode() not in collector.raw


async def test_a_change_has_its_transaction(database: Database, collector: Collector) -> None:
    connection = await connect(database.owner_url)
    model = await model_in(connection, "development")
    await connection.close()
    async with serving(database.gateway_url, traces=True) as client:
        await change(client, "promoteModel", id=model, to="STAGING", reason=SECRET)
    (request,) = [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]
    assert values(request.attributes)["graphql.operation.type"] == "mutation"
    transaction = collector.named("transaction")
    assert transaction.parent_span_id == request.span_id
    names = {span.name for span in collector.below(transaction)}
    assert {"SELECT", "UPDATE", "INSERT"} <= names
    assert SECRET.encode() not in collector.raw


async def test_a_tool_of_an_agent_has_its_span(module_database: Database, collector: Collector) -> None:
    """Within that of its request, with what it runs below it; what it refuses is its error, without a word of it."""
    async with serving(module_database.gateway_url, traces=True) as client:
        agent = Agent(client, traceparent=f"00-{TRACE}-{PARENT}-01")
        await agent.call("query", query=BY_NAME, variables={"name": SECRET})
        await agent.fails("query", query=SECRET)
        await Agent(client, LEGACY).call("find", text="kisqali")
    first, second = [span for span in collector.spans if span.name == "tools/call query"]
    (request,) = [span for span in collector.spans if span.span_id == first.parent_span_id]
    assert request.name == "POST /mcp"
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert {"plan", "SELECT"} <= {span.name for span in collector.below(first)}
    said = values(first.attributes)
    assert (said["gen_ai.tool.name"], said["graphql.operation.name"]) == ("query", "ByName")
    assert said["e2i.statements"] == 1
    assert values(second.attributes)["error.type"] == "GRAPHQL_PARSE_FAILED"
    found = collector.named("tools/call find")
    assert [span.name for span in collector.spans if span.span_id == found.parent_span_id] == ["POST /mcp"]
    assert SECRET.encode() not in collector.raw


async def refused_on(socket: Peer, query: str) -> None:
    id_ = await socket.subscribe(query)
    while (message := await socket.hear())["id"] != id_:
        pass
    assert message["type"] == "error"


async def test_operations_over_a_socket(module_database: Database, collector: Collector) -> None:
    """A span for each, with its plan and its statements below, as over HTTP."""
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    async with (
        listening(module_database.gateway_url, traces=True) as gateway,
        peer(gateway, additional_headers=headers) as one,
    ):
        assert "errors" not in await one.payload(await one.subscribe(BY_NAME, name=SECRET))
        await refused_on(one, "{ nothing }")
    request = collector.named("query ByName")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert request.kind == Span.SPAN_KIND_SERVER
    said = values(request.attributes)
    assert {
        "network.protocol.name": "websocket",
        "http.route": "/graphql",
        "graphql.operation.type": "query",
        "graphql.operation.name": "ByName",
        "e2i.statements": 1,
    }.items() <= said.items()
    assert len(said["e2i.request_id"]) == 32
    plan, statement = sorted(collector.below(request), key=lambda span: span.start_time_unix_nano)
    assert plan.name == "plan"
    assert request.start_time_unix_nano <= plan.start_time_unix_nano + 1_000_000
    assert plan.start_time_unix_nano < plan.end_time_unix_nano <= request.end_time_unix_nano
    assert "ml_experiments" in values(statement.attributes)["db.query.text"]
    refused = values(collector.named("GraphQL Operation").attributes)
    assert refused["error.type"] == "GRAPHQL_VALIDATION_FAILED"
    assert SECRET.encode() not in collector.raw


async def test_a_subscription_over_a_socket(database: Database, collector: Collector) -> None:
    """A span until it is followed, and one of another trace, with a link to the first, whenever messages are read."""
    connection = await connect(database.owner_url)
    model = await model_in(connection, "development")
    await connection.close()
    query = "subscription Followed { lifecycleEvents { cursor event { nodeId node { id } } } }"
    async with listening(database.gateway_url, traces=True) as gateway, peer(gateway) as one:
        stream = await one.followed(query)
        await change(gateway.client, "promoteModel", id=model, to="STAGING")
        assert (await stream.next())["event"]["nodeId"] == model
        await refused_on(one, query.replace("lifecycleEvents", 'lifecycleEvents(after: "none")'))
    begun, refused = [span for span in collector.spans if span.name == "subscription Followed"]
    assert values(begun.attributes)["graphql.operation.type"] == "subscription"
    assert [span.name for span in collector.below(begun)] == ["plan"]
    assert values(refused.attributes)["error.type"] == "INVALID_CURSOR"
    batches = [span for span in collector.spans if span.name == "subscription Followed messages"]
    assert [values(span.attributes)["e2i.messages"] for span in batches] == [1, 1], "the first cursor, and the change"
    for span in batches:
        assert span.trace_id != begun.trace_id
        assert not span.parent_span_id
        (link,) = span.links
        assert (link.trace_id, link.span_id) == (begun.trace_id, begun.span_id)
    statements = [values(span.attributes)["db.query.text"] for span in collector.below(batches[1])]
    assert any("lifecycle_events" in statement for statement in statements)


async def test_what_fails_is_an_error(database: Database, collector: Collector) -> None:
    async with serving(database.gateway_url, traces=True) as client:
        await execute(
            database.owner_url,
            "INSERT INTO ml_experiments (experiment_name, prediction_target) VALUES ('x', 'x')",
            "ALTER TABLE ml_experiments RENAME COLUMN description TO words",
        )
        await client.ask("query Broken { experiments(first: 1) { nodes { description } } }")
        await client.ask("{ nothing }")
    broken = collector.named("query Broken")
    assert values(broken.attributes)["error.type"] == "MISSING_IN_DATABASE"
    failed = [span for span in collector.below(broken) if span.status.code == Status.STATUS_CODE_ERROR]
    assert failed
    assert {values(span.attributes)["db.response.status_code"] for span in failed} == {"42703"}
    refused = values(collector.named("POST /graphql").attributes)
    assert refused["error.type"] == "GRAPHQL_VALIDATION_FAILED"


async def test_the_name_of_the_service_is_the_users(
    module_database: Database, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "metadata")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    async with serving(module_database.gateway_url, traces=True) as client:
        await client.data("query Unseen { __typename }")
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        await client.http.post("/graphql", json={"query": "query Seen { __typename }"}, headers=headers)
    assert collector.resource["service.name"] == "metadata"
    assert [span.name for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER] == ["query Seen"]


async def test_a_protocol_that_is_not_spoken(module_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(SettingsError, match="use http/protobuf"):
        async with serving(module_database.gateway_url, traces=True):
            pass
    ended = run("serve", GATEWAY_TRACES="on", DATABASE_URL=module_database.gateway_url, PORT="0")
    assert ended.returncode == 2
    assert "use http/protobuf" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_nobody_has_asked_for_is_not_imported() -> None:
    """Traces, the protocol of agents, demo data and migrations: half of what every command and worker would import."""
    code = """
import sys
from gateway.app import create_app
from gateway.settings import Settings
from db.engine.url import database_url
import gateway.cli.command_line
create_app(Settings(), database_url("postgresql://a@127.0.0.1:1/b"))
asked = ("opentelemetry", "gateway.observability.tracing", "mcp", "httpx2", "db.demo", "alembic", "standardwebhooks")
print([name for name in sys.modules if name.startswith(asked)])
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "[]"
