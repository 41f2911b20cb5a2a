"""Records, ledgers and batches for tests: small, and different where a test says so."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from requestcov.record import Batch, Block, Ledger, RequestRecord, SourceFile, new_id

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
VIEWS = Block("shop/views.py", "aa" * 16, frozenset({1, 2, 3, 10}))
OTHER = Block("shop/views.py", "aa" * 16, frozenset({1, 2, 20}))
_count = itertools.count(1)
MODELS = Block("shop/models.py", "bb" * 16, frozenset({5, 900}), frozenset({(5, 900), (900, -5)}))


def ordered_id() -> str:
    """A UUIDv7 later than those this process made before, also within a millisecond."""
    text = new_id()
    return f"019b8d00-{next(_count):04x}{text[13:]}"


def record(seq: int = 1, **fields: Any) -> RequestRecord:
    """A request, one second after noon for each seq."""
    given: dict[str, Any] = {
        "id": ordered_id(),
        "time": NOON + timedelta(seconds=seq),
        "service": "shop",
        "release": "r1",
        "worker": "web-1:1",
        "seq": seq,
        "method": "GET",
        "route": "/orders/{id}",
        "status": 200,
        "duration_ms": 12.345,
        "error": None,
        "sampled_by": "rate",
        "weight": 10.0,
        "partial": None,
        "engine": "monitoring",
        "blocks": (MODELS, VIEWS),
    }
    return RequestRecord(**given | fields)


def ledger(stored: int = 1, **fields: Any) -> Ledger:
    """What a process counted when so many of its records were stored."""
    given: dict[str, Any] = {
        "worker": "web-1:1",
        "boot": "b007",
        "service": "shop",
        "release": "r1",
        "started": NOON,
        "updated": NOON + timedelta(seconds=stored),
        "seen": {"GET /orders/{id}": stored * 10},
        "excluded": 0,
        "sampled": stored,
        "stored": stored,
        "dropped": {},
        "pending": 0,
    }
    return Ledger(**given | fields)


def batch(
    records: Iterable[RequestRecord] = (), counts: Ledger | None = None, sources: Iterable[SourceFile] = ()
) -> Batch:
    """A batch with a fresh id."""
    records = tuple(records)
    counts = counts or ledger(stored=max((one.seq for one in records), default=0))
    return Batch(id=new_id(), records=records, ledger=counts, sources=tuple(sources))
