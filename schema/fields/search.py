"""`search`: nodes of any type by name, id or external reference, best first.

Without postponed annotations: Strawberry could not resolve names of classes that a function creates.
"""

import enum
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import sqlalchemy
import strawberry

from schema.catalogue import ids
from schema.catalogue.catalogue import Catalogue, Type
from schema.catalogue.column_types import kind_of
from schema.catalogue.records import CUT, Record
from schema.catalogue.scalars import DateTime
from schema.catalogue.selection import cut_unsaid
from schema.errors import NUL, Withheld, bad_argument
from schema.execution.loaders import Loaders
from schema.graph.root_field import RootField
from schema.graph.types import Info, Node, Types, selection_of, taking
from schema.lineage.edges import NodeDisplay, face, state_name
from schema.search.text import MAX_COMPARED, Searched, SearchStatement
from schema.search.words import Text

TIME = sqlalchemy.DateTime(timezone=True)
MAX_TEXT = 300
MAX_WORDS = 12
MAX_HITS = 100
MAX_TYPES = 100
HITS = 20
POINTS = 6
"""Points of a row whose name is compared and ranked, as for nearly all rows with a single letter: 12 us."""
POINTS_OF_TYPO = 1
"""Points of such a row for each further word that may have a typo."""


def searchable(types: Catalogue) -> dict[str, Type]:
    """The types that are searched: all tables, since each has ids."""
    return {type_.name: type_ for type_ in types if not type_.is_view}


async def _search(info: Info) -> Record:
    """The best hits.

    Raises:
        GatewayError: ``BAD_USER_INPUT``, naming the argument.
    """
    loaders = info.context.loaders
    selection = selection_of(info)
    arguments = selection.arguments
    text, first = _text(arguments["text"]), arguments.get("first")
    first = HITS if first is None else first
    if not 1 <= first <= MAX_HITS:
        raise bad_argument("first", f"{first} is out of range; pass 1 to {MAX_HITS}")
    if (asked := len(arguments.get("types") or ())) > MAX_TYPES:
        raise bad_argument("types", f"has {asked} types; pass at most {MAX_TYPES}")
    types = _types(loaders.catalogue, arguments)
    if not types:
        raise bad_argument("types", "is empty; leave it out to search all types")
    omissions: list[Record] = []
    searched = [
        one
        for type_ in types
        if (one := _searched(loaders, type_, omissions, only_in_use=bool(arguments.get("onlyInUse"))))
    ]
    statement = SearchStatement(text, first, any_words=bool(arguments.get("anyWords")))
    sql = statement.build(searched)
    rows = await loaders.reader.fetch(sql, statement.bind.values) if sql else []
    many = rows[0][0] if rows else ()
    more = f"More than {MAX_COMPARED:,} rows can match; the newest {MAX_COMPARED:,} were compared, and ids of any."
    omissions += [{"type": name, "reason": more} for name in many]
    rows = [row for _, *row in rows if row[1] is not None]
    hits = [
        {"type": type_, "id": id_, "field": field, "text": value, "score": score, "owner": owner}
        | {"time": _shown_time(at), "state": _state(loaders, loaders.catalogue[type_], state)}
        | {"lacks": [text.words[int(place)] for place in (lacks[0] if lacks else "").split()]}
        for type_, id_, field, value, score, at, state, owner, *lacks in rows[:first]
    ]
    complete = len(rows) <= first and not many and not any(one.bounded and not one.by_index for one in searched)
    cut = cut_unsaid(selection, ["first"] if len(rows) > first else [], ["hits"], ["complete"])
    return {"hits": hits, "complete": complete, "omissions": omissions, CUT: cut}


def _text(asked: str) -> Text:
    text = Text(asked.strip())
    if "\x00" in asked:
        raise bad_argument("text", NUL)
    if len(text.raw) > MAX_TEXT:
        raise bad_argument("text", f"has {len(text.raw)} characters; pass at most {MAX_TEXT}")
    if not text.words:
        raise bad_argument("text", "has nothing to search for; pass a name, an id or an external reference, or a part")
    if len(text.words) > MAX_WORDS:
        raise bad_argument("text", f"has {len(text.words)} words; pass at most {MAX_WORDS}")
    return text


def _types(types: Catalogue, arguments: Mapping[str, Any]) -> list[Type]:
    asked = arguments.get("types")
    known = searchable(types)
    return list(known.values()) if asked is None else [known[name] for name in dict.fromkeys(m.value for m in asked)]


