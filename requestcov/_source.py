"""The functions of a source text, and which of its lines run at import.

Laws: everything is derived from the text alone, nothing is imported or run;
every executable line belongs to one function's body or to none. A line that
belongs to none (module level, class bodies, ``def`` lines, decorators,
default values, and the whole of a function written on one line) runs when the
module is imported, whatever requests do, and so says nothing about them.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from requestcov._decoding import decode_source
from requestcov._source_cache import SourceCache, key_of
from requestcov.record import Arc

if TYPE_CHECKING:
    from requestcov._coverage import Parsed


@dataclass(frozen=True)
class Function:
    """One ``def`` or ``async def``.

    Attributes:
        name: as ``__qualname__`` has it: ``Order.total``, ``outer.<locals>.inner``.
        line: of the ``def``.
        start, end: first and last line of the body, docstring included.
        body: executable lines of the body (of multi-line statements the first),
            without those of functions inside it.
        text: the body as written, to recognise it in another version of the file.
        branches: ways on from those body lines that have more than one, as coverage.py
            counts them; a way out of the function, or of a lambda or comprehension in it,
            ends in minus the line at which that begins.
    """

    name: str
    line: int
    start: int
    end: int
    body: frozenset[int]
    text: str = field(repr=False, compare=False)
    branches: frozenset[Arc] = field(default=frozenset(), repr=False)


@dataclass(frozen=True)
class Source:
    """One version of one file, understood.

    Attributes:
        path: relative to the project root.
        digest: hex BLAKE2b-128 of the file's bytes.
        lines: the text, a line each, without line ends.
        executable: numbers of executable lines, first lines of statements.
        functions: in the order of their ``def``.
        first: inner line of a multi-line statement -> its first line.
        problem: why the text could not be parsed, else None; then
            ``executable`` and ``functions`` are empty.
        other_branches: branches, as coverage.py counts them, that no function has: out of lines at
            module level, or into excluded ones.
    """

    path: str
    digest: str
    lines: tuple[str, ...] = field(repr=False)
    executable: frozenset[int] = field(default=frozenset(), repr=False)
    functions: tuple[Function, ...] = field(default=(), repr=False)
    first: Mapping[int, int] = field(default_factory=dict, repr=False)
    problem: str | None = None
    other_branches: frozenset[Arc] = field(default=frozenset(), repr=False)

    @cached_property
    def bodies(self) -> frozenset[int]:
        """Executable lines inside functions: what a request can be said to cover."""
        return frozenset().union(*(function.body for function in self.functions))

    @cached_property
    def placed(self) -> Mapping[int, int]:
        """Any line of a statement of function bodies -> the first of them."""
        bodies = self.bodies
        inner = {line: first for line, first in self.first.items() if first in bodies}
        return {**inner, **{line: line for line in bodies}}

    @cached_property
    def branches(self) -> frozenset[Arc]:
        """Those of all functions."""
        return frozenset().union(*(function.branches for function in self.functions))

    @cached_property
    def owner(self) -> Mapping[int, Function]:
        """Executable line -> the function whose body it belongs to."""
        return {line: function for function in self.functions for line in function.body}

    def statements(self, lines: Iterable[int]) -> frozenset[int]:
        """Lines as recorded -> first lines of the executable statements they belong to."""
        return frozenset(self.first.get(line, line) for line in lines) & self.executable


def digest_of(content: bytes) -> str:
    """The name of a file version: hex BLAKE2b of its bytes, 128 bits."""
    return blake2b(content, digest_size=16).hexdigest()


def parse(
    path: str,
    digest: str,
    content: bytes | str,
    exclude_lines: Sequence[str] = (),
    cache: SourceCache | None = None,
) -> Source:
    """Understand a file's content; never raises, a text beyond this Python has a ``problem``.

    Args:
        path, digest: what the result is to be called.
        content: the file's bytes, or already its text.
        exclude_lines: regular expressions; empty: coverage.py's default pragma.
        cache: where what was found in this text may stand already; None: nowhere.
    """
    text = decode_source(content, path) if isinstance(content, bytes) else content.removeprefix("\ufeff")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    # str.splitlines would also break at form feeds and U+2028, which Python does not count.
    lines = tuple(text.removesuffix("\n").split("\n")) if text else ()
    if cache is None:
        return _understand(path, digest, text, lines, exclude_lines)
    key = key_of(text.encode("utf-8", "surrogatepass"), *exclude_lines)
    name = path, digest, key
    known = _alive.get(name) or _remembered(path, digest, lines, cache.get(key))
    if known is None:
        known = _understand(path, digest, text, lines, exclude_lines)
        if not known.problem:
            cache.put(key, _memory_of(known))
    _alive[name] = known
    return known


# A text that was recorded is often the working tree's as well, and either asks by itself.
_alive: WeakValueDictionary[tuple[str, str, str], Source] = WeakValueDictionary()


def _memory_of(source: Source) -> dict[str, Any]:
    """All of a source that does not stand in its text."""
    return {
        "executable": sorted(source.executable),
        "first": sorted(source.first.items()),
        "functions": [
            [f.name, f.line, f.start, f.end, sorted(f.body), [n for arc in sorted(f.branches) for n in arc]]
            for f in source.functions
        ],
        "other": [n for arc in sorted(source.other_branches) for n in arc],
    }


def _remembered(path: str, digest: str, lines: tuple[str, ...], memory: Any) -> Source | None:
    """The source whose memory this is, or None when it is none."""
    try:
        return Source(
            path,
            digest,
            lines,
            _numbers(memory["executable"]),
            tuple(
                Function(
                    str(name),
                    int(line),
                    int(start),
                    int(end),
                    _numbers(body),
                    _text(lines, start, end),
                    _arcs(ways),
                )
                for name, line, start, end, body, ways in memory["functions"]
            ),
            _first(memory["first"]),
            other_branches=_arcs(memory["other"]),
        )
    except (TypeError, ValueError, LookupError, AttributeError):
        return None


def _numbers(found: Any) -> frozenset[int]:
    """A list of whole numbers as a set; what JSON may hold else is refused.

    Raises:
        TypeError: it is another thing.
    """
    numbers: frozenset[int] = frozenset(found)
    if not set(map(type, numbers)) <= {int}:
        raise TypeError("not whole numbers")
    return numbers


def _arcs(found: Any) -> frozenset[Arc]:
    """A flat list of pairs as a set of pairs; raises as :func:`_numbers`."""
    _numbers(found)
    return frozenset(zip(found[::2], found[1::2], strict=True))


def _first(found: Any) -> dict[int, int]:
    """Pairs as a mapping; raises as :func:`_numbers`."""
    pairs: dict[int, int] = dict(found)
    _numbers(pairs)
    _numbers(pairs.values())
    return pairs


def _text(lines: tuple[str, ...], start: int, end: int) -> str:
    return "\n".join(lines[start - 1 : end])


def _understand(
    path: str, digest: str, text: str, lines: tuple[str, ...], exclude_lines: Sequence[str]
) -> Source:
    # Here, for most texts are remembered, and coverage.py is a good part of a short command.
    from requestcov._coverage import parse as parse_source

    try:
        tree = ast.parse(text)
        parsed = parse_source(text, path, exclude_lines)
    except (SyntaxError, ValueError, RecursionError) as error:
        return Source(path, digest, lines, problem=f"this Python cannot parse it: {error}")
    functions = _functions(tree, lines, parsed)
    owned = frozenset[Arc]().union(*(function.branches for function in functions))
    return Source(
        path,
        digest,
        lines,
        parsed.statements,
        functions,
        parsed.multiline,
        other_branches=parsed.branches - owned,
    )


def carried(old: Source, new: Source) -> Mapping[int, int]:
    """Body lines of ``old`` -> the same lines in ``new``, of functions that did not change.

    A function did not change when its qualified name and the text of its body
    are equal; of several such (a property and its setter, a ``def`` in both
    arms of an ``if``) the first is the first.
    """
    if old.digest == new.digest:
        return {line: line for line in old.bodies}
    lines: dict[int, int] = {}
    for function, same in _unchanged(old, new):
        shift = same.start - function.start
        lines.update((line, line + shift) for line in function.body)
    return {old_line: line for old_line, line in lines.items() if line in new.bodies}


def carried_branches(old: Source, new: Source) -> Mapping[Arc, Arc]:
    """Branches of function bodies of ``old`` -> the same in ``new``, as :func:`carried` has their lines."""
    if old.digest == new.digest:
        return {arc: arc for arc in old.branches}
    arcs: dict[Arc, Arc] = {}
    for function, same in _unchanged(old, new):
        shift = same.start - function.start
        # The way out of the function ends above its body, in a head that may have changed.
        outs = [end for _, end in same.branches if end < 0 and -end < same.start]
        for begin, end in function.branches:
            if end > 0:
                arcs[begin, end] = (begin + shift, end + shift)
            elif -end >= function.start:
                arcs[begin, end] = (begin + shift, end - shift)
            elif outs:
                arcs[begin, end] = (begin + shift, outs[0])
    return {old_arc: arc for old_arc, arc in arcs.items() if arc in new.branches}


def _unchanged(old: Source, new: Source) -> Iterator[tuple[Function, Function]]:
    candidates: dict[tuple[str, str], list[Function]] = defaultdict(list)
    for function in reversed(new.functions):
        candidates[function.name, function.text].append(function)
    for function in old.functions:
        same = candidates[function.name, function.text]
        if same:
            yield function, same.pop()


def _functions(tree: ast.Module, lines: tuple[str, ...], parsed: Parsed) -> tuple[Function, ...]:
    found: list[Function] = []
    taken: set[int] = set()
    # Children are visited before the function that holds them, so the innermost takes a line.
    for node, name in reversed(definitions(tree)):
        start = min(_start(statement) for statement in node.body)
        end = max(statement.end_lineno or statement.lineno for statement in node.body)
        body = parsed.first_lines(range(start, end + 1)) & parsed.statements
        body -= taken | parsed.first_lines([node.lineno])
        taken |= body
        branches = frozenset(
            (line, way) for line, way in parsed.branches if line in body and way not in parsed.excluded
        )
        found.append(Function(name, node.lineno, start, end, body, _text(lines, start, end), branches))
    return tuple(reversed(found))


def definitions(tree: ast.Module) -> list[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    """Every function with its qualified name, outer before inner, in the order of the text."""
    found: list[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]] = []
    # A stack, not recursion: a chain of a thousand elifs is a thousand levels deep.
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        node, prefix = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append((node, prefix + node.name))
            prefix += f"{node.name}.<locals>."
        elif isinstance(node, ast.ClassDef):
            prefix += f"{node.name}."
        parts = [c for c in ast.iter_child_nodes(node) if isinstance(c, _HOLDS_STATEMENTS)]
        waiting.extend((part, prefix) for part in reversed(parts))
    return found


_HOLDS_STATEMENTS = (ast.stmt, ast.excepthandler, ast.match_case)


def _start(statement: ast.stmt) -> int:
    """The first line of a statement, decorators included."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])
