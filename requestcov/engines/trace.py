"""Lines, or line-to-line arcs, by coverage.py's C tracer: for Python 3.11, and for branches.

Laws:

* A thread has our trace function only between ``enter`` and ``leave``: while a
  recording has business there. A trace function of someone else's wins.
* A step that has its stack to itself gets a tracer of its own, which writes to its
  collection from the first event to the last and asks nobody.
* A thread on which requests take turns has one tracer for all of them, gated: at
  each call outside a recorded context it asks which collection the context holds;
  from there to the return of that frame it runs at C speed into that collection.
  Interleaved tasks, child tasks and callbacks are told apart by that question alone.
* A gated tracer that is in the middle of frames of one context would not ask again
  for a request that begins under them: every request that begins gets a fresh one.
* A tracer counts calls and returns: one that was set aside comes back at the depth
  of the stack at which it went, and one whose step is over never comes back.
* A tracer is stopped before it is let go: with one that is not, the trace function
  of whichever thread drops it last would go.
* Greenlets share their thread's trace function but not its call stack: see ``greenlets``.
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
from requestcov.engines.collection import LIMBO, NOTHING, Collection, Found, Lines, Step
from requestcov.engines.greenlets import Switches, current_greenlet
from requestcov.native import new_local, new_reentrant_lock


class _Turns:
    """One thread's (or greenlet's) gated tracer and the recordings it is there for.

    Attributes:
        outer: tracers set aside, with the guest at whose end each comes back: it has
            seen the calls of a request that called another one.
    """

    __slots__ = ("guests", "outer", "tracer", "watched")

    def __init__(self, watched: bool) -> None:
        self.tracer: Any = None
        self.watched = watched
        self.guests: list[object] = []
        self.outer: list[tuple[object, Any]] = []


class TraceEngine:
    """See the module's laws."""

    name = "trace"
    steps = True

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
        self._asks = self._should_trace
        self._switches = Switches(self._ours, self._newcomer)
        self._unhook: dict[str, Callable[[], None]] = {}
        self._flight: dict[Collection, None] = {}
        # Whoever may yet write to a collection is in one of these two.
        self._steps: dict[Any, Collection] = {}
        self._turns: dict[_Turns, None] = {}
        self._looked_at = 0
        try:
            self._tracer = self._tracers(None)
            self._gated = self._tracers(self._starts_context)
            self._lost: str | None = None
        except _coverage.TracerMissing:
            self._lost = "no_c_tracer"

    def begin(self, collection: Collection) -> str | None:
        if self._lost is not None:
            return self._lost
        if not self._ours(sys.gettrace()):
            return "trace_function_taken"
        collection.lines = {}  # the C tracer makes the sets itself
        if len(sys.modules) != self._looked_at:  # it may be time for a hook
            self._looked_at = len(sys.modules)
            workers.hook(self, self._unhook)
        self._flight[collection] = None
        return None

    def enter(self, collection: Collection, alone: bool = True) -> Step:
        displaced: Any = sys.gettrace()
        if displaced is not None and not self._ours(displaced):
            return NOTHING
        if not alone:
            return (bool, self._join(collection, displaced)) if collection.open else NOTHING
        tracer = self._tracer(LIMBO)
        step = tracer.stop, (tracer, displaced, "greenlet" in sys.modules and self._switches.watch())
        # In this order: who ends the collection meanwhile finds it held, or is seen here.
        self._steps[tracer] = collection
        if collection.open:
            if displaced is not None:
                displaced.stop()
            tracer.data = collection.lines
            tracer.start()
        return step

    def leave(self, collection: Collection, entered: Any) -> None:
        if isinstance(entered, tuple):
            tracer, displaced, watched = entered
            function = sys.gettrace()
            tracer.stop()
            if function is tracer:
                sys.settrace(None)
            if watched:
                self._switches.unwatch()
            forgotten = self._steps.pop(tracer, None) is None
            # One that was stopped has taken itself off; any other function is the app's.
            if displaced is None or forgotten or (function is not tracer and function is not None):
                return
            if self._wanted(displaced):
                displaced.start()  # as deep in calls as when enter set it aside
        elif entered is not None:
            self._part(collection)

    def follow(self) -> object | None:
        """A worker thread starts a piece of work: trace it if anything is in flight.

        Returns a guest to be given to :meth:`unfollow`, or None.
        """
        if not self._flight:
            return None
        displaced = sys.gettrace()
        if not self._ours(displaced) or displaced in self._steps:
            return None
        guest = object()
        self._join(guest, displaced)
        return guest

    def unfollow(self, guest: object) -> None:
        """The worker thread's piece of work has ended."""
        self._part(guest)

    def mark(self, collection: Collection) -> None:
        with self._lock:
            if collection.before is None and collection.open:
                if self._held(collection):
                    collection.before = _copy(collection.lines), []
                else:
                    collection.before, collection.lines = (collection.lines, []), {}

    def end(self, collection: Collection) -> Found:
        with self._lock:
            collection.open = False
            self._flight.pop(collection, None)
            lines, collection.lines = collection.lines, LIMBO
            if not self._held(collection):
                return lines, []
            for tracer, whose in self._steps.copy().items():
                if whose is collection:
                    tracer.stop()
            for turns in list(self._turns):
                _dismiss(turns, collection)
            return _copy(lines), []

    def settle(self) -> None:
        """Nothing to do: each line is kept once."""

    def forget(self) -> None:
        self._lock = new_reentrant_lock()
        for collection in list(self._flight):
            collection.open = False
        self._flight.clear()
        for tracer in [*self._steps, *(turns.tracer for turns in list(self._turns))]:
            tracer.stop()
        self._steps.clear()
        self._turns.clear()
        self._here.__dict__.clear()
        self._switches.forget()
        if self._ours(sys.gettrace()):
            sys.settrace(None)

    def close(self) -> None:
        self.forget()
        for unhook in self._unhook.values():
            unhook()
        self._unhook.clear()
        self._looked_at = 0

    def _held(self, collection: Collection) -> bool:
        """Whether frames may be running that add to the sets of a collection."""
        return bool(self._turns) or collection in self._steps.values()

    def _join(self, guest: object, displaced: Any) -> _Turns:
        """A guest takes turns with others on this thread."""
        here: dict[object, _Turns] = self._here.__dict__.setdefault("turns", {})
        who = current_greenlet()
        with self._lock:
            turns = here.get(who) or _Turns(self._switches.watch())
            if not turns.guests or isinstance(guest, Collection):
                # A tracer without guests was stopped by another thread and has lost count.
                tracer = self._gated(LIMBO)
                around = self._active.get()
                if displaced is not None:
                    displaced.stop()
                    if displaced is not turns.tracer or (around is not None and around.open):
                        turns.outer.append((guest, displaced))
                turns.tracer = tracer
                here[who] = turns
                self._turns[turns] = None
                tracer.start()
            turns.guests.append(guest)
        return turns

    def _part(self, guest: object) -> None:
        here: dict[object, _Turns] = self._here.__dict__.get("turns", {})
        who = current_greenlet()
        turns = here.get(who)
        if turns is None:
            return
        with self._lock:
            _dismiss(turns, guest)
            tracer = turns.tracer
            back: Any = turns.outer.pop()[1] if turns.outer and turns.outer[-1][0] is guest else None
            if turns.guests:
                # A step's tracer asks nobody, so it cannot serve those that stay.
                if back is not None and back not in self._steps:
                    tracer.stop()
                    turns.tracer = back
                    back.start()
                return
            del here[who]
            self._turns.pop(turns, None)
        function = sys.gettrace()
        if function is tracer:
            sys.settrace(None)
        if turns.watched:
            self._switches.unwatch()
        if (function is tracer or function is None) and self._wanted(back):
            back.start()

    def _wanted(self, tracer: Any) -> bool:
        """Whether a tracer that was set aside, or None, still has somebody to trace for."""
        collection = None if tracer is None else self._steps.get(tracer)
        if collection is not None:
            return collection.open
        return any(turns.tracer is tracer and turns.guests for turns in list(self._turns))

    def _ours(self, function: Any) -> bool:
        """Whether a trace function is a tracer of this engine, or none at all."""
        return function is None or _coverage.asks(function, self._asks)

    def _tracers(
        self, starts_context: Callable[[object], Collection | None] | None
    ) -> Callable[[Lines], Any]:
        return _coverage.tracers(
            should_trace=self._asks,
            cache=self._cache,
            arcs=self.arcs,
            starts_context=starts_context,
            switch_context=_switch_context,
        )

    def _newcomer(self) -> Any:
        """A tracer for a greenlet that nobody entered."""
        if self._starts_context(None) is None:
            return None
        return self._gated(LIMBO)

    def _starts_context(self, frame: object) -> Collection | None:
        collection = self._active.get()
        return collection if collection is not None and collection.open else None

    def _should_trace(self, filename: str, frame: object) -> Any:
        if len(self._cache) > 50_000:  # generated file names; the tracer asks again
            self._cache.clear()
        return _coverage.disposition(filename, self._measures(filename))


def _switch_context(collection: Collection | None) -> None:
    """The gated tracer that calls this has come to a frame of that collection, or has left it.

    It is found as this thread's trace function, for a callback that held it would be a
    cycle, and coverage.py's tracer is unknown to the garbage collector.
    """
    tracer: Any = sys.gettrace()
    if _coverage.tells(tracer, _switch_context):  # else a debugger was set in that frame
        tracer.data = LIMBO if collection is None else collection.lines


def _dismiss(turns: _Turns, guest: object) -> None:
    """Under the lock: one guest less; a tracer without guests stops at its next event."""
    if guest in turns.guests:
        turns.guests.remove(guest)
    if not turns.guests:
        turns.tracer.stop()


def _copy(lines: Lines) -> Lines:
    # list() and set() of built-in containers are one step each under the GIL.
    return {name: set(found) for name, found in list(lines.items())}
