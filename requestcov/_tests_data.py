"""A test-suite's coverage.py data file: which lines the tests ran, and which tests.

Laws: read through coverage.py's public CoverageData alone, never written; files are
matched to the store's names by their ends, and only where there is no other that fits.
"""

from __future__ import annotations

import ast
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from requestcov._source import Source
from requestcov.errors import RequestcovError

if TYPE_CHECKING:
    from coverage import CoverageData


class DataError(RequestcovError):
    """A data file cannot be read; the message says why."""


@dataclass(frozen=True)
class TestsData:
    """The data file, its files by the store's names.

    Attributes:
        name: as it was given.
        files: the store's path -> the data's file name.
        unmatched: files of the data that no path of the store is the end of, sorted.
        ambiguous: paths of the store that are the end of several, or whose file several are the end of.
        contexts: whether the tests' names were kept.
    """

    __test__ = False  # Not for pytest to collect.

    name: str
    files: Mapping[str, str]
    unmatched: tuple[str, ...]
    ambiguous: tuple[str, ...]
    contexts: bool
    _data: CoverageData = field(repr=False)
    _contexts: dict[str, Mapping[int, Collection[str]]] = field(default_factory=dict, repr=False)

    def lines(self, path: str) -> frozenset[int]:
        """The lines of a file of the store that the tests ran; those as recorded."""
        return frozenset(self._data.lines(self.files[path]) or ())

    def tests(self, path: str, lines: Collection[int]) -> frozenset[str]:
        """The names of the tests that ran any of these lines."""
        if path not in self._contexts:
            self._contexts[path] = self._data.contexts_by_lineno(self.files[path])
        by_line = self._contexts[path]
        return frozenset(name for line in lines for name in by_line.get(line, ()) if name)


def read_tests(
    name: str, paths: Collection[str], also: Callable[[str], bool] = lambda file: False
) -> TestsData:
    """Read a data file.

    Args:
        name: of the file.
        paths: of the store's files, with ``/``.
        also: whether a file of the data that no path is the end of is to be taken all the same,
            by its name relative to the working directory.

    Raises:
        DataError: it is missing, or not coverage.py's.
    """
    # Here, for who asks about tests only when told to, and coverage.py is a good part of a short command.
    from coverage import CoverageData
    from coverage.exceptions import CoverageException

    if not os.path.isfile(name):
        raise DataError(f"there is no data file {name!r}: name the one that coverage run wrote.")
    data = CoverageData(basename=os.path.abspath(name))
    try:
        data.read()
        measured = sorted(data.measured_files())
        contexts = any(data.measured_contexts())
    except CoverageException as wrong:
        data.close(force=True)  # it leaves one open that is no database
        raise DataError(f"the data file {name!r} cannot be read: {wrong}.") from wrong
    fits: dict[str, list[str]] = defaultdict(list)
    unmatched = []
    ambiguous = set()
    known = set(paths)
    for file in measured:
        parts = file.replace("\\", "/").split("/")
        ends = ["/".join(parts[at:]) for at in range(len(parts))]
        mine = [end for end in ends if end in known]
        if not mine and also(file):
            fits[_here(file)].append(file)
        elif not mine:
            unmatched.append(file)
        elif len(mine) > 1 and (chosen := _here(file)) in mine:
            fits[chosen].append(file)
        elif len(mine) > 1:
            ambiguous.update(mine)
        else:
            fits[mine[0]].append(file)
    files = {}
    for path, several in fits.items():
        own = [file for file in several if _here(file) == path] or several
        if len(own) == 1 and path not in ambiguous:
            files[path] = own[0]
        else:
            ambiguous.add(path)
    return TestsData(name, files, tuple(unmatched), tuple(sorted(ambiguous)), contexts, data)


def fits(source: Source, lines: Collection[int]) -> bool:
    """Whether lines that ran can be of this text: a data file does not say which text it was.

    Nothing runs on a blank line, on a comment, or below the end.
    """
    return all(
        1 <= line <= len(source.lines) and source.lines[line - 1].strip() and
        (not source.lines[line - 1].lstrip().startswith("#") or line in source.first)
        for line in lines
    )  # fmt: skip


def strays(source: Source, lines: Collection[int]) -> frozenset[int]:
    """Those of the lines that no code of this text is on; a hint that another text ran.

    Code is on the lines of a statement, and on every line on which a part of one begins. The docstring of
    a function is none.
    """
    try:
        tree = ast.parse("\n".join(source.lines))
    except (SyntaxError, ValueError, RecursionError):
        return frozenset()
    known = {*source.executable, *source.first}
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node, clean=False):
            docstrings |= set(ast.walk(node.body[0]))
        if node not in docstrings and isinstance(line := getattr(node, "lineno", None), int):
            known.add(line)
    return frozenset(lines) - known


def _here(file: str) -> str:
    """A file's name relative to the working directory, which is the project's root."""
    return os.path.relpath(file).replace(os.sep, "/")


def is_test(path: str) -> bool:
    """Whether a file is of the tests themselves, by the names that pytest and unittest look for."""
    *folders, name = path.split("/")
    return (
        not {"test", "tests"}.isdisjoint(folders)
        or name == "conftest.py"
        or name.startswith("test_")
        or name.endswith("_test.py")
    )