def _searched(loaders: Loaders, type_: Type, omissions: list[Record], *, only_in_use: bool) -> Searched | None:
    """What can be searched of a type, or None; the rest is added to the omissions."""

    def omit(reason: str) -> None:
        omissions.append({"type": type_.name, "reason": reason})

    def there(columns: tuple[str, ...]) -> tuple[str, ...]:
        lacking = [column for column in columns if loaders.missing.first(type_, [column])]
        for column in lacking:
            omit(_why(loaders.missing.first(type_, [column]) or column))
        return tuple(column for column in columns if column not in lacking)

    what = loaders.missing.table(type_) or loaders.missing.first(type_, type_.key)
    what = what or next(iter(loaders.missing.unrecorded.values()), None) if type_.is_record else what
    if what:
        omit(_why(what))
        return None
    names = there(type_.search)
    bounded = bool(names) and loaders.facts.rows.get(type_.sql_name, 0) > MAX_COMPARED
    index = loaders.facts.trigrams.get((type_.sql_name, names), "")
    if bounded and not index:
        omit(f"There are too many rows to compare; the newest {MAX_COMPARED:,} were, and ids of any.")
    shown = _face(loaders, type_)
    return Searched(
        type_, names, there(type_.references), loaders.lists.order(type_), _time(loaders, type_), bounded,
        shown.state.replace("{row}", "t"), shown.label.replace("{row}", "t"), _owner(loaders, type_),
        f"NOT {shown.ended.replace('{row}', 't')}" if only_in_use and shown.ended else "", type_words(type_), index,
    )  # fmt: skip


def _face(loaders: Loaders, type_: Type) -> NodeDisplay:
    return face(type_, loaders.missing)


def _state(loaders: Loaders, type_: Type, text: str | None) -> str | None:
    return state_name(type_, _face(loaders, type_), text)


def _shown_time(wire: str | None) -> str | None:
    decode = kind_of(TIME).decode
    return wire if wire is None or decode is None or not isinstance(decode(wire, ""), Exception) else None


def _owner(loaders: Loaders, type_: Type) -> str:
    """SQL of the id of a row's first reference, such as a model's experiment."""
    for relation in type_.relations.values():
        target, columns = loaders.catalogue[relation.target], relation.join.local_columns
        owns = not relation.many and relation.join.equality and target is not type_ and target.is_node
        if not owns or relation.join.remote_columns != target.key or set(columns) & set(type_.key):
            continue
        if loaders.missing.first(type_, columns) or loaders.missing.table(target):
            continue
        key = [(kind, f"t.{column}") for kind, column in zip(target.key_kinds, columns, strict=True)]
        return ids.sql(target.name, key)
    return "NULL::text"


def type_words(type_: Type) -> tuple[str, ...]:
    """The names of a type, singular and plural, and their last words."""
    names = [re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower() for name in (type_.name, type_.plural)]
    ends = [" ".join(name.split()[place:]) for name in names for place in range(1, len(name.split()))]
    return (*names, *ends)


def _why(what: str) -> str:
    """Why a type or column was not searched."""
    if isinstance(what, Withheld):
        return f"Searching it needs the scope {what.scope}, which the caller does not have."
    return f"{what} does not exist in the connected database."


def _time(loaders: Loaders, type_: Type) -> str:
    """SQL of the time that orders hits, newest first."""
    column = type_.ordered_by
    if column is None or loaders.missing.first(type_, [column]):
        return "NULL::timestamptz"
    return f"t.{column}::timestamptz"


def _node(hit: Any, info: Info) -> Any:
    """The row of a hit; fields of the hit itself need no statement."""
    selection = selection_of(info)
    loaders = info.context.loaders
    if {child.name for child in selection.on(hit["type"]).values()} <= {"id", "__typename"}:
        return {"__typename": hit["type"], "id": hit["id"]}
    type_ = loaders.catalogue[hit["type"]]
    return loaders.row(type_, selection, ids.decode(hit["id"], type_.name, type_.key_kinds))


async def _belongs_to(hit: Any, info: Info) -> Any:
    return await info.context.loaders.node(selection_of(info), hit["owner"]) if hit["owner"] else None


