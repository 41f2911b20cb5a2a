"""A WSGI call under the wrapper: what the app is given, what may be raised, what is noted."""

from __future__ import annotations

import contextvars
import gc
import io
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from werkzeug.middleware.lint import LintMiddleware

from requestcov import routes
from requestcov.config import Config
from requestcov.errors import ConfigError
from requestcov.wsgi import WSGIMiddleware
from tests.wrappers.fakes import BrokenRecorder, FakeRecorder, current, wrap_wsgi


def make_environ(**values: Any) -> dict[str, Any]:
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ.update(values)
    return environ


class Server:
    """The server's side of ``start_response``: keeps what came, as it came."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.written: list[bytes] = []

    def start_response(self, *args: Any, **kwargs: Any) -> Callable[[bytes], None]:
        self.calls.append((args, kwargs))
        return self.write

    def write(self, data: bytes) -> None:
        self.written.append(data)


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


def raising(error: BaseException) -> Callable[..., Any]:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        raise error

    return app


def run(app: Any, recorder: Any, environ: dict[str, Any] | None = None) -> Server:
    server = Server()
    result = wrap_wsgi(app, recorder)(make_environ() if environ is None else environ, server.start_response)
    if result is not None:
        for chunk in result:
            server.write(chunk)
        if hasattr(result, "close"):
            result.close()
    return server


@pytest.mark.parametrize("sampled", [True, False])
def test_the_app_gets_the_servers_own_environ(sampled: bool) -> None:
    """A copy would hide what the app writes there from the server and outer middleware."""
    given: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        given.append(environ)
        environ["app.wrote"] = 1
        return []

    environ = make_environ()
    run(app, FakeRecorder(sampled), environ)
    assert given[0] is environ
    assert type(environ) is dict
    assert environ["app.wrote"] == 1


def test_the_environ_is_let_go_when_the_request_is_over() -> None:
    class Environ(dict[str, Any]):
        """A dict that can be watched."""

    kept: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        kept.append(start_response)
        start_response("200 OK", [])
        return iter([b"x"])

    recorder = FakeRecorder()
    environ = Environ(make_environ())
    result: Any = wrap_wsgi(app, recorder)(environ, Server().start_response)
    kept.append(result)
    list(result)
    result.close()
    gone = weakref.ref(environ)
    recorder.header = None
    del environ
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("sampled", [True, False])
def test_a_call_an_outer_wrapper_has_taken_goes_straight_through(sampled: bool) -> None:
    inner, outer = FakeRecorder(), FakeRecorder(sampled)
    server = run(wrap_wsgi(hello, inner), outer)
    assert server.written == [b"hello"]
    assert len(outer.begun) == 1
    assert inner.begun == []


def test_two_requests_with_environs_of_their_own_are_two_recordings() -> None:
    recorder = FakeRecorder()
    run(hello, recorder)
    run(hello, recorder)
    assert len(recorder.recordings) == 2


def test_start_response_is_forwarded_positionally_without_exc_info_unless_given() -> None:
    """bjoern counts the arguments it gets."""
    headers = [("X-A", "b")]
    given: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            raise KeyError
        except KeyError:
            given.append(sys.exc_info())
        start_response("200 OK", headers)
        start_response("500 Oops", headers, given[0])
        return []

    recorder = FakeRecorder()
    server = run(app, recorder)
    assert server.calls == [(("200 OK", headers), {}), (("500 Oops", headers, given[0]), {})]
    assert server.calls[0][0][1] is headers
    assert recorder.only.status == 500


def test_the_servers_own_write_callable_is_returned() -> None:
    server = Server()
    given: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        given.append(start_response("200 OK", []))
        given[0](b"written")
        return [b"returned"]

    wrap_wsgi(app, FakeRecorder())(make_environ(), server.start_response)
    assert given == [server.write]
    assert server.written == [b"written"]


def test_a_start_response_as_late_as_the_first_step_is_noted() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("202 Accepted", [])
        yield b"late"

    recorder = FakeRecorder()
    assert run(app, recorder).written == [b"late"]
    assert recorder.only.status == 202


def test_a_status_the_server_refuses_is_not_noted() -> None:
    def refuse(*args: Any) -> Any:
        raise AssertionError("headers already sent")

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return []

    recorder = FakeRecorder()
    with pytest.raises(AssertionError, match="already sent"):
        wrap_wsgi(app, recorder)(make_environ(), refuse)
    assert recorder.only.status is None


@pytest.mark.parametrize(
    ("line", "status"),
    [("200 OK", 200), ("404", 404), ("299 ", 299), ("", None), ("OK", None), ("2٣4 x", None), (200, None)],
)
def test_a_status_line_is_read_defensively(line: Any, status: int | None) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(line, [])
        return []

    recorder = FakeRecorder()
    run(app, recorder)
    assert recorder.only.status == status


class Exit(BaseException):
    """As GreenletExit and gevent.Timeout are: no Exception."""


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize(
    "error", [ValueError("x"), StopIteration(1), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), Exit()]
)
def test_whatever_the_app_raises_leaves_as_the_very_object(error: BaseException, sampled: bool) -> None:
    recorder = FakeRecorder(sampled)
    error.__cause__ = cause = KeyError("cause")
    with pytest.raises(type(error)) as raised:
        run(raising(error), recorder)
    assert raised.value is error
    assert error.__cause__ is cause
    assert error.__context__ is None
    assert not error.__suppress_context__ or error.__cause__ is cause
    assert current.get() is None
    if sampled:
        assert recorder.only.error is error
        assert recorder.only.partial == (None if isinstance(error, Exception) else "aborted")
        assert recorder.only.log == ["enter", "leave", "finish"]
    else:
        assert recorder.failures == ([("GET", "/")] if isinstance(error, Exception) else [])


def test_an_exception_in_a_step_leaves_as_the_very_object_and_ends_the_request() -> None:
    error = SystemExit(1)

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"x"
        raise error

    recorder = FakeRecorder()
    with pytest.raises(SystemExit) as raised:
        run(app, recorder)
    assert raised.value is error
    assert recorder.only.partial == "aborted"
    assert recorder.only.finished == 1


def test_a_killed_greenlet_ends_its_recording_and_leaves_no_context_behind() -> None:
    """GreenletExit is no Exception; it is raised wherever the app happens to wait."""
    gevent = pytest.importorskip("gevent")
    recorder = FakeRecorder()
    after: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        gevent.sleep(60)
        return []

    def serve() -> None:
        try:
            run(app, recorder)
        finally:
            after.append(current.get())

    greenlet = gevent.spawn(serve)
    gevent.sleep(0)
    assert current.get() is None
    greenlet.kill()
    assert after == [None]
    assert type(recorder.only.error).__name__ == "GreenletExit"
    assert recorder.only.partial == "aborted"
    gevent.get_hub().destroy()


@pytest.mark.parametrize("begins", [False, True])
@pytest.mark.parametrize("error", [None, ValueError("the app's own")])
def test_a_broken_recorder_never_shows(begins: bool, error: Exception | None) -> None:
    recorder = BrokenRecorder(begins)
    if error is None:
        assert run(hello, recorder).written == [b"hello"]
    else:
        with pytest.raises(ValueError, match="the app's own") as raised:
            run(raising(error), recorder)
        assert raised.value is error
    assert len(recorder.asked) > 1 or not begins


def test_an_environ_without_a_path_or_method_reaches_the_app() -> None:
    recorder = FakeRecorder()
    assert run(hello, recorder, {}).written == [b"hello"]


def test_a_lone_byte_in_a_path_is_no_reason_to_fail() -> None:
    recorder = FakeRecorder()
    run(hello, recorder, make_environ(PATH_INFO="/caf\xc3\xa9"))
    run(hello, recorder, make_environ(PATH_INFO="/\xff"))
    run(hello, recorder, make_environ(PATH_INFO="/\u20ac"))
    assert recorder.begun[:2] == [("GET", "/café"), ("GET", "/\ufffd")]


def test_headers_are_found_by_their_lower_case_name() -> None:
    recorder = FakeRecorder()
    run(hello, recorder, make_environ(HTTP_X_REQUESTCOV_FORCE="secret"))
    assert recorder.header is not None
    assert recorder.header("x-requestcov-force") == "secret"
    assert recorder.header("traceparent") is None


def test_the_route_is_read_while_the_framework_still_has_it() -> None:
    """Flask sets the key to None again before its call returns."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["werkzeug.request"] = SimpleNamespace(url_rule=SimpleNamespace(rule="/orders/<id>"))
        start_response("200 OK", [])
        environ["werkzeug.request"] = None
        return []

    recorder = FakeRecorder()
    run(app, recorder)
    assert recorder.only.route == "/orders/<id>"


