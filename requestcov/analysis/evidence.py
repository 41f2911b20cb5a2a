"""What a store holds about a selection of requests: the ground every analysis stands on.

Laws: frozen once gathered; the analyses that follow never go back to the
store but for source texts. A source text is used only when its digest is the
one that ran: from the store, or else from the working tree.
"""

from __future__ import annotations

import os
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from requestcov._source import Function, Source, carried, digest_of, parse
from requestcov._source_cache import SourceCache
from requestcov.record import Arc
from requestcov.storage.results import Outcome, Sample, Selection, StoredBlock, Timed

__all__ = [
    "Counts",
    "Evidence",
    "Footing",
    "Run",
    "Selection",
    "Sources",
    "Timings",
    "Traffic",
    "Version",
    "Ways",
    "counted",
    "read_file",
    "read_tree",
    "source_here",
]

Version = tuple[str, str]
"""(path relative to the project root, hex digest of the content)."""

MAX_SOURCE = 10_000_000
"""Bytes of the largest file that is read from the working tree."""


@dataclass(frozen=True)
class Run:
    """The lines that some requests of one endpoint ran in one version of one file.

    Attributes:
        endpoint: ``GET /orders/{id}``.
        path, digest: the version; digest ``""`` when the source was not known.
        lines: as recorded.
        requests: how many recorded requests ran exactly these lines of the file.
        weight: how many requests those stand for.
        branches: arcs taken, or None when they were not measured.
        first, last: of the UTC days on which requests ran this, the start of the endpoint's first
            request and of its last; None in evidence that does not tell.
        release: None unless releases were asked apart.
        failed: None unless failures were asked apart.
        block: its number in the store, or None.
    """

    endpoint: str
    path: str
    digest: str
    lines: frozenset[int]
    requests: int
    weight: float
    branches: frozenset[Arc] | None = None
    first: datetime | None = None
    last: datetime | None = None
    release: str | None = None
    failed: bool | None = None
    block: int | None = None


@dataclass(frozen=True)
class Counts:
    """Recorded requests of one endpoint, what they stand for, and how many failed."""

    requests: int
    weight: float
    failed: int


def counted(outcomes: Iterable[Outcome], key: Callable[[Outcome], str]) -> dict[str, Counts]:
    """What outcomes add up to, by something they have in common, ascending."""
    found: defaultdict[str, Counts] = defaultdict(lambda: Counts(0, 0.0, 0))
    for outcome in outcomes:
        before = found[key(outcome)]
        found[key(outcome)] = Counts(
            before.requests + outcome.requests,
            before.weight + outcome.weight,
            before.failed + outcome.requests * outcome.failed,
        )
    return dict(sorted(found.items()))


@dataclass(frozen=True, kw_only=True)
class Footing:
    """What the numbers stand on.

    Attributes:
        store: its URL.
        seen, excluded, sampled, stored, dropped, pending: sums over the ledgers
            of the processes concerned, over their whole lives.
        workers: processes concerned.
        records: recorded requests in the selection.
        weight: how many requests those stand for.
        failed: how many of the records failed.
        partial: how many of the recordings were cut, by reason.
        first, last: time of the earliest and the latest record, UTC.
        releases, services, engines: their names.
    """

    store: str
    seen: int
    excluded: int
    sampled: int
    stored: int
    dropped: Mapping[str, int]
    pending: int
    records: int
    weight: float
    failed: int
    partial: Mapping[str, int]
    first: datetime | None
    last: datetime | None
    releases: Sequence[str]
    services: Sequence[str]
    engines: Sequence[str]
    workers: int


