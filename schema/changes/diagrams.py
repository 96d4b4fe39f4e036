"""State diagrams of all lifecycles as one Markdown document, which ``python -m schema.changes.diagrams`` prints."""

from __future__ import annotations

from collections.abc import Iterator

import db.models  # noqa: F401 - declares all lifecycles
import schema.changes.effects  # noqa: F401 - the effects and the special mutations
from db.base.lifecycles import Lifecycle, lifecycles
from db.base.vocabulary import Labels
from schema.changes.mutations import mutations
from schema.changes.registry import EFFECTS

_HEAD = """# Lifecycles

Every state change that the gateway makes, generated from the lifecycles in `db/models/` by `make snapshot`. What is not
drawn is an `IllegalTransition`. A row whose column is null is in the initial state. Guards are named under each
diagram; those that can be overridden take `force` with a reason.
"""


def document() -> str:
    """The whole document."""
    return "\n".join([_HEAD, *(part for lifecycle in lifecycles() for part in _section(lifecycle)), *_special()])


def _section(lifecycle: Lifecycle) -> Iterator[str]:
    yield f"## {lifecycle.entity}: {lifecycle.name}"
    yield ""
    yield f"`{lifecycle.column}`: {' '.join((lifecycle.states.__doc__ or '').split())}"
    yield ""
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {lifecycle.initial.name}"
    for origin, targets in lifecycle.moves.items():
        for to in targets:
            yield f"    {origin.name} --> {to.name}: {_by(lifecycle, to)}".rstrip(": ")
    for state in lifecycle.states:
        if not lifecycle.allowed(state):
            yield f"    {state.name} --> [*]"
    yield "```"
    yield ""
    yield from _steps(lifecycle)


def _by(lifecycle: Lifecycle, to: Labels) -> str:
    return ", ".join(change.name for change in lifecycle.changes if not change.to or to in change.to)


def _steps(lifecycle: Lifecycle) -> Iterator[str]:
    lines = [f"- {lapse.doc} (`{lapse.state.name}` lapses into `{lapse.into.name}`)" for lapse in lifecycle.lapses]
    for word, steps in (("To", lifecycle.entering), ("From", lifecycle.leaving)):
        for state, step in steps.items():
            for guard in step.guards:
                force = " (can be overridden)" if guard.overridable else ""
                lines.append(f"- {word} `{state.name}`: {guard.doc} `{guard.code}`{force}")
            effects = [" ".join((EFFECTS[one.name].__doc__ or "").split()) for one in (*step.before, *step.effects)]
            lines += [f"- {word} `{state.name}`: {doc}" for doc in effects]
    if lines:
        yield from lines
        yield ""


def _special() -> Iterator[str]:
    moving = {change.name for lifecycle in lifecycles() for change in lifecycle.changes}
    yield "## Mutations that are more than a move"
    yield ""
    for name, one in sorted(mutations().items()):
        if name not in moving and not one.plural:
            yield f"- `{name}`: {one.doc}"
            for guard in one.guards or ():
                yield f"  - {guard.doc} `{guard.code}`"
    yield ""
