"""The fields of the graph that read a column, so that differences are reported in GraphQL's terms."""

from collections.abc import Iterable
from functools import cache

from db.base import views
from db.base.entity import camel
from db.base.vocabulary import Entity, computed_fields, entities, key_columns, plural, relations, table_of


def field_of(entity: type[Entity], column: str) -> str:
    """``Model.experimentId``; a column ``id`` is named ``rowId``, since ``id`` is the global id."""
    return f"{entity.__name__}.{'rowId' if column == 'id' else camel(column)}"


def of_table(table: str) -> list[str]:
    """The fields that read a table's rows: those of its own type, and relations to it."""
    entity = next(entity for entity in entities().values() if table_of(entity).fullname == table)
    found = [f"{entity.__name__[0].lower()}{entity.__name__[1:]}", plural(entity)]
    for other in entities().values():
        for name, relation in relations(other).items():
            if relation.target == entity.__name__ and other is not entity:
                found.append(f"{other.__name__}.{camel(name)}")
            elif other is entity and relation.inverse and relation.target != entity.__name__:
                found.append(f"{relation.target}.{camel(relation.inverse)}")
        if table_of(other).name in views.definitions() and table in views.tables(table_of(other).name):
            found.append(plural(other))
    return found


@cache
def by_column() -> dict[tuple[str, str], list[str]]:
    """(table, column) -> the fields that need the column, its own first."""
    found: dict[tuple[str, str], list[str]] = {}

    def add(entity: type[Entity], columns: Iterable[str], *fields: str) -> None:
        for column in columns:
            known = found.setdefault((table_of(entity).fullname, column), [])
            known.extend(field for field in fields if field not in known)

    for entity in entities().values():
        for column in table_of(entity).columns:
            add(entity, [column.name], field_of(entity, column.name))
        add(entity, key_columns(entity), f"{entity.__name__}.id")
        for name, computed in computed_fields(entity).items():
            add(entity, computed.columns, f"{entity.__name__}.{camel(name)}")
    for entity in entities().values():
        for name, relation in relations(entity).items():
            fields = [f"{entity.__name__}.{camel(name)}"]
            if relation.inverse:
                fields.append(f"{relation.target}.{camel(relation.inverse)}")
            add(entity, relation.on or relation.this_columns, *fields)
            add(entities()[relation.target], relation.on.values() or relation.that_columns, *fields)
    return found
