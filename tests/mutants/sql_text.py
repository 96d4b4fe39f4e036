"""Faults for SQL: in files, and in the strings of Python that hold SQL.

A fault is one edit of a text. Comments and what stands in the holes of f-strings are left alone.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """Text from ``start`` to ``end`` replaced; ``family`` is the kind of fault."""

    start: int
    end: int
    text: str
    family: str


_SWAPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("comparison", r"(?<![<>=!|@#~:&?-])>=(?![>=])", (">", "<=")),
    ("comparison", r"(?<![<>=!|@#~:&?-])<=(?![>=])", ("<", ">=")),
    ("comparison", r"(?<= )<>(?= )", ("=",)),
    ("comparison", r"(?<= )=(?= )", ("<>",)),
    ("comparison", r"(?<= )>(?= )", (">=", "<")),
    ("comparison", r"(?<= )<(?= )", ("<=", ">")),
    ("arithmetic", r"(?<= )\+(?= )", ("-",)),
    ("arithmetic", r"(?<= )-(?= )", ("+",)),
    ("arithmetic", r"(?<= )\*(?= )", ("/",)),
    ("arithmetic", r"(?<= )/(?= )", ("*",)),
    ("logic", r"\bAND\b(?! CURRENT)", ("OR",)),
    ("logic", r"\bOR\b(?! REPLACE)", ("AND",)),
    ("logic", r"\bIS NOT (?=NULL|TRUE|FALSE|DISTINCT)", ("IS ",)),
    ("logic", r"\bIS (?=NULL|TRUE|FALSE|DISTINCT)", ("IS NOT ",)),
    ("logic", r"\bNOT (?=EXISTS|IN\b|\()", ("",)),
    ("nulls", r"\bNULLS FIRST\b", ("NULLS LAST",)),
    ("nulls", r"\bNULLS LAST\b", ("NULLS FIRST",)),
    ("nulls", r"\bNULLS NOT DISTINCT\b", ("NULLS DISTINCT",)),
    ("order", r"\bDESC\b", ("ASC",)),
    ("order", r"\bASC\b", ("DESC",)),
    ("constant", r"\btrue\b(?! AS )", ("false",)),
    ("constant", r"\bfalse\b(?! AS )", ("true",)),
    ("function", r"\bmin(?=\()", ("max",)),
    ("function", r"\bmax(?=\()", ("min",)),
    ("function", r"\bleast(?=\()", ("greatest",)),
    ("function", r"\bgreatest(?=\()", ("least",)),
    ("function", r"\bbool_or(?=\()", ("bool_and",)),
    ("function", r"\bbool_and(?=\()", ("bool_or",)),
    ("join", r"\bLEFT JOIN\b", ("JOIN",)),
    ("join", r"\bUNION ALL\b", ("UNION",)),
    ("join", r"\bDISTINCT (?!ON|FROM)", ("",)),
)
_NUMBER = re.compile(r"(?<![\w.$:%{])\d+(?:\.\d+)?(?![\w.$%}])")
_INTERVAL = re.compile(r"(?<=interval ')\d+")
_DEFAULT = re.compile(r"coalesce\((?:[^()]|\([^()]*\))*?, '(?P<label>[^']+)'")
_AMONG = re.compile(r"\bIN \((?P<list>'[^']*'(?:, '[^']*')+)\)")
_COMMENT = re.compile(r"--[^\n]*")
_TYPE = re.compile(r"(?i)\b(?:numeric|varchar|character varying|char|ARRAY|LIMIT ALL|ORDER BY|GROUP BY)\s*\(?$")


def edits(text: str) -> Iterator[Edit]:
    """Every fault of a piece of SQL; two of one place are two edits."""
    for family, pattern, others in _SWAPS:
        for found in re.finditer(pattern, text):
            for other in others:
                yield Edit(found.start(), found.end(), other, family)
    for found in (*_NUMBER.finditer(text), *_INTERVAL.finditer(text)):
        if _TYPE.search(text[: found.start()]):
            continue
        for step in (1, -1):
            yield Edit(found.start(), found.end(), stepped(found[0], step), "number")
    for found in _DEFAULT.finditer(text):
        yield Edit(found.start("label"), found.end("label"), f"not {found['label']}", "default")
    for found in _AMONG.finditer(text):
        first, rest = found["list"].split(", ", 1)
        yield Edit(found.start("list"), found.end("list"), rest, "among")
        yield Edit(found.start("list"), found.end("list"), found["list"].rsplit(", ", 1)[0], "among")
        del first


def stepped(number: str, step: int) -> str:
    """A number and one unit of its last digit more or less."""
    whole, _, part = number.partition(".")
    moved = int(whole + part) + step
    if not part:
        return str(moved)
    digits = str(abs(moved)).rjust(len(part) + 1, "0")
    return f"{'-' if moved < 0 else ''}{digits[: -len(part)]}.{digits[-len(part) :]}"


def in_file(source: str) -> Iterator[Edit]:
    """Every fault of a file of SQL, its comments and COMMENTs left alone."""
    quiet = [found.span() for found in _COMMENT.finditer(source)]
    quiet += [found.span() for found in re.finditer(r"(?s)^COMMENT ON .*?;$", source, re.MULTILINE)]
    quiet += [found.span() for found in re.finditer(r"(?m)^(?:SET|LANGUAGE|CREATE|GRANT|REVOKE) .*$", source)]
    for edit in edits(source):
        if not any(start <= edit.start < end for start, end in quiet):
            yield edit


_SQL = re.compile(
    r"\b(?:SELECT|WHERE|FROM \w|CASE|WHEN|ORDER BY|NULLS (?:FIRST|LAST)|LIMIT|IS (?:NOT )?NULL|EXISTS|JOIN|IN \()|"
    r"\{(?:row|this|that)\}|\bcoalesce\(|\bcount\(|\bextract\(|\binterval '|::\w|\bnow\(\)"
)
_BUILT = re.compile(r"\} (?:[<>]=?|=|<>|AND|OR|IS) |(?:^| )(?:AND|OR) (?=$|\{)|^ ?(?:AND|OR|DESC|ASC|[<>]=?) ?$")


def in_python(source: str) -> Iterator[Edit]:
    """Every fault of the SQL in a module's strings; docstrings and prose are left alone."""
    lines = [0]
    for line in source.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    prose = {
        (node.value.lineno, node.value.col_offset)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.STRING or token.start in prose:
            continue
        text, start = token.string, lines[token.start[0] - 1] + token.start[1]
        quote = re.match(r"(?i)([a-z]*)('''|\"\"\"|'|\")", text)
        assert quote is not None
        formatted = "f" in quote[1].lower()
        body = text[quote.end() : -len(quote[2])]
        if not _SQL.search(body) and not (formatted and _BUILT.search(body)) and not _BUILT.fullmatch(body):
            continue
        holes = list(_holes(body)) if formatted else []
        for edit in edits(body):
            if not any(low <= edit.start < high for low, high in holes):
                yield Edit(start + quote.end() + edit.start, start + quote.end() + edit.end, edit.text, edit.family)


def _holes(body: str) -> Iterator[tuple[int, int]]:
    """Where the expressions of an f-string stand; doubled braces are no holes."""
    place = 0
    while place < len(body):
        if body[place : place + 2] in {"{{", "}}"}:
            place += 2
        elif body[place] == "{":
            depth, start = 1, place
            while depth and place + 1 < len(body):
                place += 1
                depth += {"{": 1, "}": -1}.get(body[place], 0)
            yield start, place + 1
            place += 1
        else:
            place += 1
