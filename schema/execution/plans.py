"""Plans: how an operation is executed, computed once for all requests of the same shape.

The shape of the variables is what the SQL depends on: which are given, which are null, enum members and flags, lengths
of lists of objects. In addition a plan depends on the values that the compiler pinned: page sizes, types of ids, nulls
of a cursor. All other values are parameters of the statement.

The cost is that of each request: it is kept with its plan, for the bounds of ranges that it was computed with.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    is_input_object_type,
)
from graphql.execution.values import VariableValues, get_variable_values
from graphql.pyutils import Undefined

from schema.adapters.graphql_core import GraphQLVariableSignature, VariableValueSource, get_variable_signature
from schema.catalogue.catalogue import Catalogue
from schema.catalogue.records import Missing
from schema.catalogue.relative_times import one_moment
from schema.catalogue.selection import Operation, Selection
from schema.catalogue.value_sizes import Sizes
from schema.errors import GatewayError
from schema.execution import input_errors
from schema.execution.coercions import coercion, holds_rows, may_hold_times
from schema.execution.compiler.compiler import Compiler
from schema.execution.compiler.statements import NotCompilableError, Statement
from schema.execution.relative_literals import opened
from schema.execution.time_slices import MANY, aside
from schema.execution.variable_shapes import has_one_shape, opened_value, shape_of
from schema.names.suggestions import Suggestions
from schema.search.texts import TextPlace, places
from schema.sql.indexes import Indexes
from schema.sql.parameters import Parameter, Variables

CAPACITY = 16_000_000
"""The approximate bytes of all cached plans. A document is counted with each of its plans."""
TREE = 80
"""Bytes of a cached document per character of its text, for names of usual length."""
OVERHEAD = 8_000
"""Bytes of a plan beside its document and its SQL."""


@dataclass(frozen=True)
class Plan:
    """How one operation is executed: one statement for some roots, resolvers for the others."""

    keys: tuple[str, ...]
    statement: Statement | None
    rest: Part | None
    compiled: Part | None
    """The fields of the statement, which the resolvers execute if it fails."""
    texts: tuple[TextPlace, ...] = ()
    """The search texts, which need vectors before it runs."""
    priced: tuple[Parameter, ...] = ()
    """The values of variables that the cost depends on, beyond those that the plan does."""


@dataclass(frozen=True)
class Part:
    """Some root fields of an operation, as an operation of their own."""

    document: DocumentNode
    definition: OperationDefinitionNode


@dataclass(eq=False)
class KnownOperation:
    """An operation of a document, with what its plans depend on."""

    document: DocumentNode
    definition: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    types: Sequence[tuple[str, Any]]
    """Variables with their input types."""
    signatures: Sequence[GraphQLVariableSignature]
    hidden: Mapping[str, str] = field(default_factory=dict)
    """Variables that replace relative times in the document, with their texts."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """The defaults of variables that contain such times."""
    pins: dict[str, Parameter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kind = self.definition.operation.value
        """query, mutation or subscription."""
        self.name = self.definition.name.value if self.definition.name else None
        self.told = self.name and self.name[:80]
        """The name for logs."""
        text = self.document.loc
        self.size = MANY if self.fragments or text is None else len(text.source.body)
        """The length of its text; the longest possible if fragments multiply it."""
        self.coercions = [(one, coercion(one.type)) for one in self.signatures]
        """The coercion function of each variable; None if graphql-core coerces it."""
        self.objects = [(name, type_) for name, type_ in self.types if is_input_object_type(get_named_type(type_))]
        """The variables of input object types, or lists of them."""
        self.records = any(holds_rows(type_) for _, type_ in self.types)
        """Whether its variables contain rows to be recorded."""
        self.holds_times = any(may_hold_times(type_) for _, type_ in self.types)
        """Whether its variables may contain times, which may be relative."""
        shaped = self.types if self.kind == "query" else ()  # others are not compiled
        self._shaped = [(name, type_) for name, type_ in shaped if not has_one_shape(type_)]

    def given(self, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """The given variables, with those that replace literals of the document."""
        if not self.hidden and not self.defaults:
            return variables
        return {**self.defaults, **variables, **self.hidden}

    def size_with(self, values: VariableValues) -> int:
        """The length of its text, plus the number of values in variables that are objects: a measure of work, by which
        it is moved to a thread."""
        return self.size + sum(_extent(values.coerced.get(name)) for name, _ in self.objects)

    def key(self, variables: Variables, reads: Missing) -> Hashable:
        """The key of a plan; ``reads`` is what the caller may not read."""
        shape = tuple([shape_of(type_, variables[name]) if name in variables else ... for name, type_ in self._shaped])
        pins = tuple([(name, _pinned(place, variables)) for name, place in self.pins.items()]) if self.pins else ()
        return id(self), reads, shape, pins


def variable_values(
    schema: GraphQLSchema,
    known: KnownOperation,
    given: Mapping[str, Any],
    max_errors: int = 20,
    suggestions: Suggestions | None = None,
) -> VariableValues | list[GraphQLError]:
    """The coerced variables, or their errors; plain values, the common case, take a fast path.

    Without ``suggestions`` errors contain no names of the schema.
    """
    given = known.given(given)
    if not known.holds_times:
        return _variable_values(schema, known, given, max_errors, suggestions)
    with one_moment():
        return _variable_values(schema, known, given, max_errors, suggestions)


def _variable_values(
    schema: GraphQLSchema,
    known: KnownOperation,
    given: Mapping[str, Any],
    max_errors: int,
    suggestions: Suggestions | None,
) -> VariableValues | list[GraphQLError]:
    sources: dict[str, VariableValueSource] = {}
    coerced: dict[str, Any] = {}
    for signature, coerce in known.coercions:
        name = signature.name
        value = given.get(name)
        try:
            made = coerce(value) if coerce and value is not None else Undefined
        except Exception:  # noqa: BLE001 - graphql-core reports it with its place
            made = Undefined
        if made is Undefined:
            return _slowly(schema, known, given, max_errors, suggestions)
        sources[name] = VariableValueSource(signature, value)
        coerced[name] = made
    return VariableValues(sources, coerced)


def _slowly(
    schema: GraphQLSchema,
    known: KnownOperation,
    given: Mapping[str, Any],
    max_errors: int,
    suggestions: Suggestions | None,
) -> VariableValues | list[GraphQLError]:
    nodes = known.definition.variable_definitions or ()
    values = get_variable_values(schema, nodes, dict(given), max_errors, hide_suggestions=True)
    if isinstance(values, VariableValues):
        return values
    try:
        return input_errors.of_variables(known.signatures, nodes, given, max_errors, suggestions) or values
    except RecursionError:
        return values


def _pinned(place: Parameter, variables: Variables) -> Any:
    try:
        return place.read(variables)
    except (GatewayError, KeyError, IndexError, TypeError):
        return None  # absent in this shape, or invalid, which the loaders report


@dataclass
class CachedPlan:
    """A cached plan with its operation, which keeps the operation's id in use, and its latest cost if known."""

    known: KnownOperation
    plan: Plan
    cost: int | None
    priced: Sequence[Any] = ()
    """The values of variables that the cost is for."""

    def cost_of(self, variables: Variables) -> int | None:
        """The cost with these variables, None if it is not known."""
        return self.cost if self.cost is not None and self.priced == self._priced(variables) else None

    def price(self, variables: Variables, cost: int) -> int:
        """Keeps the cost with these variables, unless it may depend on more values than are known here."""
        if self.plan.statement and not self.plan.rest:
            self.cost, self.priced = cost, self._priced(variables)
        return cost

    def _priced(self, variables: Variables) -> Sequence[Any]:
        return [_pinned(place, variables) for place in self.plan.priced]

    @property
    def size(self) -> int:
        """The approximate size in bytes."""
        text = self.known.document.loc
        statement = self.plan.statement
        return OVERHEAD + (TREE * len(text.source.body) if text else 0) + (len(statement.sql) if statement else 0)


