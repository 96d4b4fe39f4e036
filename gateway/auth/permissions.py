"""Read permissions, computed once for each set of scopes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from db.attach.facts import Facts
from schema.catalogue.records import Missing
from schema.scopes import read_scopes, withholding

CAPACITY = 256
"""Sets of scopes that are cached: more than a deployment has roles."""


@dataclass(eq=False)
class Access:
    """What each caller may not read, and the database's facts that the planner may use for it."""

    missing: Missing = field(default_factory=Missing)
    facts: Facts = field(default_factory=Facts)

    def __post_init__(self) -> None:
        self._missing: dict[frozenset[str], Missing] = {}
        self._facts: dict[Missing, Facts] = {}

    def learn(self, facts: Facts) -> None:
        """Replaces the facts about the database's size; permissions are unchanged."""
        self.facts = facts
        self._facts.clear()

    def of(self, scopes: frozenset[str]) -> Missing:
        """What a caller with these scopes may not read: one object for all callers that may read the same."""
        found = self._missing.get(scopes)
        if found is None:
            if len(self._missing) >= CAPACITY:
                self._missing.clear()
                self._facts.clear()
            reading = scopes & read_scopes()
            found = self._missing.get(reading) or withholding(self.missing, reading)
            self._missing[reading] = self._missing[scopes] = found
        return found

    def facts_of(self, missing: Missing) -> Facts:
        """The facts without the sizes of withheld tables, so that costs do not reveal them."""
        if not missing.withheld:
            return self.facts
        found = self._facts.get(missing)
        if found is None:
            withheld = missing.withheld
            rows = {name: 0 if name in withheld else count for name, count in self.facts.rows.items()}
            sizes = {name: size for name, size in self.facts.apart.items() if name not in withheld}
            pages = {name: count for name, count in self.facts.pages.items() if name not in withheld}
            found = self._facts[missing] = replace(
                self.facts,
                rows=rows,
                apart=sizes,
                pages=pages,
                widths=_readable(self.facts.widths, withheld),
                spreads=_readable(self.facts.spreads, withheld),
                frequencies=_readable(self.facts.frequencies, withheld),
                correlations=_readable(self.facts.correlations, withheld),
                shares=_readable(self.facts.shares, withheld),
            )
        return found


def _readable(of_columns: Mapping[str, Mapping[str, Any]], withheld: Collection[str]) -> dict[str, dict[str, Any]]:
    """What is known of columns, by table and column, without those of withheld tables and withheld ones of others."""
    return {
        table: {column: told for column, told in of.items() if f"{table}.{column}" not in withheld}
        for table, of in of_columns.items()
        if table not in withheld
    }
