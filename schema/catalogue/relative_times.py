"""Relative times in inputs: ``now``, ``now-7d``, ``now+1h30m``.

All of one operation are relative to one moment. A text of them is what was asked for: it is what a key of idempotency
stands for, and no plan is made for the moment that one request found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

START = "now"
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_FORM = re.compile(rf"{START}(?:([+-])((?:[0-9]{{1,9}}[{''.join(_UNITS)}])+))?")
_PART = re.compile(r"([0-9]+)([a-z])")
MOST = timedelta(days=36_525)
"""The farthest from now, a century: no such time is outside of the years that there are."""
EXAMPLES = "now, now-7d or now+1h30m, with weeks (w), days (d), hours (h), minutes (m) and seconds (s)"

_MOMENT: ContextVar[datetime | None] = ContextVar("moment", default=None)


class RelativeTime(datetime):
    """A moment that was said relative to that of its operation."""

    sent: str
    """How it was said."""


@contextmanager
def one_moment() -> Iterator[None]:
    """What is read within the block is relative to one moment."""
    token = _MOMENT.set(datetime.now(UTC))
    try:
        yield
    finally:
        _MOMENT.reset(token)


def is_relative(text: object) -> bool:
    """Whether a text is meant as such a time."""
    return isinstance(text, str) and text.startswith(START)


def relative_time(text: str) -> RelativeTime:
    """The moment that a text says.

    Raises:
        ValueError: It says none; with what is wrong.
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
    moment = (_MOMENT.get() or datetime.now(UTC)) + (-away if sign == "-" else away)
    made = RelativeTime.combine(moment.date(), moment.timetz())
    made.sent = text
    return made
