"""Faults of one line, seeded into a source text.

Laws: a fault changes one line and no other line's number; the same text gives
the same faults in the same order; what does not compile is no fault. The kinds
are those of mutation testing (R. A. DeMillo, R. J. Lipton, F. G. Sayward, IEEE
Computer 11, 1978): another operator, another constant, another variable, a
negated condition, a guard that no longer raises, a result that is missing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

COMPARED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "in": "not in"}
CALCULATED = {"+": "-", "-": "+", "*": "//", "//": "*", "/": "*", "%": "//"}


@dataclass(frozen=True)
class Fault:
    """One changed line.

    Attributes:
        line: its number.
        kind: what was changed.
        before, after: the line's text.
    """

    line: int
    kind: str
    before: str
    after: str


def faults(text: str) -> list[Fault]:
    """Every fault that can be seeded into the function bodies of a text, in the order of the lines."""
    tree = ast.parse(text)
    lines = text.split("\n")
    found: dict[tuple[int, str], Fault] = {}
    for function in ast.walk(tree):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        names = sorted({arg.arg for arg in function.args.args} - {"self"})
        for statement in function.body:
            for node in ast.walk(statement):
                for kind, line, start, end, new in _edits(node, lines, names):
                    before = lines[line - 1]
                    after = before[:start] + new + before[end:]
                    if after != before and _compiles(lines, line, after):
                        found.setdefault((line, after), Fault(line, kind, before, after))
    return sorted(found.values(), key=lambda fault: (fault.line, fault.kind, fault.after))


def seeded(text: str, fault: Fault) -> str:
    """The text with the fault in it."""
    lines = text.split("\n")
    assert lines[fault.line - 1] == fault.before
    lines[fault.line - 1] = fault.after
    return "\n".join(lines)


def _compiles(lines: list[str], line: int, after: str) -> bool:
    try:
        compile("\n".join([*lines[: line - 1], after, *lines[line:]]), "fault", "exec")
    except SyntaxError:
        return False
    return True


def _edits(node: ast.AST, lines: list[str], names: list[str]) -> Iterator[tuple[str, int, int, int, str]]:
    """(kind, line, column from, column to, new text); texts here are ASCII, so columns are characters."""
    if isinstance(node, (ast.If, ast.While, ast.IfExp)) and not isinstance(node.test, ast.UnaryOp):
        test = node.test
        if test.lineno == test.end_lineno:
            start, end = test.col_offset, test.end_col_offset or 0
            yield "negation", test.lineno, start, end, f"not ({lines[test.lineno - 1][start:end]})"
    if not isinstance(node, (ast.expr, ast.stmt)) or node.lineno != node.end_lineno:
        return
    line, start, end = node.lineno, node.col_offset, node.end_col_offset or 0
    text = lines[line - 1]
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield from _operator("comparison", node.left, node.comparators[0], text, COMPARED)
    elif isinstance(node, ast.BinOp):
        yield from _operator("arithmetic", node.left, node.right, text, CALCULATED)
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield "constant", line, start, end, str(node.value + 1)
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        key = node.slice
        if isinstance(key.value, str) and key.end_col_offset is not None:
            yield "key", line, key.col_offset, key.end_col_offset, repr(key.value + "_id")
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "negation", line, start, end, text[node.operand.col_offset : node.operand.end_col_offset]
    elif isinstance(node, ast.Raise):
        yield "guard", line, start, end, "pass"
    elif isinstance(node, ast.Return) and node.value is not None:
        yield "result", line, start, end, "return None"
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        other = names[(names.index(node.id) + 1) % len(names)]
        yield "variable", line, start, end, other


def _operator(
    kind: str, left: ast.expr, right: ast.expr, text: str, others: dict[str, str]
) -> Iterator[tuple[str, int, int, int, str]]:
    if left.end_lineno != right.lineno:
        return
    start, end = left.end_col_offset or 0, right.col_offset
    between = text[start:end]
    if between.strip() in others:
        yield kind, right.lineno, start, end, between.replace(between.strip(), others[between.strip()])
