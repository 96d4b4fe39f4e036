"""Findings of the doctor: the fact, its consequence, and the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import orjson

from db.attach.report import WIDTH, shorten
from db.engine.session import search_path
from db.engine.url import PUBLIC


class Level(StrEnum):
    """The severity; an error makes the doctor's exit status 1."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    OK = "ok"


@dataclass(frozen=True)
class Finding:
    """One finding of a check; ``sql`` is for the owner of the database to run."""

    check: str
    level: Level
    message: str
    remedy: str = ""
    sql: str = ""


def error(check: str, message: str, remedy: str = "", sql: str = "") -> Finding:
    """Something does not work, or is unsafe."""
    return Finding(check, Level.ERROR, message, remedy, sql)


def warning(check: str, message: str, remedy: str = "", sql: str = "") -> Finding:
    """It works, at a cost in speed, safety or operation."""
    return Finding(check, Level.WARNING, message, remedy, sql)


def note(check: str, message: str) -> Finding:
    """For information."""
    return Finding(check, Level.NOTE, message)


def ok(check: str, message: str) -> Finding:
    """Checked, without a finding."""
    return Finding(check, Level.OK, message)


def status(findings: Iterable[Finding]) -> int:
    """The exit status: 1 if there is an error."""
    return int(any(one.level is Level.ERROR for one in findings))


ALIKE = {Level.ERROR: 2, Level.WARNING: 1}
"""Findings of one check on a page, by level; notes and what is well are counted."""


def as_text(findings: Sequence[Finding], *, everything: bool = False) -> str:
    """For the terminal, by severity: a page, or everything, with the SQL at the end."""
    lines, told = [], set[str]()
    for level in Level if everything else ALIKE:
        of_level = [one for one in findings if one.level is level]
        for check in dict.fromkeys(one.check for one in of_level):
            alike = [one for one in of_level if one.check == check]
            shown = alike if everything else alike[: ALIKE[level]]
            for one in shown:
                line = f"{level.upper():8}{check}: {one.message}"
                lines.append(line if everything else shorten(line, WIDTH))
                if one.remedy and (everything or one.remedy not in told):
                    told.add(one.remedy)
                    lines.append(f"{'':8}-> {one.remedy}")
            if left := len(alike) - len(shown):
                lines.append(f"{'':8}and {left} more like this")
    lines.append("")
    statements = _statements(findings)
    if everything and statements:
        lines.append("The owner of the database may run (--sql prints it for psql):")
        lines += [*(f"  {sql};" for sql in statements), ""]
    elif statements:
        lines.append(
            f"What the owner of the tables may run: `e2i-gateway doctor --sql` ({len(statements)} statements)."
        )
    count = {level: sum(one.level is level for one in findings) for level in Level}
    total = ", ".join(f"{n} {level}{'s' * (n != 1 and level != 'ok')}" for level, n in count.items())
    lines.append(total if everything else f"{total}; --all lists them")
    return "\n".join(lines).lstrip("\n") + "\n"


def as_sql(findings: Sequence[Finding], schemas: Sequence[str] = PUBLIC) -> str:
    """The SQL for the owner of the database, a statement a line, after the search path that it needs: ``schemas`` are
    those of the platform's tables."""
    if not (statements := _statements(findings)):
        return ""
    return "".join(f"{sql};\n" for sql in [f"SET search_path = {search_path(schemas)}", *statements])


def _statements(findings: Sequence[Finding]) -> list[str]:
    return list(dict.fromkeys(one.sql for one in findings if one.sql))


def as_json(findings: Sequence[Finding]) -> str:
    """For programs: the findings in the order of the checks."""
    body = {"status": "error" if status(findings) else "ok", "findings": [asdict(one) for one in findings]}
    return orjson.dumps(body, option=orjson.OPT_INDENT_2).decode() + "\n"
