"""Constraints and triggers that a database lacks, or has beyond the models."""

from collections.abc import Iterator

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Table, UniqueConstraint

from db.attach import triggers as attach_triggers
from db.attach.catalog import DatabaseCatalog, FoundTable
from db.attach.compare_indexes import is_unique
from db.attach.differences import Difference, Severity


def constraints_of(table: Table, there: FoundTable) -> Iterator[Difference]:
    key = [column.name for column in table.primary_key.columns]
    unique = [key, *(list(c.columns.keys()) for c in table.constraints if isinstance(c, UniqueConstraint))]
    for columns in sorted(unique):
        if not set(columns) <= there.columns.keys() or is_unique(there, columns):
            continue
        what = f"{table.fullname} ({', '.join(columns)})"
        if is_unique(there, columns, given=there.partitioned_by):
            yield Difference(
                Severity.INFORMS, "partitioned", what,
                f"{what} is unique within partitions alone, with {', '.join(there.partitioned_by)}, as in every "
                f"partitioned table: rows of other times may have the same",
            )  # fmt: skip
        else:
            yield Difference(
                Severity.COSTS, "missing constraint", what,
                f"nothing keeps {what} unique, and no unique index serves it: where one row is expected there may be "
                f"several, and looking for it reads the whole table",
            )  # fmt: skip
    for foreign in _sorted_keys(table):
        if (
            set(foreign.column_keys) <= there.columns.keys()
            and frozenset(foreign.column_keys) not in there.foreign_keys
        ):
            what = f"{table.fullname} ({', '.join(foreign.column_keys)})"
            yield Difference(
                Severity.INFORMS, "missing constraint", what,
                f"{what} is no foreign key to {foreign.referred_table.fullname}: a row may refer to nothing, and the "
                f"relation is null then",
            )  # fmt: skip
    for check in sorted(str(c.name) for c in table.constraints if isinstance(c, CheckConstraint)):
        if check not in there.checks:
            yield Difference(
                Severity.INFORMS, "missing constraint", f"{table.fullname} ({check})",
                f"the constraint {check} of {table.fullname} is missing, or has another name: values outside its "
                f"bounds may occur",
            )  # fmt: skip


def _sorted_keys(table: Table) -> list[ForeignKeyConstraint]:
    return sorted(table.foreign_key_constraints, key=lambda key: list(key.column_keys))


def triggers_of(table: Table, there: FoundTable) -> Iterator[Difference]:
    name = table.fullname
    for lost in attach_triggers.lacking(name, there.triggers):
        yield Difference(Severity.COSTS, "missing trigger", name, f"{name} has no active trigger: {lost}")
    for function, follows in attach_triggers.left_to(name, there.triggers):
        yield Difference(
            Severity.INFORMS, "own trigger", name, f"{name} has a trigger of its own, {function}: {follows}"
        )


def graded_alike(found: DatabaseCatalog) -> Iterator[Difference]:
    """Fidelity scores that are graded like errors."""
    triggers = {name: table.triggers for name, table in found.tables.items()}
    overloads = {name: len(those) for name, those in found.functions.items()}
    for table, function in attach_triggers.graded_alike(triggers, overloads):
        yield Difference(
            Severity.COSTS, "wrong grades", table,
            f"a trigger of {table} grades fidelity scores by {function}, of which there is one alone, by which errors "
            f"are graded too: a score near 1 is stored as poor and one near 0 as excellent. fidelityGrade shows what "
            f"is stored; read effectGrade, which the gateway works out from the effects, as for an experiment's "
            f"health, until there is a function of that name for scores",
        )  # fmt: skip
