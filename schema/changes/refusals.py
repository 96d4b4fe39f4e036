"""Refusals of changes: problems that are results of mutations, not failures."""

from __future__ import annotations

from schema.changes.results import Blocker, InvalidInput, Problem, TransitionBlocked
from schema.error_codes import ProblemCode
from schema.errors import NUL


class Refused(Exception):  # noqa: N818 - not a failure: the result for the client
    """The change is refused; ``problem`` is the mutation's result."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def invalid(field_: str, message: str) -> Refused:
    """An invalid input value; ``field_`` is its path in the input, such as ``items[3].id``."""
    path = ["input", *field_.replace("[", ".").replace("]", "").split(".")]
    return Refused(
        InvalidInput(code=ProblemCode.INVALID_INPUT, message=f"{field_}: {message}", path=path, field=field_)
    )


def check_text(name: str, text: str, length: int) -> None:
    """Refuses a text that the database cannot store; ``name`` is its path in the input, ``length`` the limit.

    Raises:
        Refused: `InvalidInput`.
    """
    if "\x00" in text:
        raise invalid(name, NUL)
    if len(text) > length:
        raise invalid(name, f"has {len(text)} characters; at most {length} are kept")


def blocked(*blockers: Blocker) -> Refused:
    """The change is blocked."""
    message = "; ".join(blocker.message for blocker in blockers)
    return Refused(
        TransitionBlocked(code=ProblemCode.TRANSITION_BLOCKED, message=message, path=["input"], blockers=list(blockers))
    )
