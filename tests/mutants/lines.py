"""Which tests meet a fault: those that run its line first, by what `contexts` has measured; of a line that runs before
any test, those that name what it declares, and those that run what uses it."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tests.mutants.names import Naming, declared, names

SHARE = 1 / 4
"""Of the seconds of a fault, for the tests that name a declaration, and as much for those that run what uses it."""
MOST_OF_ONE = 1 / 20
"""Of these seconds, for the parameters of one test."""
UNKNOWN = 1.0
"""The seconds of a test that was not measured."""
FIRST = 30
"""Of the tests that name a declaration; those behind them say what most say."""
FEW = 40
"""A name that more lines have is no name of one thing."""


@dataclass(frozen=True)
class Lines:
    """What is known of which tests run a line, which seconds of the processor each test takes, and what tests name.

    Files have their paths in the tree. Lines are those of ``sources``, as they were when they were measured; the
    context "" is what runs before any test.
    """

    contexts: Mapping[str, Mapping[int, Sequence[str]]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    naming: Naming = field(default_factory=Naming)

    def chosen(self, path: str, source: str, line: int, meant: Sequence[str], most: float) -> list[str]:
        """The tests for a fault in a line of a file, of which ``meant`` are the files that are meant for it.

        Those of them that run the line come first, then the others that run it, quick ones before, then what is left of
        ``meant``: what a line leaves behind (a plan, a cached value) may be looked at by a test that does not run it.
        They are cut at ``most`` seconds of the processor, and at half of them before ``meant`` where none of those runs
        the line. Where the line is run before any test, or nothing is known of it, those come first that name what it
        declares, then those that run it or what uses it, each for a share, and then all of ``meant``.
        """
        running = self._running(path, source, line)
        places = {name: place for place, name in enumerate(meant)}

        def rank(test: str) -> tuple[float, float, str]:
            return places.get(_file(test), len(places)), self.seconds[test], test

        others = {one for one in running if one}
        found: dict[str, None] = {}
        if "" in running or not running:
            said = declared(path, source, line)
            words = [*said, *names(source.split("\n")[line - 1])]
            self._fill(found, self._named(words, most), most * SHARE)
            self._fill(found, sorted(others | self._using(said), key=rank), most * SHARE)
            return list(found | dict.fromkeys(meant))
        self._fill(found, sorted(others, key=rank), most if any(_file(one) in places for one in others) else most / 2)
        self._fill(found, meant, most - sum(map(self._takes, found)))
        return list(found)

    def _fill(self, found: dict[str, None], tests: Iterable[str], seconds: float) -> None:
        """Adds tests that are not there as long as they take no more than these seconds together."""
        for one in tests:
            if one not in found and _file(one) not in found and (takes := self._takes(one)) <= seconds:
                seconds -= takes
                found[one] = None

    def _takes(self, name: str) -> float:
        """The seconds of a test, or of a file; of a test that was not measured, a guess."""
        return self._all_seconds.get(name, UNKNOWN if "::" in name else 0.0)

    @cached_property
    def _all_seconds(self) -> Mapping[str, float]:
        found = defaultdict(float, self.seconds)
        for test, took in self.seconds.items():
            found[_file(test)] += took
        return dict(found)

    def _running(self, path: str, source: str, line: int) -> set[str]:
        """The tests that run a line of a file, and "" if it is run before any test."""
        contexts = self.contexts.get(path)
        if contexts is None:
            return set()
        before = _before(self.sources[path].split("\n"), source.split("\n"), line)
        places = [one for one in contexts if one <= before]
        return {one for one in contexts[max(places)] if one in self.seconds or not one} if places else set()

    def _named(self, words: Sequence[str], most: float) -> Iterator[str]:
        """The tests that say these words, best first, and of each those parameters that say them, or quick ones."""
        wanted = {word for text in words for word in names(text)}
        for test in self.naming.rank(words)[:FIRST]:
            left = most * MOST_OF_ONE
            parameters = sorted(
                self._parameters.get(test, [test]), key=lambda one: (-len(names(one) & wanted), self._takes(one))
            )  # fmt: skip
            for one in parameters:
                if (left := left - self._takes(one)) >= 0 or one is parameters[0]:
                    yield one

    @cached_property
    def _parameters(self) -> Mapping[str, list[str]]:
        """The tests that were measured, by their names without parameters."""
        found: dict[str, list[str]] = defaultdict(list)
        for one in self.seconds:
            found[one.split("[", maxsplit=1)[0]].append(one)
        return found

    def _using(self, said: Sequence[str]) -> set[str]:
        """The tests that run a line that says a name which few lines say."""
        found: set[str] = set()
        for name in said:
            word = re.compile(rf"\b{re.escape(name)}\b")
            places = {path: lines for path, text in self.sources.items() if (lines := _saying(word, text))}
            if sum(map(len, places.values())) <= FEW:
                for path, lines in places.items():
                    contexts = self.contexts.get(path, {})
                    found.update(one for line in lines for one in contexts.get(line, ()) if one in self.seconds)
        return found


def _saying(word: re.Pattern[str], text: str) -> list[int]:
    return (
        [line for line, said in enumerate(text.split("\n"), start=1) if word.search(said)] if word.search(text) else []
    )


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
