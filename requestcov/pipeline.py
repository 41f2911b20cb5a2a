"""From finished recordings to the sinks: the queue, the fork, the flush, the exit.

Laws: constructing starts nothing. ``put`` never blocks and never raises, not
in a signal handler, not in ``__del__``, not when the interpreter ends; what
does not fit is dropped and counted. All work is done by native threads that
start at the first ``put`` of a process. With one sink there is one such
thread; with more, one that assembles and one for each sink, so that a sink
that hangs holds up nobody else; one more for each sink that sends on what it
has written. Every process has its own queue, counts,
sinks and threads: a child inherits none of its parent's, whose queued records
stay the parent's to write. No signal handler is ever installed. At exit
everything is flushed within EXIT_TIMEOUT by the threads that exist, or in the
exiting thread where none could be started; no thread is started then.
"""

from __future__ import annotations

import atexit
import math
import os
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from typing import TYPE_CHECKING, Any

from requestcov import native
from requestcov.complaints import Complaints, describe
from requestcov.config import Config
from requestcov.drainer import Collector, Loop
from requestcov.ledger import Accounts
from requestcov.outlet import Outlet, SinkState, Source
from requestcov.record import Ledger, RequestRecord

if TYPE_CHECKING:
    from requestcov.sinks import Sink

EXIT_TIMEOUT = 2.0
"""Seconds that the flush at the interpreter's exit may take in all."""

_POLL = 0.005
"""Seconds between two looks of a waiting flush. It looks instead of waiting on a lock, because
no lock suits both a greenlet and a native thread."""

_pipelines: weakref.WeakSet[Pipeline] = weakref.WeakSet()


class _Process:
    """All that belongs to one process."""

    def __init__(self, pipeline: Pipeline, sinks: Sequence[Sink], parent: _Process | None) -> None:
        self.pid = os.getpid()
        # What is inherited is never finalised here: closing a parent's SQLite connection in its
        # child would harm both. The reference to the pipeline keeps it for as long as a thread runs.
        self.parent = parent
        self.pipeline = pipeline
        self.heirs: dict[int, _Process] = {}
        self.closed = False
        self.started = False
        self.start_again_at = -math.inf
        self.starting = native.new_lock()
        self.complaints = Complaints()
        self.accounts = Accounts(pipeline._config, pipeline._seen, pipeline._excluded)
        config, complaints, clock = pipeline._config, self.complaints, pipeline._clock
        self.outlets = [
            Outlet(sink, config, self.accounts, complaints, pipeline._source, clock) for sink in sinks
        ]
        self.collector = Collector(
            config, self.accounts, complaints, self.outlets, pipeline._assemble, pipeline._tick, clock
        )

        def loop(*steps: Callable[[], float], close: Callable[[], None]) -> Loop:
            return Loop(self.pid, steps, close, complaints, clock)

        if len(self.outlets) == 1:
            outlet = self.outlets[0]
            self.loops = [loop(self.collector.step, self._writing(outlet), close=outlet.close)]
        else:
            self.loops = [loop(self._collect, close=lambda: None)]
            self.loops += [loop(self._writing(outlet), close=outlet.close) for outlet in self.outlets]
        self._writers = self.loops[1:]
        # A peer that answers late must hold up neither the records nor their way to the disk.
        self.senders = {
            id(outlet): loop(outlet.send, close=lambda: None)
            for outlet in self.outlets
            if outlet.holding is not None
        }

    @property
    def threads(self) -> list[Loop]:
        """All there are."""
        return [*self.loops, *self.senders.values()]

    def _collect(self) -> float:
        due = self.collector.step()
        for writer in self._writers:
            writer.ring()
        return due

    def _writing(self, outlet: Outlet) -> Callable[[], float]:
        def write() -> float:
            before = outlet.holding.taken if outlet.holding is not None else 0
            due = outlet.step(self.collector.passed)
            if outlet.holding is not None and outlet.holding.taken > before:
                self.senders[id(outlet)].ring()
            return due

        return write

    def settled(self, flush: int) -> bool:
        """Whether everything put before that flush was asked for is committed, counts included."""
        return self.collector.passed >= flush and all(outlet.settled >= flush for outlet in self.outlets)

    def untouched(self) -> bool:
        """Whether there is nothing to write, not even a count."""
        return not self.collector.items and all(outlet.idle() for outlet in self.outlets)


