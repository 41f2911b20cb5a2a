"""What the collector counts of itself, for Prometheus.

Laws: labels come from tables of ours, never from what is sent; with several processes
(PROMETHEUS_MULTIPROC_DIR, which the command sets) any of them tells the sums of all.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from requestcov.storage.sqlite_writer import Added

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus_client knows that processes share their numbers."""

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """The numbers of one process."""

    def __init__(self) -> None:
        own = CollectorRegistry()
        self._own = own
        self.responses = Counter(
            "requestcov_collector_responses",
            "Responses, by path and status.",
            ["path", "status"],
            registry=own,
        )
        self._records = Counter(
            "requestcov_collector_records",
            "Records of committed batches: new, known already, or from before the store was pruned (late).",
            ["outcome"],
            registry=own,
        )
        self._received = Counter(
            "requestcov_collector_received_bytes",
            "Bytes of batches: bodies as they were sent, and the documents of committed batches.",
            ["form"],
            registry=own,
        )
        self._commits = Histogram(
            "requestcov_collector_commit_seconds",
            "How long transactions took.",
            registry=own,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
        self._batches = Counter("requestcov_collector_batches", "Batches that were committed.", registry=own)
        self._failures = Counter(
            "requestcov_collector_failed_commits", "Transactions that kept nothing.", registry=own
        )
        self._waiting = Gauge(
            "requestcov_collector_waiting_batches",
            "Batches that wait to be committed.",
            registry=own,
            multiprocess_mode="livesum",
        )
        for outcome in Added._fields:
            self._records.labels(outcome)

    def received(self, size: int) -> None:
        """Count a body of so many bytes."""
        self._received.labels("body").inc(size)

    def kept(self, added: Added, size: int) -> None:
        """Count a committed batch's records, and the bytes of its document."""
        self._received.labels("document").inc(size)
        for outcome, count in zip(added._fields, added, strict=True):
            self._records.labels(outcome).inc(count)

    def committed(self, seconds: float, batches: int) -> None:
        """Count a transaction of so many batches; 0: it failed."""
        self._commits.observe(seconds)
        if batches:
            self._batches.inc(batches)
        else:
            self._failures.inc()

    def waiting(self, count: int) -> None:
        """Tell how many batches wait."""
        self._waiting.set(count)

    def text(self) -> bytes:
        """All numbers, in Prometheus' text format."""
        directory = os.environ.get(DIRECTORY)
        if not directory:
            return generate_latest(self._own)
        _forget_dead(Path(directory))
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _forget_dead(directory: Path) -> None:
    """What processes that were killed still seemed to have waiting; their counts stay."""
    for file in directory.glob("gauge_live*_*.db"):
        found = re.search(r"_([0-9]+)\.db$", file.name)
        if found and not Path("/proc", found[1]).exists():
            multiprocess.mark_process_dead(int(found[1]))  # type: ignore[no-untyped-call]
