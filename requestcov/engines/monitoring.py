"""Lines by PEP 669 events, for Python 3.12 and later.

Laws:

* LINE events are armed only on code in scope, code object by code object; the
  one global event is PY_START, which finds that code and is disabled at once.
* A disabled location is disabled for the whole process. The callback returns
  DISABLE only while the one recording in flight is its own, or none is. There
  is no call between that comparison and the return, hence no moment in which
  another thread could begin a recording: under the GIL threads switch only
  after calls and at backward jumps.
* ``begin`` publishes the new recording before it re-arms, and re-arms in one C
  call, so that no stale DISABLE can land after it.
* Re-arming wakes every tool's disabled events. Sets of lines do not mind;
  coverage.py's sysmon core, where it measures branches (Python 3.14), does: it
  joins the lines of a frame that an exception left with those of the next.
  Its numbers are its user's, so nothing is recorded while it does that.
* A line that is disabled comes once, until a recording begins or another tool re-arms:
  it is appended to a list, which is sorted later. One that may come again, in a loop
  while recordings overlap, goes into a set at once. A list that grows over several
  re-armings is sorted early, so memory is bounded by the lines that ran.
* A callback cannot raise: it does nothing that can fail. What a signal handler
  raises inside it belongs to the app and goes there.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import AsyncGeneratorType, CodeType, CoroutineType, GeneratorType
from typing import Any

from requestcov import _coverage
from requestcov.engines.collection import LIMBO, MAX_LOG, NOTHING, Collection, Found, Lines, Step, add_log
from requestcov.native import new_reentrant_lock

TOOL = "requestcov"
MAX_NAMES = 50_000
"""File names out of scope that are remembered."""

TOOL_IDS = (4, 3, 5, 2, 1)
"""Those without a name in PEP 669 first; 0 is the debuggers'."""

_monitoring: Any = getattr(sys, "monitoring", None)

_BESIDE_BRANCHES = sys.version_info >= (3, 14)
"""Whether coverage.py can measure branches by events, beside us."""


def tool_taken_by() -> dict[int, str]:
    """Which tool ids are in use, by whom: for ``requestcov doctor``."""
    if sys.version_info < (3, 12):
        return {}
    return {i: name for i in range(6) if (name := sys.monitoring.get_tool(i)) is not None}


