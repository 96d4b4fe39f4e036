"""Search for names of the graph: synonyms, suggestions for unknown names, fields that match a question.

It depends on the catalogue and graphql-core's schema, not on requests or transports.
"""
