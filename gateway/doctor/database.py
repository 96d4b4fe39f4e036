"""Checks of the database, the gateway's role, and a pooler in between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from db.attach.attach import Severity
from db.attach.checkup import Checkup
from db.attach.unwritable import NO_RIGHT
from db.engine.clock import SKEW
from db.engine.session import values
from db.engine.url import schema_names
from db.store.documents import TrustedDocumentsError
from gateway.doctor.findings import Finding, error, note, ok, warning
from gateway.operations.persisted import document_registry, documents_of
from gateway.roles import ROLES, unknown
from gateway.settings import Settings
from schema.names.shapes import listed

OLDEST = 14
"""The oldest supported version of Postgres: triggers can be replaced in place since then."""
MANY_STATES = 10_000
"""Rows of which the current state is computed in about a tenth of a second."""
_FOR_OUTCOMES = 2
_BESIDE = 3
"""Connections of a worker beside its pools: one that listens, and some for probes."""


def check(settings: Settings, found: Checkup, *, remote: bool) -> Iterator[Finding]:
    """All checks of a database; ``remote`` says whether it is on another host."""
    yield from _server(found, remote=remote)
    yield from _session(settings, found)
    yield from _pooler(settings, found)
    yield from _connections(settings, found)
    yield from _role(found)
    yield from _rights(found)
    yield from _policies(settings, found)
    yield from _tokens(settings, found)
    yield from _documents(settings, found)
    yield from _rollups(settings, found)
    yield from _current_state(settings, found)
    yield from _schema(found)


def _server(found: Checkup, *, remote: bool) -> Iterator[Finding]:
    major = found.version // 10_000
    if major < OLDEST:
        yield error("database.version", f"Postgres {major} is too old", f"use {OLDEST} or newer")
    else:
        yield ok("database.version", f"Postgres {major}.{found.version % 10_000}")
    if found.encoding != "UTF8":
        yield error(
            "database.encoding",
            f"the database's encoding is {found.encoding}: not every text of a request can be written or compared",
            "restore it into a database that was created with ENCODING 'UTF8'",
        )
    else:
        yield ok("database.encoding", "UTF8")
    if remote and not found.encrypted:
        yield error(
            "database.tls",
            "the connection to another host is not encrypted",
            "add ?sslmode=require to DATABASE_URL, or verify-full with the server's certificate authority",
        )
    yield from _vector(found)
    if abs(found.skew) > SKEW:
        yield warning(
            "database.clock",
            f"the database's clock is {abs(found.skew):.0f} s {'ahead' if found.skew > 0 else 'behind'}: expiries are "
            f"judged wrongly, and what happened before what",
            "let both hosts follow a time server",
        )
    else:
        yield ok("database.clock", f"within {SKEW:.0f} s of this host's")
    if found.in_recovery:
        yield warning(
            "database.standby", "this server is a standby: everything can be read and nothing changed",
            "point DATABASE_URL to the primary",
        )  # fmt: skip


def _vector(found: Checkup) -> Iterator[Finding]:
    name = "database.pgvector"
    if found.vector is None:
        yield warning(
            name, "pgvector is missing: similarity search answers with an error", "install pgvector on the server",
            "CREATE EXTENSION vector",
        )  # fmt: skip
    elif not found.vector_found:
        yield error(
            name,
            f"pgvector is in the schema {found.vector_schema}, where {found.role} does not find it",
            "it must be in public or extensions, with USAGE for the role",
            f"GRANT USAGE ON SCHEMA extensions TO {found.role}"
            if found.vector_schema == "extensions"
            else "ALTER EXTENSION vector SET SCHEMA extensions",
        )
    elif tuple(map(int, found.vector.split(".")[:2])) < (0, 5):
        yield warning(
            name, f"pgvector {found.vector} has no HNSW indexes: every vector is compared", "install 0.5 or newer",
            "ALTER EXTENSION vector UPDATE",
        )  # fmt: skip
    else:
        yield ok(name, f"{found.vector} in {found.vector_schema}")


def _session(settings: Settings, found: Checkup) -> Iterator[Finding]:
    """The session parameters that the gateway sets at connecting: a pooler may drop them, a role override them."""
    name = "database.session"
    wrong = [
        f"{setting} is {found.settings[setting]}, not {wanted}"
        for setting, wanted in values(schema_names(settings.schemas)).items()
        if found.settings[setting].replace(" ", "").lower() not in {wanted.replace(" ", "").lower(), *_ALIKE[setting]}
    ]
    if found.settings["transaction_read_only"] != "on":
        wrong.append("connections for reading may write")
    if found.settings["statement_timeout"] == "0":
        wrong.append(f"statements are never cancelled, not after {settings.statement_timeout:g} s")
    if wrong:
        yield error(
            name,
            f"session settings that the gateway sends at the connect are ignored: {'; '.join(wrong)}",
            "set GATEWAY_PREPARED_STATEMENTS=off, which sets them in each transaction, or connect to Postgres directly",
        )
    else:
        yield ok(name, "settings that change answers are those of the gateway")


_ALIKE: Mapping[str, Sequence[str]] = defaultdict(tuple, TimeZone=("etc/utc",))


def _pooler(settings: Settings, found: Checkup) -> Iterator[Finding]:
    name = "database.pooler"
    if found.pooler.shares and settings.prepared_statements:
        yield error(
            name,
            "a pooler in transaction mode is before Postgres, and prepared statements are on: they are made on one "
            "backend and used on another",
            "set GATEWAY_PREPARED_STATEMENTS=off, or use the pooler's session mode (Supabase: port 5432)",
        )
    elif found.pooler.shares:
        yield note(
            name, "a pooler in transaction mode, without prepared statements: it works, and each read is planned"
        )
    elif found.pooler.there:
        yield note(name, "a pooler that gives each connection a backend of its own")
    elif not settings.prepared_statements:
        yield warning(
            name, "no pooler is there, and prepared statements are off: each statement is planned again",
            "leave GATEWAY_PREPARED_STATEMENTS on",
        )  # fmt: skip
    else:
        yield ok(name, "the gateway speaks to Postgres itself")


def _connections(settings: Settings, found: Checkup) -> Iterator[Finding]:
    name = "database.connections"
    wanted = settings.workers * (2 * settings.pool_size + _FOR_OUTCOMES + _BESIDE)
    each = f"{settings.workers} x (2 x {settings.pool_size} + {_FOR_OUTCOMES + _BESIDE})"
    advice = "lower GATEWAY_POOL_SIZE or GATEWAY_WORKERS, or raise the limit"
    for limit, whose in (
        (found.role_limit, f"the role {found.role}"),
        (found.database_limit, "the database"),
        (found.server_limit, "the server"),
    ):
        if limit >= 0 and wanted > limit and not found.pooler.shares:
            yield error(
                name, f"the gateway may open {wanted} connections ({each}), and {whose} allows {limit}: under load "
                f"requests fail", advice,
            )  # fmt: skip
            return
    if wanted + found.connected > found.server_limit and not found.pooler.shares:
        yield warning(
            name, f"the gateway may open {wanted} connections ({each}); with the {found.connected} of others now "
            f"that is more than the server's {found.server_limit}", advice,
        )  # fmt: skip
    else:
        yield ok(name, f"at most {wanted} of the server's {found.server_limit}")


def _role(found: Checkup) -> Iterator[Finding]:
    name, advice = "database.role", "connect as a role of its own; `e2i-gateway db role` prints the SQL that makes it"
    if found.superuser:
        yield error(
            name, f"{found.role} is a superuser: no rights limit what a fault of the gateway can change", advice
        )
        return
    if found.owned:
        yield error(name, f"{found.role} may alter and drop {listed(found.owned, 5)}, as their owner", advice)
    if found.bypasses_rls:
        yield warning(name, f"{found.role} reads all rows, regardless of policies (BYPASSRLS)", advice)
    if not found.owned and not found.bypasses_rls:
        yield ok(name, f"{found.role} owns nothing and is no superuser")


def _rights(found: Checkup) -> Iterator[Finding]:
    if found.superuser:
        return
    name, advice = "database.rights", "run what `e2i-gateway db role` prints, as the owner of the tables"
    reading = [table for table, lacks in found.lacking.items() if "SELECT" in lacks]
    writing = [f"{', '.join(lacks)} on {table}" for table, lacks in found.lacking.items() if "SELECT" not in lacks]
    if reading:
        yield error(name, f"{found.role} may not read {listed(reading, 5)}", advice)
    if writing:
        yield warning(name, f"changes are refused where {found.role} may not {listed(writing, 5)}", advice)
    if found.beyond and not found.owned:
        more = [f"{', '.join(has)} on {table}" for table, has in found.beyond.items()]
        yield warning(name, f"{found.role} may do what the gateway never does: {listed(more, 5)}", advice)
    if not (reading or writing or found.beyond):
        yield ok(name, "what reads and lifecycles need, and no more")


def _policies(settings: Settings, found: Checkup) -> Iterator[Finding]:
    """Which role's row policies apply: the callers' or the gateway's own."""
    if settings.rls:
        for why in found.closed.values():
            yield error("database.rls", f"GATEWAY_RLS: {why}")
        if found.inherits:
            what, _, remedy = found.inherits.partition("; run ")
            yield warning("database.rls", f"GATEWAY_RLS: {what}", f"run {remedy}", remedy)
        return
    for table in found.hidden:
        yield error(
            "database.policies",
            f"row level security hides all rows of {table} from {found.role}: it seems empty",
            "make a policy that lets the role read, or let callers' roles decide with GATEWAY_RLS=on",
            f"CREATE POLICY e2i_gateway_reads ON {table} FOR SELECT TO {found.role} USING (true)",
        )


