"""The reference pages of `gateway/docs/reference`, generated from code.

`make snapshot` writes them, and a test compares the committed ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import Metric

from db.base.lifecycles import MAY_CHANGE, MAY_REVIEW, lifecycle_of
from db.base.lineage import LineageKind
from gateway.cli.command_line import parsers
from gateway.roles import ROLES
from gateway.setting_groups.group import PREFIX, SettingGroup
from gateway.settings import Settings
from schema.changes import diagrams
from schema.changes.mutations import mutations
from schema.error_codes import BlockerCode, ErrorCode, ProblemCode, RowCode, ToolCode
from schema.lineage.edges import edges
from schema.recording.record_types import child_rows, purge_mutations, record_types, recording_mutations
from schema.schema import build
from schema.scopes import (
    FORCE,
    PREVIEW,
    PURGE,
    READ,
    WEBHOOKS,
    WRITE,
    purge_scopes,
    purging,
    read_scopes,
    scopes_of,
    shown_scopes,
    write_scopes,
    writing,
)
from schema.webhooks.changes import WEBHOOK_MUTATIONS

MADE = "<!-- Made from the code by `make snapshot`; changes belong there. -->"


def _page(title: str, words: str, lines: Iterable[str]) -> str:
    return "\n".join([f"# {title}", "", MADE, "", words, "", *lines]).rstrip("\n") + "\n"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


# -- settings ----------------------------------------------------------------------------------------------------------


def settings() -> str:
    """Every setting with its default, by group."""
    words = "Environment variables, checked at the start: what cannot be used is refused with what would be right."
    lines: list[str] = []
    for group in Settings.__bases__:
        assert issubclass(group, SettingGroup)  # noqa: S101 - it has no other bases
        rows = [
            (
                f"`{field.validation_alias or f'{PREFIX}{name.upper()}'}`",
                _default(field.get_default(call_default_factory=True)),
                field.description or "",
            )
            for name, field in group.model_fields.items()
        ]
        name = group.__name__.removesuffix("Settings")
        lines += ["", f"## {name}", "", group.__doc__ or "", "", *_table(("variable", "default", "meaning"), rows)]
    return _page("Settings", words, lines[1:])


def _default(value: Any) -> str:
    if value is None or value in ((), {}, ""):
        return "unset"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    return f"`{str(value).lower() if value in (True, False) else value}`"


# -- errors ------------------------------------------------------------------------------------------------------------


def errors() -> str:
    """Every error code, with its meaning and the client's remedy."""
    words = (
        "Every error has a `code` in `extensions`, which keeps its name and its meaning, and a message that says what "
        "is wrong, where, and what would be valid. Numbers in brackets are HTTP statuses."
    )
    head = ("code", "meaning", "try again?")
    lines = [
        "## Errors of an answer", "", "`extensions.code` of what is in `errors`.", "",
        *_table(head, ((f"`{code}`", code.meaning, code.retry.value) for code in sorted(ErrorCode))), "",
        "## Problems of a change", "", "`code` of a `Problem`, which a mutation returns when it makes no change.", "",
        *_table(head[:2], ((f"`{code}`", code.meaning) for code in ProblemCode)), "",
        "## What blocks a change", "",
        "`code` of a `Blocker`. Guards have codes of their own, listed with the [lifecycles](lifecycles.md).", "",
        *_table(head[:2], ((f"`{code}`", code.meaning) for code in BlockerCode)), "",
        "## What is wrong with a row", "",
        "`code` of a `RowProblem`. `RowsRejected` lists up to 20 of them with their paths.", "",
        *_table(head[:2], ((f"`{code}`", code.meaning) for code in RowCode)), "",
        "## Errors of an agent's tool", "",
        "`error` of a failed call, in addition to the codes of errors.", "",
        *_table(head, ((f"`{code}`", code.meaning, code.retry.value) for code in ToolCode)),
    ]  # fmt: skip
    return _page("Errors", words, lines)


# -- scopes and roles --------------------------------------------------------------------------------------------------

