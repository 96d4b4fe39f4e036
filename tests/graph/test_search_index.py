"""`search` by indexes of trigrams: the same hits as by comparing all rows, of rows of any age; what it says without."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator
from dataclasses import replace
from random import Random
from typing import Any

import asyncpg
import pytest

from db.attach import facts
from db.attach.attach import inspect
from db.attach.catalog import DatabaseCatalog, FoundTable
from db.attach.compare_indexes import INDEX_PREFIX, in_partitions, unserved_search
from db.base.trigrams import LONGEST, columns_of, create_index, trigrams
from db.base.vocabulary import entities
from db.engine.engine import create_engine
from db.engine.url import database_url
from schema.catalogue.from_models import catalogue
from schema.execution.explain import explain
from schema.search import text as search_sql
from schema.search.text import MAX_COMPARED
from tests.support.client import Client
from tests.support.databases import Database, connected, execute
from tests.support.plans import plan, recording
from tests.support.search_texts import FIXED, SearchTexts

SEARCH = """query($text: String!, $types: [SearchType!], $first: Int = 100, $any: Boolean, $used: Boolean) {
  search(text: $text, types: $types, first: $first, anyWords: $any, onlyInUse: $used) {
    complete omissions { type reason } hits { score field text lacks state node { id } }
  }
}"""
KNOWLEDGE, MODELS = "experiment_knowledge_store", "ml_model_registry"
NAMES = {KNOWLEDGE: ("title",), MODELS: ("model_name", "model_version", "mlflow_run_id", "mlflow_model_uri")}
TYPES = ["ExperimentKnowledge", "Model"]
ODD = [
    "", " ", "-_/:.(", "'", "''", '"', "\\", "\\\\", ":*", "&|!<>", "a & b | !c <-> (d):*",
    "$1 {row} %s", "1", "ab", "\t\n",
    "zq_\u0130zmir", "\u0130\u0130\u0130", "Stra\u00dfe", "STRA\u1e9eE", "Caf\u00e9", "Cafe\u0301", "\u0301abc",
    "\u0307\u0307", "in\u0301", "\u039f\u03b4\u03c5\u03c3\u03c3\u03b5\u03cd\u03c2", "\ufb01ne",
    "\u212a\u212bngstr\u00f6m", "\u1112\u1161\u11ab\ud55c",
    "\U0001f642\U0001f642\U0001f642", "\u00a0nbsp\u00a0", "\u202eabc", "line\nbreak", "tab\ttab", "a-b_c/d:e.f(g",
    "disc-risk", "disc  risk", "cdk46", "0123456789", "'quoted' it's", "back\\slash\\'",
]  # fmt: skip
"""Names that mean something to a parser, a collation or a normal form."""
LONG = ["x" * (LONGEST + 1), "é" * (LONGEST + 1), "word " * 700, f"{'long ' * 120}zebrafish", "\u0344" * LONGEST]
"""Names that are too long for the index, or grow by their normal form."""


def names(random: Random, number: int) -> list[str]:
    """Names such as people give, and of random characters."""
    words = [
        "kisqali",
        "churn",
        "uplift",
        "Tramadol",
        "r\u00e9ponse",
        "model",
        "v2",
        "risk",
        "\u0130zmir",
        "stra\u00dfe",
        "7",
    ]
    signs = "ab'\\:*&|!<>()-_ /.\u00e9e\u0301\u0130\u00df\u03c3\u03c2\u1e9e12"
    made = [random.choice(" -_/:.(").join(random.sample(words, random.randint(1, 4))) for _ in range(number)]
    made += ["".join(random.choices(signs, k=random.randint(1, 12))) for _ in range(number)]
    return [random.choice([name, name.upper(), unicodedata.normalize("NFD", name)]) for name in made]


@pytest.fixture(scope="module")
async def sql(module_database: Database) -> AsyncIterator[asyncpg.Connection]:
    async with connected(module_database.owner_url) as connection:
        yield connection


@pytest.fixture(scope="module")
async def indexed(module_database: Database, sql: asyncpg.Connection, serve: Any) -> AsyncIterator[Client]:
    """Rows whose names are of all kinds, made and changed while the indexes are there, which Postgres has to use."""
    for table, columns in NAMES.items():
        await sql.execute(create_index(f"{INDEX_PREFIX}{table}_trigrams", table, columns))
    random = Random(7)
    made = [*ODD, *LONG, *names(random, 60)]
    await sql.executemany(
        f"INSERT INTO {KNOWLEDGE} (source_type, lesson_type, title, description, created_at) "
        "VALUES ('experiment', 'finding', left($1, 200), '', '2026-01-01'::timestamptz + $2 * interval '1 minute')",
        [(name, place) for place, name in enumerate(made)],
    )
    experiment = await sql.fetchval(
        "INSERT INTO ml_experiments (experiment_name, prediction_target) VALUES ('e', 't') RETURNING id"
    )
    await sql.executemany(
        f"INSERT INTO {MODELS} (experiment_id, model_name, model_version, mlflow_run_id, mlflow_model_uri, algorithm, "
        "stage, registered_at) VALUES ($1, left($2, 100), $3::int::text, nullif(left($4, 100), ''), $5, 'a', "
        "'staging', '2026-01-01'::timestamptz + $3 * interval '1 minute')",
        [(experiment, name, n, random.choice(made), made[-n]) for n, name in enumerate(made)],
    )
    await sql.execute(f"UPDATE {MODELS} SET mlflow_model_uri = mlflow_model_uri || ' new' WHERE model_version < '3'")
    await execute(module_database.admin_url, f"ALTER DATABASE {module_database.name} SET enable_seqscan = off")
    async with serve(module_database) as client:
        yield client


@pytest.fixture
def by_index(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets every type have too many rows to compare all, of which at most a number are compared."""

    def limit(rows: int = MAX_COMPARED) -> None:
        monkeypatch.setattr("schema.fields.search.MAX_COMPARED", 0)
        monkeypatch.setattr(search_sql, "MAX_COMPARED", rows)

    return limit