def _tokens(settings: Settings, found: Checkup) -> Iterator[Finding]:
    """Whether service tokens can do what they were created for."""
    if "token" not in settings.auth or not found.tokens:
        return
    name, well = "database.tokens", True
    role = settings.rls_token_role
    if settings.rls and (why := found.closed.get(role)):
        well = False
        yield error(name, f"the service tokens {listed(list(found.tokens), 5)} cannot be used: {why}")
    roles = {**ROLES, **settings.roles}
    for token, scopes in found.tokens.items():
        if wrong := unknown(scopes, roles):
            well = False
            yield warning(
                name,
                f"the service token {token} was made with {', '.join(wrong)}, which grants nothing here",
                f"define the role in GATEWAY_ROLES, or `e2i-gateway token revoke {token}` and make another one",
            )
    if well:
        yield ok(name, f"{len(found.tokens)}, and each grants what it was made with")


def _documents(settings: Settings, found: Checkup) -> Iterator[Finding]:
    """Whether any document is trusted, if trusted documents are required."""
    trust, name = settings.trusted_documents, "database.documents"
    if trust == "off":
        return
    path, count = settings.trusted_documents_path, 0
    try:
        document_registry(settings)  # raises where the settings are wrong
        count = len(documents_of(path)) if path else 0
    except TrustedDocumentsError as problem:
        yield error(name, f"the gateway refuses to start: {problem}")
        return
    if settings.trusted_documents_table and found.documents is None:
        yield error(
            name, f"gateway.trusted_documents is missing, or {found.role} may not read it: no document of it is known",
            "run `e2i-gateway db attach` or `db migrate`, and what `e2i-gateway db role` prints",
        )  # fmt: skip
        return
    count += (found.documents or 0) if settings.trusted_documents_table else 0
    if count:
        yield ok(name, f"{count} trusted document{'s' * (count != 1)}")
        return
    what = "no request is answered" if trust == "only" else "every document has the limit of those that are not trusted"
    found_as = error if trust == "only" else warning
    yield found_as(name, f"there is no trusted document: {what}", "add some by `e2i-gateway documents add`")


