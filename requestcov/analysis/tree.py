"""The measured files of a working tree, whether or not a request ever ran them.

Laws: read-only, nothing is imported; the scope alone decides what is measured. Hidden
directories and virtual environments are not entered unless they are a source themselves.
"""

from __future__ import annotations

import os

from requestcov._source import Source, digest_of, parse
from requestcov._source_cache import SourceCache
from requestcov.analysis.evidence import read_file
from requestcov.scope import Scope


def walk(scope: Scope) -> dict[str, Source]:
    """Path, as in records -> what the file says now; unreadable files are left out."""
    cache = SourceCache()
    found: dict[str, Source] = {}
    for name in sorted({name for source in scope.sources for name in _files(source)}):
        if not scope.measures(name):
            continue
        content = read_file(name)
        path = scope.path(name)
        if content is not None and path not in found:
            found[path] = parse(path, digest_of(content), content, scope.settings.exclude_lines, cache)
    return found


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
