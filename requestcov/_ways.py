"""Where each line of a function's body can go next, by coverage.py's reading of the text.

Laws: derived from the text alone; remembered from one run of the command to the next,
as what parsing found is, and checked like any input.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from requestcov._source import Source
from requestcov._source_cache import SourceCache, key_of

Ways = Mapping[int, frozenset[int]]
"""First line of a statement -> those of the statements after it; a negative one is a way out."""


def ways(source: Source, cache: SourceCache) -> Ways:
    """Of the lines of function bodies; empty for a text that cannot be parsed."""
    if source.problem:
        return {}
    text = "\n".join(source.lines)
    key = key_of(text.encode("utf-8", "surrogatepass"), "ways")
    known = _remembered(cache.get(key))
    if known is None:
        # Here, for most are remembered, and coverage.py is a good part of a short command.
        from requestcov._coverage import arcs

        found: defaultdict[int, set[int]] = defaultdict(set)
        for line, after in arcs(text, source.path):
            if line in source.bodies:
                found[line].add(after)
        known = {line: frozenset(after) for line, after in found.items()}
        cache.put(key, [[line, sorted(after)] for line, after in sorted(known.items())])
    return known


def _remembered(entry: Any) -> Ways | None:
    try:
        found = {line: frozenset(after) for line, after in entry}
        numbers = set(found).union(*found.values())
        return found if {*map(type, numbers)} <= {int} else None
    except (TypeError, ValueError):
        return None
