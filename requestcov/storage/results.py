"""What a store answers with: frozen rows, the same for every kind of store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from requestcov.record import Arc

_BITS = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))


def lines_of(numbits: bytes) -> frozenset[int]:
    """The lines in coverage.py's numbits."""
    return frozenset(at * 8 + bit for at, byte in enumerate(numbits) if byte for bit in _BITS[byte])


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a store holds.

    Attributes:
        first, last: start of the earliest and the latest request, UTC; None in an empty store.
        requests: recorded.
        weight: how many requests those stand for.
        services: names.
        releases: in the order they were first recorded.
        engines: names.
        partial: recorded requests whose recording was cut, by reason.
    """

    first: datetime | None
    last: datetime | None
    requests: int
    weight: float
    services: tuple[str, ...]
    releases: tuple[str, ...]
    engines: tuple[str, ...]
    partial: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class EndpointStats:
    """One endpoint.

    Attributes:
        endpoint: method and route.
        requests, weight: recorded, and what they stand for.
        failed, failed_weight: those of them that failed.
        seen: requests that reached the app, from the ledgers.
        first, last: start of the earliest and latest recorded request; None when none was.
        median_ms, p95_ms: of the recorded requests' durations (nearest rank); None when none was.
    """

    endpoint: str
    requests: int = 0
    weight: float = 0.0
    failed: int = 0
    failed_weight: float = 0.0
    seen: int = 0
    first: datetime | None = None
    last: datetime | None = None
    median_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class BlockHits:
    """A block, and how many of the requests asked for ran it.

    Attributes:
        id: of the block.
        path, digest: the file's version.
        requests, weight: recorded, and what they stand for.
        numbits: the lines as coverage.py's numbits; ``int.from_bytes(numbits, "little")``
            makes unions and intersections cheap.
        branches: arcs, or None when they were not measured.
    """

    id: int
    path: str
    digest: str
    requests: int
    weight: float
    numbits: bytes
    branches: frozenset[Arc] | None

    @cached_property
    def lines(self) -> frozenset[int]:
        """Line numbers, from 1."""
        return lines_of(self.numbits)


@dataclass(frozen=True, kw_only=True)
class FileVersion:
    """One version of one file, and when requests first and last ran it (to the UTC day's cohort)."""

    path: str
    digest: str
    first: datetime
    last: datetime


@dataclass(frozen=True, kw_only=True)
class Request:
    """A recorded request: a RequestRecord with the ids of its blocks' sets in place of the blocks.

    Attributes:
        spectrum: id of all that ran; ``Store.spectrum`` gives the blocks.
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