class Plans:
    """The plans of a schema's operations, shared by callers with equal permissions."""

    def __init__(
        self,
        schema: GraphQLSchema,
        catalogue: Catalogue,
        measure: Callable[[Operation, Missing], int],
        indexes: Indexes,
        sizes: Sizes,
        *,
        compiles: bool = True,
    ) -> None:
        """``measure`` computes an operation's cost for a caller, or refuses it. Resolvers execute what is not
        compiled."""
        self.compiles = compiles
        self._indexes = indexes
        self._sizes = sizes
        self.hits = self.misses = self.dropped = 0
        self._schema = schema
        self._catalogue = catalogue
        self._measure = measure
        self._size = 0
        self._kept: OrderedDict[Hashable, CachedPlan] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def asked(
        self,
        document: DocumentNode,
        definition: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
    ) -> KnownOperation:
        """An operation, to be stored with its document."""
        made = opened(self._schema, document, definition, fragments)
        nodes = made.definition.variable_definitions or ()
        found = [get_variable_signature(self._schema, node) for node in nodes]
        signatures = [one for one in found if not isinstance(one, GraphQLError)]  # valid documents have no others
        types = [(one.name, one.type) for one in signatures]
        return KnownOperation(
            made.document, made.definition, made.fragments, types, signatures, made.hidden, made.defaults
        )

    def kept(self, known: KnownOperation, values: VariableValues, reads: Missing) -> tuple[Plan, int] | None:
        """The cached plan for an operation with these variables, and its cost, for a caller with these permissions.

        None if there is none, or if the cost of a large operation has to be computed again.

        Raises:
            GraphQLError: A limit is exceeded, or an argument is invalid.
        """
        key = known.key(values.coerced, reads)
        kept = self._kept.get(key)
        if kept is None:
            return None
        cost = kept.cost_of(values.coerced)
        if cost is None:
            if known.size_with(values) >= MANY:
                return None
            cost = kept.price(values.coerced, self._cost(known, values, reads))
        self._kept.move_to_end(key)
        self.hits += 1
        return kept.plan, cost

    async def made(self, known: KnownOperation, values: VariableValues, reads: Missing) -> tuple[Plan, int]:
        """The same for an operation without a cached plan; the plan is cached. Large operations are planned in a
        thread.

        Raises:
            GraphQLError: A limit is exceeded, or an argument is invalid.
        """
        size = known.size_with(values)
        key = known.key(values.coerced, reads)
        if kept := self._kept.get(key):
            self._kept.move_to_end(key)
            self.hits += 1
            return kept.plan, kept.price(values.coerced, await aside(size, self._cost, known, values, reads))
        self.misses += 1
        plan, pins, cost = await aside(size, self._make, known, values, reads)
        known.pins |= pins
        kept = CachedPlan(known, plan, None)
        self._keep(known.key(values.coerced, reads), kept)
        return plan, kept.price(values.coerced, cost)

    def forget_prices(self) -> None:
        """Discards all costs, after a change of the database's size."""
        for kept in self._kept.values():
            kept.cost = None

    def _cost(self, known: KnownOperation, values: VariableValues, reads: Missing) -> int:
        return self._measure(self._operation(known, values), reads)

    def _operation(self, known: KnownOperation, values: VariableValues) -> Operation:
        return Operation(self._schema, known.definition, known.fragments, values)

    def _keep(self, key: Hashable, kept: CachedPlan) -> None:
        if before := self._kept.pop(key, None):  # planned concurrently
            self._size -= before.size
        self._kept[key] = kept
        self._size += kept.size
        while self._size > CAPACITY:
            _, dropped = self._kept.popitem(last=False)
            self._size -= dropped.size
            self.dropped += 1

    def _make(
        self, known: KnownOperation, variables: VariableValues, reads: Missing
    ) -> tuple[Plan, Mapping[str, Parameter], int]:
        """A plan, what it depends on, and the cost. Shared state is not changed."""
        operation = self._operation(known, variables)
        cost = self._measure(operation, reads)
        roots = operation.root.fields
        if known.definition.operation is not OperationType.QUERY:
            return Plan(tuple(roots), None, None, None), {}, cost
        values = operation.variables
        opened = {
            name: opened_value(type_, name, values.coerced[name], itemgetter(name))
            for name, type_ in known.types
            if name in values.coerced
        }
        open_values = VariableValues(_Sources(values.sources), opened)
        fields = self._operation(known, open_values).root.fields
        texts = places(self._catalogue, fields)
        if not self.compiles:
            return Plan(tuple(roots), None, None, None, texts), {}, cost
        compiler = Compiler(self._catalogue, reads, values.coerced, self._indexes, self._sizes)
        for selection in fields.values():
            compiler.add(selection)
        statement = compiler.statement()
        compiled = [roots[key] for key in statement.keys] if statement else []
        rest = [selection for selection in roots.values() if not statement or selection.key not in statement.keys]
        priced = tuple(compiler.priced.values())
        plan = Plan(tuple(roots), statement, _part(known, rest), _part(known, compiled), texts, priced)
        return plan, compiler.pins, cost


def _part(known: KnownOperation, fields: Sequence[Selection]) -> Part | None:
    """The fields as an operation of their own, with its fragments."""
    if not fields:
        return None
    whole = known.definition
    definition = OperationDefinitionNode(
        operation=whole.operation,
        name=whole.name,
        variable_definitions=whole.variable_definitions,
        directives=whole.directives,
        selection_set=SelectionSetNode(selections=tuple(node for one in fields for node in one.nodes)),
        loc=whole.loc,
    )
    return Part(DocumentNode(definitions=(definition, *known.fragments.values())), definition)


class _Sources(dict[str, Any]):
    """The variables as given, which only JSON literals read: compiling one would fix its values."""

    def get(self, _key: str, _default: Any = None) -> Any:
        raise NotCompilableError("a variable is inside a JSON literal")


def _extent(value: Any) -> int:
    """The number of values in a value, up to the largest that matters."""
    pending = [value]
    for one in pending:
        if isinstance(one, dict):
            pending += one.values()
        elif isinstance(one, list):
            pending += one
        if len(pending) > MANY:
            break
    return len(pending)
