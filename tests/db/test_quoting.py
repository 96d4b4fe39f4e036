"""Texts and names as SQL writes them: Postgres reads each as what it was."""

from __future__ import annotations

import pytest

from db.base.quoting import identifier, literal, literals
from db.store.grants import role_sql
from tests.support.databases import Database, connect, execute

TEXTS = ["", "a", "o'brien", "''", "\\", "\\'; SELECT 1; --", "a\\nb", "é 日本 🙂", "%s %% :name $1 {x}", 'a"b', "\n\t"]
NAMES = [
    "plain",
    "with_1",
    "Capital",
    "two words",
    'a"b',
    "o'brien",
    "user",
    "select",
    "left",
    "1st",
    "é",
    "100%",
    "a:b",
    "$x",
]


@pytest.mark.parametrize("conforming", ["on", "off"])
async def test_literals(module_database: Database, conforming: str) -> None:
    sql = await connect(module_database.gateway_url)
    await sql.execute(f"SET standard_conforming_strings = {conforming}")
    assert await sql.fetchval(f"SELECT ARRAY[{literals(TEXTS)}]") == TEXTS
    assert [await sql.fetchval(f"SELECT {literal(text)}") for text in TEXTS] == TEXTS
    await sql.close()


async def test_identifiers(module_database: Database) -> None:
    sql = await connect(module_database.gateway_url)
    for name in NAMES:
        row = await sql.fetchrow(f"SELECT {identifier(name)} FROM (SELECT 1) AS t ({identifier(name)})")
        assert list(row.keys()) == [name]
    assert identifier("plain") == "plain"
    await sql.close()


async def test_a_role_that_is_named_like_a_word_of_sql(database: Database) -> None:
    await execute(database.admin_url, role_sql("user"))
    sql = await connect(database.admin_url)
    try:
        assert await sql.fetchval("SELECT has_table_privilege('user'::name, 'ml_experiments', 'SELECT')")
    finally:
        await sql.execute('DROP OWNED BY "user"')
        await sql.execute('DROP ROLE "user"')
        await sql.close()
