"""The GraphQL fields of the lineage: `lineage`, `paths`, `impact`, `lineageDiff`, `lineageText`, `lineageCounts`."""
