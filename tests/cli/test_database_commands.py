"""Commands of the database's owner that keep sums, store state and partition tables, as they stand on the command
line."""

from __future__ import annotations

import pytest

from db.migrations.setup import SetupError
from gateway.cli import command_line
from gateway.settings import Settings
from tests.support.databases import Database


@pytest.fixture
def said(database: Database, capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(database, capsys)


class Said:
    """What a command prints."""

    def __init__(self, database: Database, capsys: pytest.CaptureFixture[str]) -> None:
        self._settings = Settings(database_url=database.owner_url)
        self._capsys = capsys

    def __call__(self, *arguments: str) -> list[str]:
        options = command_line._parser().parse_args(arguments)
        assert options.run(options, self._settings) == 0
        return self._capsys.readouterr().out.splitlines()


def test_sums_are_kept_until_they_are_dropped(said: Said) -> None:
    begun = said("db", "rollups")
    assert begun
    assert all(": sums are kept by " in line and " from now on" in line for line in begun)
    again = said("db", "rollups")
    assert [line.split(":")[0] for line in again] == [line.split(":")[0] for line in begun]
    assert not any(" from now on" in line for line in again)
    tables = sorted(line.split(":")[0] for line in begun)
    assert said("db", "rollups", "--drop") == [f"No sums are kept any more; there were of: {', '.join(tables)}."]
    assert said("db", "rollups", "--drop") == ["No sums are kept any more; there were of: none."]


def test_state_is_stored_until_it_is_dropped(said: Said) -> None:
    (begun,) = said("db", "current-state")
    table, _, told = begun.partition(": ")
    assert told.startswith("the rows of ")
    assert "from now on" in told
    assert said("db", "current-state", "--drop") == [f"No state is stored any more; there was that of: {table}."]
    assert said("db", "current-state", "--drop") == ["No state is stored any more; there was that of: none."]


def test_tables_are_partitioned_by_the_names_of_lists(said: Said) -> None:
    assert any(
        "ml_bentoml_serving_metrics" in line for line in said("db", "partition", "servingMetrics", "--ahead", "1")
    )
    with pytest.raises(SetupError, match=r"--ahead 121: pass 0 to 120 months"):
        said("db", "partition", "--ahead", "121")
