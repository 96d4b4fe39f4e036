"""Temporary folders of processes: removed at their end, and by the next one where they were killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from db.embedded.temporary import hold, temporary_folder

HOLDS = """
import sys
from pathlib import Path
from db.embedded.temporary import hold, temporary_folder
with temporary_folder("kept-", Path(sys.argv[1])) as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""
JOINS = """
import sys
from pathlib import Path
from db.embedded.temporary import hold
hold(Path(sys.argv[1]))
print(sys.argv[1], flush=True)
sys.stdin.read()
"""


def started(code: str, path: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a folder, and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_folder_is_removed_at_the_end(tmp_path: Path) -> None:
    with temporary_folder("kept-", tmp_path) as folder:
        (folder / "deep").mkdir()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        hold(folder)


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """And neither what a live one has, nor what has another name, or is no folder of this user."""
    dead, left = started(HOLDS, tmp_path)
    live, held = started(HOLDS, tmp_path)
    killed(dead)
    (other := tmp_path / "another-1").mkdir()
    (tmp_path / "target").mkdir()
    (link := tmp_path / "kept-link").symlink_to(tmp_path / "target")
    (file := tmp_path / "kept-file").touch()
    if os.geteuid() == 0:
        (foreign := tmp_path / "kept-foreign").mkdir()
        os.chown(foreign, 65534, 65534)
    try:
        assert (left / "file").exists()
        with temporary_folder("kept-", tmp_path) as folder:
            assert not left.exists()
            assert (held / "file").exists()
            kept = {other, link, file, held, folder, tmp_path / "target"}
            kept |= {foreign} if os.geteuid() == 0 else set()
            assert set(tmp_path.iterdir()) == kept
    finally:
        killed(live)


def test_a_folder_is_live_while_any_process_holds_it(tmp_path: Path) -> None:
    """Workers outlive a gateway that was killed, and answer what they have begun."""
    first, folder = started(HOLDS, tmp_path)
    second, _ = started(JOINS, folder)
    killed(first)
    try:
        with temporary_folder("kept-", tmp_path):
            assert folder.exists()
    finally:
        killed(second)
    with temporary_folder("kept-", tmp_path):
        assert not folder.exists()
