"""A process to which bad things are done: it records requests that never happened into a real file."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter

import requestcov.sinks.file  # noqa: F401  # An app opens its sinks while it has all it needs.
from requestcov.config import Config
from requestcov.pipeline import Pipeline
from requestcov.sinks import open_sink
from tests.pipeline.memory import assert_balanced, record

PATH = os.environ.get("VICTIM_PATH", "")


class BlockedSink:
    """Writes never return, until let go."""

    name = "blocked:"

    def __init__(self):
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def write(self, batch):
        self.entered.set()
        self.let_go.wait()

    def close(self):
        pass


class DeadSink:
    """Nothing listens."""

    name = "dead:"

    def write(self, batch):
        raise ConnectionRefusedError(111, "Connection refused")

    def close(self):
        pass


class Victim:
    """A pipeline to the file PATH (or to given sinks) and the requests it serves."""

    def __init__(self, *sinks, **options):
        self.seen = Counter()
        self.pipeline = Pipeline(
            Config(**{"flush_interval": 60.0} | options),
            self._assemble,
            sinks=lambda: list(sinks) or [open_sink(f"file:///{PATH}")],
            seen=lambda: self.seen,
            excluded=lambda: 0,
            on_fork=self.seen.clear,
        )

    def _assemble(self, seq):
        return record(seq, worker=self.pipeline.worker)

    def begin(self, count=1):
        """Requests that are sampled; their numbers."""
        self.seen["GET /"] += count
        return [self.pipeline.sampled() for _ in range(count)]

    def serve(self, count=1):
        """Requests that are sampled and finish."""
        for seq in self.begin(count):
            self.pipeline.put(seq)

    def flush(self, timeout=10.0):
        """Flush, and insist."""
        assert self.pipeline.flush(timeout)

    def check(self):
        """Every ledger balances; returns the first."""
        ledgers = self.pipeline.ledgers()
        for ledger in ledgers:
            assert_balanced(ledger)
        return ledgers[0]


def say(text):
    """Tell the test how far this process is."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
