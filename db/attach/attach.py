"""Attaching to a database of the platform: its tables are not changed, and differences are reported."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace

from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.attach import vector_indexes
from db.attach.catalog import DatabaseCatalog, read
from db.attach.compare import FUNCTIONS, NO_VERSIONS, VERSION, differences
from db.attach.compare_columns import computed, unreadable
from db.attach.compare_indexes import in_partitions
from db.attach.differences import Difference, Severity
from db.attach.facts import known_tables
from db.attach.own_tables import make_own
from db.attach.unwritable import unwritable
from db.base.system_catalog import enum_name
from db.base.vocabulary import OWN_SCHEMA, entities, enum_types, table_of
from db.migrations.setup import connect
from db.store.caller_roles import emptied_for_gateways, hides
from db.store.grants import give_own

SPEED = {"missing index"}
"""The kinds of differences that cost time, but no answers."""

__all__ = ["Difference", "Differences", "Severity", "attach", "check", "inspect"]


@dataclass(frozen=True)
class Differences:
    """The differences of a database from the models.

    Tables and views have their names in the catalogue: ``ml_experiments``, ``ml.discovered_dags``.
    """

    missing_tables: frozenset[str] = frozenset()
    missing_columns: frozenset[tuple[str, str]] = frozenset()
    """Missing columns, and columns of an unrelated type, which no field can read; with those of versions of rows."""
    missing_labels: frozenset[tuple[str, str]] = frozenset()
    """Enums by SQL name, with the labels that they lack."""
    words: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """The words that CHECK constraints allow in columns, by table and column."""
    computed_columns: frozenset[tuple[str, str]] = frozenset()
    """Columns that are generated in the database and not in the models: they cannot be written."""
    notes: tuple[Difference, ...] = field(default=())

    def of(self, severity: Severity) -> Sequence[Difference]:
        """The differences of one severity, those that affect answers before those of speed."""
        found = (note for note in self.notes if note.severity is severity)
        return sorted(found, key=lambda note: note.kind in SPEED)

    @property
    def breaks(self) -> bool:
        """Whether a difference makes any field an error."""
        return bool(self.of(Severity.BREAKS))

    def text(self) -> str:
        """The differences for the terminal, by severity."""
        if not self.notes:
            return "The database has everything that the graph needs.\n"
        lines = []
        for severity in Severity:
            if notes := self.of(severity):
                lines += ["", f"{severity.value} ({len(notes)}):", *(f"  - {note.message}" for note in notes)]
        if remedies := dict.fromkeys(note.remedy for note in self.notes if note.remedy):
            lines += ["", "The owner of the tables may run:", *(f"  {remedy};" for remedy in remedies)]
        return "\n".join(lines[1:]) + "\n"


Explain = Callable[[AsyncConnection, Differences], Awaitable[Sequence[Difference]]]
"""EXPLAINs the gateway's statements, beside the differences found (`schema.execution.explain`)."""


async def inspect(
    source: AsyncEngine | AsyncConnection, explain: Explain | None = None, *, measures: bool = False
) -> Differences:
    """Compares the models with a database. Reads the catalog only, which every role may.

    ``explain`` finds statements without an index, in the transaction of the connection; ``measures`` also measures the
    recall of vector indexes, which reads vectors.

    Raises:
        sqlalchemy.exc.DBAPIError: The database cannot be reached, or refuses a statement.
    """
    opened: AbstractAsyncContextManager[AsyncConnection]
    opened = source.connect() if isinstance(source, AsyncEngine) else nullcontext(source)
    async with opened as connection:
        there = await read(connection, list(FUNCTIONS))
        found = _judge(there)
        explained = [] if explain is None else await explain(connection, found)
        weak = await vector_indexes.weak(connection, known_tables()) if measures else []
        closed = await unwritable(connection)
    notes = (in_partitions(note, there) for note in (*found.notes, *closed, *explained, *weak))
    return replace(found, notes=tuple(notes))


def _judge(found: DatabaseCatalog) -> Differences:
    # views are computed from their tables, whether or not the database has them
    tables = {table_of(entity).fullname: table_of(entity) for entity in entities().values() if not entity.__is_view__}
    return Differences(
        missing_tables=frozenset(tables.keys() - found.tables.keys()),
        missing_columns=frozenset(
            (name, column)
            for name, there in found.tables.items()
            if name in tables
            for column, wanted in tables[name].columns.items()
            if column not in there.columns or unreadable(wanted, there.columns[column])
        )
        | {(name, VERSION) for name, there in found.tables.items() if name in tables and there.kind in NO_VERSIONS},
        missing_labels=frozenset(
            (name, member.value)
            for labels in enum_types()
            if (name := enum_name(labels)) in found.enums
            for member in labels
            if member.value not in found.enums[name]
        ),
        words={
            (name, column): words
            for name, table in found.tables.items()
            if not name.startswith(f"{OWN_SCHEMA}.")
            for column, words in table.words.items()
        },
        computed_columns=frozenset(
            (name, column)
            for name, there in found.tables.items()
            if name in tables
            for column in computed(tables[name], there)
        ),
        notes=tuple(differences(found)),
    )


async def attach(url: str | URL, explain: Explain | None = None) -> Differences:
    """Creates and migrates the schema ``gateway`` where the role may, restores the rights of roles that served from it
    before, and reports the differences.

    Nothing else is changed. An existing schema of another owner is left as it is.

    Raises:
        SetupError: The tables cannot be migrated.
        DatabaseUnavailableError: The database cannot be reached.
    """
    async with connect(url) as connection, connection.begin():
        return await attach_over(connection, explain)


async def attach_over(connection: AsyncConnection, explain: Explain | None = None) -> Differences:
    """:func:`attach` in the transaction of a connection."""
    if await connection.scalar(_MAY_MAKE_OWN):
        await make_own(connection)
        await give_own(connection)
    return await inspect(connection, explain, measures=True)


# databases that the migrations have built have everything
_MAY_MAKE_OWN = text("""
    SELECT to_regclass('gateway.alembic_version') IS NULL AND NOT pg_is_in_recovery()
        AND current_setting('transaction_read_only') = 'off' AND CASE
        WHEN to_regnamespace('gateway') IS NULL THEN has_database_privilege(current_database(), 'CREATE')
        ELSE (SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = 'gateway')
    END
""")


async def check(
    url: str | URL, write: Callable[[str], object], explain: Explain | None = None, *, rls: bool = False
) -> int:
    """Prints the differences for ``e2i-gateway db check``; returns 1 if they cost fields or rows, else 0.

    With ``rls`` the policies of callers' roles apply, and rows hidden from the gateway's own role do not matter.
    """
    async with connect(url) as connection, connection.begin():
        found = await inspect(connection, explain, measures=True)
        emptied = {} if rls else await emptied_for_gateways(connection)
    write(found.text())
    for role, tables in emptied.items():
        write(f"{hides(role, tables)}\n")
    return 1 if found.breaks or emptied else 0
