"""The differences between the models and a database, each with its consequence."""

import re
from collections.abc import Iterator

from db.attach.catalog import DatabaseCatalog
from db.attach.compare_columns import columns_of, computed_by_the_database, labels_of, unfilled
from db.attach.compare_constraints import constraints_of, graded_alike, triggers_of
from db.attach.compare_indexes import special_index
from db.attach.compare_own_tables import own_tables
from db.attach.differences import Difference, Severity, failing, joined
from db.attach.fields import field_of, of_table
from db.base.system_catalog import enum_name
from db.base.vocabulary import Entity, Labels, entities, enum_types, is_own, table_of

FUNCTIONS = {"get_validation_gate": 1, "is_dag_approved": 2, "can_use_estimate": 2}
"""The functions of the data dictionary, with the numbers of their arguments. No answer depends on them."""

VERSION = "xmin"
"""The system column by which Postgres tells versions of a row apart."""
NO_VERSIONS = {"v": "a view", "f": "a foreign table"}
"""The relations without it, by their kind."""


def differences(found: DatabaseCatalog) -> Iterator[Difference]:
    """All differences, in the order of the models."""
    if not found.tables:
        yield Difference(
            Severity.BREAKS, "empty database", "",
            "the database has none of the platform's tables: every field answers with an error; "
            "`e2i-gateway db migrate` builds them in an empty database",
        )  # fmt: skip
        return
    for entity in entities().values():
        table = table_of(entity)
        there = found.tables.get(table.fullname)
        if is_own(table) or entity.__is_view__:
            continue
        if there is None:
            yield _missing_table(entity)
        elif not there.readable:
            yield Difference(
                Severity.BREAKS, "not readable", table.fullname,
                f"{found.role} may not read {table.fullname}: {failing(of_table(table.fullname))}",
                f"GRANT SELECT ON {table.fullname} TO {found.role}",
            )  # fmt: skip
        else:
            if there.kind in NO_VERSIONS:
                yield Difference(
                    Severity.BREAKS, "no versions", table.fullname,
                    f"{table.fullname} is {NO_VERSIONS[there.kind]}, whose rows have no version: "
                    f"{failing([f'{entity.__name__}.rowVersion'])}, and no row of it can be changed",
                )  # fmt: skip
            yield from columns_of(entity, there, found.role)
            yield from unfilled(entity, there)
            yield from computed_by_the_database(table, there)
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                yield from special_index(table, index, there)
            yield from constraints_of(table, there)
            yield from triggers_of(table, there)
    yield from graded_alike(found)
    for labels in enum_types():
        yield from _enum(labels, found)
    yield from _views(found)
    yield from _functions(found)
    yield from _others(found)
    yield from own_tables(found)


def _missing_table(entity: type[Entity]) -> Difference:
    name = table_of(entity).fullname
    none = f", and no {entity.__name__} can be recorded" if entity.__record__ else ""
    message = f"the table {name} is missing: {failing(of_table(name))}{none}"
    return Difference(Severity.BREAKS, "missing table", name, message)


_OWN_DEFINITION = "the graph answers by a definition of its own"

_AS_TEXT = re.compile(r"max\(\(*[\w.]+\)*::(?:text|character varying)\)")


def _views(found: DatabaseCatalog) -> Iterator[Difference]:
    """Missing and different views: no answer depends on them, but other clients may read them."""
    names = [table_of(entity).fullname for entity in entities().values() if entity.__is_view__]
    if missing := [name for name in names if name not in found.tables]:
        yield Difference(
            Severity.INFORMS, "missing view", ", ".join(missing),
            f"there {'are no views' if len(missing) > 1 else 'is no view'} {joined(missing)}: {_OWN_DEFINITION}",
        )  # fmt: skip
    there = {name: found.tables[name] for name in names if name in found.tables}
    others = [name for name, view in there.items() if view.comment != Entity.metadata.tables[name].comment]
    if others:
        yield Difference(
            Severity.INFORMS, "other view", ", ".join(others),
            f"{joined(others)} {'are' if len(others) > 1 else 'is'} not of the gateway's making: {_OWN_DEFINITION}, "
            f"and who reads the view itself may find other values",
        )  # fmt: skip
    for name in others:
        if _AS_TEXT.search(there[name].definition):
            yield Difference(
                Severity.INFORMS, "order of text", name,
                f"the view {name} takes the largest label as text, where none is above critical; the graph takes the "
                f"gravest",
            )  # fmt: skip


def _enum(labels: type[Labels], found: DatabaseCatalog) -> Iterator[Difference]:
    name = enum_name(labels)
    known = [member.value for member in labels]
    there = found.enums.get(name)
    if there is not None and set(there) == set(known):
        return
    fields = [
        field_of(entity, column.name)
        for entity in entities().values()
        for column in table_of(entity).columns
        if labels_of(column.type) is labels
    ]
    if there is None:
        use = f"{joined(fields)} cannot be filtered by its labels" if fields else "no column of ours has it"
        severity = Severity.BREAKS if fields else Severity.INFORMS
        yield Difference(severity, "missing enum", name, f"the enum {name} is missing: {use}")
        return
    if lacks := [label for label in known if label not in there]:
        asked = bool(fields) and not labels.open_ended
        them = "it" if len(lacks) == 1 else "them"
        yield Difference(
            Severity.INFORMS, "missing label", name,
            f"the enum {name} lacks {joined(lacks)}: no row has {them}"
            + (f", {joined(fields)} never equals {them}, and no change leads to {them}" if asked else ""),
        )  # fmt: skip
    for label in there:
        if label not in known:
            shown = labels.open_ended or not fields
            follows = "it is shown as text" if shown else f"where a row has it, {failing(fields)}"
            yield Difference(
                Severity.INFORMS if shown else Severity.BREAKS, "unknown label", f"{name}.{label}",
                f"the enum {name} has a label that the graph does not know, {label}: {follows}",
            )  # fmt: skip


def _functions(found: DatabaseCatalog) -> Iterator[Difference]:
    for name, arguments in FUNCTIONS.items():
        there = found.functions.get(name)
        if not there:
            yield Difference(
                Severity.INFORMS, "missing function", name, f"the function {name} is missing: {_OWN_DEFINITION}",
            )  # fmt: skip
        elif not any(least <= arguments <= most for least, most in there):
            yield Difference(
                Severity.INFORMS, "other function", name,
                f"the function {name} does not take {arguments} argument{'s' if arguments > 1 else ''}: "
                f"{_OWN_DEFINITION}",
            )  # fmt: skip


def _others(found: DatabaseCatalog) -> Iterator[Difference]:
    columns = [
        f"{name}.{column}"
        for name, there in found.tables.items()
        for column in there.columns
        if column not in Entity.metadata.tables[name].columns
    ]
    for kind, names in (("unknown column", sorted(columns)), ("unknown table", list(found.other_tables))):
        if names:
            several = f"{len(names)} {kind}s that the graph does not show"
            what = several if len(names) > 1 else f"1 {kind} that the graph does not show"
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            yield Difference(Severity.INFORMS, kind, ", ".join(names), f"{what}: {', '.join(names[:8])}{more}")
