"""Relations between entities, with their lineage edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

from db.base.labels import Labels


@dataclass(frozen=True)
class EdgeSpec:
    """The lineage edge of a relation: its kind, and which end is upstream.

    ``closes_loop`` marks the edge that closes a cycle between the platform's types.
    """

    kind: Labels
    _: KW_ONLY
    target_is_upstream: bool
    closes_loop: bool = False


@dataclass(frozen=True)
class Relation:
    """A relation between two entities, declared once at the referring side, and a field on both sides.

    ``on`` maps columns of this table to columns of the target. A relation that is more than equality gives ``sql``
    instead: a predicate over the row aliases ``{this}`` and ``{that}`` (NULL means no match), with the columns of each
    side that it reads; ``elements`` is the column of this side, an array or a JSON list, whose elements name rows of
    the other one. ``lineage`` is its edge, or why it is none. ``aliases`` and ``inverse_aliases`` are what people call
    the two fields, beside the names for rows of that type.
    """

    target: str
    doc: str
    _: KW_ONLY
    on: Mapping[str, str]
    many: bool = False
    inverse: str | None = None
    inverse_doc: str = ""
    inverse_many: bool = True
    latest: str | None = None
    sql: str | None = None
    inverse_sql: str | None = None
    elements: str | None = None
    this_columns: Sequence[str] = ()
    that_columns: Sequence[str] = ()
    lineage: EdgeSpec | str = ""
    aliases: Sequence[str] = ()
    inverse_aliases: Sequence[str] = ()


def belongs_to(
    target: str,
    on: str | Mapping[str, str],
    doc: str,
    *,
    inverse: str,
    inverse_doc: str,
    inverse_many: bool = True,
    latest: str | None = None,
    lineage: EdgeSpec | str = "",
    aliases: Sequence[str] = (),
    inverse_aliases: Sequence[str] = (),
) -> Relation:
    """A to-one relation by equal columns; ``on`` is a column with the target's ``id``, or a mapping of columns.

    ``inverse`` names the field on the target: a connection, or one row if ``inverse_many`` is False. ``latest`` names a
    further field there: the first row in the default order, which is the newest.
    """
    pairs = on if isinstance(on, Mapping) else {on: "id"}
    return Relation(
        target,
        doc,
        on=pairs,
        inverse=inverse,
        inverse_doc=inverse_doc,
        inverse_many=inverse_many,
        latest=latest,
        lineage=lineage,
        aliases=aliases,
        inverse_aliases=inverse_aliases,
    )


def linked_by(
    target: str,
    sql: str,
    doc: str,
    *,
    this_columns: Sequence[str],
    that_columns: Sequence[str],
    many: bool = True,
    inverse: str | None = None,
    inverse_doc: str = "",
    inverse_many: bool = True,
    inverse_sql: str | None = None,
    elements: str | None = None,
    lineage: EdgeSpec | str = "",
    aliases: Sequence[str] = (),
    inverse_aliases: Sequence[str] = (),
) -> Relation:
    """A relation by a predicate over ``{this}`` and ``{that}``.

    ``inverse_sql`` is the same predicate in a form that is fast in the other direction; the aliases keep their meaning
    (``{this}`` is always the declaring side). With ``elements``, that column contains what names the other row: a GIN
    index finds the rows, in no order.
    """
    return Relation(
        target,
        doc,
        on={},
        many=many,
        sql=sql,
        inverse=inverse,
        inverse_doc=inverse_doc,
        inverse_many=inverse_many,
        inverse_sql=inverse_sql,
        elements=elements,
        this_columns=this_columns,
        that_columns=that_columns,
        lineage=lineage,
        aliases=aliases,
        inverse_aliases=inverse_aliases,
    )
