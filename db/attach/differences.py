"""Differences between a database and the models, and their meaning for users of the graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum as PythonEnum


class Severity(PythonEnum):
    """What a difference means to those who ask the graph; the value is the heading of its group."""

    BREAKS = "Fields that answer with an error"
    COSTS = "What costs speed or certainty"
    INFORMS = "Only to know"


@dataclass(frozen=True)
class Difference:
    """One thing that the database has otherwise: what kind of thing, which one, what follows, and what would help."""

    severity: Severity
    kind: str
    object: str
    message: str
    remedy: str = ""
    """SQL that the owner of the tables may run, or nothing."""


def failing(names: Sequence[str]) -> str:
    """The words that fields answer with an error; at most six are named."""
    if len(names) > 6:
        names = [*names[:5], f"{len(names) - 5} more fields"]
    joined = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"{joined} answer{'s' if len(names) == 1 else ''} with an error"


def joined(names: Sequence[str]) -> str:
    """Names, each once."""
    return ", ".join(dict.fromkeys(names))
