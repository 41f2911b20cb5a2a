"""One sink's side of the pipeline: its backlog, its batches, its retries, its counts.

Laws: an outlet knows no other outlet, so a failing sink costs the others
nothing. A batch that failed comes again unchanged, with the same id, until it
is committed; behind it wait at most ``queue_size`` records (or two batches,
if that is more), and when more come the oldest waiting one is dropped as
``sink_backlog``: after an outage the newest requests are the ones somebody
asks about. What a sink only holds, to send it on, is pending. No thread is
started and nothing waits here: ``step`` and ``send`` answer when they want to
be called again.
"""

from __future__ import annotations

import math
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from requestcov.backoff import Backoff
from requestcov.complaints import Complaints, describe
from requestcov.config import Config
from requestcov.errors import SinkError
from requestcov.ledger import NOTHING, Accounts, Told, counts
from requestcov.record import Batch, Ledger, RequestRecord, SourceFile
from requestcov.sinks import Holding

if TYPE_CHECKING:
    from requestcov.sinks import Sink

GIVE_UP = 10
"""Attempts after which a batch is dropped as ``sink_error``, when the sink answers with neither
SinkError, OSError nor MemoryError: that is a defect which waiting does not mend, and the records
behind it shall pass."""

LEDGER_EVERY = 15
"""Flush intervals between two batches that carry changed counts but no record."""

Source = Callable[[str, str], bytes | None]
"""From a path and a source digest to the text, or None when it is not known."""


@dataclass(frozen=True, kw_only=True)
class SinkState:
    """How a sink is doing.

    Attributes:
        name: the sink's URL, secrets left out.
        waiting: records not yet committed.
        held: how many of these the sink has on this machine, to send them on.
        failures: failed attempts since the last success.
        error: the last failure in words, None after a success.
        retry_in: seconds until the next attempt, None when nothing failed.
    """

    name: str
    waiting: int
    held: int
    failures: int
    error: str | None
    retry_in: float | None


