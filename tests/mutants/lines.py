"""Which tests meet a fault: those that run its line first, by what `contexts` has measured."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Lines:
    """What is known of which tests run a line, and which seconds of the processor each test takes.

    Files have their paths in the tree. Lines are those of ``sources``, as they were when they were measured; the
    context "" is what runs before any test.
    """

    contexts: Mapping[str, Mapping[int, Sequence[str]]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def chosen(self, path: str, source: str, line: int, meant: Sequence[str], most: float) -> list[str]:
        """The tests for a fault in a line of a file, of which ``meant`` are the files that are meant for it.

        Those of them that run the line come first, then the others that run it, quick ones before, then what is left of
        ``meant``: what a line leaves behind (a plan, a cached value) may be looked at by a test that does not run it.
        They are cut at ``most`` seconds of the processor. Where the line is run before any test, or nothing is known of
        it, all of ``meant`` come first, whatever they take.
        """
        running = self._running(path, source, line)
        places = {name: place for place, name in enumerate(meant)}

        def rank(test: str) -> tuple[float, float, str]:
            return places.get(_file(test), len(places)), self.seconds[test], test

        others = sorted((one for one in running if one), key=rank)
        own = [one for one in others if _file(one) in places]
        found = dict.fromkeys(meant if "" in running or not own else ())
        takes = sum(map(self._takes, found))
        for one in (*others, *meant):
            if one not in found and (_file(one) not in found) and (takes + self._takes(one) <= most):
                takes += self._takes(one)
                found[one] = None
        return list(found)

    def _takes(self, name: str) -> float:
        """The seconds of a test or a file."""
        return self.seconds.get(name, sum(took for test, took in self.seconds.items() if _file(test) == name))

    def _running(self, path: str, source: str, line: int) -> set[str]:
        """The tests that run a line of a file, and "" if it is run before any test."""
        contexts = self.contexts.get(path)
        if contexts is None:
            return set()
        before = _before(self.sources[path].split("\n"), source.split("\n"), line)
        places = [one for one in contexts if one <= before]
        return {one for one in contexts[max(places)] if one in self.seconds or not one} if places else set()


def _file(test: str) -> str:
    return test.split("::", maxsplit=1)[0]


def _before(was: list[str], now: list[str], line: int) -> int:
    """The line of the older text that is this one, or that is before where this one came to stand."""
    old = 1
    for tag, old_start, old_end, start, end in difflib.SequenceMatcher(None, was, now, autojunk=False).get_opcodes():
        if start < line <= end:
            return old_start + (line - start if tag == "equal" else min(line - start, max(1, old_end - old_start)))
        old = old_end
    return old
