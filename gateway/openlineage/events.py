"""OpenLineage 2-0-2 events: of a walked lineage, and of single changes.

Facts without a field in the standard are in facets of our own (``e2i_node``, ``e2i_edges``, ``e2i_change``). Every
gateway serves their schema at the URL in the facets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.openlineage.mapping import ENDS, OTHER, RUNNING, START, event_type, is_run, run_id

Event = dict[str, Any]

_SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"
_FACETS = "https://openlineage.io/spec/facets/"
OWN_FACETS = "/static/openlineage/1-0-0/E2iFacets.json"
"""The path of our facets' schema."""


@dataclass(frozen=True)
class WalkedRow:
    """A row of the lineage with its label, and with its start and end if it is a run."""

    id: str
    type: str
    label: str
    state: str | None
    began: str | None = None
    ended: str | None = None


@dataclass(frozen=True, order=True)
class WalkedEdge:
    """An edge of the lineage, from its upstream row."""

    upstream: str
    downstream: str
    kind: str


@dataclass
class WalkedLineage:
    """A closed part of the lineage: its edges lead between its nodes."""

    as_of: str
    nodes: dict[str, WalkedRow] = field(default_factory=dict)
    edges: set[WalkedEdge] = field(default_factory=set)


class EventWriter:
    """Writes events with the gateway's URL as the producer, and names in a namespace."""

    def __init__(self, url: str, namespace: str) -> None:
        self.producer = url.rstrip("/")
        self.namespace = namespace

    # -- the lineage -----------------------------------------------------------------------------------------------

    def lineage(self, walked: WalkedLineage) -> Iterator[Event]:
        """The events of a walk: datasets, their derivations, then runs, each in the order of ids."""
        upstream: dict[str, list[WalkedEdge]] = defaultdict(list)
        downstream: dict[str, list[WalkedEdge]] = defaultdict(list)
        for edge in sorted(walked.edges):
            upstream[edge.downstream].append(edge)
            downstream[edge.upstream].append(edge)
        nodes = sorted(walked.nodes.values(), key=lambda node: node.id)
        datasets = [node for node in nodes if not is_run(node.type)]
        for node in datasets:
            facets = self._of_dataset(node)
            yield self._event("DatasetEvent", walked.as_of, dataset=self._dataset(node.id, facets))
        for node in datasets:
            came_of = [edge for edge in upstream[node.id] if not self._is_run(walked, edge.upstream)]
            if came_of:
                yield self._derivation(walked, node, came_of)
        for node in nodes:
            if is_run(node.type):
                yield from self._run(walked, node, upstream[node.id], downstream[node.id])

    def _is_run(self, walked: WalkedLineage, id_: str) -> bool:
        return is_run(walked.nodes[id_].type)

    def _derivation(self, walked: WalkedLineage, node: WalkedRow, edges: list[WalkedEdge]) -> Event:
        """The event of a dataset that is derived from others without a known run."""
        job = self._job(f"{node.id}/derivation", self._edges(edges))
        return self._event(
            "JobEvent",
            walked.as_of,
            job=job,
            inputs=self._datasets(edge.upstream for edge in edges),
            outputs=[self._dataset(node.id)],
        )

    def _run(
        self, walked: WalkedLineage, node: WalkedRow, before: list[WalkedEdge], behind: list[WalkedEdge]
    ) -> Iterator[Event]:
        """The events of a run: its start, and its end or current state."""
        runs = [edge for edge in before if self._is_run(walked, edge.upstream)]
        facets = self._of_run(node, runs)
        job = self._job(
            node.id,
            {
                "jobType": self._facet(
                    "2-0-4/JobTypeJobFacet", processingType="BATCH", integration="E2I", jobType=node.type
                ),
                "documentation": self._facet("1-1-0/DocumentationJobFacet", description=node.label),
                **self._edges([*before, *behind]),
            },
        )
        inputs = self._datasets(edge.upstream for edge in before if not self._is_run(walked, edge.upstream))
        outputs = self._datasets(edge.downstream for edge in behind if not self._is_run(walked, edge.downstream))
        what = event_type(node.state)
        if what == OTHER and node.ended is not None:
            what = "COMPLETE"
        began = node.began or node.ended
        at = walked.as_of
        if what in ENDS:
            at = node.ended or began or walked.as_of
        if began is not None and what in {RUNNING, *ENDS}:
            run = {"runId": run_id(node.id), "facets": facets}
            yield self._event("RunEvent", began, eventType=START, run=run, job=job, inputs=inputs, outputs=[])
        run = {"runId": run_id(node.id), "facets": facets}
        yield self._event("RunEvent", at, eventType=what, run=run, job=job, inputs=inputs, outputs=outputs)

    def _of_run(self, node: WalkedRow, runs: list[WalkedEdge]) -> dict[str, Any]:
        """The facets of a run: its parent is the run that contains it; other upstream runs are dependencies."""
        facets: dict[str, Any] = {"e2i_node": self._own("E2iNodeRunFacet", **_shown(node))}
        parents = [edge for edge in runs if edge.kind == "CONTAINS"]
        if parents:
            facets["parent"] = self._facet("1-2-0/ParentRunFacet", **self._named_run(parents[0].upstream))
        if others := [edge for edge in runs if edge not in parents[:1]]:
            named = dict.fromkeys(edge.upstream for edge in others)
            upstream = [self._named_run(id_) for id_ in named]
            facets["jobDependencies"] = self._facet("1-0-1/JobDependenciesRunFacet", upstream=upstream, downstream=[])
        return facets

    def _of_dataset(self, node: WalkedRow) -> dict[str, Any]:
        return {
            "datasetType": self._facet("1-0-1/DatasetTypeDatasetFacet", datasetType=node.type),
            "documentation": self._facet("1-1-0/DocumentationDatasetFacet", description=node.label),
            "e2i_node": self._own("E2iNodeDatasetFacet", **_shown(node)),
        }

    def _edges(self, edges: Iterable[WalkedEdge]) -> dict[str, Any]:
        listed = [{"upstream": one.upstream, "downstream": one.downstream, "kind": one.kind} for one in edges]
        return {"e2i_edges": self._own("E2iEdgesJobFacet", edges=listed)} if listed else {}

    # -- changes ---------------------------------------------------------------------------------------------------

    def change(self, node: str, type_name: str, at: str, state: str | None, details: Mapping[str, Any]) -> Event:
        """The event of a row's change to a state; ``details`` fill our facet."""
        if is_run(type_name):
            facets = {"e2i_change": self._own("E2iChangeRunFacet", **details)}
            run = {"runId": run_id(node), "facets": facets}
            return self._event("RunEvent", at, eventType=event_type(state), run=run, job=self._job(node), inputs=[],
                               outputs=[])  # fmt: skip
        facets = {"e2i_change": self._own("E2iChangeDatasetFacet", **details)}
        return self._event("DatasetEvent", at, dataset=self._dataset(node, facets))

    # -- parts -----------------------------------------------------------------------------------------------------

    def _event(self, kind: str, at: str, **parts: Any) -> Event:
        return {"eventTime": at, "producer": self.producer, "schemaURL": f"{_SPEC}{kind}", **parts}

    def _dataset(self, id_: str, facets: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return {"namespace": self.namespace, "name": id_, "facets": dict(facets or {})}

    def _datasets(self, ids: Iterable[str]) -> list[dict[str, Any]]:
        return [self._dataset(id_) for id_ in dict.fromkeys(ids)]

    def _job(self, name: str, facets: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return {"namespace": self.namespace, "name": name, "facets": dict(facets or {})}

    def _named_run(self, id_: str) -> dict[str, Any]:
        return {"run": {"runId": run_id(id_)}, "job": {"namespace": self.namespace, "name": id_}}

    def _facet(self, path: str, **values: Any) -> dict[str, Any]:
        name = path.partition("/")[2]
        return {"_producer": self.producer, "_schemaURL": f"{_FACETS}{path}.json#/$defs/{name}", **values}

    def _own(self, name: str, **values: Any) -> dict[str, Any]:
        said = {key: value for key, value in values.items() if value is not None}
        return {"_producer": self.producer, "_schemaURL": f"{self.producer}{OWN_FACETS}#/$defs/{name}", **said}


def _shown(node: WalkedRow) -> dict[str, Any]:
    return {"id": node.id, "type": node.type, "label": node.label, "state": node.state}
