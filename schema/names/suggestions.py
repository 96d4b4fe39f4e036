"""Suggestions for unknown names: by similar words, by aliases, and by other types that have the name.

They cover fields, arguments, input fields, enum values and types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_introspection_type,
)

from schema.catalogue.catalogue import Catalogue
from schema.names.candidates import (
    ALIAS,
    ALIASES,
    MOST,
    RELATED,
    NameCandidate,
    by_type,
    by_unit,
    in_other_words,
    nearest,
    plain,
    stems,
    values_of,
)
from schema.names.shapes import FEW, example, listed, ordered_by, shape
from schema.names.words import LONGEST, words

SURE = 0.8
"""The similarity from which a field of the type itself is meant, so that other types are not searched."""
AGGREGATE = "Aggregate"
"""The last word of types with the aggregates of a group of rows."""
FUNCTIONS = ("NumberAggregate", "TimeAggregate")
"""The types of aggregates of one field, whose fields are functions."""
LIST = 0.02
"""The bonus of root fields of lists over those of single rows."""


@dataclass(frozen=True)
class Elsewhere:
    """A field of another type, ``Type.field``, and the field that leads to that type, if there is one."""

    place: str
    through: str = ""

    def __str__(self) -> str:
        return f"`{self.place}` (through '{self.through}')" if self.through else f"`{self.place}`"


@dataclass(frozen=True)
class Suggestion:
    """Suggestions for an unknown name, the best first.

    ``names`` replace it in its place; ``elsewhere`` are fields of other types; ``fragments`` are the types of an
    interface or union that have the field.
    """

    names: tuple[str, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()
    fragments: tuple[str, ...] = ()
    right: str = ""
    """A description of valid input: the values of an enum, or the fields of an input with an example."""

    def __bool__(self) -> bool:
        return bool(self.names or self.elsewhere or self.fragments or self.right)

    @property
    def text(self) -> str:
        """The suggestion as sentences; empty if there is none."""
        return " ".join(filter(None, (self._meant, self.right)))

    @property
    def _meant(self) -> str:
        if self.fragments:
            return f"Did you mean to use an inline fragment on {_either([repr(one) for one in self.fragments])}?"
        there = _either([str(one) for one in self.elsewhere])
        if not self.names:
            return f"Did you mean {there}?" if there else ""
        said = f"Did you mean {_either([repr(one) for one in self.names])}?"
        return f"{said} Other types have {there}." if there else said


def _either(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


class Suggestions:
    """Suggests names of a schema, with the aliases of its catalogue; results are cached."""

    def __init__(self, schema: GraphQLSchema, catalogue: Catalogue) -> None:
        self._schema = schema
        self._catalogue = catalogue
        self._known = lru_cache(maxsize=2000)(self._found)
        self._candidates = lru_cache(maxsize=2000)(self._field_candidates)

    def field(self, owner: str, name: str, below: str = "") -> Suggestion:
        """Suggestions for an unknown field of a type; ``below`` is the first field that was selected from it."""
        return self._known(self._field, name[:LONGEST], owner, below[:LONGEST])

    def shape(self, owner: str, name: str) -> Suggestion:
        """Suggestions for a text or name in place of an input object of a type."""
        return self._known(self._shape, name[:LONGEST], owner)

    def argument(self, owner: str, field: str, name: str) -> Suggestion:
        """Suggestions for an unknown argument of a field."""
        return self._known(self._argument, name[:LONGEST], owner, field)

    def directive_argument(self, directive: str, name: str) -> Suggestion:
        """Suggestions for an unknown argument of a directive."""
        return self._known(self._directive_argument, name[:LONGEST], directive)

    def input_field(self, owner: str, name: str) -> Suggestion:
        """Suggestions for an unknown field of an input."""
        return self._known(self._input_field, name[:LONGEST], owner)

    def value(self, owner: str, name: str) -> Suggestion:
        """Suggestions for an unknown value of an enum."""
        return self._known(self._value, name[:LONGEST], owner)

    def type(self, name: str) -> Suggestion:
        """Suggestions for an unknown type."""
        return self._known(self._type, name[:LONGEST])

    def _found(self, find: Callable[..., Suggestion], name: str, *owner: str) -> Suggestion:
        """The result of one of the searches below; cached, so that callers cut names, which clients choose."""
        return find(*owner, name)

    def _field(self, owner: str, below: str, name: str) -> Suggestion:
        type_ = self._schema.type_map.get(owner)
        if isinstance(type_, GraphQLInterfaceType | GraphQLUnionType):
            members = sorted(self._schema.get_possible_types(type_), key=lambda one: one.name)
            if having := tuple(one.name for one in members if name in one.fields)[:MOST]:
                return Suggestion(fragments=having)
        if not isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            return Suggestion()
        asked = words(name)
        if owner.endswith(AGGREGATE) and (by_field := self._by_field(type_, asked, below)):
            return by_field
        ranked = nearest(asked, self._candidates(owner), words(owner))
        names = tuple(one for _, one in ranked)
        elsewhere: tuple[Elsewhere, ...] = ()
        if not ranked or ranked[0][0] < SURE:
            elsewhere = tuple(self._elsewhere(type_, name, asked))
        elif type_ is self._schema.query_type:
            elsewhere = tuple(Elsewhere(f"{owner}.{name}") for owner in self._having(name)[:MOST])
        else:
            elsewhere = tuple(self._one_step_away(type_, name))[:MOST]
        if (
            type_.name not in self._catalogue.types
            and len(type_.fields) <= FEW
            and not any(one.through for one in elsewhere)
        ):
            return Suggestion(names, right="" if names else f"Its fields: {listed(type_.fields)}.")
        return Suggestion(names, elsewhere)

    def _by_field(
        self, type_: GraphQLObjectType | GraphQLInterfaceType, asked: Sequence[str], below: str
    ) -> Suggestion | None:
        """Aggregate functions stand below the fields that they are of: ``durationMs { avg }`` for ``avg { durationMs
        }``.
        """
        for name, field in sorted(type_.fields.items(), key=lambda one: one[0] != below):
            functions = getattr(get_named_type(field.type), "fields", {})
            if get_named_type(field.type).name in FUNCTIONS and (
                found := nearest(asked, [plain(one, None) for one in functions], ())
            ):
                return Suggestion(
                    right=f"Aggregates stand below the field that they are of: {name} {{ {found[0][1]} }}."
                )
        return None

    def _elsewhere(
        self, type_: GraphQLObjectType | GraphQLInterfaceType, name: str, asked: Sequence[str]
    ) -> Iterator[Elsewhere]:
        """Similar fields of related types, the most similar first, single rows before lists; if there are none, fields
        of any type with exactly this name.
        """
        found: dict[str, tuple[float, bool, str]] = {}
        for through, field in type_.fields.items():
            target = self._target(field)
            if target is None or target == type_.name or type_ is self._schema.query_type:
                continue
            many = get_named_type(field.type).name != target
            for nearness, one in nearest(asked, self._candidates(target), words(target)):
                place = f"{target}.{one}"
                if nearness >= SURE and (place not in found or (-nearness, many) < found[place][:2]):
                    found[place] = (-nearness, many, through)
        best = [Elsewhere(place, found[place][2]) for place in sorted(found, key=lambda one: found[one][:2])[:MOST]]
        having = [] if best else self._having(name)
        if len(having) <= MOST or type_ is self._schema.query_type:  # what many types have leads nowhere
            best = best or [Elsewhere(f"{owner}.{name}") for owner in having[:MOST]]
        yield from best

    def _one_step_away(self, type_: GraphQLObjectType | GraphQLInterfaceType, name: str) -> Iterator[Elsewhere]:
        """Fields of related types with exactly this name, if the name contains that of the relation or the field leads
        from the one row there to others: ``ChampionModel.experiment`` is ``Model.experiment``.
        """
        seen: set[str] = set()
        for through, field in type_.fields.items():
            target = self._target(field)
            if target is None or target == type_.name:
                continue
            there = self._schema.type_map[target].fields.get(name)  # type: ignore[attr-defined]  # they are objects
            is_one = get_named_type(field.type).name == target
            leads = there is not None and (through in name or (is_one and self._target(there) is not None))
            if leads and target not in seen:
                seen.add(target)
                yield Elsewhere(f"{target}.{name}", through)

    def _having(self, name: str) -> list[str]:
        return [type_.name for type_ in self._catalogue if name in self._schema.type_map[type_.name].fields]  # type: ignore[attr-defined]  # they are objects

    def _argument(self, owner: str, field: str, name: str) -> Suggestion:
        type_ = self._schema.type_map.get(owner)
        known = getattr(type_, "fields", {}).get(field)
        if known is None:
            return Suggestion()
        inside = list(self._inside(field, known, name))
        if exact := next((right for is_exact, right in inside if is_exact), ""):
            return Suggestion(right=exact)
        made = [
            plain(one, argument.description, (*ALIASES.get(one, ()), *by_type(argument.type)))
            for one, argument in known.args.items()
        ]
        found = self._among(name, made, (field,))
        if not found and type_ is self._schema.query_type:
            found = self._of_the_list(known, name)
        return found or Suggestion(right=next((right for _, right in inside), ""))

    def _inside(self, field: str, known: GraphQLField, name: str) -> Iterator[tuple[bool, str]]:
        """For each argument that is an input: whether it has this field, and how the field is written in it."""
        for argument, one in known.args.items():
            input_ = get_named_type(one.type)
            if not isinstance(input_, GraphQLInputObjectType):
                continue
            names = (name,) if name in input_.fields else self._among_fields(input_, name).names[:1]
            for inner in names:
                value = example(one.type, {inner: input_.fields[inner].type})
                yield inner == name, f"It is a field of '{argument}': {field}({argument}: {value})."

    def _of_the_list(self, known: GraphQLField, name: str) -> Suggestion:
        """The field for lists of a row's type, if it has the argument."""
        target = self._target(known)
        fields = self._schema.query_type.fields if target and self._schema.query_type else {}
        lists = (one for one, field in fields.items() if self._target(field) == target and name in field.args)
        return Suggestion(right="".join(f"The list '{one}' has it." for one in list(lists)[:1]))

    def _directive_argument(self, directive: str, name: str) -> Suggestion:
        known = self._schema.get_directive(directive)
        return self._among(name, [plain(one, None) for one in known.args], (directive,)) if known else Suggestion()

    def _input_field(self, owner: str, name: str) -> Suggestion:
        type_ = self._schema.type_map.get(owner)
        if not isinstance(type_, GraphQLInputObjectType):
            return Suggestion()
        found = self._among_fields(type_, name)
        if not found and owner.endswith("Where"):
            found = Suggestion(elsewhere=tuple(_in_filters(type_, name))[:MOST])
        return found or self._shape(owner, name)

    def _among_fields(self, type_: GraphQLInputObjectType, name: str) -> Suggestion:
        """Similar fields of an input; those of a filter have the aliases of their columns."""
        columns = type_.name.removesuffix("Where")
        own = {one.name: one for one in self._candidates(columns)} if columns in self._catalogue.types else {}
        made = [
            own.get(one) or plain(one, field.description, ALIASES.get(one, ())) for one, field in type_.fields.items()
        ]
        return self._among(name, made, words(columns))

    def _shape(self, owner: str, name: str) -> Suggestion:
        """The description of an input; ``name`` may be an enum value, which the example then uses."""
        type_ = self._schema.type_map.get(owner)
        if not isinstance(type_, GraphQLInputObjectType):
            return Suggestion()
        enum = ordered_by(type_)
        meant = self._value(enum.name, name).names[:1] if enum and name else ()
        exact = name if enum and name in enum.values else ""
        return Suggestion(right=shape(type_, exact or "".join(meant)))

    def _value(self, owner: str, name: str) -> Suggestion:
        type_ = self._schema.type_map.get(owner)
        if not isinstance(type_, GraphQLEnumType):
            return Suggestion()
        made = [
            NameCandidate(
                one, words(one.lower()), ((1.0, words(str(value.value))),), stems(value.description or "")
            )
            for one, value in type_.values.items()
        ]  # fmt: skip
        entity = owner.removesuffix("Field")
        if entity in self._catalogue.types:  # the enum of its fields to order by: candidates are those of the fields
            own = {one.name: one for one in self._candidates(entity)}
            made = [
                NameCandidate(one.name, known.words, known.aliases, known.described)
                if (known := own.get(str(type_.values[one.name].value)))
                else one
                for one in made
            ]
        found = self._among(name.lower() if name.isupper() else name, made, words(entity))
        if found and len(type_.values) > FEW:
            return found
        return replace(found, right=f"Its values: {listed(type_.values)}.")

    def _type(self, name: str) -> Suggestion:
        return self._among(name, self._types, ())

    @cached_property
    def _types(self) -> tuple[NameCandidate, ...]:
        """The types as candidates; entity types come before derived types, such as connections."""
        called = {type_.name: type_.aliases for type_ in self._catalogue}
        return tuple(
            NameCandidate(
                one,
                words(one),
                tuple((ALIAS, words(alias)) for alias in called.get(one, ())),
                bonus=LIST if one in called else 0.0,
            )
            for one, type_ in self._schema.type_map.items()
            if not is_introspection_type(type_)
        )

    def _among(self, name: str, made: Iterable[NameCandidate], beside: Sequence[str]) -> Suggestion:
        ranked = nearest(words(name), made, beside)
        return Suggestion(tuple(one for _, one in ranked))

    def _target(self, field: GraphQLField) -> str | None:
        """The type of the catalogue whose row or rows a field returns."""
        name = get_named_type(field.type).name
        for ending in ("", "Connection"):
            if (target := name.removesuffix(ending) if ending else name) in self._catalogue.types:
                return target
        return None

    def _field_candidates(self, owner: str) -> tuple[NameCandidate, ...]:
        """The fields of a type as candidates."""
        type_ = self._schema.type_map[owner]
        facts: dict[str, tuple[str, ...]] = {}
        said: dict[str, frozenset[str]] = {}
        if owner in self._catalogue.types:
            known = self._catalogue[owner]
            facts = {name: (*leaf.facts.aliases, *by_unit(leaf)) for name, leaf in known.columns.items()}
            facts |= {name: one.aliases for name, one in known.relations.items() if one.aliases}
            said = {name: values_of(leaf) for name, leaf in known.columns.items()}
            for name, alias in in_other_words(known):
                facts[name] = (*facts[name], alias)
        is_query = type_ is self._schema.query_type
        made = []
        for name, field in type_.fields.items():  # type: ignore[attr-defined]  # they are objects
            target = self._target(field)
            aliases = [(ALIAS, words(alias)) for alias in facts.get(name, ())]
            many = get_named_type(field.type).name.endswith("Connection")
            if target and (is_query or owner in self._catalogue.types):
                worth = ALIAS if is_query else RELATED
                aliases += [(worth, words(alias)) for alias in self._catalogue[target].aliases]
            text = self._catalogue[target].description if target and is_query else field.description or ""
            text = "" if name == "id" else text  # it says what every id looks like
            bonus = LIST if is_query and many else 0.0
            values = said.get(name, frozenset())
            made.append(NameCandidate(name, words(name), tuple(aliases), stems(text), bonus, values))
        return tuple(made)


def _in_filters(type_: GraphQLInputObjectType, name: str) -> Iterator[Elsewhere]:
    """Filters of related types that have exactly this field."""
    for through, field in type_.fields.items():
        target = get_named_type(field.type)
        if isinstance(target, GraphQLInputObjectType) and target.name.endswith("Where") and name in target.fields:
            yield Elsewhere(f"{target.name}.{name}", through)
