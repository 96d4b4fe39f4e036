"""The parts of a module in which a fault says nothing, or makes no program.

Annotations are never evaluated, or say nothing where they are; so do docstrings and imports, and what only makes code
faster or neater (caches, ``frozen``). Types that are written as expressions (aliases, arguments of generic types) are
evaluated, and with another operator fail where they stand: the module would never be imported, whatever is tested.
"""

from __future__ import annotations

import ast

_GENERIC = {"dict", "frozenset", "list", "set", "tuple", "type"}


def starts(source: str) -> list[int]:
    """The offset of each line, and of the end."""
    found = [0]
    for line in source.split("\n"):
        found.append(found[-1] + len(line) + 1)
    return found


def quiet(source: str) -> list[tuple[int, int]]:
    """Those parts by their start and end, in characters."""
    begins = starts(source)
    lines = source.split("\n")

    def offset(line: int, column: int) -> int:  # ast counts bytes
        return begins[line - 1] + len(lines[line - 1].encode()[:column].decode())

    found = []
    for node in ast.walk(ast.parse(source)):
        for part in _silent(node):
            assert part.end_lineno is not None
            assert part.end_col_offset is not None
            found.append((offset(part.lineno, part.col_offset), offset(part.end_lineno, part.end_col_offset)))
    return found


def _silent(node: ast.AST) -> list[ast.expr | ast.stmt]:
    """What of a node is an annotation, an import, a docstring, or there for speed or neatness alone."""
    found: list[ast.expr | ast.stmt] = []
    match node:
        case ast.arg(annotation=ast.expr() as annotation) | ast.AnnAssign(annotation=annotation):
            found = [annotation]
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()) | ast.Assert() | ast.JoinedStr():
            found = [node]  # of an f-string, Cosmic Ray sees the numbers of formats
        case ast.keyword(arg="strict" | "frozen" | "slots", value=value):
            found = [value]
        case ast.ClassDef():
            found = [*node.decorator_list]
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            found = [*node.decorator_list, *([node.returns] if node.returns else [])]
        case ast.expr() | ast.Assign():
            found = _types(node)
    return found


def _types(node: ast.expr | ast.Assign) -> list[ast.expr | ast.stmt]:
    """The types of an expression or an alias."""
    found: list[ast.expr | ast.stmt] = []
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.BinOp(op=ast.BitOr()) as union) if _alias(name, union):
            found = [union]
        case (
            ast.Call(func=ast.Name(id="cast"), args=[type_, _])
            | ast.Call(func=ast.Name(id="isinstance"), args=[_, type_])
        ):
            found = [type_]
        case ast.BinOp(op=ast.BitOr()) if _with_none(node):
            found = [node]
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[type_, *_])):
            found = [type_]
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=of) if _generic(name):
            found = [of]
    return found


def _alias(name: str, union: ast.BinOp) -> bool:
    """Whether an assignment names a union of types."""
    return name[0].isupper() and not name.isupper() and set(ast.unparse(union)).isdisjoint("({")


def _with_none(union: ast.expr) -> bool:
    """Whether None is a member of a union: nothing else can be joined with it."""
    match union:
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return _with_none(left) or _with_none(right)
    return isinstance(union, ast.Constant) and union.value is None


def _generic(name: str) -> bool:
    """Whether a name is that of a type with arguments, and not of a table or a list."""
    return name in _GENERIC or (name != "Annotated" and name[0].isupper() and not name.isupper())
