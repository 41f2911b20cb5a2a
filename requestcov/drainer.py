"""The drain side of the pipeline: making records of recordings, and the threads that do it.

Laws: a thread with nothing to do is blocked, not polling (it looks for changed
counts every LEDGER_EVERY flush intervals, no more); one error, whatever
its kind, costs one item and never the thread; everything runs in an empty
contextvars context, so that no line of it is attributed to a request.
Deadlines are the monotonic clock's: a wall clock set back an hour delays
nothing.
"""

from __future__ import annotations

import math
import os
from _queue import Empty, SimpleQueue
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any

from requestcov import native
from requestcov.complaints import Complaints, describe
from requestcov.config import Config
from requestcov.ledger import Accounts
from requestcov.outlet import Outlet
from requestcov.record import RequestRecord

GATHER = 16
"""Recordings that may wait for company: unassembled, 2,100 lines take about 200 kB."""

GATHER_SECONDS = 0.25
"""How long they may, or a quarter of the flush interval if that is shorter. Waking up for each
one would take the GIL from the very requests that are being served."""


class Collector:
    """Makes records of the finished recordings, and offers them to every outlet."""

    def __init__(
        self,
        config: Config,
        accounts: Accounts,
        complaints: Complaints,
        outlets: Sequence[Outlet],
        assemble: Callable[[Any], RequestRecord],
        tick: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self.items: deque[Any] = deque()
        self.ticking = False
        self.told = False
        """Whether the thread knows that there is something to do."""
        self.asked = 0
        """Number of the last flush asked for."""
        self.passed = 0
        """Number of the last flush before which every item was offered to the outlets."""
        self._config = config
        self._accounts = accounts
        self._complaints = complaints
        self._outlets = outlets
        self._assemble = assemble
        self._tick = tick
        self._clock = clock
        self._tick_at = math.inf
        self._full_before = 0
        self._gather_from = math.inf
        # Half a queue at most: the requests go on while the thread wakes up.
        self._enough = min(GATHER, config.batch_size, max(1, config.queue_size // 2))

    def step(self) -> float:
        """Assemble up to a batch of items; returns when to call again, in seconds of the clock."""
        asked = self.asked
        if self._may_gather(asked):
            self._tick_if_due()
            return min(self._gather_until(), self._tick_at)
        since = min(self._gather_from, self._clock())
        self._gather_from = math.inf
        # Cleared before the look at the items: what is appended after it rings again.
        self.told = False
        for _ in range(self._config.batch_size):
            try:
                item = self.items.popleft()
            except IndexError:
                self.passed = max(self.passed, asked)
                break
            self._pass_on(item, since)
        self._tell_of_full_queue()
        self._tick_if_due()
        return self._clock() if self.items else self._tick_at

    def must_ring(self) -> bool:
        """After an append: whether the thread must be told."""
        if self.told and len(self.items) < self._enough:
            return False
        self.told = True
        return True

    def _may_gather(self, asked: int) -> bool:
        if not self.items or len(self.items) >= self._enough or asked > self.passed:
            return False
        now = self._clock()
        if self._gather_from == math.inf:
            self._gather_from = now
        return now < self._gather_until()

    def _gather_until(self) -> float:
        return self._gather_from + min(GATHER_SECONDS, self._config.flush_interval / 4)

    def _pass_on(self, item: Any, since: float) -> None:
        try:
            record = self._assemble(item)
        except BaseException as error:
            self._accounts.drop("assemble")
            text = f"a recording could not be made a record: {describe(error)}"
            self._complaints.say("assemble", text, self._clock())
            return
        for outlet in self._outlets:
            outlet.offer(record, since)

    def _tick_if_due(self) -> None:
        now = self._clock()
        if self.ticking and self._tick_at == math.inf:
            self._tick_at = now + self._config.flush_interval
        if now < self._tick_at:
            return
        # Cleared before the call: a wake() during it must not be lost.
        self.ticking = False
        try:
            again = self._tick()
        except BaseException as error:
            again = True
            self._complaints.say("tick", f"recordings could not be checked: {describe(error)}", now)
        self.ticking = self.ticking or again
        self._tick_at = now + self._config.flush_interval if self.ticking else math.inf

    def _tell_of_full_queue(self) -> None:
        full = self._accounts.dropped("queue_full")
        if full > self._full_before:
            self._full_before = full
            text = f"the queue was full; {full} recordings dropped since the start"
            self._complaints.say("queue_full", text, self._clock())


class Loop:
    """One native thread that takes the steps of its parts when they are due, or when rung for."""

    def __init__(
        self,
        pid: int,
        steps: Sequence[Callable[[], float]],
        close: Callable[[], None],
        complaints: Complaints,
        clock: Callable[[], float],
    ) -> None:
        self.alive = False
        self.ident = 0
        self._pid = pid
        self._steps = steps
        self._close = close
        self._complaints = complaints
        self._clock = clock
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._turning = native.new_lock()
        self._stopping = False

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: the system or the finalizing interpreter refuses.
        """
        self.alive = True
        try:
            native.start_thread(Context().run, self._run)
        except BaseException:
            self.alive = False
            raise

    def ring(self) -> None:
        """There is something to do; never waits."""
        self._bell.put(None)

    def stop(self) -> None:
        """Let the thread close what it holds and end, once its present step is done."""
        self._stopping = True
        self.ring()

    def turn(self, wait: bool) -> float:
        """Take every step once; returns when the next is due, never when somebody else is at it."""
        if not self._turning.acquire(wait):
            return math.inf
        try:
            return min(step() for step in self._steps)
        finally:
            self._turning.release()

    def close(self) -> None:
        """Close the parts, unless a thread is using them."""
        if self._turning.acquire(False):
            try:
                self._close()
            finally:
                self._turning.release()

    def _run(self) -> None:
        self.ident = native.get_ident()
        try:
            # A step that forks (a sink might) comes back twice: the child has its own loops.
            while not self._stopping and os.getpid() == self._pid:
                try:
                    due = self.turn(wait=True)
                except BaseException as error:
                    due = self._clock() + 1.0
                    self._complaints.say("loop", f"unexpected: {describe(error)}", self._clock())
                self._wait(due)
        finally:
            if os.getpid() == self._pid:
                self.close()
            self.alive = False

    def _wait(self, due: float) -> None:
        """Sleep until due or rung for; answer all rings so far at once."""
        seconds = due - self._clock()
        try:
            if seconds > 0:
                self._bell.get(timeout=None if due == math.inf else seconds)
            while True:
                self._bell.get_nowait()
        except Empty:
            return
