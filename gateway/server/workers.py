"""Worker processes and their supervisor, which starts them, replaces those that die, and ends them."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from sqlalchemy.engine import URL

from db.store.documents import TrustedDocumentsError
from gateway.observability.logging import configure
from gateway.server import uvicorn_server
from gateway.server.uvicorn_server import ListenError, ListeningSockets, Worker
from gateway.settings import Settings, SettingsError

log = logging.getLogger("gateway.workers")

PAUSE = 1.0
"""Seconds before a worker is replaced that never began to answer."""
LOOK = 1.0
"""Seconds of a wait: a signal that comes right before one is heard at its end."""

_SPAWN = multiprocessing.get_context("spawn")
"""Nothing is inherited by accident: neither event loops nor threads survive a fork."""
multiprocessing.allow_connection_pickling()


class _Begun:
    """Whether a worker has begun to answer, as it tells this process.

    An ``Event`` would be five semaphores, and where this process is killed Python tells of them on stderr.
    """

    def __init__(self) -> None:
        self._told, self.tell = _SPAWN.Pipe(duplex=False)

    def is_set(self) -> bool:
        return self._told.poll()


class Workers:
    """The workers of one gateway on sockets that they share."""

    def __init__(self, settings: Settings, url: URL, sockets: ListeningSockets, folder: Path) -> None:
        self._settings = settings
        self._url = url
        self._sockets = sockets
        self._folder = folder
        self._running: list[tuple[SpawnProcess, _Begun]] = []

    def serve(self, on_start: Callable[[], None]) -> bool:
        """Serves until something unwinds it, such as a signal's handler; False when no worker could begin to.

        ``on_start`` is called once all workers answer.
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
        """Starts a worker, in the place of the one that there was. Whatever unwinds this, `_end` knows of it."""
        worker = Worker(index, self._settings.workers, self._folder)
        answers = _Begun()
        process = _SPAWN.Process(
            target=_work,
            args=(self._settings, self._url, self._sockets, worker, answers.tell),
            name=f"worker-{index}",
            daemon=True,  # else Python waits at its own end for those that nobody has told of it
        )
        self._running[index : index + 1] = [(process, answers)]
        process.start()

    def _replace(self, *, told: bool) -> bool:
        """New ones for those that ended; False if one never began while the gateway starts: it has logged why."""
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
        for listener in self._sockets.all:  # else connections that no worker takes any more would wait here
            listener.close()
        started = [(process, answers) for process, answers in self._running if process.pid is not None]
        for process, answers in started:  # or at one that has the port already, and has taken nothing yet
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
    """Serves with several workers, as :meth:`Workers.serve` says."""
    folder = Path(tempfile.mkdtemp(prefix="e2i-gateway-"))
    try:
        return Workers(settings, url, sockets, folder).serve(on_start)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _work(settings: Settings, url: URL, sockets: ListeningSockets, worker: Worker, begun: Connection) -> None:
    """What a worker does, from its beginning to its end."""
    configure(settings.log, settings.log_format)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: it goes to the parent too, which ends the workers
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    try:
        uvicorn_server.run(settings, url, sockets, on_start=lambda: begun.send_bytes(b"!"), worker=worker)
    except KeyboardInterrupt:
        pass
    except ListenError as error:
        log.error("worker %d cannot listen: %s; another program has the port", os.getpid(), error)  # noqa: TRY400
        sys.exit(1)
    except (SettingsError, TrustedDocumentsError) as error:  # what only its use shows to be wrong
        log.error("a setting is wrong: %s", error)  # noqa: TRY400 - the message says it all
        sys.exit(1)
    except Exception:  # multiprocessing would write it as it is
        log.critical("worker %d has failed", os.getpid(), exc_info=True)
        sys.exit(1)


def _end_with_parent() -> None:
    """A parent that was killed has told nobody; its workers end as if it had."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        log.error("the gateway's first process is gone; worker %d ends", os.getpid())
        os.kill(os.getpid(), signal.SIGTERM)
