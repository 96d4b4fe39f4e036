"""Changes of state: mutations as data, the engine that locks, checks, writes and records, and effects.

Uses the catalogue, the SQL of rows, scopes and the GraphQL types; the lifecycles in `db.models` declare what it
executes.
"""
