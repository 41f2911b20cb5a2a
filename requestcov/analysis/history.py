"""Which function is which, from one version of the code to another.

Laws: a function is known by its code, never by its line numbers. The same file, qualified name
and body text is the same function wherever it stands. A body that stood under one other name or
in one other file, and stands there no more, has moved, unless there are several to choose
from; a body of a single statement says too little, and has moved only if it kept its name.
Everything else is a new function, with a new history.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from textwrap import dedent

from requestcov._source import Function, Source
from requestcov.analysis.evidence import Version

Spot = tuple[str, int]
"""(path, line) in the current code."""

_Identity = tuple[str, str, str, int]
"""(path, qualified name, body text, which of several such)."""


@dataclass(frozen=True)
class Past:
    """Where a function of the current code stood in a version that was recorded."""

    path: str
    digest: str
    function: Function


class History:
    """The functions of the current code, with where each was in the recorded versions."""

    def __init__(self, current: Mapping[str, Source], versions: Iterable[Source]) -> None:
        """Match them.

        Args:
            current: path -> what the file says now; in none of these a file is gone.
            versions: every version that was recorded and whose text is at hand.
        """
        self.current = current
        self._places: dict[Version, dict[int, Spot]] = {}
        self._sources = {(source.path, source.digest): source for source in versions}
        now: dict[_Identity, Function] = {}
        for source in current.values():
            now.update(_identities(source))
        pasts: defaultdict[_Identity, list[Past]] = defaultdict(list)
        for source in self._sources.values():
            for identity, function in _identities(source).items():
                pasts[identity].append(Past(source.path, source.digest, function))
        moved = _moved(now, [identity for identity in pasts if identity not in now])
        self._pasts: dict[tuple[str, int, int], tuple[Past, ...]] = {}
        for identity, function in now.items():
            found = [*pasts.get(identity, ()), *pasts.get(moved.get(identity, identity), ())]
            unique = tuple(dict.fromkeys(found))
            self._pasts[identity[0], function.line, function.start] = unique
            for past in unique:
                self._place(past, identity[0], function)

    def past(self, path: str, function: Function) -> tuple[Past, ...]:
        """The recorded versions that held this function of the current code, and where."""
        return self._pasts.get((path, function.line, function.start), ())

    def placed(self, path: str, digest: str, lines: Iterable[int]) -> frozenset[Spot]:
        """Body lines recorded in a version -> statements of the current code; the rest is left out."""
        source, places = self._sources.get((path, digest)), self._places.get((path, digest))
        if source is None or places is None:
            return frozenset()
        first = source.first
        return frozenset(places[at] for line in lines if (at := first.get(line, line)) in places)

    def _place(self, past: Past, path: str, function: Function) -> None:
        shift = function.start - past.function.start
        places = self._places.setdefault((past.path, past.digest), {})
        for line in past.function.body:
            if line + shift in function.body:
                places[line] = path, line + shift


def _identities(source: Source) -> dict[_Identity, Function]:
    found: dict[_Identity, Function] = {}
    several: Counter[tuple[str, str]] = Counter()
    for function in source.functions:
        key = function.name, function.text
        found[source.path, function.name, function.text, several[key]] = function
        several[key] += 1
    return found


def _moved(now: Mapping[_Identity, Function], vanished: Iterable[_Identity]) -> dict[_Identity, _Identity]:
    """Identity in the current code -> the one it had elsewhere."""
    before: defaultdict[str, list[_Identity]] = defaultdict(list)
    for identity in vanished:
        before[dedent(identity[2])].append(identity)
    if not before:
        return {}
    after: defaultdict[str, list[_Identity]] = defaultdict(list)
    for identity in now:
        after[dedent(identity[2])].append(identity)
    return {
        after[text][0]: olds[0]
        for text, olds in before.items()
        if len(olds) == len(after.get(text, ())) == 1
        and (len(now[after[text][0]].body) > 1 or _last(olds[0]) == _last(after[text][0]))
    }


def _last(identity: _Identity) -> str:
    return identity[1].rpartition(".")[2]
