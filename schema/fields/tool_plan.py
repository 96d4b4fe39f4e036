"""`toolExecutionPlan`: an order in which given tools can run, and the data flow between them.

Without postponed annotations: Strawberry could not resolve names of classes that a function creates.
"""

import math
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any

import orjson
import strawberry

from schema.catalogue import ids
from schema.catalogue.catalogue import Type
from schema.catalogue.records import Record
from schema.error_codes import ErrorCode
from schema.errors import NUL, GatewayError, bad_argument, missing_object
from schema.execution.loaders import Loaders
from schema.graph.root_field import RootField
from schema.graph.types import Info, Types, selection_of, taking
from schema.sql.builder import Binds

MAX_TOOLS = 100
MAX_SUGGESTED = 10
MAX_NAMES = 10_000
"""Names of tools that an unknown one is compared with."""

_PLAN = """
    WITH plan AS MATERIALIZED (
        SELECT * FROM {tools} t WHERE t.name = ANY ({names}) OR t.tool_id = ANY ({ids})
    )
    SELECT p.tool_id::text, p.name, p.composable IS TRUE, {deprecated}, {latency}, {success},
        (SELECT json_agg(json_build_array(d.dependency_id, d.producer_tool_id) ORDER BY i.name, d.dependency_id)
         FROM {dependencies} d JOIN plan i ON i.tool_id = d.producer_tool_id
         WHERE d.consumer_tool_id = p.tool_id)::text,
        (SELECT json_build_array(count(*), (array_agg(d.dependency_id ORDER BY o.name, d.dependency_id))[1:{most}])
         FROM {dependencies} d JOIN {tools} o ON o.tool_id = d.producer_tool_id
         WHERE d.consumer_tool_id = p.tool_id AND o.composable AND {in_use}
           AND NOT EXISTS (SELECT FROM plan i WHERE i.tool_id = o.tool_id))::text
    FROM plan p ORDER BY p.name, p.tool_id
"""


@dataclass(frozen=True)
class PlannedTool:
    """A tool of a plan. ``inputs`` are ``(dependency, producer)`` ids, of producers in the plan.

    ``latency`` is in milliseconds, ``success`` a fraction (0-1); an error if the database lacks the column.
    """

    id: str
    name: str
    latency: float | GatewayError | None
    success: float | GatewayError | None
    inputs: Sequence[tuple[str, str]]
    suggested: Sequence[str]
    suggestions: int


async def _plan(info: Info) -> Record:
    """The plan of the requested tools.

    Raises:
        GatewayError: ``BAD_USER_INPUT``, ``UNKNOWN_TOOL``, ``TOOL_NOT_COMPOSABLE``, ``DEPENDENCY_CYCLE`` or
            ``MISSING_IN_DATABASE``.
    """
    loaders = info.context.loaders
    asked: list[str] = selection_of(info).arguments["tools"]
    _check(asked)
    found = await _tools(loaders, asked)
    tools = {tool.id: tool for tool in found}
    layers = _layers(tools)
    return {
        "layers": [
            {"position": place, "steps": [_step(tool) for tool in layer]} for place, layer in enumerate(layers, 1)
        ],
        "estimated_latency_ms": _known(
            [tool.latency for tool in found],
            lambda: sum(max(_number(tool.latency) for tool in layer) for layer in layers),
        ),
        "success_rate": _known(
            [tool.success for tool in found], lambda: math.prod(_number(tool.success) for tool in found)
        ),
    }


def _check(asked: Sequence[str]) -> None:
    if not asked:
        raise bad_argument("tools", f"is empty; pass 1 to {MAX_TOOLS} names or ids of tools")
    if len(asked) > MAX_TOOLS:
        raise bad_argument("tools", f"{len(asked)} tools are too many; pass at most {MAX_TOOLS}")
    for place, text in enumerate(asked):
        if "\x00" in text:
            raise bad_argument(f"tools[{place}]", NUL)


async def _tools(loaders: Loaders, asked: Sequence[str]) -> list[PlannedTool]:
    """The requested tools by name, with their possible inputs: one statement."""
    type_, dependencies = loaders.catalogue["Tool"], loaders.catalogue["ToolDependency"]
    _refuse_missing(loaders, type_, ("tool_id", "name", "composable"))
    _refuse_missing(loaders, dependencies, ("dependency_id", "consumer_tool_id", "producer_tool_id"))
    keys = [_id(type_, text) for text in asked]
    bind = Binds()

    def column(name: str) -> str:
        return "NULL" if loaders.missing.first(type_, [name]) else f"p.{name}"

    dated = loaders.missing.first(type_, ["deprecated_at"]) is None
    statement = _PLAN.format(
        tools=type_.sql_name,
        dependencies=dependencies.sql_name,
        names=bind(list(asked), "text[]"),
        ids=bind([key for key in keys if key], "text[]::uuid[]"),
        deprecated="p.deprecated_at IS NOT NULL" if dated else "false",
        in_use="o.deprecated_at IS NULL" if dated else "true",
        latency=column("avg_latency_ms"),
        success=column("success_rate"),
        most=MAX_SUGGESTED,
    )
    rows = await loaders.reader.fetch(statement, bind.values)
    await _refuse_unusable(loaders, asked, keys, rows)
    lacking = {
        name: missing_object(what)
        for name in ("avg_latency_ms", "success_rate")
        if (what := loaders.missing.first(type_, [name]))
    }
    return [_planned(row, lacking) for row in rows]


