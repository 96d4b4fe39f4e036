"""Worker processes and their supervisor, which starts them, replaces those that die, and ends them."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from sqlalchemy.engine import URL

from db.embedded.temporary import hold, temporary_folder
from db.store.documents import TrustedDocumentsError
from gateway.observability.logging import configure
from gateway.server import uvicorn_server
from gateway.server.uvicorn_server import ListenError, ListeningSockets, Worker
from gateway.settings import Settings, SettingsError
from schema.schema import build

log = logging.getLogger("gateway.workers")

PAUSE = 1.0
"""Seconds before a worker is replaced that ended before it listened."""
LOOK = 1.0
"""Seconds of a wait, at whose end signals are handled."""
FOLDER_PREFIX = "e2i-workers-"
"""The beginning of the names of folders that the workers of a gateway share, among temporary files."""

multiprocessing.allow_connection_pickling()


def _prepared(settings: Settings) -> BaseContext:
    """How workers are started: as forks of this process, which builds the schema once for them and for all that replace
    them. What it has built is shared, and exempt from collections of garbage.

    Threads do not survive a fork, nor do some libraries of other systems: workers are spawned where this process has
    some, as with the embedded database, and elsewhere than on Linux. Each of them imports and builds everything itself.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        return multiprocessing.get_context("spawn")
    build(federated=settings.federation)
    gc.collect()
    gc.freeze()
    return multiprocessing.get_context("fork")


class _ReadyPipe:
    """Whether a worker listens, reported over a pipe.

    An ``Event`` would be five semaphores, which Python reports as leaked on stderr when this process is killed.
    """

    def __init__(self) -> None:
        self._told, self.tell = multiprocessing.Pipe(duplex=False)

    def is_set(self) -> bool:
        return self._told.poll()


class Workers:
    """The workers of one gateway, on shared sockets."""

    def __init__(self, settings: Settings, url: URL, sockets: ListeningSockets, folder: Path) -> None:
        self._settings = settings
        self._url = url
        self._sockets = sockets
        self._folder = folder
        self._context = _prepared(settings)
        self._running: list[tuple[BaseProcess, _ReadyPipe]] = []

    def serve(self, on_start: Callable[[], None]) -> bool:
        """Serves until an exception, such as a signal handler's, unwinds it; False if no worker could start.

        ``on_start`` is called once all workers listen.
        """
        try:
            for index in range(self._settings.workers):
                self._start(index)
            told = False
            while True:
                ended = multiprocessing.connection.wait(
                    [process.sentinel for process, _ in self._running], timeout=LOOK if told else 0.05
                )
                if ended and not self._replace(told=told):
                    return False
                if not told and all(answers.is_set() for _, answers in self._running):
                    told = True
                    on_start()
        finally:
            self._end()

    def _start(self, index: int) -> None:
        """Starts a worker in place of the last one with its index, such that `_end` stops it whatever happens."""
        worker = Worker(index, self._settings.workers, self._folder)
        answers = _ReadyPipe()
        process: BaseProcess = self._context.Process(  # type: ignore[attr-defined]  # each context has its own class
            target=_work,
            args=(self._settings, self._url, self._sockets, worker, answers.tell),
            name=f"worker-{index}",
            daemon=True,  # otherwise Python waits at exit for processes that were not stopped
        )
        self._running[index : index + 1] = [(process, answers)]
        process.start()

    def _replace(self, *, told: bool) -> bool:
        """Replaces workers that ended; False if one ended during the start of the gateway, for a reason that it
        logged."""
        for index, (process, answers) in enumerate(self._running):
            if process.is_alive():
                continue
            if not answers.is_set():
                if not told:
                    return False
                time.sleep(PAUSE)
            log.error("worker %d (process %s) ended with %s and is replaced", index, process.pid, process.exitcode)
            self._start(index)
        return True

    def _end(self) -> None:
        for listener in self._sockets.all:  # otherwise connections that no worker accepts any more would wait
            listener.close()
        started = [(process, answers) for process, answers in self._running if process.pid is not None]
        for process, answers in started:  # or connect to another program on the port
            if not answers.is_set():
                process.kill()
                process.join()
        for process, _ in started:
            process.terminate()
        deadline = time.monotonic() + self._settings.drain + self._settings.request_timeout + 10
        for process, _ in started:
            process.join(max(deadline - time.monotonic(), 0))
            if process.is_alive():
                log.error("worker %s does not end and is killed", process.pid)
                process.kill()
                process.join()


def serve(settings: Settings, url: URL, sockets: ListeningSockets, on_start: Callable[[], None]) -> bool:
    """Serves with several workers, like :meth:`Workers.serve`."""
    with temporary_folder(FOLDER_PREFIX) as folder:
        return Workers(settings, url, sockets, folder).serve(on_start)


def _work(settings: Settings, url: URL, sockets: ListeningSockets, worker: Worker, begun: Connection) -> None:
    """The main function of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal also sends it to the parent, which ends the workers
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # the parent's handlers, in a fork
            signal.signal(number, signal.SIG_DFL)
    configure(settings.log, settings.log_format)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    try:
        if worker.folder is not None:
            hold(worker.folder)  # until it has ended, which may be after its parent
        uvicorn_server.run(settings, url, sockets, on_start=lambda: begun.send_bytes(b"!"), worker=worker)
    except KeyboardInterrupt:
        pass
    except ListenError as error:
        log.error("worker %d cannot listen: %s; another program has the port", os.getpid(), error)  # noqa: TRY400
        sys.exit(1)
    except (SettingsError, TrustedDocumentsError) as error:  # wrong settings that show only when used
        log.error("a setting is wrong: %s", error)  # noqa: TRY400 - the message says it all
        sys.exit(1)
    except Exception:  # multiprocessing would print it without the log's format
        log.critical("worker %d has failed", os.getpid(), exc_info=True)
        sys.exit(1)


def _end_with_parent() -> None:
    """Ends the worker when its parent was killed; forks that began later have the other end of the parent's pipe."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        while parent.is_alive() and os.getppid() == parent.pid:
            parent.join(LOOK)
        log.error("the gateway's first process is gone; worker %d ends", os.getpid())
        os.kill(os.getpid(), signal.SIGTERM)
