"""Lines, or line-to-line arcs, by coverage.py's C tracer: for Python 3.11, and for branches.

Laws:

* A thread has our trace function only between ``enter`` and ``leave``: while a
  recording has business there. A trace function of someone else's wins.
* The tracer of a thread is gated: at each call outside a recorded context it
  asks which collection the context holds; from there to the return of that
  frame it runs at C speed into that collection. Interleaved tasks, child tasks
  and callbacks on one thread are told apart by that question alone.
* A tracer that is in the middle of frames of one context would not ask again for
  a request that begins under them: every request that begins gets a fresh one.
* Greenlets share their thread's trace function but not its call stack, so each
  has a tracer of its own, changed at every switch.
* Work handed to a worker thread together with its context is followed there:
  see ``workers``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from requestcov import _coverage
from requestcov.engines import workers
from requestcov.engines.collection import Collection, Lines
from requestcov.native import new_local, new_reentrant_lock


class _Tracing:
    """One thread's (or greenlet's) tracer and the recordings it is there for.

    Attributes:
        outer: tracers set aside, with the guest at whose end each comes back: it has
            seen the calls of a request that called another one.
    """

    __slots__ = ("guests", "outer", "tracer")

    def __init__(self, tracer: Any) -> None:
        self.tracer = tracer
        self.guests: list[object] = []
        self.outer: list[tuple[object, Any]] = []


class TraceEngine:
    """See the module's laws."""

    name = "trace"

    def __init__(
        self,
        measures: Callable[[str], bool],
        active: ContextVar[Collection | None],
        *,
        arcs: bool,
    ) -> None:
        self.arcs = arcs
        self._measures = measures
        self._active = active
        self._lock = new_reentrant_lock()
        self._here = new_local()
        self._cache: dict[str, Any] = {}
        self._flight: dict[Collection, list[_Tracing]] = {}
        self._unhook: dict[str, Callable[[], None]] = {}
        try:
            self._new_tracer().stop()
            self._lost: str | None = None
        except _coverage.TracerMissing:
            self._lost = "no_c_tracer"

    def begin(self, collection: Collection) -> str | None:
        if self._lost is not None:
            return self._lost
        if self._foreign():
            return "trace_function_taken"
        collection.lines = {}  # the C tracer makes the sets itself
        workers.hook(self, self._unhook)
        with self._lock:
            self._flight[collection] = []
        return None

    def enter(self, collection: Collection) -> None:
        if collection.open and not self._foreign():
            self._enter(collection)

    def leave(self, collection: Collection) -> None:
        self._leave(collection)

    def follow(self) -> object | None:
        """A worker thread starts a piece of work: trace it if anything is in flight.

        Returns a guest to be given to :meth:`unfollow`, or None.
        """
        if not self._flight or self._foreign():
            return None
        guest = object()
        self._enter(guest)
        return guest

    def unfollow(self, guest: object) -> None:
        """The worker thread's piece of work has ended."""
        self._leave(guest)

    def mark(self, collection: Collection) -> None:
        if collection.before is None and collection.open:
            collection.before = _copy(collection.lines)

    def end(self, collection: Collection) -> Lines:
        with self._lock:
            collection.open = False
            for tracing in self._flight.pop(collection, ()):
                self._dismiss(tracing, collection)
        # Frames still on the stack keep adding to the sets they hold: hand over copies.
        return _copy(collection.lines)

    def forget(self) -> None:
        self._lock = new_reentrant_lock()
        for collection in list(self._flight):
            collection.open = False
        self._flight.clear()
        tracings = self._here.__dict__.pop("tracings", {})
        for tracing in tracings.values():
            tracing.guests.clear()
            tracing.tracer.stop()
        if tracings and not self._foreign():
            sys.settrace(None)

    def close(self) -> None:
        self.forget()
        for unhook in self._unhook.values():
            unhook()
        self._unhook.clear()

    def _enter(self, guest: object) -> None:
        who = _greenlet()
        tracings: dict[object, _Tracing] = self._here.__dict__.setdefault("tracings", {})
        tracing = tracings.get(who)
        with self._lock:
            if tracing is None or not tracing.guests:
                # One that was stopped from another thread has lost count of its frames.
                tracing = tracings[who] = _Tracing(self._new_tracer())
                self._watch_switches(tracings)
                tracing.tracer.start()
            elif isinstance(guest, Collection):
                around = self._active.get()
                if around is not None and around.open:
                    tracing.outer.append((guest, tracing.tracer))
                tracing.tracer.stop()
                tracing.tracer = self._new_tracer()
                tracing.tracer.start()
            tracing.guests.append(guest)
            if isinstance(guest, Collection) and guest in self._flight:
                self._flight[guest].append(tracing)

    def _leave(self, guest: object) -> None:
        who = _greenlet()
        tracings: dict[object, _Tracing] = self._here.__dict__.get("tracings", {})
        tracing = tracings.get(who)
        if tracing is None:
            return
        with self._lock:
            self._dismiss(tracing, guest)
            if isinstance(guest, Collection) and tracing in self._flight.get(guest, ()):
                self._flight[guest].remove(tracing)
            if tracing.guests:
                if tracing.outer and tracing.outer[-1][0] is guest:
                    tracing.tracer.stop()
                    tracing.tracer = tracing.outer.pop()[1]
                    tracing.tracer.start()
                return
        del tracings[who]
        if sys.gettrace() is tracing.tracer:
            sys.settrace(None)
        if not any(other.guests for other in tracings.values()):
            tracings.clear()
            self._unwatch_switches()

    def _dismiss(self, tracing: _Tracing, guest: object) -> None:
        """Under the lock: one guest less; a tracer without guests stops at its next event."""
        if guest in tracing.guests:
            tracing.guests.remove(guest)
        if not tracing.guests:
            tracing.tracer.stop()

    def _foreign(self) -> bool:
        """Whether this thread has a trace function that is not ours."""
        function = sys.gettrace()
        if function is None:
            return False
        tracings: dict[object, _Tracing] = self._here.__dict__.get("tracings", {})
        return not any(function is tracing.tracer for tracing in tracings.values())

    def _new_tracer(self) -> Any:
        current = self._active.get
        limbo: Lines = {}

        def starts_context(frame: object) -> Collection | None:
            collection = current()
            return collection if collection is not None and collection.open else None

        def switch_context(collection: Collection | None) -> None:
            tracer.data = limbo if collection is None else collection.lines

        tracer = _coverage.new_tracer(
            should_trace=self._should_trace,
            cache=self._cache,
            data=limbo,
            arcs=self.arcs,
            starts_context=starts_context,
            switch_context=switch_context,
        )
        return tracer

    def _should_trace(self, filename: str, frame: object) -> Any:
        if len(self._cache) > 50_000:  # generated file names; the tracer asks again
            self._cache.clear()
        return _coverage.disposition(filename, self._measures(filename))

    def _watch_switches(self, tracings: dict[object, _Tracing]) -> None:
        """While this thread is traced, give each greenlet its own tracer."""
        greenlet: Any = sys.modules.get("greenlet")
        if greenlet is None or "before" in self._here.__dict__:
            return
        current = self._active.get

        def switched(event: str, parties: tuple[object, object]) -> None:
            if event not in ("switch", "throw"):
                return
            target = parties[1]
            tracing = tracings.get(target)
            if tracing is None:
                collection = current()
                if collection is None or not collection.open:
                    sys.settrace(None)
                    return
                # The context came here without enter: SQLAlchemy's way.
                tracing = tracings[target] = _Tracing(self._new_tracer())
            tracing.tracer.start()

        before = greenlet.settrace(None)

        def both(event: str, parties: tuple[object, object]) -> None:
            switched(event, parties)
            if before is not None:
                before(event, parties)

        self._here.before = before
        greenlet.settrace(both)

    def _unwatch_switches(self) -> None:
        greenlet: Any = sys.modules.get("greenlet")
        if greenlet is not None and "before" in self._here.__dict__:
            greenlet.settrace(self._here.before)
            del self._here.before


def _greenlet() -> object:
    """The current greenlet, or None where there is no greenlet library."""
    greenlet: Any = sys.modules.get("greenlet")
    return None if greenlet is None else greenlet.getcurrent()


def _copy(lines: Lines) -> Lines:
    # list() and set() of built-in containers are one step each under the GIL.
    return {name: set(found) for name, found in list(lines.items())}
