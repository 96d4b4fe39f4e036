"""The mutations that manage receivers: idempotent, recorded, and optionally in one transaction with others."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Union

import orjson
import strawberry
from strawberry import UNSET

from db.models.g07_model_monitoring import DriftSeverity
from db.models.g07_monitoring_alerts import AlertStatus
from db.store import webhooks as store
from db.store.webhooks import Run, WebhookError
from schema.changes.attempts import Attempt
from schema.changes.mutation_steps import Surroundings, dry_run_of, run_step
from schema.changes.refusals import Refused, check_text, invalid
from schema.changes.results import Forbidden, InvalidInput, Problem, TransactionUndone, TransitionBlocked
from schema.changes.rows import Key
from schema.changes.transactions import ChangeOptions, checked_key
from schema.graph.types import Info, Types, selection_of
from schema.recording.recorder import check_scopes
from schema.scopes import WEBHOOKS
from schema.webhooks.manager import WebhookManager, check
from schema.webhooks.types import LIFECYCLE_TYPE, MAX_VALUES, Webhook, WebhookFormat, shown

HOURS = 24.0
"""The default time, in hours, for which two secrets sign."""
_AUDIT = """
    INSERT INTO gateway.recordings
        (mutation, node_type, inserted, updated, kept, actor, request_id, digest, details)
    VALUES ($1::text, 'Webhook', 0, 0, 0, $2::text, $3::text, $4::text, $5::text::jsonb)
"""
_LENGTHS = {"name": 100, "url": 2_000, "messageId": 100}
"""The longest text of an input, in characters."""


@strawberry.type(description="A webhook was made, changed or removed.")
class WebhookChanged:
    webhook: Webhook | None = strawberry.field(description="As it is now; null once it is removed, and for a replay.")
    secret: str | None = strawberry.field(
        description="The secret that its messages are signed with, where it is new: shown this once, so never for a "
        "dry run or a replay."
    )
    resent: int | None = strawberry.field(description="How many messages are sent again, of `resendWebhookMessages`.")
    replayed: bool = strawberry.field(description="Whether an earlier request with the same idempotency key did this.")
    dry_run: bool = strawberry.field(description="Whether this was a dry run, which was rolled back.")


WebhookResult = Annotated[
    Union[WebhookChanged, Forbidden, InvalidInput, TransitionBlocked, TransactionUndone],  # noqa: UP007 - as the others
    strawberry.union("WebhookResult", description="What keeping webhooks answers."),
]


@dataclass
class _Done:
    """The outcome of a change: the new secret, and the number of queued messages."""

    secret: str | None = None
    resent: int | None = None


Perform = Callable[[WebhookManager, Run, Mapping[str, Any], str], Awaitable[_Done]]
"""Executes a change for an input, on behalf of a caller."""


@dataclass
class WebhookStep:
    """A validated change of a receiver; it is executed again after conflicts."""

    name: str
    given: Mapping[str, Any]
    perform: Perform
    manager: WebhookManager
    around: Surroundings
    dry_run: bool
    made: WebhookChanged = field(init=False)

    @property
    def meaning(self) -> Any:
        """The content of the request that an idempotency key stands for."""
        return [self.name, self.given]

    @property
    def subjects(self) -> Mapping[str, Sequence[Key]]:
        """Rows that are locked before any step: none."""
        return {}

    async def make(self, attempt: Attempt) -> WebhookChanged:
        """Executes the change.

        Raises:
            Refused: `InvalidInput`.
        """
        transaction = attempt.transaction
        run: Run = transaction.run_as_gateway
        caller = self.around.caller.name
        try:
            done = await self.perform(self.manager, run, self.given, caller)
        except WebhookError as error:
            raise invalid(_FIELDS.get(error.field, error.field), str(error)) from None
        now = await store.listed(run, self.given["name"])
        if not self.dry_run:
            details = orjson.dumps({"name": self.given["name"]}).decode()
            digest = hashlib.sha256(orjson.dumps(self.meaning)).hexdigest()
            values = [self.name, caller, self.around.request_id, digest, details]
            await transaction.record("gateway.recordings", "recording_id", _AUDIT, values)
        self.made = WebhookChanged(
            webhook=shown(now[0]) if now else None,
            secret=None if self.dry_run else done.secret,
            resent=done.resent,
            replayed=False,
            dry_run=self.dry_run,
        )
        return self.made

    def stored(self) -> Any:
        """The outcome as JSON: never the secret."""
        return {"resent": self.made.resent}

    def replayed(self, stored: Any) -> WebhookChanged:
        return WebhookChanged(webhook=None, secret=None, resent=stored["resent"], replayed=True, dry_run=self.dry_run)

    def refused(self, refused: Refused) -> Problem:
        return refused.problem


# -- what each of them takes and does ----------------------------------------------------------------------------------

_FIELDS = {"id": "messageId"}
"""Names of inputs in the store, where they differ."""


async def _create(manager: WebhookManager, run: Run, given: Mapping[str, Any], caller: str) -> _Done:
    filters = given["filters"]
    if len(filters) != 1:
        raise WebhookError(
            "pass what it is told of: `lifecycle` or `alerts`, one of them; {} is all of it", "lifecycle"
        )
    ((topic, asked),) = filters.items()
    secret = await manager.create(run, given["name"], given["url"], topic, asked, given["format"], caller)
    return _Done(secret)


async def _change(manager: WebhookManager, run: Run, given: Mapping[str, Any], _caller: str) -> _Done:
    if len(given["filters"]) > 1:
        raise WebhookError("pass the filters of its own topic: `lifecycle` or `alerts`, not both", "alerts")
    if given["url"] is None and not given["filters"]:
        raise WebhookError("nothing is to change; pass a `url`, or filters", "url")
    await manager.change(run, given["name"], given["url"], given["filters"])
    return _Done()


async def _rotate(manager: WebhookManager, run: Run, given: Mapping[str, Any], _caller: str) -> _Done:
    return _Done(await manager.rotate(run, given["name"], given["hours"]))


async def _resend(manager: WebhookManager, run: Run, given: Mapping[str, Any], _caller: str) -> _Done:
    return _Done(resent=await manager.send_again(run, given["name"], given["messageId"]))


def _by_name(change: Callable[[Run, str], Awaitable[None]]) -> Perform:
    async def perform(_manager: WebhookManager, run: Run, given: Mapping[str, Any], _caller: str) -> _Done:
        await change(run, given["name"])
        return _Done()

    return perform


def _plain(input_: Mapping[str, Any]) -> dict[str, Any]:
    """An input as JSON, without its key and ``dryRun``."""
    asked = {name: value for name, value in input_.items() if name not in {"idempotencyKey", "dryRun"}}
    for name, length in _LENGTHS.items():
        if isinstance(value := asked.get(name), str):
            check_text(name, value, length)
    given: dict[str, Any] = {"url": None, "messageId": None, **asked}
    given["hours"] = HOURS if asked.get("hours") is None else asked["hours"]
    given["format"] = (asked.get("format") or WebhookFormat.STANDARD).value
    filters = {topic: asked[topic] for topic in ("lifecycle", "alerts") if asked.get(topic) is not None}
    given["filters"] = {topic: _labels(one) for topic, one in filters.items()}
    return {name: value for name, value in given.items() if name not in filters}


def _labels(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Filters as they are stored: enums by their labels."""
    kept = {name: value for name, value in filters.items() if value is not None}
    return {
        name: [getattr(one, "value", one) for one in value] if isinstance(value, list) else value
        for name, value in kept.items()
    }


