"""The lineage and the record of changes as events of OpenLineage.

`mapping` says which rows are runs and which are datasets, `events` writes events, `export` reads them from the graph as
any client does.
"""
