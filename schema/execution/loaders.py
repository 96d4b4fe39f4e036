"""Executor 1, the reference: one generic loader per kind of field, one statement per relation field and level.

A loader belongs to one place of the operation (response path without list indices), so all parents there are answered
by one statement, whatever their number. Rows are tuples of wire values, and become dicts.
"""

from __future__ import annotations

from schema.execution.connection_loaders import ConnectionLoaders
from schema.execution.row_loaders import RowLoaders


class Loaders(ConnectionLoaders, RowLoaders):
    """The loaders of one request."""