class Sources:
    """Source texts by version, parsed once each."""

    def __init__(
        self,
        stored: Callable[[str, str], bytes | str | None],
        root: str | None = None,
        exclude_lines: Sequence[str] = (),
    ) -> None:
        """Nothing is read yet.

        Args:
            stored: path and digest to the store's text, or None.
            root: working tree to fall back to; None: no fallback.
            exclude_lines: coverage.py's exclusions, as regular expressions.
        """
        self._stored = stored
        self._root = root
        self._exclude_lines = tuple(exclude_lines)
        self._cache = SourceCache()
        self._parsed: dict[Version, Source | None] = {}

    def __call__(self, path: str, digest: str) -> Source | None:
        """The source of a version, or None when no text with that digest is at hand."""
        key = (path, digest)
        if key not in self._parsed:
            content: bytes | str | None = None
            if digest:
                content = self._stored(path, digest)
                if content is None and self._root is not None:
                    content = _from_tree(self._root, path, digest)
            self._parsed[key] = (
                None if content is None else parse(path, digest, content, self._exclude_lines, self._cache)
            )
        return self._parsed[key]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything a store says about a selection.

    Attributes:
        counts: recorded requests by endpoint.
        seen: requests that reached the wrappers by endpoint, from the ledgers.
        runs: what ran, one an (endpoint, version, set of lines).
        newest: path -> digest of the version that ran last.
        source: a version's source, or None.
        outcomes: how the recorded requests ended and why they were recorded.
    """

    footing: Footing
    counts: Mapping[str, Counts]
    seen: Mapping[str, int]
    runs: Sequence[Run]
    newest: Mapping[str, str]
    source: Callable[[str, str], Source | None] = field(repr=False)
    outcomes: Sequence[Outcome] = ()

    @cached_property
    def endpoints(self) -> tuple[str, ...]:
        """Every endpoint recorded or seen, sorted."""
        return tuple(sorted({*self.counts, *self.seen, *(run.endpoint for run in self.runs)}))

    @cached_property
    def versions(self) -> Mapping[str, Sequence[str]]:
        """Path -> digests that ran, the newest first."""
        found: dict[str, Counter[str]] = {}
        for run in self.runs:
            found.setdefault(run.path, Counter())[run.digest] += run.requests
        return {
            path: sorted(digests, key=lambda digest: (digest != self.newest[path], -digests[digest], digest))
            for path, digests in sorted(found.items())
        }

    @cached_property
    def spans(self) -> Mapping[Version, tuple[datetime, datetime]]:
        """(path, digest) -> the first and the last UTC day (its midnight) on which that version ran."""
        found: dict[Version, tuple[datetime, datetime]] = {}
        for run in self.runs:
            if run.first is not None and run.last is not None:
                key = run.path, run.digest
                first, last = found.get(key, (run.first, run.last))
                found[key] = min(first, run.first), max(last, run.last)
        return {key: (_midnight(first), _midnight(last)) for key, (first, last) in found.items()}

    @cached_property
    def _placements(self) -> dict[Version, Mapping[int, int] | None]:
        return {}

    def placement(self, path: str, digest: str) -> Mapping[int, int] | None:
        """Where the body lines of one version of a file stand in its newest version.

        Returns:
            any recorded line of a function body whose function has not changed since
            -> the first line of its statement in the newest version; None when one of
            the two texts is not at hand or cannot be parsed.
        """
        key = (path, digest)
        if key not in self._placements:
            old, new = self.source(path, digest), self.source(path, self.newest.get(path, digest))
            if old is None or new is None or old.problem or new.problem:
                self._placements[key] = None
            elif old.digest == new.digest:
                self._placements[key] = new.placed
            else:
                moved = carried(old, new)
                inner = {line: moved[first] for line, first in old.first.items() if first in moved}
                self._placements[key] = {**inner, **moved}
        return self._placements[key]

    def placed(self, run: Run) -> frozenset[int]:
        """The body lines that a run executed, in the file's newest version; what has no place is left out."""
        place = self.placement(run.path, run.digest)
        return frozenset() if place is None else frozenset(place[line] for line in run.lines if line in place)

    def lost(self, path: str, digest: str, lines: Iterable[int]) -> frozenset[int] | None:
        """Statements of function bodies that stand nowhere in the newest version: the function has changed.

        Args:
            path, digest: the version.
            lines: recorded in it.

        Returns:
            those of the lines, by the first line of their statement in that version; None when one
            of the two texts is not at hand or cannot be parsed, as for :meth:`placement`.
        """
        place, old = self.placement(path, digest), self.source(path, digest)
        if place is None or old is None:
            return None
        if digest == self.newest.get(path, digest):
            return frozenset()
        return (old.statements(lines) & old.bodies) - place.keys()

    def lost_functions(self, run: Run) -> frozenset[Function] | None:
        """The functions, as they were, of the lines of a run that are lost; None as for :meth:`lost`."""
        lost, old = self.lost(run.path, run.digest, run.lines), self.source(run.path, run.digest)
        return None if lost is None or old is None else frozenset(old.owner[line] for line in lost)

    @cached_property
    def texts(self) -> tuple[Source, ...]:
        """Every version that ran whose text is at hand and can be parsed, by path, the newest first."""
        return tuple(
            source
            for path, digests in self.versions.items()
            for digest in digests
            if (source := self.source(path, digest)) is not None and not source.problem
        )

    def against(self, source: Source) -> Evidence:
        """The same runs, placed in this text of a file as if it were the newest version."""
        known = self.source
        named = source.path, source.digest

        def chosen(path: str, digest: str) -> Source | None:
            return source if (path, digest) == named else known(path, digest)

        return replace(self, newest={**self.newest, source.path: source.digest}, source=chosen)