async def found(client: Client, text: str, **arguments: Any) -> dict[str, Any]:
    return (await client.data(SEARCH, text=text, **{"types": TYPES, **arguments}))["search"]


def asked(values: list[str]) -> list[str]:
    """Texts made from names: whole ones, words of them, with typos, and what is allowed at most."""
    random = Random(11)
    texts = SearchTexts(random, values, TYPES)
    made = [*ODD, *FIXED, *(texts.text() for _ in range(50)), "zebrafish", "ong zebraf", "x" * 300, "\u00e9" * 300]
    allowed = (text for text in made if len(text.strip()) <= 300 and len(text.split()) <= 12 and "\0" not in text)
    return [text for text in allowed if text.translate(str.maketrans("", "", "-_/:.(")).strip()]


async def test_an_index_finds_what_comparing_all_rows_finds(indexed: Client, by_index: Any) -> None:
    texts = asked([*ODD, *names(Random(7), 60)])
    arguments = [{}, {"any": True}, {"used": True, "first": 3}]
    wanted = [await found(indexed, text, **arguments[place % 3]) for place, text in enumerate(texts)]
    assert sum(bool(one["hits"]) for one in wanted) > 50
    by_index()
    few = 0
    for place, text in enumerate(texts):
        answer = await found(indexed, text, **arguments[place % 3])
        if answer["omissions"]:  # a text that has no two letters together
            assert answer["complete"] is False
            assert {**answer, "omissions": [], "complete": wanted[place]["complete"]} == wanted[place], text
            few += 1
        else:
            assert answer == wanted[place], text
    assert few < len(texts) / 3


