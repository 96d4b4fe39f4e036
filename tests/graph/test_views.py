"""Views that the gateway has not made: no answer rests on them, and `db check` says so."""

from __future__ import annotations

import pytest

from db.attach.attach import inspect
from db.base import views
from db.engine.engine import create_engine
from db.engine.url import database_url
from schema.catalogue.from_models import catalogue
from tests.support import platform_db
from tests.support.client import serving
from tests.support.databases import Clone, Database, connect, execute
from tests.support.executors import EXECUTORS

VIEWS = [type_ for type_ in catalogue() if type_.table.name in views.definitions()]


def test_every_view_has_a_definition_and_tables() -> None:
    assert {type_.table.name for type_ in catalogue() if type_.is_view and not type_.is_derived} == set(
        views.definitions()
    )
    assert {type_.table.name for type_ in VIEWS} == set(platform_db.catalog()["view_columns"])
    for name, definition in views.definitions().items():
        assert not any(f"public.{other}" in definition for other in views.definitions()), name
        assert set(views.tables(name)).isdisjoint(views.definitions())


@pytest.mark.slow
@pytest.mark.parametrize("compiler", EXECUTORS)
async def test_answers_are_the_same_whatever_the_databases_own_views_say(
    demo_template: Database, clone: Clone, *, compiler: bool
) -> None:
    pages = " ".join(
        f"{type_.plural}(first: 200) {{ totalCount nodes {{ {' '.join(type_.columns)} }} }}" for type_ in VIEWS
    )
    below = (
        "models(first: 20) { nodes { health { healthStatus maxDriftSeverity } activeAlertsSummary { totalActive } } }"
    )
    query = f"{{ {pages} {below} }}"
    async with clone(demo_template) as copy:
        await execute(copy.admin_url, "UPDATE ml_observability_spans SET started_at = now() - interval '1 hour'")
        await execute(copy.admin_url, "UPDATE ml_drift_history SET created_at = now() - interval '2 hours'")
        async with serving(copy.gateway_url, compiler=compiler) as client:
            before = await client.data(query)
        assert all(before[type_.plural]["totalCount"] > 0 for type_ in VIEWS)
        for type_ in VIEWS:
            await execute(copy.admin_url, f"DROP VIEW IF EXISTS {type_.table.name} CASCADE")
        async with serving(copy.gateway_url, compiler=compiler) as client:
            assert await client.data(query) == before
        for type_ in VIEWS:
            await execute(copy.admin_url, f"CREATE VIEW {type_.table.name} AS SELECT 'nonsense' AS {type_.key[0]}")
        async with serving(copy.gateway_url, compiler=compiler) as client:
            assert await client.data(query) == before


PLATFORM = """
    DROP VIEW ml_model_health_dashboard;
    CREATE VIEW ml_model_health_dashboard AS
    SELECT m.id AS model_id, max(d.severity::text) AS max_drift_severity,
        CASE WHEN max(d.severity::text) = 'critical' THEN 'critical' ELSE 'attention' END AS health_status
    FROM ml_model_registry AS m JOIN ml_drift_history AS d ON d.model_id = m.id GROUP BY m.id
"""


@pytest.mark.parametrize("compiler", EXECUTORS)
async def test_the_gravest_severity_is_none_of_text(database: Database, *, compiler: bool) -> None:
    sql = await connect(database.admin_url)
    await sql.execute(PLATFORM)
    model = await sql.fetchval(
        "INSERT INTO ml_model_registry (model_name, model_version, algorithm, stage) "
        "VALUES ('m', '1.0.0', 'a', 'production') RETURNING id::text"
    )
    for kind, severity in (("data", "none"), ("model", "critical")):
        await sql.execute(
            "INSERT INTO ml_drift_history (model_id, drift_type, test_type, drift_detected, severity, baseline_start, "
            "baseline_end, current_start, current_end) VALUES ($1::text::uuid, $2::text::drift_type_enum, 'ks', $3, "
            "$4::text::drift_severity_enum, now(), now(), now(), now())",
            model,
            kind,
            severity != "none",
            severity,
        )
    assert await sql.fetchval("SELECT max_drift_severity FROM ml_model_health_dashboard") == "none"
    await sql.close()
    query = "{ modelHealths { nodes { maxDriftSeverity healthStatus } } models { nodes { health { healthStatus } } } }"
    async with serving(database.gateway_url, compiler=compiler) as client:
        answer = await client.data(query)
    (health,) = answer["modelHealths"]["nodes"]
    assert health == {"maxDriftSeverity": "CRITICAL", "healthStatus": "critical"}
    assert answer["models"]["nodes"] == [{"health": {"healthStatus": "critical"}}]
    engine = create_engine(database_url(database.gateway_url), read_only=True)
    notes = (await inspect(engine)).notes
    await engine.dispose()
    found = {note.kind: note for note in notes if "ml_model_health_dashboard" in note.object.split(", ")}
    assert found.keys() == {"other view", "order of text"}
    assert "the graph answers by a definition of its own" in found["other view"].message
    assert "as text, where none is above critical; the graph takes the gravest" in found["order of text"].message
