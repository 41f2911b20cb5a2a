"""A small store as the sqlite sink writes it, from records made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from requestcov._source import digest_of
from requestcov.record import Batch, Block, Ledger, RequestRecord, SourceFile
from requestcov.sinks import open_sink

VIEWS = """\
import os

LIMIT = 3


def show(order):
    if order is None:
        return 404
    return render(
        order,
    )


def ship(order):
    order.sent = True
    for item in order:
        pack(item)
"""
# Body lines: show 7, 8, 9; ship 15, 16, 17. At import: 1, 3, 6, 14.

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)

SHOWN = {"shop/views.py": {7, 9}}
MISSING = {"shop/views.py": {7, 8}}
SHIPPED = {"shop/views.py": {15, 16, 17}}

_NUMBERS = count()


def record(
    endpoint: str,
    ran: Mapping[str, set[int]],
    *,
    texts: Mapping[str, str] | None = None,
    at: timedelta = timedelta(),
    weight: float = 1.0,
    status: int = 200,
    release: str = "r1",
    service: str = "shop",
    partial: str | None = None,
) -> RequestRecord:
    """One request; ``texts`` are the versions that ran, VIEWS where not given."""
    method, _, route = endpoint.partition(" ")
    blocks = tuple(
        Block(path, digest_of((texts or {}).get(path, VIEWS).encode()), frozenset(lines))
        for path, lines in sorted(ran.items())
    )
    millis = f"{int((START + at).timestamp() * 1000):012x}"
    return RequestRecord(
        # A UUIDv7 of the request's own time.
        id=f"{millis[:8]}-{millis[8:]}-7000-8000-{next(_NUMBERS):012x}",
        time=START + at,
        service=service,
        release=release,
        worker="web-1:1",
        seq=1,
        method=method,
        route=route,
        status=status,
        duration_ms=1.0,
        error=None,
        sampled_by="rate",
        weight=weight,
        partial=partial,
        engine="monitoring",
        blocks=blocks,
    )


def write_store(
    path: Path,
    records: Sequence[RequestRecord],
    *,
    texts: Mapping[str, str | bytes] | None = None,
    seen: Mapping[str, int] | None = None,
    dropped: Mapping[str, int] | None = None,
    earlier: Sequence[SourceFile] = (),
) -> str:
    """Write one batch through the sink, ``earlier`` texts too; returns the store's URL."""
    losses = dict(dropped or {})
    ledger = Ledger(
        worker="web-1:1",
        boot="b0",
        service="shop",
        release="r1",
        started=START,
        updated=START + timedelta(hours=1),
        seen=seen or {},
        excluded=4,
        sampled=len(records) + sum(losses.values()),
        stored=len(records),
        dropped=losses,
        pending=0,
    )
    contents = {
        name: text.encode() if isinstance(text, str) else text
        for name, text in ({"shop/views.py": VIEWS} if texts is None else texts).items()
    }
    sources = tuple(SourceFile(name, digest_of(text), text) for name, text in contents.items())
    url = f"sqlite:///{path}"
    sink = open_sink(url)
    sink.write(Batch(id="00", records=tuple(records), ledger=ledger, sources=(*sources, *earlier)))
    sink.close()
    return url


def shop(path: Path) -> str:
    """Three endpoints: one recorded four times, one once and failing, one only seen."""
    hour = timedelta(hours=1)
    records = [
        record("GET /orders/{id}", SHOWN, weight=99.0),
        record("GET /orders/{id}", SHOWN, weight=99.0, at=hour),
        record("GET /orders/{id}", MISSING, weight=1.0, at=2 * hour),
        record("GET /orders/{id}", SHOWN, weight=1.0, at=26 * hour, release="r2"),
        record("POST /orders", SHIPPED, status=500, at=3 * hour, partial="aborted"),
    ]
    return write_store(
        path,
        records,
        seen={"GET /orders/{id}": 1200, "POST /orders": 30, "GET /quiet": 7},
        dropped={"queue_full": 2},
    )
