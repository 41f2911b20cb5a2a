"""Which function is which, from one version of the code to another.

Laws: a function is known by its code, never by its line numbers. The same file, qualified name
and body text is the same function wherever it stands. A body that stood under another name or
in another file, and stands there no more, has moved; where it stood in several such places, one
after the other, it has moved several times; but of several at the same time none is chosen. A body
of a single statement says too little, and has moved only if it kept its name. Everything else is a
new function, with a new history.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
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
    """The functions of the current code, with where each was in the recorded versions.

    Attributes:
        current: as given.
        vanished: whether a function of a recorded version stands no more in its file under its name.
    """

    def __init__(
        self,
        current: Mapping[str, Source],
        versions: Iterable[Source],
        spans: Mapping[Version, tuple[datetime, datetime]] | None = None,
    ) -> None:
        """Match them.

        Args:
            current: path -> what the file says now; in none of these a file is gone.
            versions: every version that was recorded and whose text is at hand.
            spans: the first and last day on which each ran, as Evidence.spans; without them what stood
                in several files is not known to have moved from one to the next.
        """
        self.current = current
        self._places: dict[Version, dict[int, Spot]] = {}
        self._sources = {(source.path, source.digest): source for source in versions}
        self._whole: dict[Version, Mapping[int, Spot]] = {}
        now: dict[_Identity, Function] = {}
        for source in current.values():
            now.update(_identities(source))
        pasts: defaultdict[_Identity, list[Past]] = defaultdict(list)
        for source in self._sources.values():
            for identity, function in _identities(source).items():
                pasts[identity].append(Past(source.path, source.digest, function))
        vanished = {
            identity: [(past.path, past.digest) for past in held]
            for identity, held in pasts.items()
            if identity not in now
        }
        self.vanished = bool(vanished)
        moved = _moved(now, vanished, spans or {})
        self._pasts: dict[tuple[str, int, int], tuple[Past, ...]] = {}
        for identity, function in now.items():
            unique = tuple(pasts.get(identity, ()))
            if identity in moved:
                places = (identity, *moved[identity])
                unique = tuple(dict.fromkeys(past for place in places for past in pasts.get(place, ())))
            self._pasts[identity[0], function.line, function.start] = unique
            for past in unique:
                self._place(past, identity[0], function)

    def past(self, path: str, function: Function) -> tuple[Past, ...]:
        """The recorded versions that held this function of the current code, and where."""
        return self._pasts.get((path, function.line, function.start), ())

    def placed(self, path: str, digest: str, lines: Iterable[int]) -> frozenset[Spot]:
        """Body lines recorded in a version -> statements of the current code; the rest is left out."""
        key = path, digest
        if key not in self._whole:
            self._whole[key] = self._every_line(key)
        places = self._whole[key]
        return frozenset([places[line] for line in lines if line in places])

    def _every_line(self, version: Version) -> Mapping[int, Spot]:
        """Of a version, also the inner lines of statements -> where the statement stands now."""
        source, places = self._sources.get(version), self._places.get(version)
        if source is None or places is None:
            return {}
        # A statement is known by its first line: an inner line, though it be a body's, is none.
        inner = {line: places.get(first) for line, first in source.first.items()}
        return {line: spot for line, spot in {**places, **inner}.items() if spot is not None}

    def _place(self, past: Past, path: str, function: Function) -> None:
        places = self._places.setdefault((past.path, past.digest), {})
        if past.function is function:
            places.update((line, (path, line)) for line in function.body)
            return
        shift = function.start - past.function.start
        for line in past.function.body:
            if line + shift in function.body:
                places[line] = path, line + shift


def _identities(source: Source) -> dict[_Identity, Function]:
    found: dict[_Identity, Function] = {}
    several: dict[tuple[str, str], int] = {}
    for function in source.functions:
        key = function.name, function.text
        number = several.get(key, 0)
        found[source.path, *key, number] = function
        several[key] = number + 1
    return found


def _moved(
    now: Mapping[_Identity, Function],
    vanished: Mapping[_Identity, Sequence[Version]],
    spans: Mapping[Version, tuple[datetime, datetime]],
) -> dict[_Identity, tuple[_Identity, ...]]:
    """Identity in the current code -> those that it had elsewhere."""
    before: defaultdict[str, list[_Identity]] = defaultdict(list)
    for identity in vanished:
        before[dedent(identity[2])].append(identity)
    if not before:
        return {}
    after: defaultdict[str, list[_Identity]] = defaultdict(list)
    for identity in now:
        after[dedent(identity[2])].append(identity)
    found = {}
    for text, olds in before.items():
        if len(after.get(text, ())) != 1:
            continue
        (new,) = after[text]
        if len(now[new].body) <= 1:
            olds = [old for old in olds if _last(old) == _last(new)]
        if olds and all(_in_turn(vanished[a], vanished[b], spans) for a, b in combinations(olds, 2)):
            found[new] = tuple(olds)
    return found


def _in_turn(
    one: Sequence[Version], other: Sequence[Version], spans: Mapping[Version, tuple[datetime, datetime]]
) -> bool:
    """Whether a function stood first in one place and then in the other, given the versions with either."""
    if len({path for path, _ in (*one, *other)}) == 1:
        # Of one file one version is deployed: a text with either alone is enough.
        return not set(one) & set(other)
    if any(version not in spans for version in (*one, *other)):
        return False
    (first, last), (start, end) = _span(one, spans), _span(other, spans)
    # The day of the move is in both; a single day for both does not tell them apart.
    return (last <= start or end <= first) and not first == last == start == end


def _span(
    versions: Sequence[Version], spans: Mapping[Version, tuple[datetime, datetime]]
) -> tuple[datetime, datetime]:
    return min(spans[version][0] for version in versions), max(spans[version][1] for version in versions)


def _last(identity: _Identity) -> str:
    return identity[1].rpartition(".")[2]
