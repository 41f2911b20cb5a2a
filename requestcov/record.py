"""One finished request, and what it ran: the record both halves share.

Laws: everything here is frozen; ids are digests of content, so that two
processes name the same thing alike without asking each other; nothing here
can hold a raw path, a query, a header, a body or an address.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any

VERSION = 1

Arc = tuple[int, int]
"""A branch that was taken: (line jumped from, line jumped to).

A negative target is coverage.py's notation for leaving the code object that
starts at that line.
"""


def new_id(at: float | None = None) -> str:
    """A UUID version 7 (RFC 9562 §5.7) as text: sortable by time, unguessable.

    Args:
        at: the time it tells, in seconds since 1970; None: now.
    """
    millis = int((time.time() if at is None else at) * 1000)
    tail = int.from_bytes(os.urandom(10), "big")
    value = (millis & 0xFFFFFFFFFFFF) << 80 | tail
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def digest64(*parts: bytes) -> int:
    """A signed 64-bit BLAKE2b digest of length-prefixed parts: SQLite's rowid type."""
    hasher = blake2b(digest_size=8)
    for part in parts:
        hasher.update(len(part).to_bytes(8, "little"))
        hasher.update(part)
    return int.from_bytes(hasher.digest(), "little", signed=True)


@dataclass(frozen=True, eq=False)
class Block:
    """The lines (and branches) that one request ran in one version of one file.

    The assembler interns blocks: requests that ran the same lines of the same
    file share one object, so whatever is derived from a block is derived once.

    Attributes:
        path: relative to the project root, with ``/``.
        digest: hex BLAKE2b-128 of the source text that ran; ``""`` when it
            could not be read.
        lines: line numbers, from 1.
        branches: arcs taken, or None when branches were not measured.
    """

    path: str
    digest: str
    lines: frozenset[int]
    branches: frozenset[Arc] | None = None

    @cached_property
    def numbits(self) -> bytes:
        """The lines as coverage.py's numbits."""
        # Here, for the desk half only reads: loading coverage.py is a good part of a short command.
        from coverage.numbits import nums_to_numbits

        return bytes(nums_to_numbits(self.lines))

    @cached_property
    def ranges(self) -> str:
        """The lines as compact ascending ranges: ``"10-14,17"``."""
        return format_lines(self.lines)

    @cached_property
    def id(self) -> int:
        """Signed 64-bit digest of path, source digest, lines and branches."""
        arcs = b"" if self.branches is None else format_arcs(self.branches).encode()
        mark = b"l" if self.branches is None else b"b"
        path = self.path.encode("utf-8", "surrogateescape")
        return digest64(mark, path, self.digest.encode(), self.numbits, arcs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Block):
            return NotImplemented
        return self is other or self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)


def spectrum_id(blocks: Iterable[Block]) -> int:
    """Signed 64-bit digest of a set of blocks: the name of an execution path."""
    ids = sorted(block.id for block in blocks)
    return digest64(b"".join(i.to_bytes(8, "little", signed=True) for i in ids))


