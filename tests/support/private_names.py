"""Finds what the project takes from libraries that they have not made public: private names, and patches of theirs.

By the source of each module: attributes with a leading underscore of anything but the class's own instance, imports of
private modules and names, the same spelled as strings, and assignments to attributes of what a library exports. And by
the classes themselves: names of a class of ours, or of its instances, that a library's base has for private.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

OURS = {"gateway", "schema", "db"}
PRIVATE = re.compile(r"_(?!_)\w+")
DOTTED = re.compile(r"(\w+)(?:\.\w+)*\._(?!_)\w+")
REACHING = {
    "getattr", "setattr", "hasattr", "delattr", "attrgetter", "methodcaller", "getattr_static", "__getattribute__",
}  # fmt: skip
IMPORTING = {"import_module", "__import__"}
READING = {"get", "pop", "setdefault"}
OWN = {"self", "cls"}

DOCUMENTED = {"_asdict", "_fields", "_make", "_mapping", "_replace", "_value_"}
"""Public in spite of their names: what named tuples and the rows of SQLAlchemy offer, and the values of enums."""
HOOKS = {
    "logging.logMultiprocessing", "logging.logProcesses", "logging.logThreads", "sys.excepthook", "sys.unraisablehook",
    "threading.excepthook", "warnings.showwarning",
}  # fmt: skip
"""What Python's documentation says is there to be replaced."""
INTERNAL = (
    "graphql.execution.collect_fields", "graphql.execution.get_variable_signature", "sqlalchemy.connectors",
    "sqlalchemy.dialects.postgresql.asyncpg", "sqlalchemy.util", "uvicorn.protocols", "strawberry.schema.schema",
)  # fmt: skip
"""Modules that their libraries neither document nor export, though their names do not say so."""

Finding = tuple[int, str]


def in_source(source: str) -> list[Finding]:
    """Lines and what is wrong there, by the text of a module."""
    return in_nodes(tuple(ast.walk(ast.parse(source))))


def in_nodes(nodes: Sequence[ast.AST]) -> list[Finding]:
    """The same, by all nodes of a module."""
    return sorted({*_attributes(nodes), *_imports(nodes), *_strings(nodes), *_patches(nodes)})


def in_classes(module: str) -> list[Finding]:
    """The same, by the classes that a module defines on a library's."""
    found: set[Finding] = set()
    for cls in vars(importlib.import_module(module)).values():
        if not isinstance(cls, type) or cls.__module__ != module:
            continue
        bases = [base for base in cls.__mro__ if base is not cls and not _is_ours(base) and _is_library(base)]
        theirs = {name: base for base in bases for name in _private_of(base)}
        if not theirs:
            continue
        tree, first = _tree_of(cls)
        for node in ast.walk(tree):
            if (name := _own_name(node)) in theirs and name is not None:
                base = theirs[name]
                line = first + getattr(node, "lineno", 1) - 1
                found.add((line, f"{cls.__name__}.{name} is private to {base.__module__}.{base.__qualname__}"))
    return sorted(found)


def _attributes(nodes: Sequence[ast.AST]) -> Iterator[Finding]:
    for node in nodes:
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and not _is_own(node.value):
            yield node.lineno, f"{ast.unparse(node)} is private"


def _imports(nodes: Sequence[ast.AST]) -> Iterator[Finding]:
    for node in nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            top, *parts = name.split(".")
            if top not in OURS and any(map(_is_private, (top, *parts))):
                yield node.lineno, f"{name} is private"
            elif f"{name}.".startswith(tuple(f"{one}." for one in INTERNAL)):
                yield node.lineno, f"{name} is internal"


def _strings(nodes: Sequence[ast.AST]) -> Iterator[Finding]:
    """Private names that are spelled as strings: arguments of getattr and its like, keys of vars, dotted paths."""
    libraries = set(_imported(nodes).values())
    named = _strings_by_name(nodes)
    for node in nodes:
        if isinstance(node, ast.Call):
            yield from _calls(node, named)
        elif isinstance(node, ast.Subscript) and _is_namespace(node.value) and _spells_private(node.slice, named):
            yield node.lineno, f"{ast.unparse(node)} reaches for a private name"
        elif isinstance(node, ast.MatchClass) and any(map(_is_private, node.kwd_attrs)):
            yield node.cls.lineno, f"{ast.unparse(node)} reaches for a private name"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            path = DOTTED.fullmatch(node.value)
            if path and path[1] in libraries - OURS:
                yield node.lineno, f"{node.value} is private"


