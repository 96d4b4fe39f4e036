"""Names of rows as `search` compares them, and as an index can find them: by trigrams, with what every Postgres has.

A name is compared in lower case, composed (NFC), with separators as spaces. Its trigrams are its substrings of three
characters within words, and shorter ones at the end of words. They are the lexemes of a ``tsvector``, so that a GIN
index finds rows by substrings of any length: a longer one has all of its trigrams, a shorter one begins some. What is
found are candidates, which are compared.

The index must refuse no row. Texts of more than `LONGEST` characters have one lexeme instead of theirs, so that they
are always candidates; none is empty or long; no function of it fails in a database whose encoding is UTF8.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

SEPARATORS = "-_/:.("
LONGEST = 500
"""The most characters of a row's names, joined, whose trigrams are in the index."""

_CUT = SEPARATORS[0]
_FOLDED = {"\u00df": "ss", "\u03c2": "\u03c3", "\u0307": ""}
"""Characters that lower() leaves distinct: sharp s, final sigma, and the combining dot of a dotted I."""

_AFTER = f"'\\1{_CUT}'"
ANY = f"'''{_CUT}'''::tsquery"
"""SQL of the query for texts that are too long for the index; no trigram has a separator."""


def folded(value: str) -> str:
    """SQL of a value without case and composition; most are ASCII, and need lower() alone.

    Collations are explicit, since a column's may be of another language, or one that no text can be searched by.
    """
    plain = f'lower(({value}) COLLATE "C")'  # a fifth of the time: other collations convert to wide characters and back
    return f"CASE WHEN octet_length({value}) = length({value}) THEN {plain} ELSE {_composed(value)} END"


def _composed(value: str) -> str:
    made = f'lower(normalize(({value}) COLLATE "default", NFC))'
    for letter, plain in _FOLDED.items():
        made = f"replace({made}, '{letter}', '{plain}')"
    return f'({made} COLLATE "C")'


def spaced(value: str) -> str:
    """SQL of a folded value with separators as spaces; ``translate()`` would take ten times as long."""
    for separator in SEPARATORS:
        value = f"replace({value}, '{separator}', ' ')"
    return f"(' ' || {value})"


def trigrams(columns: Sequence[str], row: str = "") -> str:
    """SQL of the lexemes of a row's columns, which are compared as one text, joined by spaces."""
    first, *others = (f"{row}{column}::text" for column in columns)
    joined = " || ".join([f"coalesce({first}, '')", *(f"coalesce(' ' || {column}, '')" for column in others)])
    plain = f'(({joined}) COLLATE "C")'
    return (
        f"CASE WHEN length({joined}) > {LONGEST} THEN array_to_tsvector(ARRAY['{_CUT}']) "
        f"WHEN octet_length({joined}) = length({joined}) THEN {_lexemes(f'lower({_cut(plain)})')} "
        f"ELSE {_lexemes(_cut(_composed(joined)))} END"
    )


def _cut(text: str) -> str:
    """A text cut after each third character, from its first, its second and its third one."""
    ways = (text, f"substr({text}, 2)", f"substr({text}, 3)")
    cut = f" || '{_CUT}' || ".join(f"regexp_replace({way}, '(...)', {_AFTER}, 'g')" for way in ways)
    return f"({cut})"


def _lexemes(cut: str) -> str:
    for separator in (" ", *SEPARATORS[1:]):
        cut = f"replace({cut}, '{separator}', '{_CUT}')"
    return f"array_to_tsvector(array_remove(string_to_array({cut}, '{_CUT}'), ''))"


def query(substrings: str) -> str:
    """SQL of the query for texts that have substrings, NULL if none has two letters together.

    ``substrings`` is SQL of a ``text[]``. A text must have one of the alternatives of each element, which are joined by
    a separator; an alternative is folded, and all of its words must be found.
    """
    quoted = "array_to_tsvector(ARRAY[substr(word, place, 3)])::text"
    lexeme = f"{quoted} || CASE WHEN length(word) < 3 THEN ':*' ELSE '' END"
    words = "unnest(string_to_array(other, ' ')) AS word, generate_series(1, greatest(length(word) - 2, 1)) AS place"
    one = f"(SELECT string_agg({lexeme}, ' & ') FROM {words} WHERE length(word) > 1)"
    others = f"(SELECT {one} AS found FROM unnest(string_to_array(each, '{_CUT}')) AS other) AS o"
    each = f"(SELECT CASE WHEN count(found) = count(*) THEN string_agg(found, ' | ') END FROM {others})"
    return (
        f"(SELECT string_agg('(' || found || ')', ' & ')::tsquery || {ANY} "
        f"FROM (SELECT {each} AS found FROM unnest({substrings}) AS each) AS e)"
    )


def create_index(name: str, table: str, columns: Sequence[str]) -> str:
    """The statement that creates the index on a database in use, in ASCII, whatever the session's settings."""
    sql = trigrams(columns).replace(_AFTER, "E" + _AFTER.replace("\\", "\\\\"))
    sql = re.sub(r"'([^\x00-\x7f])'", lambda letter: f"E'\\u{ord(letter[1]):04x}'", sql)
    return f"CREATE INDEX CONCURRENTLY {name} ON {table} USING gin (({sql}))"


_COLUMN = re.compile(r"coalesce(?:''\|\|)?(\w+),''")
_LAYOUT = re.compile(r"""::(?:character varying|\w+)(?:\(\d+\))?(?:\[\])?|[\s()"]""")


def columns_of(expression: str) -> tuple[str, ...]:
    """The columns whose trigrams an index's expression has, as Postgres formats it; none if it is another one."""
    plain = _plain(expression)
    columns = tuple(dict.fromkeys(_COLUMN.findall(plain)))
    return columns if columns and _plain(trigrams(columns)) == plain else ()


def _plain(expression: str) -> str:
    """An expression without what versions of Postgres format differently: case, spaces, brackets, casts, quotes."""
    return _LAYOUT.sub("", expression).lower()
