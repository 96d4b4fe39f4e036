"""The graph: what is asked, how it is answered, and what it may change. Knows the database, and nothing of HTTP."""
