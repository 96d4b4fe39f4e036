"""A process that has read our own code as well, collected all tests and built the schema: a fault costs a fork of it.

In the fork, the code of the functions that a fault changes is put in the place of theirs. That is the same as to read
the file anew as long as nothing of what is changed was run on the way there; where it was (a class, a default, what
the catalogue is made by) the answer is "cold", and the fault is met by a process that reads everything.
"""

from __future__ import annotations

import gc
import importlib
import json
import math
import os
import select
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import IO, Any, cast

import pytest

from tests.mutants.order import Order
from tests.mutants.watch import Watch

Place = tuple[str, str, int]
"""A function by its file, its qualified name and its line."""


@dataclass(frozen=True)
class Asked:
    """Tests (files, or tests of files) to be run with another text in a file of ours, or without one."""

    path: str | None
    source: str
    text: str
    tests: Sequence[str]
    scores: Mapping[str, float]
    skipped: Sequence[str]
    told: str
    output: str
    timeout: float
    """Seconds of the processor."""
    postgres: int | None = None
    """The process of the Postgres that the tests use."""
    quick: bool = False
    most: float | None = None
    """The seconds of the processor after which no further test is begun."""

    def order(self) -> Order:
        """The plugin of a run, made when it begins."""
        most = math.inf if self.most is None else self.most
        skipped = frozenset(self.skipped)
        return Order(self.tests, self.scores, skipped, Path(self.told), quick=self.quick, most=most)

    def line(self) -> str:
        return json.dumps(vars(self)) + "\n"


@dataclass(frozen=True)
class Ended:
    """How a fork ended: by which status, or why it was ended (`Watch.over`); ``cold`` where none was made."""

    cold: bool = False
    status: int | None = None
    over: str | None = None
    seconds: float = 0.0
    cpu: float = 0.0
    """The processor's seconds, Postgres's among them."""

    def line(self) -> str:
        return json.dumps(vars(self)) + "\n"


@dataclass
class Seen:
    """What was run, and which functions there are."""

    run: set[Place] = field(default_factory=set)
    functions: dict[Place, list[FunctionType]] = field(default_factory=lambda: defaultdict(list))

    def note(self, frame: FrameType, event: str, _: object) -> None:
        """For `sys.setprofile`."""
        if event == "call":
            self.run.add(place_of(frame.f_code))

    def look(self, root: Path) -> None:
        """Finds all functions of the files below ``root``."""
        gc.unfreeze()
        for one in gc.get_objects():
            if type(one) is FunctionType and one.__code__.co_filename.startswith(str(root)):
                self.functions[place_of(one.__code__)].append(one)


def place_of(code: CodeType) -> Place:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _all_codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _all_codes(one)


def _own(code: CodeType) -> tuple[Any, ...]:
    """What a function does, without the functions in it and the columns of its lines."""
    constants = [None if isinstance(one, CodeType) else (type(one), repr(one)) for one in code.co_consts]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return code.co_code, constants, names, code.co_exceptiontable, code.co_flags


def changes(file: str, source: str, text: str, seen: Seen) -> list[tuple[FunctionType, CodeType]] | None:
    """The functions that get other code where a file has another text; None where that is not all it would do."""
    if file.endswith(".sql"):
        return None
    codes = [list(_all_codes(compile(one, file, "exec", dont_inherit=True))) for one in (source, text)]
    before, after = ({place_of(one): one for one in some} for some in codes)
    twice = [place for some in codes for place, number in Counter(map(place_of, some)).items() if number > 1]
    if before.keys() != after.keys():
        return None
    changed = {place for place, code in before.items() if _own(code) != _own(after[place])}
    if not changed or changed & seen.run or changed & set(twice):
        return None
    if any(before[place].co_freevars != after[place].co_freevars for place in changed):
        return None
    around = {place for place, code in before.items() if changed & {place_of(one) for one in _all_codes(code)}}
    return [(one, after[place]) for place in around for one in seen.functions.get(place, ())]


class Forks:
    """A plugin of pytest: in place of a run, a fork for each line that is asked."""

    def __init__(self, root: Path, asked: IO[str], ended: IO[str], seen: Seen) -> None:
        self._root = root
        self._asked = asked
        self._ended = ended
        self._seen = seen

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> object:
        importlib.import_module("schema.schema").build()  # the copy's
        sys.setprofile(None)
        threading.setprofile(cast("Any", None))
        self._seen.look(self._root)
        gc.freeze()
        self._tell(Ended())
        while line := self._asked.readline():
            if self._answer(Asked(**json.loads(line)), session):
                return None  # in the fork: the run goes on
        os._exit(0)

    def _tell(self, ended: Ended) -> None:
        self._ended.write(ended.line())
        self._ended.flush()

    def _answer(self, asked: Asked, session: pytest.Session) -> bool:
        """Whether this is the fork."""
        made: list[tuple[FunctionType, CodeType]] | None = []
        if asked.path is not None:
            made = changes(str(self._root / asked.path), asked.source, asked.text, self._seen)
        if made is None:
            self._tell(Ended(cold=True))
            return False
        pid = os.fork()
        if pid == 0:
            self._begin(asked, session, made)
            return True
        self._tell(waited(pid, asked, self._go_on))
        return False

    def _go_on(self) -> None:
        """Waits a moment; ends this process where who asks is gone: nothing is asked meanwhile."""
        if select.select([self._asked], [], [], 0.02)[0]:
            raise SystemExit(1)

    def _begin(self, asked: Asked, session: pytest.Session, made: list[tuple[FunctionType, CodeType]]) -> None:
        os.setsid()
        self._asked.close()
        self._ended.close()
        with Path(asked.output).open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        for function, code in made:
            function.__code__ = code
        order = asked.order()
        order.pytest_collection_modifyitems(session.items)
        session.config.pluginmanager.register(order)


def waited(pid: int, asked: Asked, pause: Callable[[], None]) -> Ended:
    """Waits for a fork, which leads a group of processes, and ends it when it has had enough, or ``pause`` raises."""
    started = time.monotonic()
    watch = Watch(pid, asked.timeout, asked.postgres)
    ended = 0
    try:
        while (over := watch.over()) is None:
            ended, status, used = os.wait4(pid, os.WNOHANG)
            if ended:
                cpu = watch.seconds(used.ru_utime + used.ru_stime)
                return Ended(status=status, seconds=time.monotonic() - started, cpu=cpu)
            pause()
        return Ended(over=over, seconds=time.monotonic() - started, cpu=watch.seconds())
    finally:  # its time is over, or ours
        if not ended:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
