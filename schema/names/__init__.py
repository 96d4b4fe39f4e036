"""Finding names of the graph by words: synonyms, suggestions for wrong names, fields for a question.

It reads the catalogue's facts and graphql-core's schema, and knows neither requests nor transports.
"""