def _rollups(settings: Settings, found: Checkup) -> Iterator[Finding]:
    """Whether the rollups that are kept are used, and exact."""
    name = "database.rollups"
    if not found.rollups:
        if settings.uses_rollups:
            yield warning(
                name, "GATEWAY_ROLLUPS is set, and no sums are kept: long windows are computed from all their rows",
                "run `e2i-gateway db rollups` as the owner of the tables",
            )  # fmt: skip
        return
    well = True
    for one in found.rollups:
        if one.state == "broken":
            well = False
            yield warning(
                name, f"the sums of {one.table} are not used: rows may have been written unmarked",
                "run `e2i-gateway db rollups` as the owner of the tables, which makes them anew",
            )  # fmt: skip
        elif one.failed:
            well = False
            yield warning(
                name, f"the sums of {one.table} lack {one.failed} units of time, whose rows are read: {one.error}",
                "correct the values that are far from zero: their units are then summed up",
            )  # fmt: skip
        elif one.lacks:
            well = False
            yield note(
                name, f"the sums of {one.table} are of an earlier version, without those of {listed(one.lacks)}: "
                "`e2i-gateway db rollups`, run as the owner of the tables, makes them, and long windows faster",
            )  # fmt: skip
    if not settings.uses_rollups:
        well = False
        used = "serve without GATEWAY_RLS, whose policies may hide rows" if settings.rls else "set GATEWAY_ROLLUPS=true"
        yield warning(
            name, "sums are kept and not used: writes mark units that this gateway does not sum up",
            f"{used}, or run `e2i-gateway db rollups --drop`",
        )  # fmt: skip
    if well:
        yield ok(
            name, f"{listed([one.table for one in found.rollups])}, {sum(o.marked for o in found.rollups)} units marked"
        )


