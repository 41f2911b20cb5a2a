"""One recorded request as a wrapper sees it: entered, answered, ended once.

Laws: nothing here raises, whatever the recorder or a framework's objects do:
a failure of ours is logged, and the app never sees it. What the server owns
(the environ, the scope) is let go at the end of the request. Nothing here
runs the app's code.
"""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from requestcov import routes
from requestcov.complaints import Complaints, describe
from requestcov.config import Config
from requestcov.engines import NOTHING, Step
from requestcov.errors import ConfigError
from requestcov.recorder import Recorder, get_recorder
from requestcov.recording import Recording

MARKER = "requestcov"
"""The key in an environ or scope that says an outer wrapper has this request."""

MARKED = "1"
"""Its value: a text, which is all that PEP 3333 allows for a key without a dot."""

several: list[object] = []
"""Not empty while the process has a second wrapper: only then can a call meet two, and must be marked."""

_wrappers: list[object] = []
_complaints = Complaints()


def open_recorder(wrapper: object, config: Config | None, options: Mapping[str, Any]) -> Recorder | None:
    """The recorder that a new wrapper uses; None when it is switched off.

    Raises:
        ConfigError: an option cannot be used, or both a Config and options are given.
    """
    if config is None:
        config = Config.load(**options)
    elif options:
        raise ConfigError(f"give either a Config or options, not both: {', '.join(options)}.")
    if not config.enabled:
        return None
    recorder = get_recorder(config)
    _wrappers.append(weakref.ref(wrapper, _gone))
    several[:] = _wrappers[1:]
    return recorder


def _gone(wrapper: object) -> None:
    _wrappers[:] = [other for other in _wrappers if other is not wrapper]
    several[:] = _wrappers[1:]


def log_failure(what: str) -> None:
    """Say in the log, rarely, what the exception being handled kept us from."""
    error = sys.exc_info()[1]
    cause = "" if error is None else f" ({describe(error)})"
    _complaints.say(what, f"could not {what}{cause}; the request is not affected", time.monotonic())


class Exchange:
    """The request that a recording is about.

    Args:
        recorder: where the recording ends up.
        recording: what ``recorder.begin`` returned.
        read_route: the template in ``source``, or None while there is none.
        source: the server's own environ or scope, which frameworks write the route into.
    """

    __slots__ = ("_read_route", "_recorder", "_source", "complete", "ended", "recording")

    def __init__(
        self,
        recorder: Recorder,
        recording: Recording,
        read_route: Callable[[Mapping[str, Any]], str | None],
        source: Mapping[str, Any],
    ) -> None:
        self.recording = recording
        self.complete = False
        self.ended = False
        self._recorder = recorder
        self._read_route = read_route
        self._source: Mapping[str, Any] | None = source

    def enter(self, alone: bool = True) -> Step:
        """Lines that run from here on belong to the request.

        Args:
            alone: False where other requests run on this thread before ``leave``.

        Returns:
            A callable that never fails, to be called first when the step has ended, in the
            frame that ran it: nothing is collected any more. And what ``leave`` needs.
        """
        if self.ended:
            return NOTHING
        try:
            return self._recorder.enter(self.recording, alone)
        except Exception:
            log_failure("enter a recording")
            return NOTHING

    def leave(self, entered: object) -> None:
        """Undo ``enter``."""
        if entered is None:
            return
        try:
            self._recorder.leave(self.recording, entered)
        except Exception:
            log_failure("leave a recording")

    def note_route(self) -> None:
        """Take the route's template if the framework has left it by now."""
        if self.ended or self.recording.route is not None or self._source is None:
            return
        try:
            self.recording.route = self._read_route(self._source)
        except Exception:
            log_failure("read a route")

    def note_status(self, status: int | None) -> None:
        """Take the status of the response; a later one replaces it."""
        if not self.ended:
            self.recording.status = status

    def responded(self) -> None:
        """The response is complete; what still runs is background work."""
        self.complete = True
        if self.ended:
            return
        try:
            self._recorder.responded(self.recording)
        except Exception:
            log_failure("time a response")

    def end(self, error: BaseException | None = None, partial: str | None = None) -> None:
        """The request is over; only the first call counts.

        Args:
            error: what left the app. One that is no Exception (a cancellation, a
                kill, an exit) cut the request short.
            partial: why the recording is not whole, or None.
        """
        if self.ended:
            return
        self.note_route()
        self.ended = True
        self._source = None
        if error is not None and not isinstance(error, Exception):
            partial = "aborted"
        recording = self.recording
        if recording.route is None and recording.status == 404:
            recording.route = routes.NOT_FOUND
        try:
            self._recorder.finish(recording, error, partial)
        except Exception:
            log_failure("finish a recording")
