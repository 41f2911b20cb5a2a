"""The heart, free of any protocol: begin a recording, follow it, finish it.

Laws: nothing here raises into the app or blocks it; a request that is not
sampled pays for one decision and no more; a request that a policy took is
stored, or dropped under a named reason, exactly once; after a fork nothing of
the parent's is touched. All work on what was collected is the drainer's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from requestcov import native, routes
from requestcov.assembler import Assembler
from requestcov.complaints import Complaints, describe
from requestcov.config import Config
from requestcov.engines import NOTHING, Collection, Step, select
from requestcov.pipeline import Pipeline
from requestcov.recording import MAX_LABEL, Recording
from requestcov.sampling import Decision, Sampler
from requestcov.scope import Scope
from requestcov.sinks import open_sink

WHY = {
    "trace_function_taken": "a debugger or another coverage tool has the thread's trace function",
    "no_tool_id": "every sys.monitoring tool id is taken by other tools",
    "coverage_running": "coverage.py measures branches by sys.monitoring, which recording would disturb",
    "no_c_tracer": "coverage.py was installed without its C tracer",
    "no_monitoring": "this Python has no sys.monitoring",
}
"""What an engine's refusal to begin means, for people."""


class Recorder:
    """Sampling, an engine and a pipeline, for every wrapper with the same configuration."""

    def __init__(self, config: Config) -> None:
        """Resolve the scope and take the engine's hooks; starts no thread, opens no sink.

        Raises:
            ConfigError: a source or a sink cannot be used.
        """
        self.scope = Scope(config)
        name = os.path.basename(self.scope.sources[0]).removesuffix(".py")
        self.config = config = replace(config, service=config.service or name)
        self.active: ContextVar[Collection | None] = ContextVar("requestcov.recording", default=None)
        self.engine = select(self.scope.measures, self.active, branch=self.scope.branch)
        self._steps = self.engine.steps
        self.sampler = Sampler(config)
        self.known = self.sampler.known
        self._assembler = Assembler(config, self.scope, self.engine.name, self.engine.arcs)
        self._complaints = Complaints()
        self.flight: dict[Recording, None] = {}
        """The recordings that are open."""
        self._closed = False
        try:
            self.pipeline = Pipeline(
                config,
                self._assembler.assemble,
                sinks=lambda: [open_sink(url, config) for url in config.sinks],
                seen=self.sampler.seen,
                excluded=lambda: self.sampler.excluded,
                source=self.scope.text,
                tick=self._tick,
                on_fork=self._forked,
            )
        except BaseException:
            self.engine.close()
            raise

    def begin(self, method: str, path: str, header: Callable[[str], str | None]) -> Recording | None:
        """Decide about a request and start to record it.

        Args:
            method: HTTP method or ``WEBSOCKET``.
            path: decoded, without query.
            header: a request header by its lower-case name.

        Returns:
            None for a request that is not recorded.
        """
        try:
            decision = None if self._closed else self.sampler.decide(method, path, header)
            recording = None if decision is None else self._take(method, path, header, decision)
            if recording is None and self.active.get() is not None:
                # Servers reuse threads and contexts: an earlier request's is not ours.
                self.active.set(None)
            return recording
        except Exception as error:
            self._complain("begin", "a request could not be recorded", error)
            return None

    def _take(
        self, method: str, path: str, header: Callable[[str], str | None], decision: Decision
    ) -> Recording | None:
        # First of all: after a fork that ran no hooks it is this call that notices.
        seq = self.pipeline.sampled()
        if len(self.flight) >= self.config.max_in_flight:
            self.pipeline.drop("max_in_flight")
            return None
        try:
            recording = Recording(method, path, decision, seq)
            traceparent = header("traceparent")
            if traceparent is not None:
                recording.trace(traceparent)
            routes.install_hooks()
            reason = self.engine.begin(recording)
        except BaseException:
            self.pipeline.drop("begin")
            raise
        if reason is not None:
            self.pipeline.drop(reason)
            self._complain(reason, f"requests are not recorded: {WHY.get(reason, reason)}")
            return None
        self.flight[recording] = None
        self.pipeline.wake()
        return recording

    def enter(self, recording: Recording, alone: bool = True) -> Step:
        """A step of the request starts on this thread.

        Args:
            alone: until :meth:`leave`, this thread runs nothing but the request. False on an
                event loop, where the step may be interrupted by others.

        Returns:
            A callable that halts the collecting, for the step's own frame to call first of
            all when the step has ended; and what :meth:`leave` needs.
        """
        # In this order: the engine looks at the recording that the context held before.
        halt, entered = self.engine.enter(recording, alone) if self._steps else NOTHING
        return halt, (entered, self.active.set(recording))

    def leave(self, recording: Recording, entered: Any) -> None:
        """The step has ended, perhaps in another context than it started in."""
        inner, token = entered
        try:
            if self._steps:
                self.engine.leave(recording, inner)
        finally:
            try:
                self.active.reset(token)
            except (ValueError, RuntimeError, LookupError):
                if self.active.get() is recording:
                    self.active.set(None)

    def responded(self, recording: Recording) -> None:
        """The response is complete: the duration ends, the background begins."""
        if recording.duration is None:
            recording.duration = time.perf_counter() - recording.clock
            self.engine.mark(recording)

    def finish(
        self, recording: Recording, error: BaseException | None = None, partial: str | None = None
    ) -> None:
        """The request has ended, or is cut: hand it over. Only the first call counts.

        Args:
            error: the exception that left the app.
            partial: why the recording is not whole.
        """
        try:
            if recording.pid != os.getpid():
                return  # forked inside the request: the parent finishes it
            # One C call decides between the request's thread and the drainer's cut.
            if self.flight.pop(recording, self) is self:
                return
            try:
                self._end(recording, error, partial)
            except BaseException:
                self.pipeline.drop("finish")
                raise
            self.pipeline.put(recording)
        except Exception as wrong:
            self._complain("finish", "a recording could not be finished", wrong)

    def _end(self, recording: Recording, error: BaseException | None, partial: str | None) -> None:
        recording.after = self.engine.end(recording)
        if recording.duration is None:
            recording.duration = time.perf_counter() - recording.clock
        recording.partial = partial
        if error is not None:
            kind = type(error)
            recording.error = f"{kind.__module__}.{kind.__qualname__}"[:MAX_LABEL]
        if recording.route is not None:
            self.sampler.learned(recording.method, recording.path, recording.route)
        else:
            self.sampler.unrouted(recording.method, recording.fallback)
        if recording.error is not None or (recording.status or 0) >= 500:
            self.sampler.failed(recording.method, recording.path, recording.route)
        recording.path = ""

    def failed(self, method: str, path: str) -> None:
        """An exception left the app in a request that is not recorded."""
        try:
            self.sampler.failed(method, path, None)
        except Exception as wrong:
            self._complain("failed", "a failure could not be noted", wrong)

    def flush(self, timeout: float) -> bool:
        """Wait until all that was finished is kept or dropped; False when time ran out."""
        return self.pipeline.flush(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Give everything back: recordings, hooks, threads, sinks. Nothing begins any more."""
        self._closed = True
        for recording in list(self.flight):
            self.finish(recording, partial="aborted")
        self.engine.close()
        self.pipeline.close(timeout)

    def _tick(self) -> bool:
        """In the drainer: cut what runs too long; True while there is anything to watch."""
        limit = time.perf_counter() - self.config.max_duration
        for recording in list(self.flight):
            if recording.clock < limit:
                self.finish(recording, partial="duration")
        self.engine.settle()
        return bool(self.flight)

    def _forked(self) -> None:
        """In a child: what the parent records is the parent's."""
        self.flight.clear()
        self.engine.forget()

    def _complain(self, key: str, text: str, error: Exception | None = None) -> None:
        try:
            text = text if error is None else f"{text}: {describe(error)}"
            self._complaints.say(key, text, time.monotonic())
        except Exception:
            return  # where the stack ends there may be no room to complain either


_recorders: dict[tuple[object, ...], Recorder] = {}
_making = native.new_reentrant_lock()


def get_recorder(config: Config) -> Recorder:
    """The process's recorder for this configuration.

    Raises:
        ConfigError: a source or a sink cannot be used.
    """
    key = tuple(
        tuple(sorted(value.items())) if isinstance(value, dict) else value for value in vars(config).values()
    )
    with _making:
        recorder = _recorders.get(key)
        if recorder is None:
            recorder = _recorders[key] = Recorder(config)
        return recorder


def close_all(timeout: float = 5.0) -> None:
    """Close every recorder of the process, for tests; wrappers made before record no more."""
    with _making:
        recorders = list(_recorders.values())
        _recorders.clear()
    for recorder in recorders:
        recorder.close(timeout)
    routes.uninstall_hooks()


def _recording() -> Recording | None:
    """The open recording of the current context."""
    for recorder in list(_recorders.values()):
        recording = recorder.active.get()
        if isinstance(recording, Recording) and recording.open:
            return recording
    return None


routes.bind(_recording)


def current() -> str | None:
    """The id of the current request's recording, or None when it is not recorded."""
    recording = _recording()
    return None if recording is None else recording.id


def annotate(**labels: object) -> None:
    """Label the current request; without a recording this does nothing, and it never raises.

    Args:
        **labels: at most MAX_LABELS; each value becomes text of at most MAX_LABEL
            characters. Give no personal data: labels are stored.
    """
    recording = _recording()
    if recording is None:
        return
    for key, value in labels.items():
        recording.label(key, value)


def flush(timeout: float = 5.0) -> bool:
    """Wait until all finished recordings are kept or dropped.

    Args:
        timeout: seconds, in all.

    Returns:
        False when time ran out.
    """
    end = time.monotonic() + timeout
    done = True
    for recorder in list(_recorders.values()):
        done = recorder.flush(max(0.0, end - time.monotonic())) and done
    return done
