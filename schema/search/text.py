"""The statement of `search`: hits of all searchable types, scored and merged by Postgres in plain SQL.

Values are compared in lower case, composed (NFC), with separators as spaces; Postgres folds both sides. All words of
the text must be found, in any order, in one value or in several values of the row. Only if that finds less than a page,
words of letters may have a typo: a regular expression matches all words at that distance, so that no extension is
needed. A text that is the name of a type finds its newest rows. If nothing is found at all, rows with some of the words
may be requested, those with most of them first.

Of a type with too many rows to compare all, the newest are compared; or, by an index of trigrams (`db.base.trigrams`),
the rows of any age that can match, unless these are too many as well, or row level security applies, under which
Postgres would evaluate the trigrams of all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import DateTime

from db.base.quoting import literal, literals
from db.base.trigrams import SEPARATORS, folded, query, spaced, trigrams
from schema.catalogue import ids
from schema.catalogue.catalogue import OrderTerm, Type
from schema.catalogue.column_types import kind_of
from schema.search.words import TO_SPACES, Text
from schema.sql.builder import Binds, order_by, same_key
from schema.sql.builder import first as first_rows

MAX_COMPARED = 20_000
"""The largest number of rows of a type whose names are compared; for all types together below the cost limit."""

SURE, NEAR, SOME = "sure", "near", "some"
"""Ways to match names: with all words, with typos, without some of the words."""

NAMES = 2
"""The names of a type, singular and plural."""
OTHER_WAYS = 2
"""Ways of finding a row beside its names and references: by its id, and by the name of its type."""


@dataclass(frozen=True)
class Searched:
    """A type with its searched columns: names by pattern, references by equality, the key.

    ``order`` is newest first; ``bounded`` says that there are too many rows to compare all; ``index`` is the index of
    the names' trigrams, as SQL names it, empty without one.
    """

    type: Type
    names: tuple[str, ...]
    references: tuple[str, ...]
    order: tuple[OrderTerm, ...]
    at: str
    bounded: bool
    state: str = "NULL::text"
    label: str = "NULL::text"
    owner: str = "NULL::text"
    """SQL over ``t``: its state, its name, and the id of the row that it belongs to."""
    where: str = ""
    """SQL over ``t``: which rows are searched; all by default."""
    words: tuple[str, ...] = ()
    """The names of the type, in lower case, and then their last words, as in ``monitoring alerts``."""
    index: str = ""

    @property
    def head(self) -> str:
        """The select items of a hit on row ``t``, independent of where it matched."""
        row_id = self.type.columns["id"].over("t")
        return (
            f"'{self.type.name}'::text AS type, {row_id} AS id, {self.at} AS at, {self.state} AS state, "
            f"{self.label} AS label, {self.owner} AS owner"
        )

    @property
    def table(self) -> str:
        """The rows that can be found."""
        name = self.type.sql_name
        return f"(SELECT t.* FROM {name} t WHERE {self.where})" if self.where else name

    @property
    def by_index(self) -> bool:
        """Whether the rows to compare are found by an index."""
        return self.bounded and bool(self.index)

    def rows(self, way: str) -> str:
        """The rows whose names are compared."""
        if not self.bounded:
            return self.table
        newest = f"({first_rows(self.table, ['t.*'], self.order, limit=MAX_COMPARED)})"
        if not self.by_index:
            return newest
        found = f"SELECT t.* FROM {self.table} t WHERE {self._can_match(way)} AND NOT {self.are_many(way)}"
        return f"({found} UNION ALL SELECT t.* FROM {newest} t WHERE {self.are_many(way)})"

    def are_many(self, way: str) -> str:
        """SQL of whether more rows than are compared can match, or none can be found by the index."""
        return f"(SELECT n > {MAX_COMPARED} FROM {self._count(way)})"

    def counted(self, way: str) -> str:
        """The common table expression of the number of rows that can match, up to one more than are compared."""
        some = f"SELECT FROM {self.table} t WHERE {self._can_match(way)} LIMIT {MAX_COMPARED + 1}"
        usable = (
            f"to_regclass({literal(self.index)}) IS NOT NULL AND NOT row_security_active({literal(self.type.sql_name)})"
            f" AND (SELECT q FROM can_{way}) IS NOT NULL"
        )
        return (
            f"{self._count(way)} AS MATERIALIZED (SELECT CASE WHEN {usable}"
            f" THEN (SELECT count(*) FROM ({some}) c) ELSE {MAX_COMPARED + 1} END AS n)"
        )

    def _count(self, way: str) -> str:
        return f"{way}_{self.type.name.lower()}"

    def _can_match(self, way: str) -> str:
        return f"{trigrams(self.names, 't.')} @@ (SELECT q FROM can_{way})"


class SearchStatement:
    """Builds the statement; values are binds, so that its text depends only on the number of words."""

    def __init__(self, text: Text, first: int, *, any_words: bool = False) -> None:
        self.bind = Binds()
        self._text = text
        self.any_words = any_words and len(text.words) > 1
        """Whether rows need only some of the words, if none has all; each row then reports the missing ones."""
        self._limit = self.bind(first + 1, "bigint")

    def build(self, searched: Sequence[Searched]) -> str:
        """Rows of ``(many, type, id, field, value, score, at, state, owner)``, best first, one more than a page, with
        `any_words` also the indices of missing words. ``many`` are the types of whose rows too many can match: only the
        newest were compared. One row without an id, if nothing is found.

        Empty without types.
        """
        exact = [arm for one in searched for arm in (*self._by_key(one), *self._by_reference(one), *self._by_type(one))]
        named = [one for one in searched if one.names]
        if named:  # an unused bind would have no type
            self._bind_words()
        sure = [*exact, *([self._all_sure(named)] if named else [])]
        if not sure:
            return ""
        # a row can match by each value and in each way, so that this multiple of the best matches suffices
        copies = max(len(one.names) + len(one.references) for one in searched) + OTHER_WAYS
        best = f"SELECT * FROM ({' UNION ALL '.join(sure)}) a ORDER BY {_ORDER}, place LIMIT {self._limit} * {copies}"
        ctes = (
            f"WITH {self._candidates(named)}sure AS MATERIALIZED (SELECT * FROM (SELECT DISTINCT ON (type, id) * FROM "
            f"({best}) a ORDER BY type, id, score DESC, place) b ORDER BY {_ORDER} LIMIT {self._limit})"
        )
        hit = f"type, id, field, value, score, {_TIME.sql('h.at')}, state, owner"
        if self.any_words:
            ctes, hit, found = f"{ctes}{self._with_some(named)}", f"{hit}, lacks", "SELECT * FROM found"
        else:
            found = "SELECT * FROM sure"
            if named and self._typos:
                found += f" UNION ALL {self._all_near(named)}"
        many = f"(SELECT {self._many(named)} AS many) m LEFT JOIN"
        return f"{ctes} SELECT many, {hit} FROM {many} ({found}) h ON true ORDER BY {_ORDER} LIMIT {self._limit}"

    # -- by the index ----------------------------------------------------------------------------------------------

    def _ways(self, named: Sequence[Searched]) -> dict[str, str]:
        """The ways to match names of which an index finds the rows, each with the substrings that rows have."""
        if not any(one.by_index for one in named):
            return {}
        words = [f"(SELECT {folded(self.bind(word, 'text'))})" for word in self._text.words]
        ways = {SURE: f"ARRAY[{', '.join(words)}]"}
        if self._typos:
            ways[NEAR] = self.bind(self._text.substrings, "text[]")
        if self.any_words:
            ways[SOME] = f"ARRAY[concat_ws('{SEPARATORS[0]}', {', '.join(words)})]"
        return ways

    def _candidates(self, named: Sequence[Searched]) -> str:
        """The common table expressions that count the rows that an index finds; each is evaluated where it is used."""
        made = []
        for way, substrings in self._ways(named).items():
            made.append(f"can_{way} AS MATERIALIZED (SELECT {query(substrings)} AS q)")
            made += [one.counted(way) for one in named if one.by_index]
        return "".join(f"{one}, " for one in made)

    def _many(self, named: Sequence[Searched]) -> str:
        """SQL of the names of the types of whose rows only the newest were compared, in a way that was used."""
        parts = []
        for one in named:
            if one.by_index:
                used = [one.are_many(SURE)]
                if self._typos:
                    used.append(f"({self._few_are_sure} AND {one.are_many(NEAR)})")
                if self.any_words:
                    used.append(f"({_NONE} AND {one.are_many(SOME)})")
                parts.append(f"CASE WHEN {' OR '.join(used)} THEN '{one.type.name}' END")
        return f"array_remove(ARRAY[{', '.join(parts)}]::text[], NULL)"

    @property
    def _few_are_sure(self) -> str:
        return f"(SELECT count(*) FROM sure) < {self._limit}"

    def _bind_words(self) -> None:
        text = self._text
        whole = " ".join(text.raw.split()).translate(TO_SPACES).strip()
        self._raw, self._low = self.bind(text.raw, "text"), self._folded(text.raw)
        self._prefix = self._folded(f" {_escaped(whole)}%")
        self._inside = [self._folded(f"%{_escaped(word)}%") for word in text.words]
        self._begins = [self._folded(f"% {_escaped(word)}%") for word in text.words]
        self._typos = [self.bind(pattern, "text") for pattern in text.patterns]
        self._pieces = [self.bind([f"%{one}%" for one in some], "text[]") for some in text.pieces]

    def _folded(self, text: str) -> str:
        """A text folded like values, computed once per statement."""
        return f"(SELECT {folded(self.bind(text, 'text'))})"

    # -- exact -----------------------------------------------------------------------------------------------------

    def _by_key(self, one: Searched) -> list[str]:
        """The row whose id is the text, global or bare."""
        try:
            key = ids.decode(self._text.raw, one.type.name, one.type.key_kinds)
        except ids.MalformedIdError:
            return []
        parts = [self.bind(part, "text") for part in key]
        where = " AND ".join(same_key(one.type, column, part) for column, part in zip(one.type.key, parts, strict=True))
        hit = f"'id' AS field, {one.type.columns['id'].over('t')} AS value, 1.0::float8 AS score, 0::bigint AS place"
        return [f"SELECT {one.head}, {hit} FROM {one.table} t WHERE {where}"]

    def _by_reference(self, one: Searched) -> list[str]:
        arms = []
        for column in one.references:
            leaf = one.type.leaf(column)
            if not ids.fits(self._text.raw, leaf.kind.name):
                continue
            value = self.bind(self._text.raw, f"text::{leaf.kind.pg_type}")
            arms.append(
                f"(SELECT {one.head}, '{leaf.name}' AS field, t.{column}::text AS value, 0.95::float8 AS score,"
                " 0::bigint AS place"
                f" FROM {one.table} t WHERE t.{column} = {value}"
                f" ORDER BY {order_by(one.order, 't')} LIMIT {self._limit})"
            )
        return arms

    def _by_type(self, one: Searched) -> list[str]:
        """The newest rows of a type that the text names: ``monitoring alerts``, ``MonitoringAlert``, or by the last
        word, ``alerts``."""
        name = " ".join(self._text.lower.translate(TO_SPACES).split())
        place = next((place for place, word in enumerate(one.words) if name in (word, word.replace(" ", ""))), None)
        if place is None:
            return []
        score = 0.45 if place < NAMES else 0.42
        hit = f"'__typename' AS field, '{one.type.name}' AS value, {score}::float8 AS score, 0::bigint AS place"
        newest = f"ORDER BY {order_by(one.order, 't')} LIMIT {self._limit}"
        return [f"(SELECT {one.head}, {hit} FROM {one.table} t {newest})"]

    # -- by name ---------------------------------------------------------------------------------------------------

    def _named(self, one: Searched) -> str:
        label = one.label
        called = f"CASE WHEN {label} = {self._raw} THEN 0.95 WHEN {folded(label)} = {self._low} THEN 0.94 END AS called"
        columns = f"{one.head}, {called}, {_values(one)}"
        return f"SELECT {columns} FROM {_rows(one, SURE)} WHERE {_all('w.n', 'LIKE', self._inside)}"

    def _near(self, one: Searched) -> str:
        """The best rows of a type with typos: those with most exact words, then the shortest names."""
        exact = _portion("w.n", "LIKE", self._inside)
        share = _share(self._raw, f"coalesce(t.{one.names[0]}::text, w.n)")
        score = _rounded(f"0.1 + 0.2 * {exact} + 0.9 * {share}")
        newest = f'at DESC NULLS LAST, ({one.type.columns["id"].over("t")}) COLLATE "C"'
        return (
            f"(SELECT {one.head}, {_values(one)}, {score} AS score"
            f" FROM {_rows(one, NEAR)} WHERE {self._few_are_sure}"
            # in this order: Postgres evaluates conditions joined by AND by their estimated cost
            f" AND CASE WHEN {' AND '.join(f'w.n LIKE ANY ({some})' for some in self._pieces)}"
            f" THEN {_all('w.n', '~', self._typos)} AND NOT ({_all('w.n', 'LIKE', self._inside)}) ELSE false END"
            f" ORDER BY score DESC, {newest} LIMIT {self._limit})"
        )

    def _with_some(self, named: Sequence[Searched]) -> str:
        """The matches, or if there are none, rows with some of the words."""
        near = self._all_near(named) if named and self._typos else "(SELECT * FROM sure LIMIT 0)"
        some = f" UNION ALL {self._all_some(named)}" if named else ""
        return (
            f", near AS MATERIALIZED {near}, found AS (SELECT *, '' AS lacks FROM sure"
            f" UNION ALL SELECT *, '' FROM near{some})"
        )

    def _some(self, one: Searched) -> str:
        """The best rows of a type with missing words: those with most of them, then the shortest names."""
        score = _rounded(
            f"0.08 * {_portion('w.n', 'LIKE', self._inside)}"
            f" + 0.1 * {_share(self._raw, f'coalesce(t.{one.names[0]}::text, w.n)')}"
        )
        lacks = ", ".join(f"CASE WHEN w.n NOT LIKE {word} THEN '{at}' END" for at, word in enumerate(self._inside))
        newest = f'at DESC NULLS LAST, ({one.type.columns["id"].over("t")}) COLLATE "C"'
        return (
            f"(SELECT {one.head}, {_values(one)}, {score} AS score, concat_ws(' ', {lacks}) AS lacks"
            f" FROM {_rows(one, SOME)} WHERE {_NONE}"
            f" AND ({' OR '.join(f'w.n LIKE {word}' for word in self._inside)})"
            f" ORDER BY score DESC, {newest} LIMIT {self._limit})"
        )

    def _by_value(self, arms: Sequence[str]) -> str:
        """The rows ``r`` of the branches, once per value ``v``, folded as ``w.low`` and ``w.n``."""
        return (
            f"({' UNION ALL '.join(arms)}) r"
            " CROSS JOIN LATERAL unnest(r.fields, r.texts) WITH ORDINALITY AS v(field, value, place)"
            f" CROSS JOIN LATERAL (SELECT f.low, {spaced('f.low')} AS n FROM (SELECT {folded('v.value')} AS low"
            " OFFSET 0) f OFFSET 0) w"
        )

    def _all_sure(self, named: Sequence[Searched]) -> str:
        score = _rounded(
            f"greatest(r.called, CASE WHEN v.value = {self._raw} THEN 0.95 WHEN w.low = {self._low} THEN 0.94"
            f" WHEN w.n LIKE {self._prefix} THEN 0.8 + {_share(self._raw, 'v.value')}"
            f" WHEN {_all('w.n', 'LIKE', self._begins)} THEN 0.65 + {_share(self._raw, 'v.value')}"
            f" WHEN {_all('w.n', 'LIKE', self._inside)} THEN 0.5 + {_share(self._raw, 'v.value')}"
            f" ELSE 0.4 + 0.09 * {_portion('w.n', 'LIKE', self._inside)} END)"
        )
        rows = self._by_value([self._named(one) for one in named])
        return f"SELECT {_HEAD}, v.field, v.value, {score} AS score, v.place FROM {rows} WHERE v.value IS NOT NULL"

    def _all_near(self, named: Sequence[Searched]) -> str:
        """Each row with the value that most of the words match."""
        rows = self._by_value([self._near(one) for one in named])
        return _fitting(rows, f"{_portion('w.n', '~', self._typos)} DESC, v.place")

    def _all_some(self, named: Sequence[Searched]) -> str:
        """The same for rows with missing words."""
        rows = self._by_value([self._some(one) for one in named])
        return _fitting(rows, f"{_portion('w.n', 'LIKE', self._inside)} DESC, v.place", ", r.lacks")


def _fitting(rows: str, fit: str, more: str = "") -> str:
    """Each row once, with the value that is first by ``fit``, and ``more`` of its columns."""
    columns = f"{_HEAD}, v.field, v.value, r.score, v.place{more}"
    values = f"SELECT DISTINCT ON (r.type, r.id) {columns} FROM {rows} WHERE v.value IS NOT NULL"
    return f"(SELECT * FROM ({values} ORDER BY r.type, r.id, {fit}) n)"


_NONE = "NOT EXISTS (SELECT FROM sure) AND NOT EXISTS (SELECT FROM near)"
_HEAD = "r.type, r.id, r.at, r.state, r.label, r.owner"
_TIME = kind_of(DateTime(timezone=True))
_ORDER = 'score DESC, at DESC NULLS LAST, type COLLATE "C", id COLLATE "C"'


def _rows(one: Searched, way: str) -> str:
    """The rows ``t`` with their folded values, ``w.n``; OFFSET 0 computes these once per row."""
    names = ", ".join(f"t.{column}" for column in one.names)
    whole = f"(SELECT concat_ws(' ', {names}) AS x OFFSET 0) s"
    return f"{one.rows(way)} t CROSS JOIN LATERAL (SELECT {spaced(folded('s.x'))} AS n FROM {whole} OFFSET 0) w"


def _values(one: Searched) -> str:
    fields = literals(one.type.leaf(column).name for column in one.names)
    values = ", ".join(f"t.{column}::text" for column in one.names)
    return f"ARRAY[{fields}] AS fields, ARRAY[{values}] AS texts"


def _rounded(score: str) -> str:
    """Rounded as in the response, so that equal scores are ordered as equal."""
    return f"round(({score})::numeric, 4)::float8"


def _share(text: str, value: str) -> str:
    """The fraction of a value that the text covers, scaled to 0 to 0.1: shorter values match better."""
    return f"0.1 * least(1.0, length({text})::float8 / greatest(length({value}), 1))"


def _all(text: str, operator: str, patterns: Sequence[str]) -> str:
    return " AND ".join(f"{text} {operator} {pattern}" for pattern in patterns)


def _portion(text: str, operator: str, patterns: Sequence[str]) -> str:
    """The fraction of the patterns that a text matches."""
    found = " + ".join(f"({text} {operator} {pattern})::int" for pattern in patterns)
    return f"({found})::float8 / {len(patterns)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
