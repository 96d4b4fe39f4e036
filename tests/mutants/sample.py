"""The sample of a run: places at random, with one fault of each, of which every one is a program."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Placed(Protocol):
    """A fault: which file it is of, where, and of which kind."""

    @property
    def path(self) -> str: ...
    @property
    def place(self) -> int: ...
    @property
    def family(self) -> str: ...

    def applied(self, source: str) -> str:
        """The file with the fault in it."""


F = TypeVar("F", bound=Placed)


@dataclass
class Sample(Generic[F]):
    """The faults that were drawn, and those that were left out, with why."""

    faults: list[F] = field(default_factory=list)
    left_out: list[tuple[F, str]] = field(default_factory=list)


def drawn(found: Sequence[F], size: int, seed: int, read: Callable[[str], str]) -> Sample[F]:
    """A sample of places, with one fault of each; ``read`` gives the text of a file.

    A fault that does not parse (``not`` before a walrus) is no mutant: nothing that anybody could write would be tested
    by it. Another of its place is taken, or else the next place.
    """
    rng = random.Random(seed)
    places: dict[tuple[str, int, str], list[F]] = defaultdict(list)
    for one in found:
        places[one.path, one.place, one.family].append(one)
    sample: Sample[F] = Sample()
    for key in rng.sample(sorted(places), len(places)):
        if len(sample.faults) >= size:
            break
        for one in rng.sample(places[key], len(places[key])):
            if why := refused(one.path, one.applied(read(one.path))):
                sample.left_out.append((one, why))
            else:
                sample.faults.append(one)
                break
    return sample


def refused(path: str, text: str) -> str | None:
    """Why a file with this text is no program; None if it is one, or SQL."""
    if not path.endswith(".py"):
        return None
    try:
        compile(text, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"does not parse: {error.msg}"
    return None


def interval(killed: int, counted: int) -> tuple[float, float]:
    """Wilson's interval at 95 % of a share."""
    if not counted:
        return 0.0, 1.0
    z, share = 1.96, killed / counted
    middle = (share + z**2 / (2 * counted)) / (1 + z**2 / counted)
    half = z * math.sqrt(share * (1 - share) / counted + z**2 / (4 * counted**2)) / (1 + z**2 / counted)
    return max(0.0, middle - half), min(1.0, middle + half)
