"""Executor 1, the reference: one generic batch per kind of question, one statement per relation field and level.

A loader belongs to one place of the query (response path, list indices aside), so all parents that meet there are
answered by one statement, whatever their number. Rows come as tuples of wire values and become plain dicts.
"""

from __future__ import annotations

from schema.execution.connection_loaders import ConnectionLoaders
from schema.execution.row_loaders import RowLoaders


class Loaders(ConnectionLoaders, RowLoaders):
    """The loaders of one request."""
