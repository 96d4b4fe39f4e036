"""The URL of a database: libpq's parameters are taken, or the one that is not is named."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import pytest

from db.engine.connector import Connector
from db.engine.engine import create_engine
from db.engine.readers import ShortReader
from db.engine.url import TAKEN, database_url, target_of
from gateway.setting_types import REPLICAS, checked_postgres, checked_replicas
from tests.support.databases import Database, execute
from tests.support.process import run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://u@h/d", [("h", None)]),
        ("postgresql://u@h:6432/d", [("h", 6432)]),
        ("postgresql://u:p@one:1,two:2/d?target_session_attrs=primary", [("one", 1), ("two", 2)]),
        ("postgresql://u@one,two/d", [("one", None), ("two", None)]),
        ("postgresql://u@[::1]:5,[::2]/d", [("::1", 5), ("::2", None)]),
        ("postgresql://u@/d?host=one:1&host=two:2", [("one", 1), ("two", 2)]),
        ("postgresql://u@/d?host=one,two&port=1,2", [("one", 1), ("two", 2)]),
        ("postgresql://u@/d?host=one,two&port=7", [("one", 7), ("two", 7)]),
        ("postgresql:///d?host=/var/run/postgresql&port=5433", [("/var/run/postgresql", 5433)]),
        ("postgresql:///d", [(None, None)]),
    ],
)
def test_hosts(url: str, hosts: list[tuple[str | None, int | None]]) -> None:
    assert target_of(database_url(url)).hosts == hosts


def test_what_is_said_of_a_session() -> None:
    target = target_of(
        database_url(
            "postgresql://h/d?application_name=etl&connect_timeout=3&target_session_attrs=read-write"
            "&options=-c%20work_mem%3D64MB%20--geqo%3Doff%20-cplan_cache_mode%3Dauto&user=u&password=p%40"
        )
    )
    assert (target.application, target.timeout, target.attributes) == ("etl", 3.0, "read-write")
    assert target.settings == {"work_mem": "64MB", "geqo": "off", "plan_cache_mode": "auto"}
    assert target.arguments == {"user": "u", "password": "p@", "database": "d"}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("nonsense=1", "the parameter nonsense is not supported; supported are application_name, connect_timeout"),
        (
            "channel_binding=require",
            "the parameter channel_binding=require is not supported; leave it out or pass disable",
        ),
        ("require_auth=scram-sha-256", "the parameter require_auth is not supported"),
        ("sslmode=verify_full", "sslmode=verify_full is not one of disable, allow, prefer"),
        ("sslmode=verify-full&sslrootcert=/nowhere/ca.crt", "sslrootcert=/nowhere/ca.crt: there is no such file"),
        ("sslrootcert=system", "sslrootcert=system is not supported; name a file"),
        ("connect_timeout=soon", "connect_timeout=soon is out of range; pass whole seconds from 1 to 600"),
        ("connect_timeout=0", "connect_timeout=0 is out of range"),
        ("target_session_attrs=master", "target_session_attrs=master is not one of any, primary"),
        ("options=-f", "options=-f: -f is not supported; pass -c name=value"),
        ("application_name=a&application_name=b", "the parameter application_name is given more than once"),
        ("host=a,b,c&port=1,2", "3 hosts and 2 ports; pass a port for each host, or one for all"),
        ("port=many", "port=many is not a port; pass a number from 1 to 65535"),
        ("ssl_min_protocol_version=SSLv3", "ssl_min_protocol_version=SSLv3 is not one of TLSv1"),
    ],
)
def test_what_is_not_taken_is_named(query: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        database_url(f"postgresql:///d?{query}")
    process = run("db", "check", DATABASE_URL=f"postgresql:///d?{query}")
    assert process.returncode == 2
    assert f"DATABASE_URL: {raised.value}" in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("prepared", [True, False])
async def test_settings_of_the_url_hold_and_those_of_the_gateway_before_them(
    database: Database,
    prepared: bool,  # noqa: FBT001
) -> None:
    mark = "&" if "?" in database.gateway_url else "?"
    options = "-c%20work_mem%3D4321kB%20-c%20extra_float_digits%3D-9"
    url = database_url(f"{database.gateway_url}{mark}application_name=etl&options={options}")
    engine = create_engine(url, read_only=True, prepared_statements=prepared)
    names = ("application_name", "work_mem", "extra_float_digits")
    row = await ShortReader(engine).fetch("SELECT " + ", ".join(f"current_setting('{name}')" for name in names), ())
    assert tuple(row[0]) == ("etl", "4321kB", "1")
    await engine.dispose()


async def test_only_hosts_with_the_attribute_are_taken(database: Database) -> None:
    await execute(database.admin_url, f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
    mark = "&" if "?" in database.gateway_url else "?"
    for wanted in ("any", "primary", "read-only", "prefer-standby"):
        connector = Connector(target_of(database_url(f"{database.gateway_url}{mark}target_session_attrs={wanted}")))
        (await connector()).terminate()
    for wanted in ("read-write", "standby"):
        connector = Connector(target_of(database_url(f"{database.gateway_url}{mark}target_session_attrs={wanted}")))
        with pytest.raises(ConnectionError, match=f"is up, and not {wanted}"):
            await connector()


def test_files_of_tls_are_read(tmp_path: Path) -> None:
    """The driver takes them: a file that holds no certificate is its error, in words."""
    (tmp_path / "ca.crt").write_text("no certificate")
    target = target_of(database_url(f"postgresql://h/d?sslmode=verify-ca&sslrootcert={tmp_path / 'ca.crt'}"))
    assert "sslrootcert" in target.arguments["dsn"]
    assert issubclass(ssl.SSLError, OSError)
    assert "sslrootcert" in TAKEN


def test_so_many_replicas_are_taken_each_of_them_once() -> None:
    urls = [f"postgresql://u@host{number}/d" for number in range(REPLICAS + 1)]
    assert checked_replicas(" ".join(urls[:-1])) == " ".join(urls[:-1])
    assert REPLICAS == 8, "the how-to says eight"
    with pytest.raises(ValueError, match="expected at most 8 replicas, not 9"):
        checked_replicas(" ".join(urls))
    with pytest.raises(ValueError, match=r"host0.* is named twice"):
        checked_replicas(f"{urls[0]} {urls[1]} postgresql://other@host0/d")


@pytest.mark.parametrize("between", [",", ";", ", ", "|"])
def test_addresses_are_separated_by_spaces(between: str) -> None:
    two = f"postgresql://u@one:1/d{between}postgresql://u@two:2/d"
    with pytest.raises(ValueError, match="expected one URL; several hosts of one database are"):
        checked_postgres(two)
    with pytest.raises(ValueError, match="expected URLs that are separated by spaces"):
        checked_replicas(two)
    assert checked_replicas("postgresql://u@one:1,two:2/d") == checked_postgres("postgresql://u@one:1,two:2/d")
    with pytest.raises(ValueError, match="postgresql:// names no host"):
        checked_replicas("postgresql://")
