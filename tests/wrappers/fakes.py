"""A recorder that writes down what a wrapper asks of it, and knows which code is inside."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from requestcov.asgi import ASGIMiddleware
from requestcov.config import Config
from requestcov.wsgi import WSGIMiddleware

current: ContextVar[Any] = ContextVar("current", default=None)
"""What the recorder's own variable is: the recording of the running code, or None."""


class FakeRecording:
    """The attributes of a recording that wrappers read and write."""

    def __init__(self, method: str, path: str) -> None:
        self.method = method
        self.path = path
        self.route: str | None = None
        self.status: int | None = None
        self.error: BaseException | None = None
        self.partial: str | None = None
        self.log: list[str] = []

    @property
    def finished(self) -> int:
        """How often it was finished."""
        return self.log.count("finish")


class FakeRecorder:
    """Takes every request, or none; keeps every recording and every call.

    Args:
        sampled: whether requests are recorded.
    """

    def __init__(self, sampled: bool = True) -> None:
        self.sampled = sampled
        self.begun: list[tuple[str, str]] = []
        self.recordings: list[FakeRecording] = []
        self.failures: list[tuple[str, str]] = []
        self.flushes: list[float] = []
        self.header: Callable[[str], str | None] | None = None
        self.active = current

    def begin(self, method: str, path: str, header: Callable[[str], str | None]) -> FakeRecording | None:
        current.set(None)
        self.begun.append((method, path))
        self.header = header
        if not self.sampled:
            return None
        recording = FakeRecording(method, path)
        self.recordings.append(recording)
        return recording

    def enter(self, recording: FakeRecording, alone: bool) -> tuple[Any, object]:
        assert not recording.finished
        recording.log.append("enter")
        return bool, current.set(recording)

    def leave(self, recording: FakeRecording, token: Any) -> None:
        recording.log.append("leave")
        try:
            current.reset(token)
        except ValueError:  # closed in another context, as event loops do at their end
            current.set(None)

    def responded(self, recording: FakeRecording) -> None:
        if "responded" not in recording.log:
            recording.log.append("responded")

    def finish(
        self, recording: FakeRecording, error: BaseException | None = None, partial: str | None = None
    ) -> None:
        recording.log.append("finish")
        recording.error = error
        recording.partial = partial

    def failed(self, method: str, path: str) -> None:
        self.failures.append((method, path))

    def flush(self, timeout: float) -> bool:
        self.flushes.append(timeout)
        return True

    @property
    def only(self) -> FakeRecording:
        """The one recording there is."""
        (recording,) = self.recordings
        return recording


class BrokenRecorder:
    """Raises from everything, at once or (``begins=True``) once a request has begun."""

    def __init__(self, begins: bool = False) -> None:
        self.begins = begins
        self.asked: list[str] = []
        self.active = current

    def begin(self, method: str, path: str, header: object) -> object:
        self.asked.append("begin")
        if self.begins:
            return FakeRecording(method, path)
        raise RuntimeError("begin is broken")

    def __getattr__(self, name: str) -> Callable[..., None]:
        def broken(*args: object) -> None:
            self.asked.append(name)
            raise RuntimeError(f"{name} is broken")

        return broken


def accept(*args: Any) -> None:
    """A server's ``start_response`` that lets everything pass."""


def wrap_wsgi(app: Any, recorder: Any) -> WSGIMiddleware:
    """The app under the wrapper, with the given recorder in place of the process's own."""
    wrapped = WSGIMiddleware(app, Config(enabled=False))
    wrapped._recorder = recorder
    return wrapped


def wrap_asgi(app: Any, recorder: Any) -> ASGIMiddleware:
    """The app under the wrapper, with the given recorder in place of the process's own."""
    wrapped = ASGIMiddleware(app, Config(enabled=False))
    wrapped._recorder = recorder
    return wrapped
