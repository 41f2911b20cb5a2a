"""The package under test as text: which modules there are, and what each imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

SPEC = find_spec("requestcov")
assert SPEC is not None
assert SPEC.origin is not None
PACKAGE = Path(SPEC.origin).parent
ROOT = Path(__file__).parents[2]
"""The tree with the docs, the examples and this test; without the package under make test."""


def modules() -> dict[str, ast.Module]:
    """Dotted name to syntax tree, of every module of the installed package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_bytes(), str(path))
    return found


def imports(tree: ast.Module, known: set[str]) -> Iterator[str]:
    """Every name a module imports, inside functions too, but not what is only for type checkers.

    ``from a import b`` is ``a.b`` where that is a module in ``known``, else ``a``.
    """
    checked_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in checked_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in known else str(node.module)