@strawberry.type(description="A node that matches the text.")
class SearchHit:
    score: float = strawberry.field(
        description="How well the text matches: 1 the id; 0.95 the whole value or the row's name; 0.94 the same except "
        "for case and Unicode composition; 0.8 to 0.9 the start of the value; 0.65 to 0.75 starts of words; 0.5 to 0.6 "
        "any part; from 0.4 words of several values of the row, the name of its type (0.45) or the end of that name "
        "(0.42); below that, a match with typos; below 0.1, a match without some of the words. Within each range a "
        "shorter value scores higher."
    )
    field: str = strawberry.field(
        description="The field that matches best; `__typename` if the text is the name of the type, which finds its "
        "newest rows."
    )
    text: str = strawberry.field(description="The value of that field; the global id if the text is an id.")
    lacks: list[str] = strawberry.field(
        description="The words of the text that the row lacks: with `anyWords`, if no row has all of them."
    )
    state: str | None = strawberry.field(
        description="Lifecycle state or status, as its enum names it. ACTIVE, INACTIVE, DELETED, DEPRECATED or RETIRED "
        "for types without a lifecycle whose rows can end; null if the type has no state."
    )
    time: DateTime | None = strawberry.field(
        description="The time that orders its type, such as createdAt; null if it has none."
    )
    belongs_to: Node | None = strawberry.field(
        resolver=taking({}, Node | None, _belongs_to),
        description="The parent row: a model's experiment, an alert's model; null if it has none.",
    )
    node: Node | None = strawberry.field(
        resolver=taking({}, Node | None, _node), description="The node; null if it was deleted at the same time."
    )


@strawberry.type(description="Rows or columns that were not searched.")
class SearchOmission:
    type: str = strawberry.field(description="The type whose rows may be missing from the hits.")
    reason: str = strawberry.field(description="What was not searched, and why.")


@strawberry.type(description="Result of a search.")
class SearchResult:
    hits: list[SearchHit] = strawberry.field(
        description="The best hits, by score, then newest first, then by type and id. Each node once."
    )
    complete: bool = strawberry.field(
        description="Whether these are all hits: false if more than `first` nodes match, or if others than the newest "
        f"{MAX_COMPARED:,} rows of a type may match. An index of trigrams finds these, unless they are as many. Hits "
        "with typos are searched only if there are too few others."
    )
    omissions: list[SearchOmission] = strawberry.field(
        description="What was not searched: tables and columns that the connected database lacks or the caller may not "
        "read, and old rows of large tables."
    )


def _make(types: Types) -> Any:
    members: dict[str, Any] = {
        type_.name: strawberry.enum_value(type_.name, description=_described(type_))
        for type_ in searchable(types.catalogue).values()
    }
    cls: Any = enum.Enum("SearchType", members)  # type: ignore[misc]  # members come from the models
    search_type: Any = strawberry.enum(cls, description="The types that can be searched, as `__typename` names them.")
    text = strawberry.argument(
        description=f"A name, an id (global or bare) or an external reference, whole or in part; at most {MAX_TEXT} "
        f"characters and {MAX_WORDS} words, in any order."
    )
    only = strawberry.argument(description=f"Search these types only, at most {MAX_TYPES}; all types by default.")
    first = strawberry.argument(description=f"Maximum number of hits: 1 to {MAX_HITS}.")
    in_use = strawberry.argument(
        description="Omit ended rows: deleted, deprecated, retired or deactivated, or in an archival state (archived, "
        "deprecated, rolled back, expired)."
    )
    any_words = strawberry.argument(
        description="If no row has all words, even with typos: find rows with some of them, those with most first; "
        "`lacks` lists the missing words."
    )
    taken = {
        "text": Annotated[str, text],
        "types": Annotated[list[search_type] | None, only],
        "first": (Annotated[int | None, first], HITS),
        "onlyInUse": (Annotated[bool | None, in_use], False),
        "anyWords": (Annotated[bool | None, any_words], False),
    }
    return strawberry.field(
        resolver=taking(taken, SearchResult | None, lambda _root, info: _search(info)),
        description="Nodes by name, id or external reference (MLflow, Opik, BentoML, Optuna, DAG hashes), best match "
        "first. Case, separators, the order of words, and one typo in a word of four or more letters are ignored.",
    )


def _described(type_: Type) -> str:
    found_by = [type_.field_name(column) for column in (*type_.search, *type_.references)]
    return f"By {', '.join(['id', *found_by])}."


def _rows(arguments: Mapping[str, Any]) -> dict[str, int]:
    asked = arguments.get("first")
    hits = min(max(HITS if asked is None else asked, 0), MAX_HITS)
    return {"node": hits, "belongsTo": hits}


def _reads(types: Catalogue, arguments: Mapping[str, Any], sizes: Mapping[str, int]) -> int:
    """The points of comparing rows' names with the words."""
    compared: Iterator[int] = (
        min(sizes[type_.name], MAX_COMPARED) for type_ in _types(types, arguments) if type_.search
    )
    text = Text(arguments["text"][:MAX_TEXT])
    again = POINTS if arguments.get("anyWords") and len(text.words) > 1 else 0
    return (POINTS + again + POINTS_OF_TYPO * max(len(text.patterns) - 1, 0)) * sum(compared)


SEARCH = RootField(_make, _rows, _reads)