def _current_state(settings: Settings, found: Checkup) -> Iterator[Finding]:
    """Whether the state of the rows of large tables is stored, and used."""
    name = "database.current-state"
    for one in found.states:
        if one.stored and settings.uses_current_state:
            yield ok(name, f"the rows of {listed(one.views)} are stored")
        elif one.stored:
            policies = "serve without GATEWAY_RLS, whose policies may hide rows"
            yield warning(
                name, f"the rows of {listed(one.views)} are stored and not used: writes mark keys whose rows this "
                "gateway does not compute",
                f"{policies if settings.rls else 'set GATEWAY_CURRENT_STATE=true'}, or run `e2i-gateway db "
                "current-state --drop`",
            )  # fmt: skip
        elif one.rows >= MANY_STATES and not settings.rls:
            yield warning(
                name, f"filters and counts of {listed(one.views)} compute the state of each of about {one.rows:,} rows "
                f"of {one.table}",
                "run `e2i-gateway db current-state` as the owner of the tables, which stores it, and set "
                "GATEWAY_CURRENT_STATE=true",
            )  # fmt: skip


_OWN = {"missing schema", "missing own table", "older own table"}


def _schema(found: Checkup) -> Iterator[Finding]:
    own = [one for one in found.differences.notes if one.kind in _OWN]
    for one in own:
        yield error("gateway.schema", one.message, "", one.remedy)
    if not own:
        yield ok("gateway.schema", "the gateway's own tables are there and current")
    others = [one for one in found.differences.notes if one not in own and one.kind != NO_RIGHT]
    for one in others:
        if one.severity is Severity.BREAKS:
            yield error(f"schema.{one.kind.replace(' ', '-')}", one.message, "", one.remedy)
        elif one.severity is Severity.COSTS:
            yield warning(f"schema.{one.kind.replace(' ', '-')}", one.message, "", one.remedy)
    informs = sum(one.severity is Severity.INFORMS for one in others)
    if informs:
        yield note("schema.differences", f"{informs} more differences cost nothing; `e2i-gateway db check` lists them")
    if not others:
        yield ok("schema.differences", "tables, columns and indexes are those of the data dictionary")
