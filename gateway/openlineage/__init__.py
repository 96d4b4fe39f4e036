"""The lineage and the record of changes as OpenLineage events.

`mapping` says which rows are runs and which are datasets, `events` writes events, `export` reads rows from the graph
like any client.
"""