def test_a_route_that_is_set_while_the_body_is_made_is_read_at_the_end() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"x"
        environ["bottle.route"] = SimpleNamespace(rule="/late")

    recorder = FakeRecorder()
    run(app, recorder)
    assert recorder.only.route == "/late"


def test_a_mounted_apps_route_has_the_prefix_it_was_mounted_under() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["SCRIPT_NAME"] += "/shop"
        environ["bottle.route"] = SimpleNamespace(rule="/orders")
        start_response("200 OK", [])
        return []

    recorder = FakeRecorder()
    run(app, recorder, make_environ(SCRIPT_NAME="/outside"))
    assert recorder.only.route == "/shop/orders"


@pytest.mark.parametrize(("status", "route"), [("404 Not Found", routes.NOT_FOUND), ("200 OK", None)])
def test_every_404_without_a_route_has_one_name(status: str, route: str | None) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, [])
        return []

    recorder = FakeRecorder()
    run(app, recorder)
    assert recorder.only.route == route


def test_a_404_with_a_route_keeps_it() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        current.get().route = "/orders/{id}"
        start_response("404 Not Found", [])
        return []

    recorder = FakeRecorder()
    run(app, recorder)
    assert recorder.only.route == "/orders/{id}"


def test_no_request_sees_the_recording_of_the_one_before_on_its_thread() -> None:
    seen: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        seen.append(current.get())
        start_response("200 OK", [])
        yield b"x"
        seen.append(current.get())

    sampled, unsampled = FakeRecorder(), FakeRecorder(sampled=False)
    run(app, sampled)
    run(app, unsampled)
    assert seen == [sampled.only, sampled.only, None, None]