def _calls(node: ast.Call, named: dict[str, str]) -> Iterator[Finding]:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    names = []
    if called in REACHING and not (node.args and _is_own(node.args[0])):
        names = node.args
    elif called in READING and isinstance(node.func, ast.Attribute) and _is_namespace(node.func.value):
        names = node.args[:1]
    if any(_spells_private(one, named) for one in names):
        yield node.lineno, f"{ast.unparse(node)} reaches for a private name"
    if called in IMPORTING and node.args and _spells_private_module(node.args[0], named):
        yield node.lineno, f"{ast.unparse(node)} is private"


def _strings_by_name(nodes: Sequence[ast.AST]) -> dict[str, str]:
    """The constants of a module that are strings, by the names that they are bound to."""
    return {
        target.id: node.value.value
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _spells_private(node: ast.expr, named: dict[str, str]) -> bool:
    """Whether a string is a private name, or begins as one where it is put together."""
    match node:
        case ast.Constant():
            return _is_private(str(node.value))
        case ast.Name():
            return _is_private(named.get(node.id, ""))
        case ast.BinOp():
            return _begins_private(node.left)
        case ast.JoinedStr(values=[first, *_]):
            return _begins_private(first)
    return False


def _begins_private(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and bool(re.match(r"_(?!_)", str(node.value)))


def _spells_private_module(node: ast.expr, named: dict[str, str]) -> bool:
    name = str(node.value) if isinstance(node, ast.Constant) else named.get(getattr(node, "id", ""), "")
    top, *parts = name.split(".")
    return top not in OURS and any(map(_is_private, (top, *parts)))


def _is_namespace(node: ast.expr) -> bool:
    """Whether an expression is the attributes of something, by name."""
    if isinstance(node, ast.Attribute) and node.attr == "__dict__":
        return True
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"vars", "globals"}


def _patches(nodes: Sequence[ast.AST]) -> Iterator[Finding]:
    """Assignments to attributes of modules and classes that come from elsewhere."""
    foreign = {name for name, top in _imported(nodes).items() if top not in OURS}
    for node in nodes:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign | ast.Delete):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"setattr", "delattr"}:
            targets = [ast.Attribute(node.args[0], ast.unparse(node.args[1]))]
        for target in targets:
            if isinstance(target, ast.Attribute) and _root(target) in foreign and ast.unparse(target) not in HOOKS:
                yield getattr(node, "lineno", 1), f"{ast.unparse(target)} is patched"


def _imported(nodes: Sequence[ast.AST]) -> dict[str, str]:
    """The names that a module's imports bind, with the top-level packages that they come from."""
    names: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {(alias.asname or alias.name).split(".")[0]: alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {alias.asname or alias.name: node.module.split(".")[0] for alias in node.names}
    return names


def _is_private(name: str) -> bool:
    return bool(PRIVATE.fullmatch(name)) and name not in DOCUMENTED


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _is_own(node: ast.expr) -> bool:
    is_super = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"
    return is_super or (isinstance(node, ast.Name) and node.id in OWN)


def _own_name(node: ast.AST) -> str | None:
    """The private name that a node of a class gives to it, or uses of it."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        name = node.name
    elif isinstance(node, ast.Attribute) and _is_own(node.value):
        name = node.attr
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        name = node.id
    else:
        return None
    return name if _is_private(name) else None


def _is_ours(cls: type) -> bool:
    return cls.__module__.split(".")[0] in OURS


def _is_library(cls: type) -> bool:
    """Whether a class comes from an installed package; Python's own are documented as they are, and all but fixed."""
    try:
        return "site-packages" in inspect.getfile(cls)
    except (TypeError, OSError):  # compiled, or built in
        return False


def _tree_of(cls: type) -> tuple[ast.AST, int]:
    try:
        lines, first = inspect.getsourcelines(cls)
    except (OSError, TypeError):  # made at run time
        return ast.Module([], []), 1
    return ast.parse(textwrap.dedent("".join(lines))), first


@cache
def _private_of(base: type) -> frozenset[str]:
    """The private names of a library's class, those of its instances included."""
    named = {name for name in vars(base) if _is_private(name)}
    own = (_own_name(node) for node in ast.walk(_tree_of(base)[0]))
    return frozenset(named | {name for name in own if name})


def module_of(path: Path, root: Path) -> str:
    """A file's module, by its dotted name."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
