"""The reference is what the code says: `make snapshot` writes it, to be read as a diff."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import make_url

from db.base.lineage import LineageKind
from db.engine.engine import create_engine
from db.engine.replica import Reads
from db.engine.servers import Standby
from gateway import reference
from gateway.observability.gauges import readings
from gateway.observability.metrics import Metrics, workers_up
from gateway.settings import Settings
from schema.error_codes import BlockerCode, ErrorCode, ProblemCode
from schema.lineage.edges import edges
from schema.scopes import shown_scopes
from tests.support.client import Client
from tests.support.sources import MODULES

FOLDER = Path(__file__).parents[2] / "gateway" / "docs" / "reference"


def compare(name: str, text: str) -> None:
    """A page with the committed one, which is written where snapshots are."""
    path = FOLDER / name
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(text)
    assert path.read_text() == text, "the code says other than the reference: run `make snapshot` and read the diff"


@pytest.mark.parametrize("name", reference.PAGES)
def test_the_committed_page_is_current(name: str) -> None:
    compare(name, reference.PAGES[name]())


async def test_the_committed_metrics_are_current(demo: Client) -> None:
    served: Metrics = demo.app.state.metrics
    fresh = Metrics()
    fresh.request(None, "answered", 0.0)
    for counts in vars(fresh).values():
        if isinstance(counts, Counter) and not counts:
            counts["any"] += 1  # a family without samples does not say which labels they would have
    own = {family.name for family in fresh.families()}
    engine = create_engine(make_url("postgresql+asyncpg://nobody@localhost/nowhere"), read_only=True)  # never connected
    standby = Standby("db2:5432")
    standby.lag = 0.0
    reads = Reads(engine, [standby])
    reads.sent["replica"] += 1
    gauges = [family for family in served.families() if family.name not in own]
    elsewhere = [workers_up({0: fresh.told()}), *readings(reads)()]
    compare(reference.METRICS, reference.metrics([*fresh.families(), *gauges, *elsewhere]))


def test_nothing_is_left_out() -> None:
    pages = {path.name: path.read_text() for path in FOLDER.glob("*.md")}
    assert {*reference.PAGES, reference.METRICS} <= pages.keys()
    assert all(f"`{code}`" in pages["errors.md"] for kind in (ErrorCode, ProblemCode, BlockerCode) for code in kind)
    declared = {f"| `{name}` |" for name in edges().by_name if not name.endswith("~")}
    assert pages["lineage-edges.md"].count("\n| `") == len(declared) + len(LineageKind)
    assert all(edge in pages["lineage-edges.md"] for edge in declared)
    assert all(f"`{scope}`" in pages["scopes.md"] for scope in shown_scopes())
    assert pages["settings.md"].count("\n| `") == len(Settings.model_fields)


def test_every_setting_is_read() -> None:
    read = {name for _, path in MODULES for name in re.findall(r"\.([a-z]\w+)", path.read_text())}
    assert not Settings.model_fields.keys() - read, "nothing reads these settings"
