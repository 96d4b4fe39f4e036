"""From the parameters of a request to a plan with its cost: document, variables, limits, read permissions."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from graphql import GraphQLError
from graphql.execution.values import VariableValues

from db.attach.facts import Facts
from gateway.auth.permissions import Access
from gateway.operations.call import Call
from gateway.operations.cost import Meter
from gateway.operations.documents import MAX_ERRORS, Document, Documents, check_objects, too_many_values
from gateway.operations.persisted import DocumentRegistry
from gateway.operations.refusals import RefusedDocumentError, refuse
from gateway.operations.request import Parameters
from gateway.settings import Settings
from schema.catalogue import exact_json
from schema.catalogue.records import Missing
from schema.catalogue.selection import Operation
from schema.catalogue.value_sizes import Sizes
from schema.error_codes import ErrorCode
from schema.errors import GatewayError
from schema.execution.plans import KnownOperation, Plan, Plans, variable_values
from schema.schema import Schema
from schema.sql.indexes import Indexes
from schema.sql.lists import MAX_PAGE


class PlannedOperation(NamedTuple):
    """An operation that may be executed, with its cost in rows and what its caller may not read."""

    parameters: Parameters
    known: KnownOperation
    values: VariableValues
    plan: Plan
    cost: int
    reads: Missing


class Planner:
    """Plans operations by the facts of the database, which are learned when it is first reached and updated later."""

    def __init__(self, schema: Schema, settings: Settings, registry: DocumentRegistry) -> None:
        self._settings = settings
        self.learned = False
        """Whether the database has been inspected."""
        self.access = Access(self._reading(Missing()))
        self.documents = Documents(schema, settings)
        self._schema = schema
        self._hides = not settings.introspection
        self._suggestions = schema.suggestions if settings.introspection else None
        self._registry = registry
        self._meter = Meter(schema.graphql, schema.catalogue, settings)
        self.plans = self._no_plans()
        registry.check(self.documents)

    def learn(self, missing: Missing, facts: Facts) -> None:
        """Sets what the database lacks, and its size."""
        self.access = Access(self._reading(missing), self._usable(facts))
        self.learned = True
        self.plans = self._no_plans()

    def _reading(self, missing: Missing) -> Missing:
        """The same with the settings' restrictions."""
        settings = self._settings
        return replace(missing, any_word=not settings.closed_vocabularies, count_up_to=settings.count_up_to or None)

    def _usable(self, facts: Facts) -> Facts:
        """The facts, without rollups and stored state if the settings exclude them; callers' own roles have no rights
        on them either."""
        return replace(
            facts,
            rollups=facts.rollups if self._settings.uses_rollups else {},
            kept=facts.kept if self._settings.uses_current_state else {},
        )

    def learn_facts(self, facts: Facts) -> None:
        """Updates the size of the database."""
        known, facts = self.access.facts, self._usable(facts)
        self.access.learn(facts)
        if facts.reads_like(known):
            self.plans.forget_prices()
        else:
            self.plans = self._no_plans()

    async def plan(self, parameters: Parameters, call: Call, room: int) -> PlannedOperation:
        """An operation of at most ``room`` rows, planned.

        Raises:
            RefusedError: It is invalid, exceeds a limit, or is not supported by the transport.
        """
        reads = self.access.of(call.caller.scopes)
        known, values, trusted = self._read(parameters, call)
        if not trusted:
            room = min(room, self._settings.max_untrusted_cost)
        try:
            plan, cost = self.plans.kept(known, values, reads) or await self.plans.made(known, values, reads)
        except GraphQLError as error:
            raise RefusedDocumentError(error) from None
        if cost > room:
            raise self._too_costly(cost, room)
        return PlannedOperation(parameters, known, values, plan, cost, reads)

    def is_trusted(self, text: str) -> bool:
        """Whether a document is answered without restriction.

        Raises:
            RefusedError: Only trusted documents are answered, and it is not one.
        """
        self._registry.text(Parameters(text, None, {}))
        return self._registry.is_trusted(text)

    def trusted_changes(self) -> frozenset[str] | None:
        """The mutations that may be called, if only those of trusted documents may; None otherwise."""
        return self._registry.changes()

    async def again(self, planned: PlannedOperation, call: Call) -> PlannedOperation | None:
        """The operation planned again, if what its caller may not read has changed; None otherwise."""
        reads = self.access.of(call.caller.scopes)
        if reads is planned.reads:
            return None
        known, values = planned.known, planned.values
        try:
            plan, _ = self.plans.kept(known, values, reads) or await self.plans.made(known, values, reads)
        except GraphQLError:  # it exceeds a limit now
            return None
        return planned._replace(plan=plan, reads=reads)

    def price_of_rows(self, planned: PlannedOperation, key: str, rows: int, call: Call) -> int:
        """The cost of an operation whose root field ``key`` returns all of its ``rows`` rows: for each the same as on a
        page, with its scan once.

        Raises:
            RefusedDocumentError: The cost of one page exceeds the limit.
        """
        page = min(max(rows, 1), MAX_PAGE)
        try:
            scanned, whole = self._price_of_page(planned, key, 0), self._price_of_page(planned, key, page)
        except GraphQLError as error:
            raise RefusedDocumentError(error) from None
        room = self._settings.max_untrusted_cost
        if whole > room and not self._registry.is_trusted(call.record.query or ""):
            raise self._too_costly(whole, room)
        return scanned + -(-(whole - scanned) * rows // page)

    def _price_of_page(self, planned: PlannedOperation, key: str, first: int) -> int:
        known = planned.known
        operation = Operation(self._schema.graphql, known.definition, known.fragments, planned.values)
        arguments = operation.root.fields[key].arguments
        arguments["first"], arguments["last"] = first, None
        return self._measure(operation, planned.reads)

    def _read(self, parameters: Parameters, call: Call) -> tuple[KnownOperation, VariableValues, bool]:
        """Parses and validates the document and checks the variables; also returns whether the document is trusted."""
        text = self._registry.text(parameters)
        variables, name = parameters.variables, parameters.operation_name
        if self._hides:
            call.reporter.sent = text + exact_json.dumps(variables).decode()
        document = self.documents.get(text)
        if parameters.hash:
            self._registry.register(parameters, text)
        known = document.asked.get(name) or self._operation(document, name)
        record = call.record
        record.query, record.kind = text, known.kind
        record["operation"] = known.told
        if known.kind != "query":
            call.admit(known.kind)
            call.changes = known.kind == "mutation"
        if parameters.values > self._settings.max_values and not known.records:
            raise RefusedDocumentError(
                too_many_values("The variables hold", self._settings.max_values, parameters.values)
            )
        if known.objects:
            check_objects(known.objects, variables)
        values = variable_values(self._schema.graphql, known, variables, MAX_ERRORS, self._suggestions)
        if isinstance(values, list):
            raise RefusedDocumentError(*values)
        return known, values, parameters.own or self._registry.is_trusted(text)

    def _operation(self, document: Document, name: str | None) -> KnownOperation:
        try:
            known = self.plans.asked(document.ast, document.operation(name), document.fragments)
        except GatewayError as error:
            raise RefusedDocumentError(error) from None
        document.asked[name] = known
        return known

    def _too_costly(self, cost: int, room: int) -> RefusedDocumentError:
        advice = "Lower `first` on the lists along the path, or split the request."
        if room == self._settings.max_untrusted_cost:
            advice = "Only trusted documents may request more. Lower `first` on the lists along the path."
        return RefusedDocumentError(refuse(ErrorCode.COST_LIMIT, room, cost, advice))

    def _measure(self, operation: Operation, reads: Missing) -> int:
        return self._meter.measure(operation, self.access.facts_of(reads))

    def _no_plans(self) -> Plans:
        return Plans(
            self._schema.graphql,
            self._schema.catalogue,
            self._measure,
            Indexes(self.access.facts),
            Sizes(self.access.facts, self._settings.max_answer_bytes),
            compiles=self._settings.compiler,
        )