def _refuse_missing(loaders: Loaders, type_: Type, columns: Sequence[str]) -> None:
    if what := loaders.missing.table(type_) or loaders.missing.first(type_, columns):
        raise missing_object(what)


def _id(type_: Type, text: str) -> str | None:
    """The key in an id of a tool, global or bare; None for a name."""
    try:
        return ids.decode(text, type_.name, type_.key_kinds)[0]
    except ids.MalformedIdError:
        return None


async def _refuse_unusable(
    loaders: Loaders, asked: Sequence[str], keys: Sequence[str | None], rows: Sequence[Sequence[Any]]
) -> None:
    """Refuses names that are unknown, repeated, or of tools that the Tool Composer may not use."""
    by_name, by_id = {row[1]: row for row in rows}, {row[0]: row for row in rows}
    first: dict[str, int] = {}
    unknown: list[int] = []
    for place, (text, key) in enumerate(zip(asked, keys, strict=True)):
        row = by_name.get(text) or by_id.get(key or "")
        if row is None:
            unknown.append(place)
            continue
        if row[0] in first:
            raise bad_argument(f"tools[{place}]", f"names {row[1]} a second time, after tools[{first[row[0]]}]")
        first[row[0]] = place
    if unknown:
        raise await _unknown(loaders, {place: asked[place] for place in unknown})
    unusable = [(first[row[0]], row) for row in rows if not row[2] or row[3]]
    if unusable:
        raise _not_composable(sorted((place, row[1], bool(row[3])) for place, row in unusable))


async def _unknown(loaders: Loaders, places: Mapping[int, str]) -> GatewayError:
    """The error for unknown tools, each with similar names."""
    statement = f"SELECT t.name FROM {loaders.catalogue['Tool'].sql_name} t ORDER BY t.name LIMIT {MAX_NAMES}"
    names = [row[0] for row in await loaders.reader.fetch(statement, ())]
    near = {place: get_close_matches(text[:200].lower(), names, n=3, cutoff=0.5) for place, text in places.items()}
    said = "; ".join(
        f"tools[{place}] {ids.shown(text)}" + (f" (did you mean {', '.join(near[place])}?)" if near[place] else "")
        for place, text in list(places.items())[:5]
    )
    more = f"; and {len(places) - 5} more" if len(places) > 5 else ""
    return GatewayError(
        ErrorCode.UNKNOWN_TOOL,
        f"No tool has this name or id: {said}{more}. `tools {{ nodes {{ name }} }}` lists all.",
        argument=f"tools[{next(iter(places))}]",
        unknown=[
            {"argument": f"tools[{place}]", "tool": text[:200], "suggestions": near[place]}
            for place, text in places.items()
        ],
    )


def _not_composable(unusable: Sequence[tuple[int, str, bool]]) -> GatewayError:
    said = ", ".join(f"{name} ({'deprecated' if gone else 'not composable'})" for _, name, gone in unusable)
    return GatewayError(
        ErrorCode.TOOL_NOT_COMPOSABLE,
        f"The Tool Composer cannot use: {said}. Omit them, or plan with composable tools that are in use.",
        argument=f"tools[{unusable[0][0]}]",
        tools=[name for _, name, _ in unusable],
    )


def _planned(row: Sequence[Any], lacking: Mapping[str, GatewayError]) -> PlannedTool:
    id_, name, _, _, latency, success, inputs, outside = row
    count, suggested = orjson.loads(outside)
    return PlannedTool(
        id_,
        name,
        lacking.get("avg_latency_ms", latency),
        lacking.get("success_rate", success),
        [(dependency, producer) for dependency, producer in orjson.loads(inputs or "[]")],
        suggested or [],
        count,
    )


def _layers(tools: Mapping[str, PlannedTool]) -> list[list[PlannedTool]]:
    """The tools by the length of the longest path to each, sorted by name in each layer.

    Raises:
        GatewayError: ``DEPENDENCY_CYCLE``.
    """
    producers = {tool.id: [producer for _, producer in tool.inputs] for tool in tools.values()}
    depths: dict[str, int] = {}
    try:
        for id_ in TopologicalSorter(producers).static_order():
            depths[id_] = 1 + max((depths[producer] for producer in producers[id_]), default=-1)
    except CycleError as error:
        raise _cycle([tools[id_].name for id_ in error.args[1]]) from None
    layers: list[list[PlannedTool]] = [[] for _ in range(1 + max(depths.values()))]
    for tool in tools.values():  # sorted by name
        layers[depths[tool.id]].append(tool)
    return layers


