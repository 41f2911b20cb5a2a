"""The counts of one process, exact without a lock on the request's side.

Laws: ``sampled == stored + sum(dropped) + pending`` in every Ledger made here,
whenever it is made. A request's thread, a signal handler and ``__del__`` may
count at any moment and never wait.

How: a count goes up by ``next()`` on an ``itertools.count``, one C call that
neither another thread nor a signal handler can split under the GIL. It is
read by one more ``next()``, less the reads made before; only reading takes a
lock. Pending is not counted but derived, and ``sampled`` is read last: what
was stored or dropped by the time of the earlier reads had been sampled
before, so pending is never negative.
"""

from __future__ import annotations

import itertools
import os
import platform
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from requestcov import native
from requestcov.config import Config
from requestcov.record import Ledger


class Tally:
    """A number that any thread or signal handler may raise, and one reader at a time reads."""

    __slots__ = ("_reads", "add")

    def __init__(self) -> None:
        self.add: Callable[[], int] = itertools.count().__next__
        """Count one; never waits. What it returns means nothing."""
        self._reads = 0

    def read(self) -> int:
        """The count; the caller holds the lock that all readers share."""
        value = self.add() - self._reads
        self._reads += 1
        return value


class Accounts:
    """What one process counts, from its first request or its fork on.

    Attributes:
        worker: ``host:pid``.
        boot: hex id of this incarnation of the process.
        started: UTC.
    """

    def __init__(
        self, config: Config, seen: Callable[[], Mapping[str, int]], excluded: Callable[[], int]
    ) -> None:
        self.worker = f"{platform.node()}:{os.getpid()}"
        self.boot = uuid.uuid4().hex
        self.started = datetime.now(UTC)
        self._config = config
        self._seen = seen
        self._excluded = excluded
        self._last_seen: Mapping[str, int] = {}
        self._last_excluded = 0
        self._sampled = Tally()
        self._seq = itertools.count(1)
        self._dropped: dict[str, Tally] = {}
        self._reading = native.new_lock()

    def take(self) -> int:
        """Count a sampled request; its number in this process, from 1."""
        self._sampled.add()
        return next(self._seq)

    def drop(self, reason: str, count: int = 1) -> None:
        """Count sampled requests that no sink will see. Reasons are a small fixed set."""
        # setdefault: of two threads that bring a new reason one wins, and both count on its tally.
        tally = self._dropped.get(reason) or self._dropped.setdefault(reason, Tally())
        for _ in range(count):
            tally.add()

    def ledger(self, stored: int, dropped: Mapping[str, int]) -> Ledger:
        """The balance of one sink.

        Args:
            stored: records it has committed.
            dropped: what this sink alone lost, by reason.
        """
        with self._reading:
            losses = dict(dropped)
            for reason, tally in list(self._dropped.items()):
                losses[reason] = losses.get(reason, 0) + tally.read()
            sampled = self._sampled.read()
        self._look_at_requests()
        return Ledger(
            worker=self.worker,
            boot=self.boot,
            service=self._config.service,
            release=self._config.release,
            started=self.started,
            updated=datetime.now(UTC),
            seen=self._last_seen,
            excluded=self._last_excluded,
            sampled=sampled,
            stored=stored,
            dropped=losses,
            pending=sampled - stored - sum(losses.values()),
        )

    def dropped(self, reason: str) -> int:
        """How many were dropped for this reason, for all sinks alike."""
        tally = self._dropped.get(reason)
        if tally is None:
            return 0
        with self._reading:
            return tally.read()

    def _look_at_requests(self) -> None:
        try:
            seen, excluded = dict(self._seen()), self._excluded()
        except Exception:
            # The request's side was changing them: the next ledger has the newer counts.
            return
        self._last_seen, self._last_excluded = seen, excluded


Told = tuple[Mapping[str, int], int, int, int, Mapping[str, int]]
NOTHING: Told = ({}, 0, 0, 0, {})


def counts(ledger: Ledger) -> Told:
    """What makes two ledgers of one process and sink differ, times aside."""
    return (ledger.seen, ledger.excluded, ledger.sampled, ledger.stored, ledger.dropped)
