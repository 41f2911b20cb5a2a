"""One engine alone, a module made from a text, and a plain oracle to hold the engine against."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest

from requestcov._coverage import unpack_arcs
from requestcov.engines import Collection, Engine, Found, merge
from requestcov.engines.monitoring import MonitoringEngine
from requestcov.engines.trace import TraceEngine

HAS_MONITORING = sys.version_info >= (3, 12)

needs_monitoring = pytest.mark.skipif(not HAS_MONITORING, reason="sys.monitoring is new in Python 3.12")

KINDS = ["monitoring", "trace", "trace-arcs"] if HAS_MONITORING else ["trace", "trace-arcs"]
"""Every engine that this Python can run."""


def make_module(directory: Path, text: str, name: str = "measured") -> ModuleType:
    """Write a module and import it, under no name that another test could find."""
    path = directory / f"{name}.py"
    path.write_text(textwrap.dedent(text))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Laboratory:
    """One engine that measures one directory.

    Attributes:
        active: the variable whose value owns the lines that run.
        engine: the engine under test.
        alone: whether steps have the stack to themselves, where a test does not say.
    """

    def __init__(self, kind: str, directory: Path) -> None:
        scope = str(directory) + "/"
        self.alone = True
        self.active: ContextVar[Collection | None] = ContextVar("requestcov.under_test", default=None)
        self.engine: Engine = (
            MonitoringEngine(lambda name: name.startswith(scope), self.active)
            if kind == "monitoring"
            else TraceEngine(lambda name: name.startswith(scope), self.active, arcs=kind == "trace-arcs")
        )

    def begin(self) -> Collection:
        """A collection that is begun and not entered."""
        collection = Collection()
        assert self.engine.begin(collection) is None
        return collection

    @contextmanager
    def inside(self, collection: Collection, alone: bool | None = None) -> Iterator[None]:
        """One step of the request, as the recorder brackets it; not alone on an event loop."""
        halt, entered = self.engine.enter(collection, self.alone if alone is None else alone)
        token = self.active.set(collection)
        try:
            yield
        finally:
            halt()
            self.engine.leave(collection, entered)
            self.active.reset(token)

    def end(self, collection: Collection) -> dict[str, set[int]]:
        """End a collection: lines by file name."""
        return self.lines(self.engine.end(collection))

    def lines(self, found: Found) -> dict[str, set[int]]:
        """What an engine collected as lines, whatever it collects."""
        merged = merge(found)
        if self.engine.arcs:
            return {
                name: {line for _, line in unpack_arcs(packed) if line > 0} for name, packed in merged.items()
            }
        return merged

    def record(self, run: Callable[[], object]) -> set[int]:
        """The lines of one call, of whatever file; what the call raises is let out."""
        collection = self.begin()
        try:
            with self.inside(collection):
                run()
        finally:
            found = self.end(collection)
        return set().union(*found.values())


@contextmanager
def laboratory(kind: str, directory: Path) -> Iterator[Laboratory]:
    """An engine that gives everything back at the end."""
    lab = Laboratory(kind, directory)
    try:
        yield lab
    finally:
        lab.engine.close()


def oracle(run: Callable[[], Any], file: str | None) -> set[int]:
    """The line events of a call in this thread and those it starts, by a plain trace function."""
    lines: set[int] = set()

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename != file:
            return None
        if event == "line":
            lines.add(frame.f_lineno)
        return trace

    threading.settrace(trace)
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
    return lines