async def test_rows_of_any_age_are_found_and_too_many_are_said(indexed: Client, by_index: Any) -> None:
    by_index(5)
    old = await found(indexed, "dk4", types=TYPES[:1])
    assert ([hit["text"] for hit in old["hits"]], old["complete"], old["omissions"]) == (["cdk46"], True, [])
    typo = await found(indexed, "kelvan", types=TYPES[:1])
    assert (typo["hits"], typo["complete"]) == ([], True), "no row can match, with a typo neither"
    listed = await indexed.data("{ experimentKnowledgeEntries(first: 5) { nodes { id } } }")
    for text, arguments in (("kisqali", {}), ("xylophone kisqali", {"any": True})):
        answer = await found(indexed, text, types=TYPES[:1], **arguments)
        assert answer["complete"] is False
        (omission,) = answer["omissions"]
        assert omission["type"] == "ExperimentKnowledge"
        assert "rows can match; the newest" in omission["reason"]
        assert {hit["node"]["id"] for hit in answer["hits"]} <= {
            node["id"] for node in listed["experimentKnowledgeEntries"]["nodes"]
        }


async def test_typos_are_said_only_where_they_are_searched_for(indexed: Client, by_index: Any) -> None:
    """A page of sure hits needs none: that more rows than are compared have parts of the words does not matter."""
    by_index(5)
    assert (await found(indexed, "tramadol", types=TYPES[:1], first=1))["omissions"], "more than five rows have it"
    text = "disc-risk"  # three rows, while "disc" with typos may be in many
    sure = await found(indexed, text, types=TYPES[:1], first=1)
    assert (len(sure["hits"]), sure["omissions"]) == (1, [])


async def test_without_rights_to_use_the_index_the_newest_are_compared(
    indexed: Client, sql: asyncpg.Connection, by_index: Any
) -> None:
    """Under row level security, which Postgres would evaluate for all rows, and where the index has just gone."""
    by_index(5)
    name, text = f"{INDEX_PREFIX}{KNOWLEDGE}_trigrams", "cdk46"
    assert len((await found(indexed, text, types=TYPES[:1]))["hits"]) == 1
    for away, back in (
        (
            f"ALTER TABLE {KNOWLEDGE} ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON {KNOWLEDGE} USING (true)",
            f"DROP POLICY p ON {KNOWLEDGE}; ALTER TABLE {KNOWLEDGE} DISABLE ROW LEVEL SECURITY",
        ),
        (f"ALTER INDEX {name} RENAME TO other", f"ALTER INDEX other RENAME TO {name}"),
    ):
        await sql.execute(away)
        answer = await found(indexed, text, types=TYPES[:1])
        assert (answer["hits"], answer["complete"], len(answer["omissions"])) == ([], False, 1)
        await sql.execute(back)
        assert len((await found(indexed, text, types=TYPES[:1]))["hits"]) == 1


async def test_the_statement_reads_by_the_index_and_not_the_table(
    indexed: Client, sql: asyncpg.Connection, by_index: Any
) -> None:
    by_index()
    with recording() as statements:
        assert (await found(indexed, "cdk46", types=TYPES[:1]))["hits"]
    (statement,) = statements
    await sql.execute("SET enable_seqscan = off")
    nodes = await plan(sql, statement, options="ANALYZE, ")
    scans = [node for node in nodes if node.get("Relation Name") == KNOWLEDGE and node["Actual Loops"]]
    assert {node["Node Type"] for node in scans} == {"Bitmap Heap Scan"}
    assert sum(node["Actual Rows"] for node in scans) == 2, "once counted, once compared"


