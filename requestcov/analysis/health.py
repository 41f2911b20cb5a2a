"""What became of the requests of every process, and which of the processes still tell?

Laws: pure function of ledgers and a time, frozen results out. A ledger is
written when a count has changed, so a process that has no traffic is as silent
as one that is gone: only what is pending tells them apart. For each process
sampled = stored + dropped, by reason + pending, as it said last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from requestcov.record import Ledger

SILENT = timedelta(minutes=5)
"""After so long without a word a process is no more said to be at work."""


class Voice(Enum):
    """Whether a process still tells."""

    SPEAKING = "at work"
    """It has told something in the last five minutes."""
    IDLE = "quiet"
    """Nothing for longer, and nothing pending: no traffic, or ended in good order."""
    SILENT = "silent"
    """Nothing for longer, with requests pending: most likely killed, and those are lost."""


@dataclass(frozen=True)
class Worker:
    """One process.

    Attributes:
        ledger: what it said last.
        voice: whether it still tells.
        age: since it said that.
        balanced: whether its sum holds.
    """

    ledger: Ledger
    voice: Voice
    age: timedelta
    balanced: bool

    @property
    def seen(self) -> int:
        """Requests that reached its wrapper and were not excluded."""
        return sum(self.ledger.seen.values())

    @property
    def dropped(self) -> int:
        """Sampled requests it lost, for whatever reason."""
        return sum(self.ledger.dropped.values())


@dataclass(frozen=True)
class Health:
    """All processes together.

    Attributes:
        workers: those that spoke last first.
        seen, excluded, sampled, stored, pending: sums over all.
        dropped: by reason, the most frequent first.
        lost: what is pending in silent processes.
        voices: how many processes there are of each kind.
    """

    workers: tuple[Worker, ...]
    seen: int
    excluded: int
    sampled: int
    stored: int
    pending: int
    dropped: Mapping[str, int]
    lost: int
    voices: Mapping[Voice, int]


def health(ledgers: Iterable[Ledger], now: datetime) -> Health:
    """Judge the processes.

    Args:
        ledgers: one a process, its last.
        now: UTC.
    """
    workers = sorted(
        (_worker(ledger, now) for ledger in ledgers),
        key=lambda worker: (worker.age, worker.ledger.worker, worker.ledger.boot),
    )
    dropped: Counter[str] = Counter()
    for worker in workers:
        dropped.update(worker.ledger.dropped)
    return Health(
        workers=tuple(workers),
        seen=sum(worker.seen for worker in workers),
        excluded=sum(worker.ledger.excluded for worker in workers),
        sampled=sum(worker.ledger.sampled for worker in workers),
        stored=sum(worker.ledger.stored for worker in workers),
        pending=sum(worker.ledger.pending for worker in workers),
        dropped={reason: count for reason, count in dropped.most_common() if count},
        lost=sum(worker.ledger.pending for worker in workers if worker.voice is Voice.SILENT),
        voices=Counter(worker.voice for worker in workers),
    )


def _worker(ledger: Ledger, now: datetime) -> Worker:
    age = max(now - ledger.updated, timedelta())
    voice = Voice.SPEAKING
    if age > SILENT:
        voice = Voice.SILENT if ledger.pending else Voice.IDLE
    kept = ledger.stored + sum(ledger.dropped.values()) + ledger.pending
    return Worker(ledger, voice, age, ledger.sampled == kept)