class Pipeline:
    """Takes finished recordings and sees to it that every sink gets them.

    ``sampled``, ``drop``, ``put`` and ``wake`` are for the request's side: they
    never wait and never raise. The callables run in the drain threads.

    Args:
        config: of it ``queue_size``, ``batch_size`` and ``flush_interval`` are used.
        assemble: makes a record of an item; if it raises, the item is dropped as ``assemble``.
        sinks: new sinks; called once in every process.
        seen: requests so far in this process, by endpoint.
        excluded: excluded requests so far in this process.
        source: text of a file version, asked once a sink and version.
        tick: called once a flush interval after ``wake()``, for as long as it returns True.
        on_fork: called once in a forked child, before it counts anything here: after the fork,
            or, where the fork ran no hooks, at the child's first call.
        clock: monotonic seconds.

    Raises:
        Exception: whatever ``sinks()`` raises (only here, never in a child).
    """

    def __init__(
        self,
        config: Config,
        assemble: Callable[[Any], RequestRecord],
        *,
        sinks: Callable[[], Sequence[Sink]],
        seen: Callable[[], Mapping[str, int]],
        excluded: Callable[[], int],
        source: Source = lambda path, digest: None,
        tick: Callable[[], bool] = lambda: False,
        on_fork: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._assemble = assemble
        self._open_sinks = sinks
        self._seen = seen
        self._excluded = excluded
        self._source = source
        self._tick = tick
        self._on_fork = on_fork
        self._clock = clock
        self._process = _Process(self, sinks(), None)
        _watch(self)

    @property
    def worker(self) -> str:
        """``host:pid`` of this process."""
        return self._here().accounts.worker

    @property
    def boot(self) -> str:
        """Hex id of this incarnation of the process. A recording begun under another one was
        inherited by fork: it is the parent's to finish."""
        return self._here().accounts.boot

    def sampled(self) -> int:
        """A policy took a request: count it. Returns its number in this process: 1, 2, …"""
        return self._here().accounts.take()

    def drop(self, reason: str, count: int = 1) -> None:
        """Count taken requests that will never become records."""
        self._here().accounts.drop(reason, count)

    def put(self, item: Any) -> None:
        """Hand over a finished recording, or drop and count it: ``queue_full``, ``closed``.

        The queue may exceed its bound by as many items as threads put at the same moment.
        """
        try:
            process = self._here()
            if process.closed:
                process.accounts.drop("closed")
                return
            if len(process.collector.items) >= self._config.queue_size:
                process.accounts.drop("queue_full")
            else:
                process.collector.items.append(item)
                if process.collector.must_ring():
                    process.loops[0].ring()
            if not process.started:
                self._start(process)
        except Exception:
            # Out of memory or of stack: the record stays pending in the ledger.
            return

    def wake(self) -> None:
        """Let ``tick`` be called once a flush interval until it returns False."""
        try:
            process = self._here()
            if process.collector.ticking or process.closed:
                return
            process.collector.ticking = True
            process.loops[0].ring()
            if not process.started:
                self._start(process)
        except Exception:
            return

    def ledgers(self) -> list[Ledger]:
        """The balance of every sink, in the order of the sinks."""
        return [outlet.ledger() for outlet in self._here().outlets]

    def states(self) -> list[SinkState]:
        """How every sink is doing, in the order of the sinks."""
        return [outlet.state() for outlet in self._here().outlets]

    def flush(self, timeout: float) -> bool:
        """Write everything put so far, and the counts.

        Waits cooperatively under gevent; blocks an event loop like any other
        call. Not for a sink or a log handler in a drain thread: there it
        returns False at once.

        Args:
            timeout: seconds.

        Returns:
            Whether every sink committed everything in time. What it did not
            is tried again later.
        """
        process = self._here()
        if not process.started and not process.closed and not process.untouched():
            self._start(process)
        return self._drain(process, self._clock() + timeout, time.sleep)

    def close(self, timeout: float = EXIT_TIMEOUT) -> bool:
        """Flush, end the threads, close the sinks; what is put later is dropped as ``closed``.

        Args:
            timeout: seconds; a thread that hangs in a sink longer is left behind.

        Returns:
            Whether every sink committed everything in time.
        """
        return self._end(self._here(), self._clock() + timeout, time.sleep)

    def _here(self) -> _Process:
        process = self._process
        # Not only at fork: uWSGI forks without telling Python, and its threads still look alive.
        return process if process.pid == os.getpid() else self._enter(process)

    def _enter(self, parent: _Process) -> _Process:
        """This process is a child that has no state of its own yet."""
        sinks: Sequence[Sink] = ()
        try:
            sinks = self._open_sinks()
        except Exception as error:
            parent.complaints.say("fork", f"no sinks after a fork: {describe(error)}", self._clock())
        child = _Process(self, sinks, parent)
        # Threads may race to get here; setdefault lets one of them win.
        heir = parent.heirs.setdefault(child.pid, child)
        if heir is child:
            try:
                self._on_fork()
            except Exception as error:
                child.complaints.say("fork", f"after a fork: {describe(error)}", self._clock())
            _watch(self)
        self._process = heir
        return heir

    def _start(self, process: _Process) -> None:
        """Start the threads that do not run; a later call tries those again that could not start."""
        if process.closed or not process.starting.acquire(False):
            return
        try:
            now = self._clock()
            if now < process.start_again_at:
                return
            for loop in process.threads:
                if not loop.alive:
                    loop.start()
            process.started = True
        except Exception as error:
            process.start_again_at = now + self._config.flush_interval
            text = f"no thread to write records with: {describe(error)}; will try again"
            process.complaints.say("start", text, now)
        finally:
            process.starting.release()

    def _drain(self, process: _Process, deadline: float, pause: Callable[[float], None]) -> bool:
        if any(loop.alive and loop.ident == native.get_ident() for loop in process.threads):
            return False
        if process.untouched():
            return True
        collector = process.collector
        # A number that no flush before had; two at the same moment may share one.
        flush = collector.asked + 1
        for outlet in process.outlets:
            outlet.hasten()
        while True:
            collector.asked = max(collector.asked, flush)
            due = math.inf
            for loop in process.loops:
                if loop.alive:
                    loop.ring()
                else:
                    due = min(due, Context().run(loop.turn, False))
            # Not in this thread where there is none: an exchange may take longer than an exit.
            for sender in process.senders.values():
                sender.ring()
            if process.settled(flush):
                return True
            now = self._clock()
            if now >= deadline:
                return False
            if due > now:
                pause(min(_POLL, deadline - now))

    def _end(self, process: _Process, deadline: float, pause: Callable[[float], None]) -> bool:
        process.closed = True
        done = self._drain(process, deadline, pause)
        for loop in process.threads:
            loop.stop()
        while any(loop.alive for loop in process.threads) and self._clock() < deadline:
            pause(_POLL)
        for loop in process.loops:
            if not loop.alive:
                loop.close()
        return done


def _watch(pipeline: Pipeline) -> None:
    """Flush at exit. Registered anew in a child: some ways to fork forget what was registered."""
    _pipelines.add(pipeline)
    atexit.unregister(_at_exit)
    atexit.register(_at_exit)


def _at_exit() -> None:
    deadline = time.monotonic() + EXIT_TIMEOUT
    for pipeline in list(_pipelines):
        process = pipeline._process
        if process.pid == os.getpid():
            left = deadline - time.monotonic()
            # A hub that is being torn down would not wake a greenlet: block the thread.
            pipeline._end(process, pipeline._clock() + left, native.sleep)


def _after_fork() -> None:
    for pipeline in list(_pipelines):
        pipeline._here()


if hasattr(os, "register_at_fork"):
    # Once for all pipelines, which are held weakly: what is registered cannot be taken back.
    os.register_at_fork(after_in_child=_after_fork)