def _cycle(names: list[str]) -> GatewayError:
    """The error for a cycle of ``names``, which are listed from the alphabetically first one."""
    around = names[:-1]
    start = around.index(min(around))
    around = [*around[start:], *around[:start], around[start]]
    return GatewayError(
        ErrorCode.DEPENDENCY_CYCLE,
        f"These tools wait for each other's output: {' -> '.join(around)}. Leave one of them out.",
        argument="tools",
        cycle=around,
    )


def _known(values: Iterable[float | GatewayError | None], result: Any) -> Any:
    """The value of ``result``, None if an input is unknown, or the error of an input."""
    numbers = list(values)
    if error := next((value for value in numbers if isinstance(value, GatewayError)), None):
        return error
    if any(value is None or not math.isfinite(_number(value)) for value in numbers):
        return None
    return result()


def _number(value: float | GatewayError | None) -> float:
    assert isinstance(value, float)  # noqa: S101 - `_known` has checked it
    return value


def _step(tool: PlannedTool) -> Record:
    return {
        "tool": tool.id,
        "inputs": [dependency for dependency, _ in tool.inputs],
        "suggested_producers": tool.suggested,
        "suggested_producer_count": tool.suggestions,
    }


def _tool(step: Any, info: Info) -> Awaitable[Any]:
    loaders = info.context.loaders
    row: Awaitable[Any] = loaders.row(loaders.catalogue["Tool"], selection_of(info), (step["tool"],))
    return row


def _dependencies(name: str) -> Any:
    def resolve(step: Any, info: Info) -> list[Awaitable[Any]]:
        loaders, selection = info.context.loaders, selection_of(info)
        type_ = loaders.catalogue["ToolDependency"]
        return [loaders.row(type_, selection, (key,)) for key in step[name]]

    return resolve


def _suggested(step: Any, info: Info) -> list[Awaitable[Any]]:
    """The first suggested dependencies; that there are more is told if their number is not selected."""
    beside = {child.name for child in info.context.operation.at(info.path.prev).fields.values()}
    if step["suggested_producer_count"] > MAX_SUGGESTED and "suggestedProducerCount" not in beside:
        info.context.loaders.cut[selection_of(info).path] += 1
    dependencies: list[Awaitable[Any]] = _dependencies("suggested_producers")(step, info)
    return dependencies


def _make(types: Types) -> Any:
    node: Any = types.nodes["Tool"]
    edge: Any = types.nodes["ToolDependency"]

    @strawberry.type(name="ToolExecutionStep", description="A call of one tool.")
    class ToolExecutionStep:
        tool = strawberry.field(resolver=taking({}, node | None, _tool), description="The tool to call.")
        inputs = strawberry.field(
            resolver=taking({}, list[edge | None], _dependencies("inputs")),
            description="What the tool takes from tools of earlier layers: which field of the output fills which field "
            "of the input, through which transformation. By the producer's name.",
        )
        suggested_producers = strawberry.field(
            resolver=taking({}, list[edge | None], _suggested),
            description="What the tool could also take, from composable tools that are not in the plan; the first "
            f"{MAX_SUGGESTED} by the producer's name.",
        )
        suggested_producer_count: int = strawberry.field(
            description=f"Number of such dependencies, of which at most {MAX_SUGGESTED} are listed."
        )

    @strawberry.type(name="ToolExecutionLayer", description="Calls that can run at the same time.")
    class ToolExecutionLayer:
        position: int = strawberry.field(description="Place of the layer in the order of execution, from 1.")
        steps: list[ToolExecutionStep] = strawberry.field(description="The layer's calls, by the tool's name.")

    @strawberry.type(
        name="ToolExecutionPlan", description="Order in which tools can run, and the data that flows between them."
    )
    class ToolExecutionPlan:
        layers: list[ToolExecutionLayer] = strawberry.field(
            description="The layers in order. A tool is one layer after the last tool whose output it takes; tools "
            "without inputs from others are in the first layer."
        )
        estimated_latency_ms: float | None = strawberry.field(
            description="Expected duration in ms: the rolling average latency of each layer's slowest tool, summed up. "
            "Null if the latency of any tool is unknown."
        )
        success_rate: float | None = strawberry.field(
            description="Expected share of runs (0-1) in which every tool succeeds, as if tools failed independently: "
            "the product of their rolling success rates. Null if any is unknown."
        )

    described = strawberry.argument(
        description=f"At least one and at most {MAX_TOOLS} tools, each once: names, or ids, global or bare. "
        "What is both is a name."
    )
    taken = {"tools": Annotated[list[str], described]}
    return strawberry.field(
        resolver=taking(taken, ToolExecutionPlan | None, lambda _root, info: _plan(info)),
        description="A plan of the given tools by their declared dependencies: layers of calls that can run in "
        "parallel. Errors: UNKNOWN_TOOL, TOOL_NOT_COMPOSABLE, DEPENDENCY_CYCLE, each saying which tools.",
    )


def _rows(arguments: Mapping[str, Any]) -> dict[str, int]:
    tools = min(len(arguments.get("tools") or ()), MAX_TOOLS)
    return {"tool": tools, "inputs": tools * (tools - 1) // 2, "suggestedProducers": MAX_SUGGESTED * tools}


TOOL_EXECUTION_PLAN = RootField(_make, _rows)
