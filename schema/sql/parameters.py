"""Parameters: values that a compiled statement leaves open, and each request binds.

Code that makes SQL from arguments applies functions by `applied`, and so serves both executors: the loaders pass
values, the compiler passes parameters for values of variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Variables = Mapping[str, Any]
"""Coerced variables by name."""


@dataclass(frozen=True, eq=False)
class Parameter:
    """A value to be read from the variables of a request.

    ``name`` identifies it in its operation: ``where.auc.gt`` is that value in the variable ``$where``.
    """

    name: str
    read: Callable[[Variables], Any]

    def then(self, function: Callable[[Any], Any]) -> Parameter:
        """The parameter for the result of a function."""
        read = self.read
        return Parameter(self.name, lambda variables: function(read(variables)))


def applied(function: Callable[[Any], Any], value: Any) -> Any:
    """The result of a function for a value, now or once it is known."""
    if isinstance(value, Parameter):
        return value.then(function)
    if _holds_places(value):  # a literal list with a variable among its items
        return Parameter(_name(value), lambda variables: function(filled(value, variables)))
    return function(value)


def filled(value: Any, variables: Variables) -> Any:
    """The value with its parameters replaced."""
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
