"""What a store is asked and what it answers with: frozen rows, the same for every kind of store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from requestcov.record import Arc, parse_arcs

_BITS = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))


def lines_of(numbits: bytes) -> frozenset[int]:
    """The lines in coverage.py's numbits."""
    return frozenset(at * 8 + bit for at, byte in enumerate(numbits) if byte for bit in _BITS[byte])


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which requests are asked about; None: all.

    Attributes:
        service, release, endpoint: exact names.
        since, until: the period as UTC days, both included.
    """

    service: str | None = None
    release: str | None = None
    endpoint: str | None = None
    since: datetime | None = None
    until: datetime | None = None


EVERYTHING = Selection()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Requests of one endpoint, release, service and UTC day that ended alike.

    Attributes:
        endpoint: method and route.
        day: midnight, UTC.
        failed: whether they count as failed.
        status, error, sampled_by, partial, engine: as in a record.
        requests, weight: recorded, and what they stand for.
        squares: sum of the squares of their weights, for an effective sample size.
    """

    service: str
    release: str
    endpoint: str
    day: datetime
    failed: bool
    status: int | None
    error: str | None
    sampled_by: str
    partial: str | None
    engine: str
    requests: int
    weight: float
    squares: float


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """The recorded requests of one endpoint, release, service and UTC day that failed, or did not.

    Attributes:
        day: midnight, UTC.
        requests, weight: recorded, and what they stand for.
        first, last: start of the earliest and the latest, UTC.
    """

    service: str
    release: str
    endpoint: str
    failed: bool
    day: datetime
    requests: int
    weight: float
    first: datetime
    last: datetime


class Hit(NamedTuple):
    """How many requests of an endpoint ran exactly these lines of a file.

    Attributes:
        release: None unless releases were asked apart.
        failed: None unless failures were asked apart.
        block: number of a StoredBlock.
        requests, weight: recorded, and what they stand for.
        first, last: of the UTC days on which they ran it, the start of the first request and of the
            last one that the endpoint had.
    """

    endpoint: str
    release: str | None
    failed: bool | None
    block: int
    requests: int
    weight: float
    first: datetime
    last: datetime


class Ran(NamedTuple):
    """The recorded requests of one cohort that ran at least one of some blocks.

    Attributes:
        day: midnight, UTC.
        requests, weight: recorded, and what they stand for.
        first, last: start of the earliest and the latest of them; if not ``exact``, of the cohort's.
        exact: whether the requests' own rows told; where some are gone, the aggregates do, and of
            several files the one that most requests ran counts alone.
        spectra: ids of the execution paths of those whose rows are kept.
    """

    endpoint: str
    service: str
    release: str
    failed: bool
    day: datetime
    requests: int
    weight: float
    first: datetime
    last: datetime
    exact: bool
    spectra: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class StoredBlock:
    """The lines, and branches, that some request ran in one version of one file.

    Attributes:
        number: in its store.
        id: digest of the content, the same in every store.
        path, digest: the file's version.
        numbits: the lines as coverage.py's numbits; ``int.from_bytes(numbits, "little")``
            makes unions and intersections cheap.
        arcs: branches as text, or None when they were not measured.
    """

    number: int
    id: int
    path: str
    digest: str
    numbits: bytes
    arcs: str | None

    @cached_property
    def lines(self) -> frozenset[int]:
        """Line numbers, from 1."""
        return lines_of(self.numbits)

    @cached_property
    def branches(self) -> frozenset[Arc] | None:
        """Arcs taken, or None when they were not measured."""
        return None if self.arcs is None else parse_arcs(self.arcs)


@dataclass(frozen=True, kw_only=True)
class FileVersion:
    """One version of one file, and when requests first and last ran it (to the UTC day's cohort)."""

    path: str
    digest: str
    first: datetime
    last: datetime


def versions_of(hits: Iterable[Hit], blocks: Mapping[int, StoredBlock]) -> list[FileVersion]:
    """Every version of every file that some hits are in; by path, the version first met first.

    Args:
        hits: of any requests.
        blocks: theirs, by number.
    """
    spans: dict[tuple[str, str], tuple[datetime, datetime, int]] = {}
    for hit in hits:
        version = blocks[hit.block].path, blocks[hit.block].digest
        first, last, number = spans.get(version, (hit.first, hit.last, hit.block))
        spans[version] = min(first, hit.first), max(last, hit.last), min(number, hit.block)
    return [
        FileVersion(path=path, digest=digest, first=first, last=last)
        # Blocks are numbered as they come: of two versions of one time the lower came first.
        for (path, digest), (first, last, _) in sorted(
            spans.items(), key=lambda item: (item[0][0], item[1][0], item[1][2])
        )
    ]


class Sample(NamedTuple):
    """Recorded requests that ended alike and took the same execution path.

    Attributes:
        labels: what the app said of them.
        spectrum: id of the execution path.
        requests: how many they are.
    """

    failed: bool
    status: int | None
    error: str | None
    labels: Mapping[str, str]
    spectrum: int
    requests: int


class Timed(NamedTuple):
    """Recorded requests of one release and weight on the same execution path, and how long each took.

    Attributes:
        failed: whether they failed; all did, or none.
        spectrum: id of the execution path.
        background: id of the part of it that ran after the response, or None.
        weight: how many requests each stands for.
        durations: until the response was complete, in µs; ascending.
    """

    release: str
    failed: bool
    spectrum: int
    background: int | None
    weight: float
    durations: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A recorded request: a RequestRecord with the ids of its blocks' sets in place of the blocks.

    Attributes:
        spectrum: id of all that ran; ``Store.spectra`` gives the blocks.
        background: id of what ran only after the response, or None.
    """

    id: str
    time: datetime
    service: str
    release: str
    worker: str
    seq: int
    endpoint: str
    status: int | None
    duration_ms: float
    error: str | None
    failed: bool
    sampled_by: str
    weight: float
    partial: str | None
    engine: str
    labels: Mapping[str, str]
    trace_id: str | None
    spectrum: int
    background: int | None