@dataclass(frozen=True, kw_only=True)
class Ways:
    """The execution paths of the recorded requests of one endpoint.

    A request runs one block at most of a version of a file: how many requests of a group ran a line
    is the sum over the blocks that hold it.

    Attributes:
        endpoint: ``GET /orders/{id}``.
        evidence: of the same selection.
        paths: spectrum id -> numbers of the blocks of that execution path.
        blocks: by number.
    """

    endpoint: str
    evidence: Evidence
    paths: Mapping[int, frozenset[int]] = field(repr=False)
    blocks: Mapping[int, StoredBlock] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Traffic(Ways):
    """How the requests that took each path ended.

    Attributes:
        samples: the requests, in no order.
    """

    samples: Sequence[Sample] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Timings(Ways):
    """How long the requests that took each path did.

    Attributes:
        timed: the requests, in no order.
        later: background id -> numbers of the blocks with what ran only after the response;
            a request's path holds these lines too.
    """

    timed: Sequence[Timed] = field(repr=False)
    later: Mapping[int, frozenset[int]] = field(default_factory=dict, repr=False)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _from_tree(root: str, path: str, digest: str) -> bytes | None:
    """The working tree's file, if it is the very version."""
    content = read_tree(root, path)
    return content if content is not None and digest_of(content) == digest else None


def read_tree(root: str, path: str) -> bytes | None:
    """The working tree's file as it is; None when there is none that can be read."""
    parts = path.split("/")
    if os.path.isabs(path) or ".." in parts or "\0" in path:
        return None
    return read_file(os.path.join(root, *parts))


def source_here(
    root: str, path: str, exclude_lines: Sequence[str], cache: SourceCache | None = None
) -> Source | None:
    """The working tree's file as it is, understood; None when there is none that can be read.

    Args:
        cache: of whoever asks for many files, as a cache looks at its directory when it is first used.
    """
    content = read_tree(root, path)
    if content is None:
        return None
    return parse(path, digest_of(content), content, exclude_lines, cache or SourceCache())


def read_file(name: str) -> bytes | None:
    """A file's content; None when it is no plain file, too large, or cannot be read."""
    try:
        state = os.stat(name)
        # A name from a store may be anything here: a pipe would block, a device never end.
        if not stat.S_ISREG(state.st_mode) or state.st_size > MAX_SOURCE:
            return None
        with open(name, "rb") as file:
            return file.read()
    except (OSError, ValueError):
        return None
