"""The mutation type: each mutation takes one `input`, built from its declaration, and returns the shared union of
results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol

import strawberry
from sqlalchemy import ARRAY
from strawberry import UNSET

import schema.changes.effects  # noqa: F401 - registers the effects and special mutations
from db.base.entity import camel
from db.base.lifecycles import Given
from db.base.vocabulary import Labels
from db.engine.transaction import Transaction
from schema.adapters.strawberry import annotate
from schema.catalogue.column_types import kind_of
from schema.changes.mutation_steps import Surroundings, run
from schema.changes.mutations import Actor, Mutation, mutations
from schema.changes.operation_transaction import OperationTransaction
from schema.changes.results import Results
from schema.changes.rows import MAX_ITEMS
from schema.graph.types import Info, Types, selection_of


class ChangeContext(Protocol):
    """What a mutation needs of the context beside what queries do; the executor sets the transaction."""

    transaction: Transaction
    caller: Actor
    request_id: str
    key_hours: float
    together: OperationTransaction | None


def _field(annotation: Any, description: str, *, required: bool, name: str) -> tuple[Any, Any]:
    if required:
        return annotation, strawberry.field(name=name, description=description)
    return annotation | None, strawberry.field(name=name, description=description, default=UNSET)


class Mutations:
    """The Strawberry types of all mutations, for the types of a catalogue."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self.results = Results(types.nodes[types.catalogue.record.name])
        self._item = self._input(
            "ChangeItem",
            "A row that a change is about.",
            {
                "id": (strawberry.ID, "Its global id, or the bare key.", True),
                "expectedVersion": (str, _EXPECTED, False),
            },
        )

    def type(self, own: Mapping[str, Any]) -> type:
        """The mutation type; the fields in ``own`` follow the mutations."""
        cls: Any = type("Mutation", (), {})
        for mutation in sorted(mutations().values(), key=lambda one: one.name):
            resolver = _resolver(mutation, self.results.applied)
            resolver.__annotations__ |= {
                "input": Annotated[
                    self._input_of(mutation), strawberry.argument(description="The change, its reason, and options.")
                ],
                "return": self.results.union | None,
            }
            setattr(
                cls,
                mutation.name,
                strawberry.field(resolver=resolver, name=mutation.name, description=mutation.doc),
            )
        for name, field in own.items():
            setattr(cls, name, field)
        made: type = strawberry.type(cls, name="Mutation", description=_DESCRIPTION)
        return made

    def _input_of(self, mutation: Mutation) -> Any:
        fields: dict[str, tuple[Any, str, bool]] = {}
        if mutation.subject and mutation.plural:
            words = f"The {mutation.subject} rows, at most {MAX_ITEMS}: all of them change, or none."
            fields["items"] = (list[self._item], words, True)  # type: ignore[name-defined]  # created at run time
        elif mutation.subject:
            fields["id"] = (strawberry.ID, f"The {mutation.subject}, by its global id or the bare key.", True)
            fields["expectedVersion"] = (str, _EXPECTED, False)
        if mutation.states is not None:
            fields["to"] = (self._types.enum(mutation.states), "The state to move to.", True)
        for name, given in mutation.given.items():
            most = f" Pass at most {MAX_ITEMS}." if given.many or isinstance(given.type, ARRAY) else ""
            fields[camel(name)] = (self._annotation(given), given.doc + most, given.required)
        due = " Required." if mutation.reason_due else " Required with `force`."
        fields["reason"] = (str, f"Reason, kept in the record of changes.{due}", False)
        if mutation.forces:
            fields["force"] = (bool, "Overrides the guards that can be overridden; recorded as forced.", False)
        fields["idempotencyKey"] = (str, _KEY, False)
        fields["dryRun"] = (bool, "Runs the change, returns a `TransitionPreview`, and rolls back.", False)
        return self._input(mutation.input_type, f"Input of `{mutation.name}`.", fields)

    def _annotation(self, given: Given) -> Any:
        if isinstance(given.type, str):
            return list[strawberry.ID] if given.many else strawberry.ID
        if isinstance(given.type, type) and issubclass(given.type, Labels):
            return self._types.enum(given.type)
        return self._types.annotation(kind_of(given.type))

    def _input(self, name: str, description: str, fields: Mapping[str, tuple[Any, str, bool]]) -> Any:
        cls: Any = type(name, (), {})
        annotations: dict[str, Any] = {}
        ordered = sorted(fields.items(), key=lambda item: not item[1][2])  # dataclasses need fields with defaults last
        for field_name, (annotation, words, required) in ordered:
            attribute = f"{field_name}_"
            annotations[attribute], made = _field(annotation, words, required=required, name=field_name)
            setattr(cls, attribute, made)
        annotate(cls, annotations)
        return strawberry.input(cls, name=name, description=description)


_EXPECTED = "The `rowVersion` that was read. The change is refused if the row has another version now."
_KEY = (
    "A key chosen by the client, such as a UUID: a repeated request with the same key and input returns the first "
    "answer and changes nothing."
)
_DESCRIPTION = (
    "All mutations. Each one is one transaction; `@transaction` on the operation runs all of them in one. A change is "
    "checked by guards, recorded as a LifecycleEvent, and safe to repeat with an idempotency key. The result is read "
    "inside the transaction if that takes less than `GATEWAY_CHANGE_READ_TIMEOUT`."
)


def _resolver(mutation: Mutation, applied: Any) -> Callable[..., Any]:
    async def resolve(info: Info, input: Any) -> Any:  # noqa: A002, ARG001 - read from the selection
        context: Any = info.context
        around = Surroundings.of(context, applied)
        selection = selection_of(info)
        return await run(mutation, selection.key, selection.arguments["input"], around)

    return resolve
