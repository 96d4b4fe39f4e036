"""An attempt to make the changes of a transaction: what its steps share, and the locks of their subjects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from db.base.lifecycles import Lifecycle, lifecycle_of
from db.engine.transaction import Transaction
from schema.catalogue.catalogue import Catalogue, Type
from schema.catalogue.records import Missing
from schema.changes.guards import ROW
from schema.changes.rows import Key
from schema.sql import builder as sql


@dataclass
class Attempt:
    """One attempt to execute the changes of a transaction: the state that its steps share."""

    transaction: Transaction
    catalogue: Catalogue
    missing: Missing
    """What the database lacks, regardless of the caller's permissions."""
    versions: dict[tuple[str, Key], str] = field(default_factory=dict)
    """Versions of rows when they were first locked, by type and key: clients' expected versions refer to these."""
    made: set[str] = field(default_factory=set)
    """Keys, as in ids, of rows that the attempt has inserted with generated keys; a dry run does not return them."""
    added: set[str] = field(default_factory=set)
    """Global ids of inserted subjects, including those with ids that the client has given."""
    outcomes: dict[str, str] = field(default_factory=dict)
    """Results of steps other than locked rows, by name: texts that must be equal when a preview is applied."""

    async def hold(self, asked: Mapping[str, Sequence[Key]]) -> None:
        """Locks the subjects of several changes, by type, in an order common to all operations.

        Missing rows are ignored; the step that refers to them reports them.
        """
        types = [self.catalogue[name] for name in sorted(asked)]
        present = [type_ for type_ in types if not self.missing.table(type_)]
        for type_ in present:
            if lifecycle := lifecycle_of(type_.name):
                await self.queue(lifecycle, asked[type_.name])
        for type_ in present:
            await self.lock(type_, asked[type_.name])
            bind = sql.Binds()
            keys = list(asked[type_.name])
            for ord_, version in await self.transaction.run(
                sql.by_keys(type_, ["t.xmin::text"], keys, bind), bind.values
            ):
                self.versions.setdefault((type_.name, keys[ord_ - 1]), version)

    async def queue(self, lifecycle: Lifecycle, keys: Iterable[Key]) -> None:
        """Takes the advisory locks of the lifecycle's ``queue``, which serialize changes of dependent rows."""
        if lifecycle.queue is None:
            return
        type_ = self.catalogue[lifecycle.entity]
        bind = sql.Binds()
        rows = sql.by_keys(type_, ["t.*"], list(keys), bind)
        slots = f"SELECT DISTINCT {lifecycle.queue.replace('{row}', ROW)} FROM ({rows}) {ROW}"
        locks = f"SELECT pg_advisory_xact_lock(a, b) FROM ({slots} ORDER BY 1, 2) AS s (a, b)"
        await self.transaction.run(locks, bind.values)

    async def lock(self, type_: Type, keys: Sequence[Key]) -> None:
        """Locks existing rows, in the order of their keys."""
        bind = sql.Binds()
        order = ", ".join(f"t.{column}" for column in type_.key)
        lock = f"{sql.by_keys(type_, ['true'], list(keys), bind)} ORDER BY {order} FOR NO KEY UPDATE OF t"
        await self.transaction.run(lock, bind.values)