def webhook_fields(types: Types) -> dict[str, Any]:
    """The fields of the mutation type, by name."""
    return {
        name: _field(name, description, _input(name, fields), perform)
        for name, (description, fields, perform) in _mutations(types).items()
    }


_ONE = "The webhook."
_CAP = f"Values: at most {MAX_VALUES}."


def _mutations(types: Types) -> dict[str, tuple[str, dict[str, tuple[Any, str, Any]], Perform]]:
    name: dict[str, tuple[Any, str, Any]] = {"name": (str, _ONE, ...)}
    lifecycle = _filters(
        "WebhookLifecycleFilters",
        "Which changes: the arguments of the subscription `lifecycleEvents`; all without any.",
        {
            "types": (list[LIFECYCLE_TYPE], f"Of rows of these types alone. {_CAP}"),
            "nodeIds": (list[strawberry.ID], f"Of these rows alone, by their global ids. {_CAP}"),
            "from": (list[str], f"From these states alone. {_CAP}"),
            "to": (list[str], f"To these states alone. {_CAP}"),
        },
    )
    alerts = _filters(
        "WebhookAlertFilters",
        "Which alerts: the arguments of the subscription `alerts`; all without any.",
        {
            "severity": (list[types.enum(DriftSeverity)], f"Of these severities alone. {_CAP}"),  # type: ignore[misc]
            "status": (list[types.enum(AlertStatus)], f"That have come to these states alone. {_CAP}"),  # type: ignore[misc]
            "modelId": (strawberry.ID, "On this model alone, by its global id."),
        },
    )
    filters: dict[str, tuple[Any, str, Any]] = {
        "lifecycle": (lifecycle | None, "It is told of changes: these.", UNSET),
        "alerts": (alerts | None, "It is told of alerts: these.", UNSET),
    }
    return {
        "createWebhook": (
            "Makes a receiver of webhooks, told of what is committed from now on.",
            {
                "name": (str, "What it is called: letters, digits and . _ -, at most 100 of them.", ...),
                "url": (str, "Where its messages are posted, such as `https://pager.example/e2i`.", ...),
                **filters,
                "format": (WebhookFormat | None, "How its messages are written; STANDARD unless it is said.", UNSET),
            },
            _create,
        ),
        "changeWebhook": (
            "Has a receiver's messages posted elsewhere, or others of its topic. What waits for it goes there too.",
            {**name, "url": (str | None, "Where its messages are posted from now on.", UNSET), **filters},
            _change,
        ),
        "rotateWebhookSecret": (
            "Gives a receiver a new secret; the one before signs beside it for a while.",
            {**name, "hours": (float | None, f"Hours for which both sign; {HOURS:g} unless it is said.", UNSET)},
            _rotate,
        ),
        "endWebhookRotation": (
            "Has the newer of a receiver's two secrets sign alone, once the receiver has that.",
            name, _by_name(store.end_rotation),
        ),
        "pauseWebhook": (
            "Sends a receiver nothing until it is resumed; what happens meanwhile waits.", name, _by_name(store.pause),
        ),
        "resumeWebhook": ("Sends a receiver what waits, and what comes.", name, _by_name(store.resume)),
        "resendWebhookMessages": (
            "Has messages sent again that were given up, under their ids.",
            {**name, "messageId": (str | None, "The one message; all of them without it.", UNSET)},
            _resend,
        ),
        "removeWebhook": ("Removes a receiver, and what waits for it.", name, _by_name(store.remove)),
    }  # fmt: skip


