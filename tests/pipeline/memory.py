"""Sinks that keep batches in memory, records to put, and a clock that a test moves."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from requestcov.config import Config
from requestcov.pipeline import Pipeline
from requestcov.record import Block, RequestRecord, new_id


class Clock:
    """Monotonic seconds under the test's control."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class MemorySink:
    """Keeps every batch; raises what ``errors`` holds first, and then, if set, ``down``."""

    def __init__(self, name="memory:"):
        self.name = name
        self.batches = []
        self.attempts = []
        self.errors = []
        self.down = None
        self.closed = 0

    def write(self, batch):
        self.attempts.append(batch)
        if self.errors:
            raise self.errors.pop(0)
        if self.down is not None:
            raise self.down
        self.batches.append(batch)

    def close(self):
        self.closed += 1

    @property
    def records(self):
        return [record for batch in self.batches for record in batch.records]

    @property
    def seqs(self):
        return [record.seq for record in self.records]


def record(seq, blocks=(), worker="host:1"):
    """A finished request, number ``seq``."""
    return RequestRecord(
        id=new_id(),
        time=datetime.now(UTC),
        service="shop",
        release="1",
        worker=worker,
        seq=seq,
        method="GET",
        route="/",
        status=200,
        duration_ms=1.0,
        error=None,
        sampled_by="rate",
        weight=1.0,
        partial=None,
        engine="monitoring",
        blocks=tuple(Block(path, digest, frozenset({1})) for path, digest in blocks),
    )


def assert_balanced(ledger):
    """The law of every ledger."""
    assert ledger.pending >= 0
    assert ledger.sampled == ledger.stored + sum(ledger.dropped.values()) + ledger.pending


class Bench:
    """A pipeline whose threads never start: the test takes their steps and moves their clock."""

    def __init__(self, *sinks, assemble=record, **options):
        self.clock = Clock()
        self.sinks = sinks or (MemorySink(),)
        self.seen = Counter()
        self.options = {"batch_size": 10, "queue_size": 100, "flush_interval": 2.0}
        callables = {key: options.pop(key) for key in ("tick", "source") if key in options}
        self.pipeline = Pipeline(
            Config(**self.options | options),
            assemble,
            sinks=lambda: self.sinks,
            seen=lambda: self.seen,
            excluded=lambda: 0,
            clock=self.clock,
            **callables,
        )
        self.process = self.pipeline._process
        self.process.started = True

    def put(self, count=1):
        """Sample and finish that many requests in one moment, then settle."""
        for _ in range(count):
            self.pipeline.put(self.pipeline.sampled())
        self.settle()

    def settle(self, limit=1000):
        """Take steps until none is due at this moment."""
        for _ in range(limit):
            # The collector's turn comes first, so what it offers reaches the writers in the same round.
            if min([loop.turn(True) for loop in self.process.loops]) > self.clock.now:
                self.check()
                return
        raise AssertionError(f"still busy after {limit} steps")

    def advance(self, seconds):
        """Let time pass, then settle."""
        self.clock.now += seconds
        self.settle()

    def check(self):
        """Every ledger there is balances."""
        for ledger in self.pipeline.ledgers():
            assert_balanced(ledger)
        for sink in self.sinks:
            for batch in getattr(sink, "attempts", ()):
                assert_balanced(batch.ledger)
