"""The registry of root fields that are not derived from models."""

from __future__ import annotations

from schema.fields.clock import NOW
from schema.fields.column_facts import COLUMN_FACTS, COLUMN_FACTS_FIELD
from schema.fields.search import SEARCH
from schema.fields.tool_plan import TOOL_EXECUTION_PLAN
from schema.graph.root_field import RootField
from schema.lineage.fields.diff import LINEAGE_DIFF
from schema.lineage.fields.impact import IMPACT
from schema.lineage.fields.lineage import LINEAGE
from schema.lineage.fields.paths import PATHS
from schema.lineage.fields.text import LINEAGE_COUNTS, LINEAGE_TEXT
from schema.webhooks.queries import WEBHOOK_FIELDS

FIELDS: dict[str, RootField] = {
    COLUMN_FACTS: COLUMN_FACTS_FIELD,
    "impact": IMPACT,
    "lineage": LINEAGE,
    "lineageCounts": LINEAGE_COUNTS,
    "lineageDiff": LINEAGE_DIFF,
    "lineageText": LINEAGE_TEXT,
    "now": NOW,
    "paths": PATHS,
    "search": SEARCH,
    "toolExecutionPlan": TOOL_EXECUTION_PLAN,
    **WEBHOOK_FIELDS,
}
"""The root fields beside those of the catalogue, by GraphQL name."""
