"""The wheel: all that the rooms need is in it, and it harms no package of the environment that it is installed into."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.process import environment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("gateway/docs/", "gateway/explorer/", "gateway/graphiql/")
"""What is of the repository alone: documentation, and the sources of pages."""

BUILD = "gateway/packaging/build.py"
"""What makes the wheel, and is not in it."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from what is committed or would be."""
    made = tmp_path_factory.mktemp("wheel")
    source = made / "source"
    for name in [*files(), "pyproject.toml", "README.md", "LICENSE"]:
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(made), str(source)], check=True, timeout=300
    )
    (found,) = made.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The wheel in a folder of packages, where others have the rooms' names."""
    place = wheel.parent / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    for name in ("gateway", "schema", "db"):
        (place / name).mkdir()
        (place / name / "__init__.py").write_text(f"STRANGER = {name!r}\n")
    return place


def files() -> list[str]:
    """The files of the packages."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "gateway", "schema", "db"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    there = (name for name in listed.stdout.splitlines() if (ROOT / name).is_file())
    return [name for name in there if not name.startswith(LEFT_OUT)]


def run(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with that folder in front, elsewhere than in the repository."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment(PYTHONPATH=str(installed)),
        cwd=installed.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_one_package_is_installed_with_every_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"e2i_gateway"}
    packed = {name.removeprefix("e2i_gateway/rooms/") for name in names}
    packed |= {f"gateway/packaging/{name}" for name in names}
    assert not {name for name in files() if name != BUILD} - packed


def test_strangers_of_the_same_names_stay_who_they_are(installed: Path) -> None:
    """Whether they are imported before the client or after it; and the client is whole without them."""
    script = """
import schema
from e2i_gateway.client import ErrorCode, Gateway, RequestFailedError, Rows
import db, gateway, schema as again
assert again is schema
assert (gateway.STRANGER, schema.STRANGER, db.STRANGER) == ("gateway", "schema", "db")
assert RequestFailedError("OVERLOADED", "busy", 503, {}).code is ErrorCode.OVERLOADED
with Gateway("http://127.0.0.1:9") as one:
    assert one
import sys
assert not any("rooms" in place for place in sys.path)
"""
    done = run(installed, "-c", script)
    assert done.returncode == 0, done.stderr


def test_the_command_runs_beside_them(installed: Path) -> None:
    told = run(installed, "-m", "e2i_gateway", "--version")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("e2i-gateway ")
    printed = run(installed, "-m", "e2i_gateway", "schema", "print")
    assert printed.stdout == (ROOT / "schema" / "schema.graphql").read_text()
