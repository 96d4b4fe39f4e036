"""A lineage as text: an outline of nodes under the nodes that they were reached from, deterministic for a result."""

from __future__ import annotations

from collections.abc import Mapping

from schema.lineage.answer import Adjacent, LineageAnswer, Link, adjacent
from schema.lineage.walk import WalkedNode

INDENT = "  "


def outline(answer: LineageAnswer, head: str, foot: str) -> str:
    """The outline: each node once, under the nearest node that it is linked to; other edges as references.

    ``->`` leads downstream, ``<-`` upstream; ``=`` marks an edge to a node that is listed elsewhere.
    """
    nodes = {node.id: node for node in answer.nodes}
    around = adjacent(link for link in answer.links if link.upstream in nodes and link.downstream in nodes)
    tops, below = _placed(answer, around)
    told = {link for children in below.values() for _, link in children}
    lines = [head]
    pending = [(id_, "", 0) for id_ in reversed(tops)]
    while pending:
        id_, lead, level = pending.pop()
        lines.append(f"{INDENT * level}{lead}{_line(nodes[id_])}")
        for there, link in around.get(id_, ()):
            if link.upstream == id_ and link not in told:
                told.add(link)
                lines.append(f"{INDENT * (level + 1)}= -> {_words(answer.links, link)} {there}")
        for there, link in reversed(below[id_]):
            arrow = "->" if link.upstream == id_ else "<-"
            pending.append((there, f"{arrow} {_words(answer.links, link)} ", level + 1))
    if answer.omitted:
        left_out = ", ".join(f"{count} {name}" for name, count in sorted(answer.omitted.items()))
        lines.append(f"left out: {left_out}")
    lines.append(foot)
    return "\n".join(lines)


def _placed(answer: LineageAnswer, around: Adjacent) -> tuple[list[str], Adjacent]:
    """The top nodes, and the children of each node: nearest first, so that a parent is placed before its children."""
    depths: dict[str, int] = {}
    below: Adjacent = {node.id: [] for node in answer.nodes}
    tops = []
    for node in answer.nodes:
        above = next((at for at in around.get(node.id, ()) if depths.get(at[0], node.depth) < node.depth), None)
        if above is None:
            tops.append(node.id)
        else:
            below[above[0]].append((node.id, above[1]))
        depths[node.id] = node.depth
    return tops, below


def _line(node: WalkedNode) -> str:
    label = " ".join(node.label.split())
    return f"{node.id} {label!r}" + (f" [{node.state}]" if node.state else "")


def _words(links: Mapping[Link, bool], link: Link) -> str:
    return f"{link.kind.value}{' (closes a cycle)' if links[link] else ''}"
