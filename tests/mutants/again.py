"""Faults as patches; and those that nothing has noticed once more, in the tree as it is now."""

from __future__ import annotations

import difflib
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Patch:
    """A fault that a run has told. ``place`` is where it stands in the tree of today."""

    path: str
    place: int
    family: str
    diff: str

    def applied(self, source: str) -> str:
        """The file with the fault in it; a ValueError where its lines are no more, or stand otherwise."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / self.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source, encoding="utf-8")
            command = ["git", "apply", "-C1", "-"]
            done = subprocess.run(
                command, cwd=folder, input=f"{self.diff}\n", capture_output=True, text=True, check=False
            )  # fmt: skip
            if done.returncode:
                raise ValueError(done.stderr.strip())
            return file.read_text(encoding="utf-8")


def survivors(root: Path, results: Path) -> tuple[list[Patch], list[tuple[Patch, str]]]:
    """What survived, by a file of results; and what can be put nowhere any more, with why."""
    found: list[Patch] = []
    gone: list[tuple[Patch, str]] = []
    last = {one["key"]: one for one in map(json.loads, results.read_text(encoding="utf-8").splitlines())}
    for one in last.values():
        if one["by"] is not None:
            continue
        patch = Patch(one["path"], 0, one["family"], one["diff"])
        file = root / patch.path
        source = file.read_text(encoding="utf-8") if file.exists() else ""
        try:
            text = patch.applied(source)
        except ValueError as error:
            gone.append((patch, str(error)))
        else:
            pairs = zip(source, text, strict=False)
            place = next(place for place, (before, after) in enumerate(pairs) if before != after)
            found.append(Patch(patch.path, place, patch.family, patch.diff))
    return found, gone


def changed(source: str, mutated: str) -> tuple[str, str]:
    """The lines that differ, without their indentation: before and after."""
    before, after = [], []
    for line in difflib.ndiff(source.split("\n"), mutated.split("\n")):
        if line.startswith("- "):
            before.append(line[2:].strip())
        elif line.startswith("+ "):
            after.append(line[2:].strip())
    return "\n".join(before), "\n".join(after)


def diff(path: str, source: str, mutated: str) -> str:
    """The fault as a patch with two lines around it."""
    lines = difflib.unified_diff(source.split("\n"), mutated.split("\n"), f"a/{path}", f"b/{path}", "", "", 2, "")
    return "\n".join(lines)
