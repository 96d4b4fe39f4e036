"""Runs all checks: of the settings, of services, and of the database if it can be reached."""

from __future__ import annotations

from sqlalchemy.engine import URL

from db.attach import checkup
from db.engine.errors import DatabaseUnavailableError, translate
from gateway.doctor import database, services
from gateway.doctor import settings as of_settings
from gateway.doctor.findings import Finding, error, ok, warning
from gateway.setting_types import is_loopback
from gateway.settings import Settings
from schema.execution.explain import explain


async def examine(settings: Settings, url: URL | None) -> list[Finding]:
    """The findings; ``url`` is the database's, in the role that serves, None if there is no database yet."""
    found = list(of_settings.check(settings))
    found += [one async for one in services.check(settings)]
    if url is not None:
        found += await _of_database(settings, url)
    found += [await _of_replica(settings, replica) for replica in settings.replicas]
    return found


async def _of_replica(settings: Settings, url: URL) -> Finding:
    """Whether reads can go to the replica, and whether it has what the primary has."""
    name, where = "replica.reachable", f"{url.database} at {url.host or 'this host'}"
    try:
        facts = await checkup.read(
            url, statement_timeout=settings.statement_timeout, prepared_statements=settings.prepared_statements
        )
    except Exception as problem:  # noqa: BLE001 - any failure to answer
        meaning = translate(problem) or "no answer in time"
        return warning(name, f"{where} cannot be looked at: {meaning}; all reads go to the primary", "start it")
    if not facts.in_recovery:
        return error(
            "replica.standby", f"{where} is no standby: reads there miss what is changed elsewhere",
            "correct GATEWAY_REPLICA_URL",
        )  # fmt: skip
    lacking = [table for table, lacks in facts.lacking.items() if "SELECT" in lacks]
    if lacking:
        return error("replica.rights", f"{facts.role} may not read {', '.join(lacking[:5])} there")
    return ok(name, where)


async def _of_database(settings: Settings, url: URL) -> list[Finding]:
    name, where = "database.reachable", f"{url.database} at {url.host or url.query.get('host') or 'this host'}"
    try:
        roles = settings.rls_roles if settings.rls else ()
        facts = await checkup.read(
            url,
            statement_timeout=settings.statement_timeout,
            prepared_statements=settings.prepared_statements,
            roles=roles,
            explain=explain,
        )
    except Exception as problem:  # noqa: BLE001 - any failure to answer
        meaning = translate(problem)
        away = isinstance(meaning, DatabaseUnavailableError | OSError)
        what = "cannot be reached" if away else "cannot be looked at"
        return [error(name, f"{where} {what}: {meaning or 'no answer in time'}", "correct DATABASE_URL, or start it")]
    return [ok(name, where), *database.check(settings, facts, remote=_is_remote(url))]


def _is_remote(url: URL) -> bool:
    host = str(url.host or url.query.get("host") or "/")
    return not host.startswith("/") and not is_loopback(host)