WEBHOOK_MUTATIONS = (
    "createWebhook", "changeWebhook", "rotateWebhookSecret", "endWebhookRotation", "pauseWebhook", "resumeWebhook",
    "resendWebhookMessages", "removeWebhook",
)  # fmt: skip
"""Their names."""


def _filters(name: str, description: str, fields: Mapping[str, tuple[Any, str]]) -> Any:
    return _class(name, description, {key: (type_ | None, words, UNSET) for key, (type_, words) in fields.items()})


def _input(mutation: str, fields: Mapping[str, tuple[Any, str, Any]]) -> Any:
    own: dict[str, tuple[Any, str, Any]] = {
        "idempotencyKey": (str | None, "A text of your own: with the same input again, nothing is done twice.", UNSET),
        "dryRun": (bool | None, "Does it, says what came of it, and undoes it.", UNSET),
    }
    return _class(f"{mutation[0].upper()}{mutation[1:]}Input", f"Input of `{mutation}`.", {**fields, **own})


def _class(name: str, description: str, fields: Mapping[str, tuple[Any, str, Any]]) -> Any:
    cls: Any = type(
        name, (), {"__annotations__": {f"{key}_": annotation for key, (annotation, _, _) in fields.items()}}
    )
    for key, (_, words, default) in fields.items():
        given = {} if default is ... else {"default": default}
        setattr(cls, f"{key}_", strawberry.field(name=key, description=words, **given))
    return strawberry.input(cls, name=name, description=description)


def _field(name: str, description: str, input_: Any, perform: Perform) -> Any:
    async def resolve(info: Any, input: Any) -> Any:  # noqa: A002, ARG001 - read from the selection
        context = info.context
        around = Surroundings.of(context)
        selection = selection_of(info)
        return await _run(name, selection.key, selection.arguments["input"], perform, context.webhooks, around)

    resolve.__annotations__ = {
        "info": Info,
        "input": Annotated[input_, strawberry.argument(description="Which webhook, and what becomes of it.")],
        "return": WebhookResult | None,
    }
    words = f"{description} Needs the scope `{WEBHOOKS}`, and GATEWAY_WEBHOOKS."
    return strawberry.field(resolver=resolve, name=name, description=words)


async def _run(
    mutation: str,
    field_: str,
    input_: Mapping[str, Any],
    perform: Perform,
    manager: WebhookManager,
    around: Surroundings,
) -> Any:
    """Executes a change; ``field_`` is its response key.

    Raises:
        GatewayError: ``WEBHOOKS_OFF``, ``CHANGES_UNAVAILABLE`` or ``CONFLICT``.
        DatabaseError: The database failed; nothing was changed.
    """
    together, caller = around.together, around.caller
    try:
        dry_run = dry_run_of(input_, together)
        check_scopes(mutation, WEBHOOKS, None, caller, dry_run=False)
        check(manager)
        key = checked_key(input_.get("idempotencyKey"))
        step = WebhookStep(mutation, _plain(input_), perform, manager, around, dry_run)
    except Refused as refused:
        return refused.problem if together is None else await together.join(field_, refused)
    return await run_step(step, field_, ChangeOptions(caller.name, key, around.key_hours, dry_run), around)
