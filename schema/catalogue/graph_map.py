"""The map of the graph, which is the schema's own description: what there is to ask for, by the groups of the data.

It is Markdown, which GraphiQL shows first in its documentation: rows and questions of each group, questions over all of
them, changes, and what serves every client.
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
- **Moves** of a row from state to state (`promoteModel`, `acknowledgeAlert`, `rollbackDeployment`): each takes
  `dryRun`, `reason`, `expectedVersion` and `idempotencyKey`, and answers what it changed or what is in its way.
  `lifecycle` of a row says which are open to you.
- **Rows**: `record...` takes facts in batches; `create...`, `update...` and `retire...` take one row of the others.
- **Removal** of old rows: `purge...`."""


def graph_map(models: Catalogue, fields: Collection[str]) -> str:
    """The map; ``fields`` are those of the query."""
    classes: dict[str, RowClass] = {**entities(), **derived()}
    rows: dict[Group | None, list[str]] = {}
    questions: dict[Group | None, list[str]] = {}
    for root in models.roots.values():
        type_ = models[root.target]
        if root.name not in fields or not (root.many or type_.plural not in models.roots):
            continue
        group = classes[root.target].__group__
        asks = type_.is_view or type_.is_derived or root.nearest is not None
        (questions if asks and group else rows).setdefault(group, []).append(f"`{root.name}`")
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
                "The metadata of the platform's machine learning as one typed graph. Each list below has a root for one"
                " row (`model`), takes `where`, `orderBy`, `first` and `after`, and sums up with `aggregate`."
            ),
            "## Rows by group",
            "Reading a group takes the scope `read:` and its name.",
            "\n".join(groups),
            "## Questions over all groups",
            " ".join(others),
            "## Changes",
            _CHANGES,
            "## Machinery",
            "; ".join([*machinery, *recorded]) + ". The subscriptions `lifecycleEvents` and `alerts` tell of changes.",
        ]
    )
