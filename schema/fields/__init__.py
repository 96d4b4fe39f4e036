"""What no model can say: root fields with resolvers of their own, each one entry here."""

from __future__ import annotations

from schema.fields.lineage import LINEAGE
from schema.fields.root_field import RootField

FIELDS: dict[str, RootField] = {
    "lineage": LINEAGE,
}
"""The root fields beside those of the catalogue, by their GraphQL names."""