@dataclass(frozen=True, kw_only=True)
class RequestRecord:
    """One finished request.

    Attributes:
        id: UUIDv7 text; duplicates collapse by it.
        time: start of the request, UTC.
        service, release: what was deployed, from the configuration.
        worker: ``host:pid`` of the process that served it.
        seq: number of the record in its process, from 1; a gap is a loss.
        method: HTTP method, or ``WEBSOCKET``.
        route: the route's template, e.g. ``/orders/{id}``.
        status: HTTP status, None when no response was started.
        duration_ms: until the response was complete.
        error: qualified name of the exception that left the app, or None.
        sampled_by: the policy that took the request.
        weight: how many requests this one stands for, >= 1.
        partial: None when the recording is whole, else why it was cut:
            ``"duration"``, ``"aborted"``, ``"abandoned"``.
        engine: ``"monitoring"`` or ``"trace"``.
        labels: what the app said with ``annotate``.
        trace_id: 32 hex digits of a W3C traceparent, or None.
        blocks: all that ran, one block a file, ascending by path.
        background: the part of it that ran only after the response was
            complete; a subset of ``blocks``.
    """

    id: str
    time: datetime
    service: str
    release: str
    worker: str
    seq: int
    method: str
    route: str
    status: int | None
    duration_ms: float
    error: str | None
    sampled_by: str
    weight: float
    partial: str | None
    engine: str
    labels: Mapping[str, str] = field(default_factory=dict)
    trace_id: str | None = None
    blocks: tuple[Block, ...] = ()
    background: tuple[Block, ...] = ()

    @property
    def endpoint(self) -> str:
        """Method and route template: ``GET /orders/{id}``."""
        return f"{self.method} {self.route}"

    @property
    def failed(self) -> bool:
        """True for an exception that left the app and for a status of 500 and up."""
        return self.error is not None or (self.status is not None and self.status >= 500)

    @cached_property
    def spectrum(self) -> int:
        """Signed 64-bit id of the execution path."""
        return spectrum_id(self.blocks)

    def to_json(self) -> dict[str, Any]:
        """The record as one JSON object, version 1 (docs/data-format)."""
        return {
            "v": VERSION,
            **self.facts(),
            "files": {block.path: _block_to_json(block) for block in self.blocks},
            "background": {block.path: _block_to_json(block) for block in self.background},
        }

    def facts(self) -> dict[str, Any]:
        """All of the JSON form but what ran."""
        return {
            "id": self.id,
            "time": format_time(self.time),
            "service": self.service,
            "release": self.release,
            "worker": self.worker,
            "seq": self.seq,
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "duration_ms": round(self.duration_ms, 3),
            "error": self.error,
            "sampled_by": self.sampled_by,
            "weight": self.weight,
            "partial": self.partial,
            "engine": self.engine,
            "labels": dict(self.labels),
            "trace_id": self.trace_id,
        }


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What became of the requests of one process, counted since it started.

    ``sampled == stored + sum(dropped.values()) + pending`` holds always; a
    dead process whose last ledger shows ``pending`` lost that many records.
    Each sink has its own ledger: what one stored another may have dropped.

    Attributes:
        worker: ``host:pid``.
        boot: hex id of this incarnation of the process.
        started, updated: UTC.
        seen: requests that reached the wrapper and were not excluded, by endpoint
            (``{"GET /orders/{id}": 1200}``).
        excluded: requests on an excluded path.
        sampled: requests a policy took.
        stored: records this sink has committed, this batch included.
        dropped: losses by reason.
        pending: taken, neither stored nor dropped yet.
    """

    worker: str
    boot: str
    service: str
    release: str
    started: datetime
    updated: datetime
    seen: Mapping[str, int]
    excluded: int
    sampled: int
    stored: int
    dropped: Mapping[str, int]
    pending: int


@dataclass(frozen=True)
class SourceFile:
    """The text of one version of a file, sent once so that lines can be shown later."""

    path: str
    digest: str
    text: bytes


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What a sink commits at once; self-contained, repeatable by id.

    Attributes:
        id: hex UUID; a batch written twice counts once.
        records: may be empty, when only the ledger has changed.
        ledger: the writing process's counts as they stand once this is kept.
        sources: file versions this sink was not sent before.
    """

    id: str
    records: tuple[RequestRecord, ...]
    ledger: Ledger
    sources: tuple[SourceFile, ...] = ()


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds and a Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """Read what :func:`format_time` wrote.

    Raises:
        ValueError: not an RFC 3339 time with an offset.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time {text!r} has no offset from UTC")
    return moment.astimezone(UTC)


def format_lines(lines: Iterable[int]) -> str:
    """Ascending compact ranges: ``{1,2,3,7}`` is ``"1-3,7"``."""
    parts: list[str] = []
    start = last = None
    for line in sorted(lines):
        if last is not None and line == last + 1:
            last = line
            continue
        if start is not None:
            parts.append(str(start) if start == last else f"{start}-{last}")
        start = last = line
    if start is not None:
        parts.append(str(start) if start == last else f"{start}-{last}")
    return ",".join(parts)


_RANGE = re.compile(r"([1-9][0-9]{0,8})(?:-([1-9][0-9]{0,8}))?")
_ARC = re.compile(r"(-?[0-9]{1,9})-(-?[0-9]{1,9})")
MAX_LINE = 1_000_000
"""The last line that a file may have: what a range of lines makes stays small."""


def parse_lines(text: str) -> frozenset[int]:
    """Read what :func:`format_lines` wrote.

    Raises:
        ValueError: not ranges of lines from 1 to MAX_LINE.
    """
    lines: set[int] = set()
    if not text:
        return frozenset()
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is not a line or a range of lines")
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if last < first or last > MAX_LINE:
            raise ValueError(f"{part!r} is not an ascending range of lines up to {MAX_LINE}")
        lines.update(range(first, last + 1))
    return frozenset(lines)


def format_arcs(arcs: Iterable[Arc]) -> str:
    """Ascending, comma-separated: ``"14-17,14-20,30--25"``."""
    return ",".join(f"{a}-{b}" for a, b in sorted(arcs))


def parse_arcs(text: str) -> frozenset[Arc]:
    """Read what :func:`format_arcs` wrote.

    Raises:
        ValueError: not pairs of lines.
    """
    if not text:
        return frozenset()
    arcs: set[Arc] = set()
    for part in text.split(","):
        match = _ARC.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is not a branch")
        arcs.add((int(match[1]), int(match[2])))
    return frozenset(arcs)


def _block_to_json(block: Block) -> dict[str, Any]:
    data: dict[str, Any] = {"digest": block.digest, "lines": block.ranges}
    if block.branches is not None:
        data["branches"] = [f"{a}-{b}" for a, b in sorted(block.branches)]
    return data
