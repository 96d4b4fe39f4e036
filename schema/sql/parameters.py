"""Parameters: values that a compiled statement leaves open, and each request binds.

Code that makes SQL of arguments applies its functions by `applied`, and so serves both executors: to the loaders values
are values, to the compiler those that came from variables are places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Variables = Mapping[str, Any]
"""Coerced variables by name."""


@dataclass(frozen=True, eq=False)
class Parameter:
    """Where a value will stand: how it is read from the variables of a request.

    ``name`` tells places of one operation apart: ``where.auc.gt`` is that value in the variable ``$where``.
    """

    name: str
    read: Callable[[Variables], Any]

    def then(self, function: Callable[[Any], Any]) -> Parameter:
        """The place of what a function makes of the value."""
        read = self.read
        return Parameter(self.name, lambda variables: function(read(variables)))


def applied(function: Callable[[Any], Any], value: Any) -> Any:
    """What a function makes of a value, now or once it is known."""
    if isinstance(value, Parameter):
        return value.then(function)
    if _holds_places(value):  # a list of the document with a variable among its items
        return Parameter(_name(value), lambda variables: function(filled(value, variables)))
    return function(value)


def filled(value: Any, variables: Variables) -> Any:
    """The value with what stands in its places."""
    match value:
        case Parameter():
            return value.read(variables)
        case list():
            return [filled(item, variables) for item in value]
        case dict():
            return {key: filled(item, variables) for key, item in value.items()}
        case _:
            return value


def _holds_places(value: Any) -> bool:
    if isinstance(value, list | dict):
        return any(
            isinstance(item, Parameter) or _holds_places(item)
            for item in (value if isinstance(value, list) else value.values())
        )
    return False


def _name(value: Any) -> str:
    match value:
        case Parameter():
            return f"${value.name}"
        case list():
            return f"[{','.join(_name(item) for item in value)}]"
        case dict():
            return f"{{{','.join(f'{key}:{_name(item)}' for key, item in value.items())}}}"
        case _:
            return repr(value)