def test_the_apps_own_context_variables_stay_visible_outside() -> None:
    """Running the app in a copy of the context would hide them."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        variable.set("set by the app")
        return []

    token = variable.set("before")
    run(app, FakeRecorder())
    assert variable.get() == "set by the app"
    variable.reset(token)


def test_a_body_can_be_read_in_another_thread_and_context() -> None:
    seen: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        seen.append(current.get())
        yield b"x"

    recorder = FakeRecorder()
    result: Any = wrap_wsgi(app, recorder)(make_environ(), Server().start_response)

    def read() -> None:
        list(result)
        result.close()

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert seen == [recorder.only]
    assert recorder.only.finished == 1


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("check", [validator, LintMiddleware])
def test_validators_are_content_on_both_sides_of_the_wrapper(check: Any, sampled: bool) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        environ["wsgi.input"].read(0)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return iter([b"a", b"b"])

    wrapped = check(wrap_wsgi(check(app), FakeRecorder(sampled)))
    environ = make_environ(
        **{
            "QUERY_STRING": "",
            "wsgi.input": io.BytesIO(),
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_PROTOCOL": "HTTP/1.1",
        }
    )

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        return lambda data: None

    result = wrapped(environ, start_response)
    assert list(result) == [b"a", b"b"]
    result.close()


def test_a_bad_option_is_refused_by_the_constructor() -> None:
    with pytest.raises(ConfigError, match="sample_rate=2"):
        WSGIMiddleware(hello, sample_rate=2)
    with pytest.raises(ConfigError, match="not both: first"):
        WSGIMiddleware(hello, Config(enabled=False), first=3)


def test_the_environment_is_read_by_the_constructor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTCOV_ENABLED", "off")
    environ = make_environ()
    WSGIMiddleware(hello)(environ, Server().start_response)
    assert "requestcov" not in environ
