"""The graph: queries, their execution, and changes. Knows the database, and nothing of HTTP."""