async def test_facts_know_the_index_by_what_it_is_over(
    indexed: Client, sql: asyncpg.Connection, module_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its name is; one over other columns, a partial one is none. Doctor brings it."""
    monkeypatch.setattr("schema.execution.explain.MAX_COMPARED", -1)
    name, title = f"{INDEX_PREFIX}{KNOWLEDGE}_trigrams", (KNOWLEDGE, ("title",))
    engine = create_engine(database_url(module_database.owner_url), read_only=True)
    there = await facts.read(engine)
    assert there.trigrams[title] == f"public.{name}"
    made = await sql.fetchval("SELECT pg_get_indexdef($1::text::regclass)", name)
    for other in (
        f"{made} WHERE title <> ''",
        made.replace(f" > {LONGEST}", f" > {LONGEST - 1}"),
        made.replace("(title)", "(description)"),
        create_index(name, KNOWLEDGE, ("title", "description")).replace("CONCURRENTLY ", ""),
    ):
        assert other != made
        await sql.execute(f"DROP INDEX {name}")
        await sql.execute(other)
        assert title not in (await facts.read(engine)).trigrams
    await sql.execute(f"DROP INDEX {name}")
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="READ COMMITTED")
        async with connection.begin():
            notes = (await inspect(connection, explain)).notes
    remedies = {note.object: note.remedy for note in notes if note.object.startswith("trigrams of ")}
    assert len(remedies) == len([one for one in catalogue() if one.search]) - 1, "all but models"
    remedy = remedies[f"trigrams of {KNOWLEDGE} (title)"]
    assert remedy == create_index(name, KNOWLEDGE, ("title",))
    assert remedy.isascii()
    await sql.execute(remedy)
    assert (await facts.read(engine)).trigrams[title] == f"public.{name}"
    await engine.dispose()


async def test_partitions_have_an_index_each(sql: asyncpg.Connection) -> None:
    alerts = entities()["MonitoringAlert"]
    note = replace(unserved_search(alerts, ("title",), 1), remedy=create_index("whole", "parted", ("title",)))
    await sql.execute(
        "CREATE TABLE parted (id int, title text) PARTITION BY RANGE (id);"
        "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (9);"
        "CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (9) TO (99)"
    )
    table = FoundTable(readable=True, kind="p", partitioned_by=("id",), parts=("public.parted_1", "public.parted_2"))
    there = DatabaseCatalog("", has_own_schema=False, tables={"parted": table}, other_tables=(), enums={}, functions={})
    remedy = in_partitions(note, there).remedy
    for statement in remedy.split(";\n"):
        await sql.execute(statement)
    valid = "SELECT indisvalid, pg_get_expr(indexprs, indrelid) FROM pg_index WHERE indexrelid = 'whole'::regclass"
    is_valid, expression = await sql.fetchrow(valid)
    assert is_valid
    assert columns_of(expression) == ("title",)


@pytest.mark.parametrize("table", NAMES)
async def test_no_row_is_refused(sql: asyncpg.Connection, table: str) -> None:
    """What is in the index for a name is never more than it can have, nor what no lexeme can be."""
    for name in [*ODD, *LONG, *names(Random(13), 200), "\U0010ffff" * 400, "a" * 10**6]:
        columns = NAMES[table]
        values = ", ".join(f"($1)::text AS {column}" for column in columns)
        assert await sql.fetchval(f"SELECT {trigrams(columns)} IS NOT NULL FROM (SELECT {values}) AS t", name)
    nothing = ", ".join(f"NULL::text AS {column}" for column in NAMES[table])
    assert await sql.fetchval(f"SELECT {trigrams(NAMES[table])} = '' FROM (SELECT {nothing}) AS t")


async def test_collations_of_columns_do_not_matter(sql: asyncpg.Connection) -> None:
    """Columns of two have none together, by which lower() would fail."""
    columns = ("a", "b", "c", "d")
    await sql.execute('CREATE TEMP TABLE odd (a text COLLATE "POSIX", b text COLLATE "C", c uuid, d varchar(9))')
    await sql.execute(create_index("odd_trigrams", "odd", columns))
    await sql.execute("INSERT INTO odd VALUES ('\u0130zmir-1', 'Caf\u00e9', gen_random_uuid(), 'x')")
    index = "SELECT pg_get_expr(indexprs, indrelid) FROM pg_index WHERE indexrelid = 'odd_trigrams'::regclass"
    assert columns_of(await sql.fetchval(index)) == columns
    both = f"SELECT count(*) FROM odd WHERE {trigrams(columns)} @@ $1::text::tsquery"
    assert await sql.fetchval(both, "zmi & caf") == 1


def test_an_expression_of_another_kind_is_none_of_ours() -> None:
    for other in ("lower(title)", "to_tsvector('simple'::regconfig, title)", "COALESCE(title, ''::text)", ""):
        assert columns_of(other) == ()
    assert columns_of(trigrams(("a", "b"))) == ("a", "b")
    assert columns_of(trigrams(("a", "b")).replace("'-'", "'_'")) == ()
