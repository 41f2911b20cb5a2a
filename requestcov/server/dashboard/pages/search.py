"""Everything that has a name: endpoints, files, functions, and a line by FILE:LINE.

Laws: a name is found by all of its words, in any case; what fits as a whole
stands first; how many more there are is told. A line is found by the end of its
file's name, and by a traceback's line as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from requestcov.analysis.evidence import Selection
from requestcov.server.dashboard.answers import Question
from requestcov.server.dashboard.desk import Desk
from requestcov.server.dashboard.filters import text
from requestcov.server.dashboard.tables import matching
from requestcov.server.dashboard.view import View

FIELDS = (text("q"),)

MOST = 20
"""Of each kind that are shown."""

T = TypeVar("T")

_LINE = re.compile(r"(?P<file>[^:]+):(?P<line>[0-9]{1,9})(:[0-9]*)?")
_TRACEBACK = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>[0-9]{1,9})')


@dataclass(frozen=True)
class Function:
    """A function of a file's newest version, and the line of its ``def``."""

    path: str
    name: str
    line: int


@dataclass(frozen=True)
class Some(Generic[T]):
    """The first that were found; ``more`` are left out."""

    found: Sequence[T]
    more: int


def functions_of(selection: Selection) -> Question[tuple[Function, ...]]:
    """Every function of the files that requests ran."""

    def compute(desk: Desk) -> tuple[Function, ...]:
        evidence = desk.evidence(selection)
        found = []
        for path, digest in sorted(evidence.newest.items()):
            source = evidence.source(path, digest)
            for function in source.functions if source is not None else ():
                found.append(Function(path, function.name, function.line))
        return tuple(found)

    return Question("functions", selection, compute)


def page(view: View) -> Mapping[str, object]:
    """What the template is filled with."""
    asked = view.filters.text("q")
    view.evidence()
    names = view.names
    functions = view.may(functions_of(view.selection))
    if asked is None:
        counts = (len(names.endpoints), len(names.paths), None if functions is None else len(functions))
        return {"asked": None, "counts": counts}
    return {
        "asked": asked,
        "lines": _some(lines(asked, names.paths)),
        "endpoints": _best(names.endpoints, asked, lambda name: name, lambda name: name.partition(" ")[2]),
        "files": _best(names.paths, asked, lambda path: path, lambda path: path.rpartition("/")[2]),
        "functions": None
        if functions is None
        else _best(functions, asked, lambda one: f"{one.path} {one.name}", lambda one: one.name),
    }


def lines(asked: str, paths: Iterable[str]) -> list[tuple[str, int]]:
    """The lines that ``FILE:LINE``, or a line of a traceback, may mean."""
    match = _TRACEBACK.search(asked) or _LINE.fullmatch(asked)
    if match is None or int(match["line"]) < 1:
        return []
    file = match["file"].strip().removeprefix("./").replace("\\", "/")
    fits: Sequence[Callable[[str], bool]] = (
        lambda path: path == file,
        lambda path: path.endswith("/" + file) or file.endswith("/" + path),
        lambda path: file.casefold() in path.casefold(),
    )
    known = sorted(paths)
    for fit in fits:
        found = [path for path in known if fit(path)]
        if found:
            return [(path, int(match["line"])) for path in found]
    return []


def _best(
    names: Iterable[T], asked: str, searched: Callable[[T], str], called: Callable[[T], str]
) -> Some[T]:
    """Those that are called so first, then those whose name begins so or ends so, then all others."""
    low = asked.casefold()

    def rank(one: T) -> tuple[int, int]:
        name = called(one).casefold()
        last = re.split(r"[./]", name)[-1]
        order = (name == low or last == low, name.startswith(low) or last.startswith(low), low in name)
        return order.index(True) if True in order else len(order), len(name)

    return _some(sorted(matching(names, asked, searched), key=rank))


def _some(found: Sequence[T]) -> Some[T]:
    return Some(found[:MOST], max(0, len(found) - MOST))