_MEANT = {
    READ: "Reading every group.",
    PREVIEW: "Dry runs of all mutations.",
    MAY_CHANGE: f"Every mutation but those of experts' reviews; `{MAY_CHANGE}:promoteModel` is one mutation.",
    MAY_REVIEW: "Mutations of experts' reviews.",
    WRITE: "Recording rows of every group; none of it lets read them.",
    PURGE: "Removing old rows of every group; none of it lets read them.",
    FORCE: "Overriding guards, with a reason.",
    WEBHOOKS: "Keeping receivers of webhooks, and reading of them.",
}


def scopes() -> str:
    """Every scope with its purpose, and the roles."""
    words = "A credential carries scopes and roles. A role is a named set of scopes; `GATEWAY_ROLES` adds roles."
    lines = [
        "## Roles", "",
        *_table(("role", "scopes"), ((f"`{role}`", ", ".join(f"`{one}`" for one in of)) for role, of in ROLES.items())),
        "", "## Scopes", "",
        *_table(("scope", "what it is for"), ((f"`{scope}`", _meant(scope)) for scope in shown_scopes())), "",
        "## Mutations", "",
        *_table(("mutation", "scope"), sorted(_needed())),
    ]  # fmt: skip
    return _page("Scopes and roles", words, lines)


def _needed() -> Iterator[tuple[str, str]]:
    """The scope of each mutation."""
    yield from ((f"`{name}`", f"`{one.scope}`") for name, one in mutations().items())
    yield from ((f"`{name}`", f"`{writing(one.group)}`") for name, one in recording_mutations().items())
    yield from ((f"`{name}`", f"`{purging(one.group)}`") for name, one in purge_mutations().items())
    yield from ((f"`{name}`", f"`{WEBHOOKS}`") for name in WEBHOOK_MUTATIONS)


def _meant(scope: str) -> str:
    if scope in write_scopes():
        recorded = [one.name for one in record_types().values() if writing(one.group) == scope]
        return f"Recording rows of {', '.join(f'`{name}`' for name in recorded) or 'the group; there are none yet'}."
    if scope in purge_scopes():
        removed = [f"`{name}`" for name, one in purge_mutations().items() if purging(one.group) == scope]
        return f"Removing old rows: {', '.join(removed)}."
    if scope not in read_scopes():
        return _MEANT[scope]
    needed = [type_.name for type_ in build().catalogue if scope in scopes_of(type_.name)]
    columns = [
        f"{type_.name}.{type_.field_name(column.name)}"
        for type_ in build().catalogue
        for column in type_.table.columns
        if column.info.get("scope") == scope and type_.name not in needed
    ]
    return f"Reading {', '.join(f'`{name}`' for name in [*needed, *columns])}."


# -- metrics -----------------------------------------------------------------------------------------------------------


def metrics(families: Iterable[Metric]) -> str:
    """Every metric, by family; labels are those of its samples."""
    rows = [
        (f"`{one.name}`", one.type, ", ".join(f"`{label}`" for label in _labels(one)), one.documentation)
        for one in sorted(families, key=lambda one: one.name)
        if one.name.startswith("e2i_")
    ]
    words = (
        "The metrics at `/metrics` of `GATEWAY_METRICS`, in addition to `process_*` of the Prometheus client. Every "
        "sample has the label `worker`; counters end in `_total`. `e2i_replica_*` and `e2i_reads` exist only with "
        "`GATEWAY_REPLICA_URL`."
    )
    return _page("Metrics", words, _table(("metric", "type", "labels", "meaning"), rows))


def _labels(family: Metric) -> list[str]:
    return list(dict.fromkeys(label for sample in family.samples for label in sample.labels if label != "le"))


# -- the rest ----------------------------------------------------------------------------------------------------------


def commands() -> str:
    """The output of `--help` for every command."""
    lines: list[str] = []
    for parser in parsers():
        # Python before 3.13 repeats an option's value after its short form
        said = re.sub(r"(-\w) ([A-Z]+), (--[\w-]+ \2)", r"\1, \3", parser.format_help())
        lines += [f"## {parser.prog}", "", "```text", said.rstrip(), "```", ""]
    return _page("Commands", "What `--help` says.", lines)


