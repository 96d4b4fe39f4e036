"""The kinds of answers that question words ask for: a time, a duration, a number, a person, a reason, a place.

``how long`` asks for durations and ``who`` for names of people, whatever else the question contains.
"""

from __future__ import annotations

import enum
import re

from db.base.column_facts import Unit
from schema.names.words import words


class AnswerKind(enum.Enum):
    """A kind of answer; the values of members are the question words that ask for it."""

    DURATION = (
        r"how (long|slow|fast|quick|quickly|old|late|stale)\b|\b(latency|duration|runtime|run time)\b|time (to|spent)"
    )
    TIME = r"\b(when|what (time|day|date)|(since|until|till|as of) (when|what)|date|timestamp)\b"
    COUNT = r"\b(how many|number of|count of)\b"
    SHARE = r"\b(how (often|likely)|share|percent|percentage|proportion|fraction|rate|probability|chance|odds)\b"
    MONEY = r"\b(money|dollar|dollars|usd|cost|costs|price|budget|revenue|spend|spent|paid?)\b"
    EXTENT = r"\bhow (much|far|strong|strongly|good|well|bad|badly|big|large|high|low|sure|certain|accurate)\b"
    PERSON = r"\b(who|whom|whose)\b"
    REASON = r"\b(why|how come|reason|because)\b"
    PLACE = r"\b(where)\b"
    TRUTH = r"^\W*(is|are|was|were|did|does|do|has|have|had|can|could|may|should|will|would)\b|\bwhether\b"
    NAME = r"\b(name|names|called|title|titled)\b"


_UNITS = {
    AnswerKind.DURATION: {Unit.MILLISECONDS, Unit.SECONDS, Unit.DAYS, Unit.WEEKS, Unit.MONTHS, Unit.YEARS},
    AnswerKind.COUNT: {Unit.COUNT, Unit.TOKENS},
    AnswerKind.SHARE: {Unit.FRACTION, Unit.PERCENT},
    AnswerKind.MONEY: {Unit.USD, Unit.MULTIPLE},
}
_KINDS = {
    AnswerKind.TIME: {"DateTime", "Date"},
    AnswerKind.TRUTH: {"Boolean"},
    AnswerKind.EXTENT: {"Int", "Float", "BigInt"},
}
_PARTS = {
    AnswerKind.PERSON: frozenset("by actor owner reviewer user hcp role email name unit channel".split()),  # noqa: SIM905
    AnswerKind.REASON: frozenset("reason rationale message cause note error justification explanation".split()),  # noqa: SIM905
    AnswerKind.PLACE: frozenset("url uri endpoint environment region dataset source dir table scope".split()),  # noqa: SIM905
    AnswerKind.NAME: frozenset({"name", "title"}),
}
"""The units, types and words of names of fields that give each kind of answer."""
_FORMS = {answer: re.compile(answer.value, re.IGNORECASE) for answer in AnswerKind}


def asked_for(text: str) -> frozenset[AnswerKind]:
    """The kinds of answers that a question asks for; empty if it has no question word."""
    return frozenset(answer for answer, form in _FORMS.items() if form.search(text))


def given_by(name: str, kind: str, unit: str | None) -> frozenset[AnswerKind]:
    """The kinds of answers that a field gives, by its name, its GraphQL type and the symbol of its unit."""
    parts = set(words(name))
    by_unit = {answer for answer, units in _UNITS.items() if unit in {one.value for one in units}}
    by_kind = {answer for answer, kinds in _KINDS.items() if kind in kinds}
    by_name = {answer for answer, said in _PARTS.items() if parts & said and kind == "String"}
    return frozenset(by_unit | by_kind | by_name)
