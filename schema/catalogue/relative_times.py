"""Relative times in inputs: ``now``, ``now-7d``, ``now+1h30m``.

All relative times of one operation refer to the same moment of the database's clock. Idempotency hashes and plans use
their text, not that moment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime, timedelta

from db.engine.clock import CLOCK

START = "now"
TYPES = frozenset({"DateTime", "Date"})
"""The GraphQL types that take relative times."""
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_FORM = re.compile(rf"{START}(?:([+-])((?:[0-9]{{1,9}}[{''.join(_UNITS)}])+))?")
_PART = re.compile(r"([0-9]+)([a-z])")
MOST = timedelta(days=36_525)
"""The largest distance from now, a century, which keeps times in the supported years."""
EXAMPLES = "now, now-7d or now+1h30m, with weeks (w), days (d), hours (h), minutes (m) and seconds (s)"

_MOMENT: ContextVar[datetime | None] = ContextVar("moment", default=None)


class RelativeTime(datetime):
    """A time that was given relative to the operation's moment."""

    sent: str
    """The text as given."""


class RelativeDate(date):
    """A date that was given relative to the operation's moment."""

    sent: str
    """The text as given."""


@contextmanager
def one_moment() -> Iterator[None]:
    """A context in which all relative times refer to one moment."""
    token = _MOMENT.set(CLOCK.now())
    try:
        yield
    finally:
        _MOMENT.reset(token)


def is_relative(text: object) -> bool:
    """Whether a text has the form of a relative time."""
    return isinstance(text, str) and text.startswith(START)


def relative_time(text: str) -> RelativeTime:
    """The time for a text.

    Raises:
        ValueError: It is not a relative time; the message says why.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"is not a relative time: write {EXAMPLES}")
    sign, parts = found.groups()
    away = timedelta()
    for number, unit in _PART.findall(parts or ""):
        try:
            away += timedelta(**{_UNITS[unit]: int(number)})
        except OverflowError:
            away = timedelta.max
        if away > MOST:
            raise ValueError("is more than a century from now, which relative times are not; write the time itself")
    moment = (_MOMENT.get() or CLOCK.now()) + (-away if sign == "-" else away)
    made = RelativeTime.combine(moment.date(), moment.timetz())
    made.sent = text
    return made


def relative_date(text: str) -> RelativeDate:
    """The date in UTC of the time for a text.

    Raises:
        ValueError: It is not a relative time; the message says why.
    """
    moment = relative_time(text)
    made = RelativeDate(moment.year, moment.month, moment.day)
    made.sent = text
    return made
