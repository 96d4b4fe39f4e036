"""The whole examination: settings first, then services, then the database as far as it can be reached."""

from __future__ import annotations

from sqlalchemy.engine import URL

from db import checkup
from db.engine import DatabaseUnavailableError, translate
from gateway.doctor import database, services
from gateway.doctor import settings as of_settings
from gateway.doctor.findings import Finding, error, ok
from gateway.settings import Settings, is_loopback


async def examine(settings: Settings, url: URL | None) -> list[Finding]:
    """What was found; ``url`` is the database's, in the role that serves, None where there is none yet."""
    found = list(of_settings.check(settings))
    found += [one async for one in services.check(settings)]
    if url is not None:
        found += await _of_database(settings, url)
    return found


async def _of_database(settings: Settings, url: URL) -> list[Finding]:
    name, where = "database.reachable", f"{url.database} at {url.host or url.query.get('host') or 'this host'}"
    try:
        roles = settings.rls_roles if settings.rls else ()
        facts = await checkup.read(
            url,
            statement_timeout=settings.statement_timeout,
            prepared_statements=settings.prepared_statements,
            roles=roles,
        )
    except Exception as problem:  # noqa: BLE001 - whatever keeps it from answering
        meaning = translate(problem)
        away = isinstance(meaning, DatabaseUnavailableError | OSError)
        what = "cannot be reached" if away else "cannot be looked at"
        return [error(name, f"{where} {what}: {meaning or 'no answer in time'}", "correct DATABASE_URL, or start it")]
    return [ok(name, where), *database.check(settings, facts, remote=_is_remote(url))]


def _is_remote(url: URL) -> bool:
    host = str(url.host or url.query.get("host") or "/")
    return not host.startswith("/") and not is_loopback(host)