class Outlet:
    """Carries records to one sink.

    ``offer`` is called by one thread, ``step`` and ``close`` by one thread,
    ``send`` by one thread; the three may differ. Everything else may be called by
    any thread.
    """

    def __init__(
        self,
        sink: Sink,
        config: Config,
        accounts: Accounts,
        complaints: Complaints,
        source: Source,
        clock: Callable[[], float],
    ) -> None:
        self.holding = sink if isinstance(sink, Holding) else None
        """The sink, when what it has written is still to be sent."""
        self._sink = sink
        self._written_for = 0
        self._flushed = (0, 0)
        self._settled = 0
        self._config = config
        self._accounts = accounts
        self._complaints = complaints
        self._source = source
        self._clock = clock
        # Twice the batch: what the collector passes on at once fits in beside a batch almost full.
        self._room = max(config.queue_size, 2 * config.batch_size)
        self._backlog: deque[tuple[float, RequestRecord]] = deque()
        self._batch: Batch | None = None
        self._batch_settles = 0
        self._attempts = 0
        self._offered = 0
        self._written = 0
        # Each reason has one writer: sink_backlog the thread that offers, sink_error the one that steps.
        self._dropped: dict[str, int] = {}
        self._sent: set[tuple[str, str]] = set()
        self._told: Told = NOTHING
        self._ledger_at = clock() + LEDGER_EVERY * config.flush_interval
        self._writes = Backoff()
        self._sends = Backoff()
        self._used = False

    @property
    def settled(self) -> int:
        """Number of the last flush for which everything is committed."""
        flush, taken = self._flushed
        if self.holding is None or self.holding.through >= taken:
            self._settled = max(self._settled, flush)
        return self._settled

    @property
    def waiting(self) -> int:
        """Records offered, neither committed nor dropped yet."""
        stored, lost = self._balance()
        return self._offered - stored - sum(lost.values())

    @property
    def held(self) -> int:
        """Records that the sink has, but has not sent yet."""
        if self.holding is None:
            return 0
        # In this order: what is delivered meanwhile was written before.
        done = self.holding.delivered + sum(self.holding.lost.values())
        return max(0, self._written - done)

    def ledger(self) -> Ledger:
        """The balance of this sink, now."""
        return self._accounts.ledger(*self._balance())

    def changed(self) -> bool:
        """Whether the sink has not been told of some count."""
        return counts(self._ledger_once_sent(0)) != self._told

    def idle(self) -> bool:
        """Whether nothing waits, not even a count."""
        holds = self.holding is not None and self.holding.through < self.holding.taken
        return not (self.waiting or holds or self.changed())

    def state(self) -> SinkState:
        """How the sink is doing, now."""
        failing = [back for back in (self._sends, self._writes) if back.failures]
        return SinkState(
            name=self._sink.name,
            waiting=self.waiting,
            held=self.held,
            failures=sum(back.failures for back in failing),
            error=failing[0].error if failing else None,
            retry_in=max(0.0, min(back.until for back in failing) - self._clock()) if failing else None,
        )

    def offer(self, record: RequestRecord, since: float) -> None:
        """Add a record that waits since then to the backlog; never waits itself."""
        if len(self._backlog) >= self._room:
            try:
                self._backlog.popleft()
            except IndexError:
                pass  # the other thread took all of it for a batch
            else:
                self._lose("sink_backlog", 1)
        self._offered += 1
        self._backlog.append((since, record))

    def hasten(self) -> None:
        """Do not wait out the current back-off."""
        self._writes.hasten()
        self._sends.hasten()

    def step(self, flush: int) -> float:
        """Write one batch if one is due.

        Args:
            flush: number of the last flush asked for; until it is settled
                everything there is, is due.

        Returns:
            When to call again, in seconds of the clock.
        """
        if self._batch is None:
            self._batch = self._next_batch(flush)
        if self._batch is None:
            self._flushed_to(flush)
            return self._next_due()
        if self._clock() < self._writes.until:
            return self._writes.until
        self._used = True
        self._attempts += 1
        try:
            self._sink.write(self._batch)
        except BaseException as error:
            # SystemExit, MemoryError and the like too: they are the sink's, and end nothing here.
            self._failed(self._batch, error)
        else:
            self._committed(self._batch)
        return self._writes.until

    def send(self) -> float:
        """Let a sink that holds batches send one, if it is time to.

        Returns:
            When to call again, in seconds of the clock.
        """
        if self.holding is None:
            return math.inf
        if self._clock() < self._sends.until:
            return self._sends.until
        try:
            pause = self.holding.resume()
        except BaseException as error:
            now = self._clock()
            self._sends.failed(error, now)
            text = f"{self._sink.name} failed: {self._sends.error}; {self.held} records are kept for it"
            self._complaints.say(f"failed {self._sink.name}", text, now)
            return self._sends.until
        self._recovered(self._sends, self.ledger)
        return math.inf if pause is None else self._clock() + pause

    def close(self) -> None:
        """Close the sink, if it was used."""
        if not self._used:
            return
        self._used = False
        try:
            self._sink.close()
        except BaseException as error:
            text = f"{self._sink.name} did not close: {describe(error)}"
            self._complaints.say(f"close {self._sink.name}", text, self._clock())

    def _next_batch(self, flush: int) -> Batch | None:
        now = self._clock()
        hurry = self._written_for < flush
        if self._backlog:
            full = len(self._backlog) >= self._config.batch_size
            if not (full or hurry or now >= self._oldest() + self._config.flush_interval):
                return None
        elif not (hurry or now >= self._ledger_at):
            return None
        else:
            self._ledger_at = now + LEDGER_EVERY * self._config.flush_interval
            if not self.changed():
                return None
        return self._make_batch(flush)

    def _make_batch(self, flush: int) -> Batch:
        records: list[RequestRecord] = []
        try:
            while len(records) < self._config.batch_size and self._backlog:
                records.append(self._backlog.popleft()[1])
            batch = Batch(
                id=uuid.uuid4().hex,
                records=tuple(records),
                ledger=self._ledger_once_sent(len(records)),
                sources=tuple(self._new_sources(records)),
            )
        except BaseException:
            # Out of memory: put them back, in order, and let the loop try again later.
            self._backlog.extendleft((self._clock(), record) for record in reversed(records))
            raise
        self._attempts = 0
        # Committed, a batch that left nothing behind settles the flush, its ledger included: a busy
        # process changes its counts all the time, and a flush must end nevertheless.
        self._batch_settles = self._written_for if self._backlog else flush
        return batch

    def _new_sources(self, records: list[RequestRecord]) -> list[SourceFile]:
        if not self._config.keep_sources:
            return []
        if self.holding is not None and self.holding.forgot_sources():
            self._sent.clear()
        sources: dict[tuple[str, str], SourceFile | None] = {}
        for key in (key for record in records for key in _versions(record)):
            if key in self._sent or key in sources:
                continue
            sources[key] = None
            try:
                text = self._source(*key)
            except Exception as error:
                said = f"the source of {key[0]} cannot be had: {describe(error)}"
                self._complaints.say("source", said, self._clock())
                continue
            if text is not None:
                sources[key] = SourceFile(*key, text)
        return [source for source in sources.values() if source is not None]

    def _committed(self, batch: Batch) -> None:
        self._written += len(batch.records)
        self._batch = None
        self._flushed_to(self._batch_settles)
        # Those without a text too: one that is gone will not come back under the same digest.
        self._sent.update(key for record in batch.records for key in _versions(record))
        self._told = counts(batch.ledger)
        self._ledger_at = self._clock() + LEDGER_EVERY * self._config.flush_interval
        self._recovered(self._writes, lambda: batch.ledger)

    def _recovered(self, tried: Backoff, ledger: Callable[[], Ledger]) -> None:
        if tried.failures:
            now = self._clock()
            lost = ", ".join(f"{count} {reason}" for reason, count in ledger().dropped.items())
            self._complaints.say(
                f"recovered {self._sink.name}",
                f"{self._sink.name} works again after {tried.failures} failed attempts "
                f"in {now - tried.since:.0f} s; dropped since the start: {lost or 'nothing'}",
                now,
            )
        tried.worked()

    def _failed(self, batch: Batch, error: BaseException) -> None:
        now = self._clock()
        self._writes.failed(error, now)
        outcome = "will try again"
        if self._attempts >= GIVE_UP and not isinstance(error, (SinkError, OSError, MemoryError)):
            self._lose("sink_error", len(batch.records))
            self._batch = None
            outcome = f"dropped {len(batch.records)} records"
        text = f"{self._sink.name} failed: {self._writes.error}; {outcome}"
        self._complaints.say(f"failed {self._sink.name}", text, now)

    def _flushed_to(self, flush: int) -> None:
        """Everything before that flush is written; it is settled once that is sent as well."""
        if flush > self._written_for:
            self._written_for = flush
            self._flushed = (flush, self.holding.taken if self.holding is not None else 0)

    def _balance(self) -> tuple[int, dict[str, int]]:
        """Records that have arrived, and what was lost by reason."""
        dropped = self._dropped.copy()
        if self.holding is None:
            return self._written, dropped
        return self.holding.delivered, {**dropped, **self.holding.lost}

    def _ledger_once_sent(self, records: int) -> Ledger:
        """The balance once so many records more, and all that is held, have arrived."""
        lost: Mapping[str, int] = self.holding.lost if self.holding is not None else {}
        written = self._written + records - sum(lost.values())
        return self._accounts.ledger(written, {**self._dropped.copy(), **lost})

    def _lose(self, reason: str, count: int) -> None:
        if count:
            self._dropped[reason] = self._dropped.get(reason, 0) + count

    def _oldest(self) -> float:
        try:
            return self._backlog[0][0]
        except IndexError:
            return self._clock()

    def _next_due(self) -> float:
        if self._backlog:
            return self._oldest() + self._config.flush_interval
        return self._ledger_at


def _versions(record: RequestRecord) -> list[tuple[str, str]]:
    """The versions of files that a record ran: (path, digest), where the digest is known."""
    return [(block.path, block.digest) for block in record.blocks if block.digest]
