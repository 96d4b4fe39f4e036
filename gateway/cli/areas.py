"""Command groups: the parser of each group, and the type of a command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Protocol

from gateway.settings import Settings


class Areas(Protocol):
    """What ``add_subparsers`` of argparse returns."""

    def add_parser(self, name: str, *, help: str) -> argparse.ArgumentParser:  # noqa: A002 - argparse's name
        """Adds the parser of a command or of a group of commands."""


Command = Callable[[argparse.Namespace, Settings], int]
"""Runs a command with its arguments; returns its exit status."""
