"""The WSGI wrapper (PEP 3333): translates between the protocol and the recorder.

Laws: the server and the app cannot tell that it is there. An unsampled call
returns the app's own result object, and so does a sampled one whose result
runs no app code; every other result keeps what servers ask of it (its length,
restarting, close, attributes) and is never read ahead. The environ passed on
is the server's own, and is let go at the end of the request. The only thing
around the app's code is a bare re-raise. A call that an outer wrapper has
taken goes straight through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar, Unpack

from requestcov import routes
from requestcov._entry import Entry
from requestcov.config import Config
from requestcov.exchange import MARKED, MARKER, Exchange, log_failure, open_recorder, several
from requestcov.options import Options

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
Value = TypeVar("Value")


class WSGIMiddleware:
    """A WSGI app that records which lines its requests run.

    ``app.wsgi_app = WSGIMiddleware(app.wsgi_app, sample_rate=0.05)``

    Args:
        app: the WSGI app to wrap; kept as ``.app``.
        config: every option, checked; or
        **options: what differs from the environment and the defaults.

    Raises:
        ConfigError: an option cannot be used; here, at start-up, and never later.
    """

    def __init__(self, app: Application, config: Config | None = None, **options: Unpack[Options]) -> None:
        self.app = app
        self._recorder = open_recorder(self, config, options)
        # Most calls look at nothing else; without a recorder at nothing at all.
        self._known: Mapping[str, Mapping[str, Entry]] = {}
        self._flight: Mapping[Any, None] = {}
        if self._recorder is not None:
            self._known, self._flight = self._recorder.known, self._recorder.flight

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Call the app, recorded or not. Raises what the app raises."""
        if MARKER in environ:
            return self.app(environ, start_response)
        try:
            entry = self._known[environ["REQUEST_METHOD"]].get(environ["PATH_INFO"])
        except Exception:  # an unknown method, or a path that is none
            entry = None
        # With no second wrapper, and nothing recorded that could be left in the context, there is
        # nobody to tell and nothing to clear.
        if entry is None or ((several or self._flight) and not self._take(environ)):
            return self._decide(environ, start_response)
        left = entry.left
        if left <= 0:
            return self._decide(environ, start_response)
        entry.left = left - 1  # see Entry.left: counted, and not recorded
        try:
            return self.app(environ, start_response)
        except Exception:
            self._note_failed(environ)
            raise

    def _take(self, environ: Environ) -> bool:
        """Mark a call as met; False when the context must be cleared before it goes on."""
        environ[MARKER] = MARKED
        return self._recorder is not None and self._recorder.active.get() is None

    def _decide(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Ask the recorder about a request, then call the app."""
        recorder = self._recorder
        if recorder is None:
            return self.app(environ, start_response)
        recording = None
        try:
            environ[MARKER] = MARKED
            method, path = _named(environ)
            recording = recorder.begin(method, path, partial(_header, environ))
        except Exception:
            log_failure("begin a recording")
        if recording is not None:
            # Dispatchers between here and the app move parts of the path to SCRIPT_NAME.
            read_route = partial(routes.from_environ, script_name=environ.get("SCRIPT_NAME", ""))
            exchange = Exchange(recorder, recording, read_route, environ)
            return _recorded(self.app, environ, start_response, exchange)
        try:
            return self.app(environ, start_response)
        except Exception:
            self._note_failed(environ)
            raise

    def _note_failed(self, environ: Environ) -> None:
        """An exception is about to leave the app in a request that is not recorded."""
        try:
            if self._recorder is not None:
                self._recorder.failed(*_named(environ))
        except Exception:
            log_failure("note an exception")


def _named(environ: Environ) -> tuple[str, str]:
    """Method and decoded path; PEP 3333 has the path's bytes as latin-1."""
    path = environ.get("PATH_INFO", "")
    if not path.isascii():
        path = path.encode("latin-1").decode("utf-8", "replace")
    return environ["REQUEST_METHOD"], path


def _header(environ: Environ, name: str) -> str | None:
    """A request header by its lower-case name; servers have joined repeats by commas."""
    value = environ.get("HTTP_" + name.upper().replace("-", "_"))
    return value if isinstance(value, str) else None


def _recorded(
    app: Application, environ: Environ, start_response: StartResponse, exchange: Exchange
) -> Iterable[bytes]:
    halt, entered = exchange.enter()
    try:
        result = app(environ, partial(_start_response, start_response, exchange))
    except BaseException as error:
        halt()
        exchange.leave(entered)
        exchange.end(error)
        raise
    halt()
    exchange.leave(entered)
    if _runs_no_app_code(result, environ):
        exchange.end()
        return result
    kind = type(result)
    return _RESULTS[hasattr(kind, "__next__"), hasattr(kind, "__len__")](_Run(result, exchange))


def _start_response(
    start_response: StartResponse, exchange: Exchange, *args: Any, **kwargs: Any
) -> Callable[[bytes], object]:
    """The server's ``start_response``, observed: late, repeated and with exc_info too."""
    # Flask takes the route out of the environ before the app returns.
    exchange.note_route()
    write = start_response(*args, **kwargs)
    exchange.note_status(_status_code(args[0] if args else kwargs.get("status")))
    return write


def _status_code(status: object) -> int | None:
    """The number that opens a status line; servers let malformed ones through."""
    digits = status[:3] if isinstance(status, str) else ""
    return int(digits) if len(digits) == 3 and digits.isascii() and digits.isdigit() else None


_PLAIN = (list, tuple, bytes, str)


def _runs_no_app_code(result: object, environ: Environ) -> bool:
    """Whether the result is data only, which the server must get as the very object.

    A subclass counts as long as neither its iteration nor a ``close`` is the app's own.
    """
    if result is None or type(result) in _PLAIN:
        return True
    try:
        for plain in _PLAIN:
            if isinstance(result, plain):
                return type(result).__iter__ is plain.__iter__ and not hasattr(result, "close")
        file_wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(file_wrapper, type):
            return isinstance(result, file_wrapper)
        # uWSGI's is a function that returns the file itself, compared by identity later.
        return file_wrapper is not None and hasattr(result, "read")
    except Exception:
        log_failure("look at a result")
        return False


class _Run:
    """The app's result and how far the server has come with it.

    A class and not a generator: closing a generator before its first step
    would skip everything in it, the app's ``close`` included.
    """

    __slots__ = ("_closed", "_exchange", "_exhausted", "_sized", "_started", "result")

    def __init__(self, result: Iterable[bytes], exchange: Exchange) -> None:
        # As much of an iterable as the app made it: checked by whoever uses it.
        self.result: Any = result
        self._exchange = exchange
        self._sized = hasattr(type(result), "__len__")
        self._started = False
        self._exhausted = False
        self._closed = False

    def next(self, iterator: Iterator[bytes]) -> bytes:
        self._started = True
        exchange = self._exchange
        halt, entered = exchange.enter()
        try:
            chunk = next(iterator)
        except StopIteration:
            halt()
            exchange.leave(entered)
            self._exhausted = True
            # A sized result may be read once for its length and again for its bytes.
            if not self._sized:
                exchange.responded()
            raise
        except BaseException as error:
            halt()
            exchange.leave(entered)
            exchange.end(error)
            raise
        halt()
        exchange.leave(entered)
        return chunk

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        close = getattr(self.result, "close", None)
        if close is not None:
            self.step(close)
        self._exchange.end(partial="aborted" if self._started and not self._exhausted else None)

    def step(self, call: Callable[..., Value], *args: object) -> Value:
        exchange = self._exchange
        halt, entered = exchange.enter()
        try:
            value = call(*args)
        except BaseException as error:
            halt()
            exchange.leave(entered)
            exchange.end(error)
            raise
        halt()
        exchange.leave(entered)
        return value

    def __del__(self) -> None:
        # Some servers drop an iterator without closing it. This may run in any
        # thread and any context, so it enters nothing.
        if not self._exchange.ended:
            self._exchange.end(partial=None if self._exhausted else "abandoned")


class _Result:
    """What the server gets for a result that runs the app's code.

    Attributes are the app's result's own, both ways: callers read the
    ``status_code`` of Django's response.
    """

    __slots__ = ("__weakref__", "_requestcov_run")
    _requestcov_run: _Run

    def __init__(self, run: _Run) -> None:
        object.__setattr__(self, "_requestcov_run", run)

    def __iter__(self) -> Iterator[bytes]:
        run = self._requestcov_run
        iterator = run.step(iter, run.result)
        # A result that is its own iterator is one here too, and here only it has __next__.
        return self if iterator is run.result else _Steps(run, iterator)

    def close(self) -> None:
        self._requestcov_run.close()

    def __getattr__(self, name: str) -> Any:
        if name == "_requestcov_run":  # a copy made without __init__
            raise AttributeError(name)
        return getattr(self._requestcov_run.result, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._requestcov_run.result, name, value)


class _IteratorResult(_Result):
    __slots__ = ()

    def __next__(self) -> bytes:
        run = self._requestcov_run
        return run.next(run.result)


class _SizedResult(_Result):
    __slots__ = ()

    def __len__(self) -> int:
        run = self._requestcov_run
        return run.step(len, run.result)


class _SizedIteratorResult(_IteratorResult, _SizedResult):
    __slots__ = ()


_RESULTS = {
    # (has __next__, has __len__): servers choose the framing of the body by these.
    (False, False): _Result,
    (True, False): _IteratorResult,
    (False, True): _SizedResult,
    (True, True): _SizedIteratorResult,
}


class _Steps:
    """One pass over a result that hands out its iterators anew each time."""

    __slots__ = ("_iterator", "_run")

    def __init__(self, run: _Run, iterator: Iterator[bytes]) -> None:
        self._run = run
        self._iterator = iterator

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._run.next(self._iterator)
