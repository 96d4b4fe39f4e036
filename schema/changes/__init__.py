"""Changes of state: mutations as data, the engine that locks, checks, changes and records, and effects.

Uses the catalogue, the SQL of rows, scopes and the GraphQL types; what it carries out is declared by the lifecycles of
`db.models`.
"""
