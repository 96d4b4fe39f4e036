"""Differences between a database and the models, with their consequences for users of the graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum as PythonEnum


class Severity(PythonEnum):
    """The consequence of a difference for users of the graph; the value is the heading of its group."""

    BREAKS = "Fields that answer with an error"
    COSTS = "What costs speed or certainty"
    INFORMS = "Only to know"


@dataclass(frozen=True)
class Difference:
    """A difference of a database: its kind, the object, the consequence, and the remedy."""

    severity: Severity
    kind: str
    object: str
    message: str
    remedy: str = ""
    """SQL for the owner of the tables, or empty."""


def failing(names: Sequence[str]) -> str:
    """The sentence for fields that are errors; at most six are named."""
    if len(names) > 6:
        names = [*names[:5], f"{len(names) - 5} more fields"]
    joined = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"{joined} answer{'s' if len(names) == 1 else ''} with an error"


def joined(names: Sequence[str]) -> str:
    """Names, joined without duplicates."""
    return ", ".join(dict.fromkeys(names))
