"""One request being measured: all that is known of it until it becomes a record.

Laws: cheap to make, for it is made on the request's path; bounded, whatever
the app or the client says; the path that was asked for is let go at the end.
"""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime

from requestcov import routes
from requestcov._values import has_controls
from requestcov.engines import Collection, Found
from requestcov.record import new_id
from requestcov.sampling import Decision

MAX_LABELS = 20
MAX_KEY = 64
MAX_LABEL = 200
"""Characters of a label's name and of its value; more is cut off."""

# https://www.w3.org/TR/trace-context-2/#traceparent-header
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)


class Recording(Collection):
    """One request being measured; what the context variable holds.

    Attributes:
        seq: its number among the sampled requests of the process.
        method: HTTP method, or ``WEBSOCKET``.
        route: the template, once the framework has told it.
        fallback: the name while there is no template; holds nothing private.
        status: HTTP status, None before a response starts.
        error: qualified name of the exception that left the app.
        labels: what ``annotate`` said.
        after: what ran after ``mark`` (or in all), once finished.
    """

    __slots__ = (
        "__weakref__",
        "_ids",
        "after",
        "clock",
        "decision",
        "duration",
        "error",
        "fallback",
        "labels",
        "method",
        "partial",
        "path",
        "pid",
        "route",
        "seq",
        "status",
        "time",
        "trace_id",
    )

    def __init__(self, method: str, path: str, decision: Decision, seq: int) -> None:
        Collection.__init__(self)
        self._ids: list[str] = []
        self.seq = seq
        self.pid = os.getpid()
        self.method = routes.known_method(method)
        self.path = path  # for the sampler to learn from; let go at the end, never stored
        self.fallback = decision.shape
        self.route: str | None = None
        self.status: int | None = None
        self.error: str | None = None
        self.partial: str | None = None
        self.labels: dict[str, str] = {}
        self.trace_id: str | None = None
        self.decision = decision
        self.after: Found = {}, []
        self.duration: float | None = None
        self.time = datetime.now(UTC)
        self.clock = time.perf_counter()

    @property
    def id(self) -> str:
        """UUIDv7 text, made when it is first asked for: mostly by the drainer, for it is not cheap."""
        if not self._ids:
            self._ids.append(new_id(self.time.timestamp()))
        return self._ids[0]  # of threads that ask at once, the first to append wins

    def trace(self, traceparent: str) -> None:
        """Take the trace id from a traceparent header; a malformed one is as good as none."""
        match = _TRACEPARENT.fullmatch(traceparent)
        if match is not None and (match[2] is None or not match[0].startswith("00")):
            self.trace_id = match[1]

    def label(self, key: str, value: object) -> None:
        """Take a label, cut to size; one that cannot be told as text is no label."""
        try:
            name, text = _plain(key, MAX_KEY), _plain(str(value), MAX_LABEL)
        except Exception:
            return
        if name in self.labels or len(self.labels) < MAX_LABELS:
            self.labels[name] = text


def _plain(text: str, length: int) -> str:
    """At most so much of a text, without control characters."""
    # str's own method: a subclass may have another, and what it returns is no subclass.
    text = str.__getitem__(text, slice(length))
    return "".join(char for char in text if not has_controls(char)) if has_controls(text) else text
