"""The graph: types, the execution of queries, and changes. Independent of HTTP."""