class MonitoringEngine:
    """See the module's laws."""

    name = "monitoring"
    arcs = False
    steps = False

    def __init__(self, measures: Callable[[str], bool], active: ContextVar[Collection | None]) -> None:
        self._measures = measures
        self._active = active
        self._lock = new_reentrant_lock()
        self._flight: set[Collection] = set()
        self._armed: dict[int, weakref.ref[CodeType]] = {}
        self._tool: int | None = None
        # Without the GIL a comparison and a return are no atomic pair.
        gil = getattr(sys, "_is_gil_enabled", None)
        self._disables = gil is None or bool(gil())
        self._publish: Callable[[set[Collection]], None] = lambda flight: None
        self._lost = self._start()

    def begin(self, collection: Collection) -> str | None:
        if _BESIDE_BRANCHES and _coverage.monitors_branches():
            return "coverage_running"
        with self._lock:
            if self._tool is None or _monitoring.get_tool(self._tool) != TOOL:
                # Whoever freed our id wanted it: take another, or stand aside.
                self._lost = self._start()
            if self._lost is None:
                if self._flight:
                    self._settle()
                self._flight.add(collection)
                self._publish(self._flight)
                _monitoring.restart_events()
        return self._lost

    def enter(self, collection: Collection, alone: bool = True) -> Step:
        """Nothing to do: events follow the context by themselves."""
        return NOTHING

    def leave(self, collection: Collection, entered: object) -> None:
        """Nothing to do."""

    def mark(self, collection: Collection) -> None:
        # What ran before is disabled or is collected again: a difference tells either way.
        lines: Lines = defaultdict(set)
        # No call from here on: who ends the collection finds it before or after.
        if collection.before is None and collection.open:
            collection.before = collection.lines, collection.log
            collection.lines, collection.log = lines, []

    def end(self, collection: Collection) -> Found:
        with self._lock:
            self._flight.discard(collection)
            self._publish(self._flight)
        collection.open = False
        found = collection.lines, collection.log
        collection.lines, collection.log = LIMBO, []
        return found

    def settle(self) -> None:
        with self._lock:
            self._settle()

    def _settle(self) -> None:
        for collection in self._flight:
            if len(collection.log) > MAX_LOG:
                # Both at once: they are parted together when the response is complete. Whoever
                # ends the collection waits for our lock, so nobody reads the sets before they are whole.
                lines, log, collection.log = collection.lines, collection.log, []
                add_log(lines, log)

    def forget(self) -> None:
        self._lock = new_reentrant_lock()
        for collection in list(self._flight):
            collection.open = False
            collection.lines, collection.log = LIMBO, []
        self._flight.clear()
        self._publish(self._flight)

    def close(self) -> None:
        self.forget()
        with self._lock:
            tool, self._tool = self._tool, None
            if sys.version_info >= (3, 12) and tool is not None and sys.monitoring.get_tool(tool) == TOOL:
                events = sys.monitoring.events
                sys.monitoring.set_events(tool, 0)
                for ref in list(self._armed.values()):
                    code = ref()
                    if code is not None:
                        sys.monitoring.set_local_events(tool, code, 0)
                for event in (events.PY_START, events.LINE):
                    sys.monitoring.register_callback(tool, event, None)
                sys.monitoring.free_tool_id(tool)
            self._armed = {}

    def _start(self) -> str | None:
        """Take a tool id and begin to find code; the reason if there is none to take."""
        if sys.version_info >= (3, 12):
            monitoring = sys.monitoring
            for tool in TOOL_IDS:
                try:
                    monitoring.use_tool_id(tool, TOOL)
                except ValueError:
                    continue
                break
            else:
                return "no_tool_id"
            self._tool = tool
            self._armed = {}
            on_start, on_line, self._publish = self._callbacks(tool)
            self._publish(self._flight)
            events = monitoring.events
            monitoring.register_callback(tool, events.PY_START, on_start)
            monitoring.register_callback(tool, events.LINE, on_line)
            for code in suspended_code():
                on_start(code, 0)
            monitoring.set_events(tool, events.PY_START)
            return None
        return "no_monitoring"

    def _callbacks(self, tool: int) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., None]]:
        """The two callbacks as closures: cells are the cheapest names to read."""
        disable = _monitoring.DISABLE
        line_event = _monitoring.events.LINE
        set_local_events = _monitoring.set_local_events
        measures = self._measures
        armed = self._armed
        current = self._active.get
        disables = self._disables
        nobody, many = _NOBODY, _MANY
        reference = weakref.ref
        outside: set[str] = set()
        only = nobody

        def publish(flight: set[Collection]) -> None:
            """Tell the callbacks which recording, if any, is the only one in flight."""
            nonlocal only
            if len(flight) == 1 and disables:
                (only,) = flight
            else:
                only = many if flight or not disables else nobody

        def on_start(code: CodeType, offset: int) -> Any:
            # Every code object that runs after a restart comes by here: two look-ups, no call.
            if id(code) in armed or code.co_filename in outside:
                return disable
            return found(code)

        def found(code: CodeType) -> Any:
            filename = code.co_filename
            if not measures(filename):
                if len(outside) > MAX_NAMES:  # generated code can have endless names
                    outside.clear()
                outside.add(filename)
                return disable
            try:
                set_local_events(tool, code, line_event)
            except ValueError:  # somebody freed our tool id; begin() notices
                return disable
            # Weak, so that generated code can go; by id, for hashing code hashes its bytes.
            name = id(code)
            armed[name] = reference(code, lambda _: armed.pop(name, None))
            return disable

        def on_line(code: CodeType, line: int) -> Any:
            collection = current()
            if only is collection:
                # No call: one instruction extends the list, and threads do not change in it.
                log = only.log
                log += code, line
                return disable
            if collection is not None:
                collection.lines[code.co_filename].add(line)
            if only is nobody:
                return disable
            return None

        return on_start, on_line, publish


# In no context, hence nobody's own.
_NOBODY, _MANY = Collection(), Collection()


def suspended_code() -> Iterator[CodeType]:
    """Code of generators and coroutines that were started before we listened.

    They resume without a PY_START. Functions need no search: their next call has one.
    """
    for thing in gc.get_objects():
        kind = type(thing)
        if kind is GeneratorType:
            yield thing.gi_code
        elif kind is CoroutineType:
            yield thing.cr_code
        elif kind is AsyncGeneratorType:
            yield thing.ag_code
    for frame in sys._current_frames().values():
        walked = frame
        while walked is not None:
            yield walked.f_code
            walked = walked.f_back  # type: ignore[assignment]
