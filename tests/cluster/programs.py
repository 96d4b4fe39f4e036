"""Programs of the cluster: each runs on a host or in the hub, as whoever should, and writes to a log of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from db.embedded.process import Account
from tests.cluster.namespaces import FOLDER, Host, program

LOGS = FOLDER / "logs"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


class Program:
    """A program that runs until it is ended."""

    def __init__(
        self, name: str, command: Sequence[str], *, host: Host | None = None, account: Account | None = None
    ) -> None:
        self.name = name
        self.log: Path = LOGS / f"{name}.log"
        LOGS.mkdir(exist_ok=True)
        found = [program(command[0]), *command[1:]]
        if account is not None:
            switch = [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
            found = [program("setpriv"), *switch, *found]
        where = FOLDER if host is None else host.folder
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*([] if host is None else host.entered), *found],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=where, env=ENVIRONMENT,
            )  # fmt: skip

    def end(self) -> None:
        """Ends it, harshly."""
        self.process.kill()
        self.process.wait()

    def check(self) -> None:
        """It must be running."""
        assert self.process.poll() is None, f"{self.name} has ended:\n{self.tail()}"

    def tail(self, size: int = 3000) -> str:
        """The end of what it wrote."""
        return self.log.read_text(errors="replace")[-size:]
