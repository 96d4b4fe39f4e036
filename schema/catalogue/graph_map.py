"""The description of the schema: its root fields by groups of the data.

It is Markdown, which GraphiQL shows first: rows and questions of each group, questions over several groups, changes,
and fields for clients.
"""

from __future__ import annotations

from collections.abc import Collection

from db.base.markers import Group
from db.base.vocabulary import RowClass, derived, entities
from schema.catalogue.catalogue import Catalogue

_MACHINERY = {
    "node": "a row by its id",
    "nodes": "many rows by theirs",
    "now": "the database's clock",
}
_CHANGES = """\
- **Transitions** of a row from state to state (`promoteModel`, `acknowledgeAlert`, `rollbackDeployment`): each takes
  `dryRun`, `reason`, `expectedVersion` and `idempotencyKey`, and returns what it changed or what blocks it.
  `lifecycle` of a row lists the mutations that are open to you.
- **Rows**: `record...` adds facts in batches; `create...`, `update...` and `retire...` write one row of another type.
- **Removal** of old rows: `purge...`."""


def graph_map(models: Catalogue, fields: Collection[str]) -> str:
    """The description; ``fields`` are those of the query type."""
    classes: dict[str, RowClass] = {**entities(), **derived()}
    rows: dict[Group | None, list[str]] = {}
    questions: dict[Group | None, list[str]] = {}
    for root in models.roots.values():
        type_ = models[root.target]
        if root.name not in fields or not (root.many or type_.plural not in models.roots):
            continue
        group = classes[root.target].__group__
        is_question = type_.is_view or type_.is_derived or root.nearest is not None
        (questions if is_question and group else rows).setdefault(group, []).append(f"`{root.name}`")
    groups = [
        f"{number}. **{group}**: {group.about}. {' '.join(rows[group])}"
        + (f". Questions: {' '.join(questions[group])}" if group in questions else "")
        for number, group in enumerate(Group, 1)
    ]
    others = [f"`{name}`" for name in fields if name not in models.roots and name not in _MACHINERY]
    machinery = [f"`{name}` {what}" for name, what in _MACHINERY.items()]
    recorded = [f"{name} the record of changes" for name in rows.get(None, ())]
    return "\n\n".join(
        [
            (
                "The machine-learning metadata of the platform as one typed graph. Each list below takes `where`, "
                "`orderBy`, "
                "`first` and `after`, has `aggregate`, and has a second root for one row (`models`, `model`)."
            ),
            "## Rows by group",
            "Reading a group needs the scope `read:<group>`.",
            "\n".join(groups),
            "## Questions over all groups",
            " ".join(others),
            "## Changes",
            _CHANGES,
            "## Machinery",
            "; ".join([*machinery, *recorded]) + ". The subscriptions `lifecycleEvents`, `alerts` and `recordings` "
            "deliver changes.",
        ]
    )
