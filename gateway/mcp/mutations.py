"""Mutations of the graph for previews by agents: transitions, and rows created, updated, retired, recorded and
purged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache

from graphql import GraphQLInputObjectType, GraphQLSchema, get_named_type, is_required_input_field

from db.base.entity import camel
from schema.changes.mutations import Actor, mutations
from schema.changes.rows import MAX_ITEMS
from schema.names.find import COMMON, FieldFinder, FoundField
from schema.names.words import words
from schema.recording.record_types import RecordType, Verb, batch_mutations, entity_mutations, purge_mutations
from schema.schema import Schema
from schema.scopes import purging, writing

MAX_ROWS = MAX_ITEMS
"""Rows of a batch that a tool records at once: as many as a person can review."""
FIXED = ("force", "dryRun", "idempotencyKey", "expectedVersion")
"""Fields of inputs that the tools set themselves."""


class Kind(Enum):
    """The kind of a mutation's result: its union."""

    MOVED = "TransitionResult"
    RECORDED = "RecordResult"
    PURGED = "PurgeResult"

    @property
    def fragment(self) -> str:
        """The name of the fragment that selects it."""
        return self.value.removesuffix("Result")


@dataclass(frozen=True)
class AgentMutation:
    """A mutation as a tool runs it."""

    name: str
    doc: str
    kind: Kind
    input: GraphQLInputObjectType
    about: str | None
    """The type of the rows that it changes, None if there is no single type."""
    id_field: str | None
    """The field of the input that takes the id of a row, None if none does."""
    needs_id: bool
    """Whether that id is required."""
    scopes: tuple[tuple[str, ...], ...]
    """The scopes that it needs: one of each of these groups."""
    references: Mapping[str, str]
    """The fields of its input that take ids of other rows, with their types."""

    def is_open_to(self, caller: Actor) -> bool:
        """Whether a caller has the scopes for it."""
        return all(any(map(caller.may, any_of)) for any_of in self.scopes)

    @property
    def fields(self) -> dict[str, bool]:
        """The fields of its input that agents give, and whether they are required."""
        return {name: is_required_input_field(one) for name, one in self.input.fields.items() if name not in FIXED}

    @property
    def is_plural(self) -> bool:
        """Whether the rows that it changes are items of its input."""
        return "items" in self.input.fields


@cache
def agent_mutations(schema: GraphQLSchema) -> Mapping[str, AgentMutation]:
    """All mutations of rows by name; those of webhook receivers, whose secrets are shown once, are left to people."""
    assert schema.mutation_type is not None  # noqa: S101 - there are mutations
    own = {one.name: one for one in _all()}
    made = {}
    for name, root in schema.mutation_type.fields.items():
        if name not in own:
            continue
        known, input_ = own[name], get_named_type(root.args["input"].type)
        assert isinstance(input_, GraphQLInputObjectType)  # noqa: S101 - each takes one
        kind = Kind(get_named_type(root.type).name)
        made[name] = AgentMutation(
            name, root.description or "", kind, input_, known.about, known.id_field, known.needs_id, known.scopes,
            known.references,
        )  # fmt: skip
    return made


@dataclass(frozen=True)
class _MutationSource:
    """A mutation as the graph's registries declare it."""

    name: str
    about: str | None
    id_field: str | None
    needs_id: bool
    scopes: tuple[tuple[str, ...], ...]
    references: Mapping[str, str] = field(default_factory=dict)


def _all() -> Iterator[_MutationSource]:
    for name, moved in mutations().items():
        references = {camel(key): one.type for key, one in moved.given.items() if isinstance(one.type, str)}
        ids = [camel(key) for key, one in moved.given.items() if one.required and camel(key) in references]
        id_field = (
            "id" if moved.subject and not moved.plural else ids[0] if not moved.subject and len(ids) == 1 else None
        )
        about = moved.subject or next(iter(references.values()), None)
        scopes = ((moved.scope, f"change:{name}"),)
        yield _MutationSource(name, about, id_field, bool(moved.subject), scopes, references)
    for name, batch in batch_mutations().items():
        yield _MutationSource(name, batch.name, None, needs_id=False, scopes=_scopes(batch, writing(batch.group)))
    for name, row in entity_mutations().items():
        makes = row.verb is Verb.CREATE
        id_field = None if makes and "id" not in row.type.fields else "id"
        yield _MutationSource(name, row.type.name, id_field, not makes, _scopes(row.type, writing(row.type.group)))
    for name, old in purge_mutations().items():
        yield _MutationSource(name, old.name, None, needs_id=False, scopes=_scopes(old, purging(old.group)))


def _scopes(type_: RecordType, needed: str) -> tuple[tuple[str, ...], ...]:
    return ((needed,), (type_.scope,)) if type_.scope else ((needed,),)


class MutationNames:
    """Finds mutations by words, in texts that ask for a change."""

    def __init__(self, schema: Schema) -> None:
        every = agent_mutations(schema.graphql)
        found = (
            FoundField("Mutation", one.name, one.input.name, one.doc, leads_to=one.about) for one in every.values()
        )
        self._finder = FieldFinder(schema.catalogue, found, own=False)
        self._verbs = frozenset(words(name)[0] for name in every) | _VERBS

    def find(self, text: str, most: int) -> list[FoundField]:
        """The mutations that a text asks for, best first; none if it does not begin with a verb of change."""
        asked = [word for word in words(text) if word not in COMMON]
        if not asked or (asked[0] not in self._verbs and "mutation" not in asked):
            return []
        return list(self._finder.find(text, None, most))


_VERBS = frozenset(
    "add make new insert change edit modify rename correct adjust remove delete clean write log report".split()  # noqa: SIM905
)
"""Verbs of change, beside those that names of mutations begin with."""
