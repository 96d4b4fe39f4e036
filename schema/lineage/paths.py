"""Paths between two nodes, shortest first, without repeated nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from schema.lineage.answer import Adjacent, Link, adjacent

STEPS = 200_000
"""Edges that are tried before a search stops."""


@dataclass(frozen=True)
class Path:
    """A path from one node to another: its nodes, and the edges between them."""

    nodes: Sequence[str]
    links: Sequence[Link]


class SearchLimitError(Exception):
    """The limit of tried edges was reached."""


def paths(
    start: str, target: str, links: Iterable[Link], away: Mapping[str, int], longest: int, direction: str
) -> Iterator[Path]:
    """All paths of at most ``longest`` edges in the order of their lengths; ``away`` are distances to the target.

    Raises:
        SearchLimitError: The limit of tried edges was reached.
    """
    if start not in away:
        return
    if start == target:
        yield Path([start], [])
        return
    ordered = sorted(links, key=lambda one: (one.upstream, one.downstream, one.kind.name))
    following = adjacent(ordered, direction)
    steps = iter(range(STEPS))
    for length in range(away[start], longest + 1):
        yield from _of_length(start, target, following, away, length, steps)


def _of_length(
    start: str, target: str, following: Adjacent, away: Mapping[str, int], length: int, steps: Iterator[int]
) -> Iterator[Path]:
    """The paths of exactly ``length`` edges, depth first; a path ends where it first meets the target."""
    nodes, taken = [start], list[Link]()
    choices = [iter(following.get(start, ()))]
    while choices:
        step = next(choices[-1], None)
        if step is None:
            choices.pop()
            nodes.pop()
            del taken[-1:]
            continue
        if next(steps, None) is None:
            raise SearchLimitError
        node, link = step
        rest = length - len(nodes)
        if node == target and rest == 0:
            yield Path([*nodes, node], [*taken, link])
        elif node != target and node not in nodes and away.get(node, length) <= rest:
            nodes.append(node)
            taken.append(link)
            choices.append(iter(following.get(node, ())))
