"""A WSGI app that answers in every way the protocol allows."""

from __future__ import annotations

import contextvars
import io
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from requestcov import current as current_recording

TEXT = ("Content-Type", "text/plain")

log: list[str] = []
"""What the bodies' ends and the server's sendfile have written since it was last read."""

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class Body:
    """Iterable anew; sized, with close, failing in either: as told."""

    def __init__(self, *chunks: bytes, close_fails: bool = False) -> None:
        self.chunks = chunks
        self.close_fails = close_fails

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks

    def close(self) -> None:
        log.append("close")
        if self.close_fails:
            raise RuntimeError("close fails")


class SizedBody(Body):
    def __len__(self) -> int:
        return len(self.chunks)


class OneShot:
    """Its own iterator, with a length: what gevent.pywsgi cannot read twice."""

    def __init__(self) -> None:
        self.left = [b"one"]

    def __iter__(self) -> OneShot:
        return self

    def __len__(self) -> int:
        return 1

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        return self.left.pop()


def generator(*chunks: bytes, fails: bool = False) -> Iterator[bytes]:
    try:
        yield from chunks
        if fails:
            raise RuntimeError("the body fails")
    finally:
        log.append("generator ends")


def late(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("202 Accepted", [TEXT])
    yield b"late"


def file_result(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever serves it closes it
    file.write(b"from a file\n" * 10_000)
    file.seek(0)
    wrapper = environ.get("wsgi.file_wrapper")
    return wrapper(file, 8192) if wrapper else iter(lambda: file.read(8192), b"")


def memory_file(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    wrapper = environ.get("wsgi.file_wrapper")
    return wrapper(io.BytesIO(b"in memory")) if wrapper else [b"in memory"]


def replaced(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    try:
        raise KeyError("before the headers are out")
    except KeyError:
        start_response("500 Replaced", [TEXT], sys.exc_info())
    return [b"replaced"]


def replaced_too_late(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [TEXT])
    yield b"first"
    try:
        raise KeyError("after the headers are out")
    except KeyError:
        start_response("500 Too late", [TEXT], sys.exc_info())
    yield b"never"


def written(environ: Any, start_response: Any) -> list[bytes]:
    write = start_response("200 OK", [TEXT])
    write(b"written, ")
    write(b"and ")
    return [b"returned"]


def echo(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("201 Created", [TEXT])
    return iter([environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))])


def raising(error: BaseException) -> Callable[..., Any]:
    def app(environ: Any, start_response: Any) -> Any:
        raise error

    return app


def answering(
    make: Callable[[], Any], status: str = "200 OK", *headers: tuple[str, str]
) -> Callable[..., Any]:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, [TEXT, *headers])
        return make()

    return app


def log_and_clear(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    text = ",".join(log)
    log.clear()
    return [text.encode()]


def recording(environ: Any, start_response: Any) -> list[bytes]:
    """Whether this code is being recorded, and the app's own variable from the request before."""
    state = f"{current_recording() is not None} {variable.get()}".encode()
    variable.set("set")
    start_response("200 OK", [TEXT, ("Content-Length", str(len(state)))])
    return [state]


def environ_type(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [f"{type(environ).__name__} {environ['PATH_INFO']!r}".encode()]


ANSWERS: dict[str, Callable[..., Any]] = {
    "/list": answering(lambda: [b"one, ", b"two"]),
    "/empty-list": answering(list),
    "/tuple": answering(lambda: (b"one",)),
    "/sized-1": answering(lambda: SizedBody(b"one")),
    "/sized-2": answering(lambda: SizedBody(b"one, ", b"two")),
    "/one-shot": answering(OneShot),
    "/unsized": answering(lambda: Body(b"one, ", b"two")),
    "/generator": answering(lambda: generator(b"one, ", b"", b"two")),
    "/generator-1": answering(lambda: generator(b"one")),
    "/empty-generator": answering(generator),
    "/with-length": answering(lambda: generator(b"one"), "200 OK", ("Content-Length", "3")),
    "/no-content": answering(lambda: generator(), "204 No Content"),
    "/not-modified": answering(list, "304 Not Modified"),
    "/file": file_result,
    "/memory-file": memory_file,
    "/late": late,
    "/replaced": replaced,
    "/replaced-too-late": replaced_too_late,
    "/written": written,
    "/echo": echo,
    "/raises": raising(ValueError("the app's own")),
    "/raises-stop-iteration": raising(StopIteration()),
    "/body-raises": answering(lambda: generator(b"one", fails=True)),
    "/body-raises-at-once": answering(lambda: generator(fails=True)),
    "/close-raises": answering(lambda: Body(b"one", close_fails=True)),
    "/none": answering(lambda: None),
    "/not-found": answering(lambda: [b"no"], "404 Not Found"),
    "/log": log_and_clear,
    "/recording": recording,
    "/environ": environ_type,
}


def bare(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The app itself."""
    return ANSWERS[environ["PATH_INFO"]](environ, start_response)