def schema() -> str:
    """The scalars and directives of the schema."""
    graphql = build().graphql
    named = sorted(graphql.type_map.values(), key=lambda type_: type_.name)
    scalars = [
        (f"`{type_.name}`", " ".join((type_.description or "").split()))
        for type_ in named
        if type(type_).__name__ == "GraphQLScalarType"
    ]
    directives = [
        (f"`@{one.name}`", ", ".join(f"`{name}`" for name in one.args), " ".join((one.description or "").split()))
        for one in graphql.directives
    ]
    lines = [
        "## Scalars", "", *_table(("scalar", "meaning"), scalars), "",
        "## Directives", "", *_table(("directive", "arguments", "meaning"), directives),
    ]  # fmt: skip
    return _page("Scalars and directives", "The whole schema is `schema/schema.graphql`.", lines)


def lineage_edges() -> str:
    """The kinds of lineage edges, and every relation that is one."""
    kinds = [(f"`{kind.name}`", kind.doc) for kind in LineageKind]
    found = [
        (
            f"`{end.name}`",
            f"`{end.target if not end.downstream else end.type}`",
            f"`{end.type if not end.downstream else end.target}`",
            f"`{end.kind.name}`",
            "yes" if end.closes_loop else "",
        )
        for name, end in sorted(edges().by_name.items())
        if not name.endswith("~")
    ]
    head = ("relation", "upstream", "downstream", "kind", "may close a loop")
    lines = [
        "## Kinds", "", *_table(("kind", "meaning"), kinds), "",
        "## Edges", "", *_table(head, found),
    ]  # fmt: skip
    words = (
        "An edge leads from its upstream row to the row that came from it or depends on it. The fields that walk them "
        "are in [lineage](lineage.md)."
    )
    return _page("Lineage edges", words, lines)


def recorded_types() -> str:
    """How rows of each table are recorded."""
    doors: dict[str, list[str]] = {}
    for name, one in recording_mutations().items():
        doors.setdefault(one.name, []).append(f"`{name}`")
    for name, one in purge_mutations().items():
        doors.setdefault(one.name, []).append(f"`{name}`")
    rows = []
    for one in record_types().values():
        declared, table = one.plan.declared, one.type
        own = [f"`{declared.door}` ({declared.why})"] if declared.door else []
        key = ", ".join(f"`{one.by_column[column].name}`" for column in one.key)
        born = ", ".join(f"`{name}`" for name in declared.born) or "`" + _initial(one.name) + "`"
        server = ", ".join(f"`{table.field_name(column)}`" for column in sorted(one.plan.server))
        parent = one.plan.refs[declared.part_of].target if declared.part_of else ""
        within = [f"`{name}` of `create{parent}`" for name, rows in child_rows(parent).items() if rows.type is one]
        made = ", ".join([*own, *doors.get(one.name, []), *within])
        rows.append((f"`{one.name}`", made, key, born if born != "``" else "", server))
    words = (
        "The mutations that write rows of each type, without the transitions of its [lifecycle](lifecycles.md); its "
        "natural key, for `onConflict`; the states of new rows, the first by default; and the columns that are not "
        "inputs because the server fills them. [Recording](recording.md) has the rules."
    )
    head = ("type", "mutations", "key", "born", "the server's")
    return _page("Recorded types", words, _table(head, rows))


def _initial(name: str) -> str:
    lifecycle = lifecycle_of(name)
    return lifecycle.initial.name if lifecycle else ""


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings,
    "errors.md": errors,
    "scopes.md": scopes,
    "commands.md": commands,
    "schema.md": schema,
    "lifecycles.md": diagrams.document,
    "lineage-edges.md": lineage_edges,
    "recorded-types.md": recorded_types,
}
"""The pages that need the code alone; that of the metrics needs a running gateway."""
METRICS = "metrics.md"
