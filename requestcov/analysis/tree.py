"""The measured files of a working tree, whether or not a request ever ran them.

Laws: read-only, nothing is imported; the scope alone decides what is measured. Hidden
directories and virtual environments are not entered unless they are a source themselves.
A file is parsed when it is first looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from requestcov._source import Source, digest_of, parse
from requestcov._source_cache import SourceCache
from requestcov.analysis.evidence import read_file
from requestcov.scope import Scope


class Tree(Mapping[str, Source]):
    """Path, as in records -> what the file says now."""

    def __init__(self, contents: Mapping[str, bytes], exclude_lines: Sequence[str]) -> None:
        """Nothing is parsed yet.

        Args:
            contents: of the files, by path.
            exclude_lines: coverage.py's exclusions, as regular expressions.
        """
        self._contents = contents
        self._exclude_lines = exclude_lines
        self._cache = SourceCache()
        self._parsed: dict[str, Source] = {}

    def __getitem__(self, path: str) -> Source:
        if path not in self._parsed:
            content = self._contents[path]
            self._parsed[path] = parse(path, digest_of(content), content, self._exclude_lines, self._cache)
        return self._parsed[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._contents)

    def __len__(self) -> int:
        return len(self._contents)


def walk(scope: Scope) -> Tree:
    """The files that the scope measures; unreadable ones are left out."""
    found: dict[str, bytes] = {}
    for name in sorted({name for source in scope.sources for name in _files(source)}):
        if not scope.measures(name):
            continue
        content = read_file(name)
        if content is not None:
            found.setdefault(scope.path(name), content)
    return Tree(found, scope.settings.exclude_lines)


def _files(source: str) -> list[str]:
    if os.path.isfile(source):
        return [source]
    found = []
    for directory, inner, names in os.walk(source):
        inner[:] = [
            name
            for name in inner
            if name[0] != "." and not os.path.exists(os.path.join(directory, name, "pyvenv.cfg"))
        ]
        found += [os.path.join(directory, name) for name in names]
    return found
