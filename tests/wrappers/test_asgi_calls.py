"""An ASGI call under the wrapper: what the app is given, what is noted, when the request is over."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import threading
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from asgiref.testing import ApplicationCommunicator

from requestcov import routes
from requestcov.asgi import ASGIMiddleware
from requestcov.config import Config
from requestcov.errors import ConfigError
from tests.wrappers.fakes import BrokenRecorder, FakeRecorder, current, wrap_asgi

START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"hello"}


def make_scope(**values: Any) -> dict[str, Any]:
    scope = {"type": "http", "method": "GET", "path": "/orders/7", "root_path": "", "headers": []}
    return {**scope, **values}


class Server:
    """The server's side: keeps the messages, and says what it was asked for."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.received = 0

    async def receive(self) -> dict[str, Any]:
        self.received += 1
        return {"type": "http.request"}

    async def send(self, message: Any) -> Any:
        self.sent.append(message)
        return "sent"


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(BODY)


def sending(*messages: dict[str, Any]) -> Callable[..., Awaitable[None]]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


def on_asyncio(function: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await function()

    return asyncio.run(main())


LOOPS = pytest.mark.parametrize("run", [on_asyncio, trio.run], ids=["asyncio", "trio"])


def call(app: Any, recorder: Any, scope: Any = None, run: Any = on_asyncio) -> Server:
    server = Server()
    wrapped = wrap_asgi(app, recorder)
    run(lambda: wrapped(make_scope() if scope is None else scope, server.receive, server.send))
    return server


@LOOPS
@pytest.mark.parametrize("sampled", [True, False])
def test_the_app_gets_the_servers_own_scope_and_receive_in_the_servers_own_task(
    run: Any, sampled: bool
) -> None:
    given: list[Any] = []
    scope = make_scope()

    def task() -> Any:
        return trio.lowlevel.current_task() if run is trio.run else asyncio.current_task()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        given.extend([scope, receive, task()])
        scope["app.wrote"] = True

    server = Server()

    async def serve() -> None:
        given.append(task())
        await wrap_asgi(app, FakeRecorder(sampled))(scope, server.receive, server.send)

    run(serve)
    assert given[1] is scope
    assert scope["app.wrote"]
    assert given[2] == server.receive
    assert given[0] is given[3]
    assert server.received == 0


def test_an_unsampled_call_hands_on_the_servers_own_send() -> None:
    given: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        given.append(send)

    server = call(app, FakeRecorder(sampled=False))
    assert given == [server.send]


def test_a_call_is_a_coroutine_function_on_the_class() -> None:
    """uvicorn takes anything else for an ASGI 2 app."""
    assert inspect.iscoroutinefunction(ASGIMiddleware.__call__)


@LOOPS
@pytest.mark.parametrize("sampled", [True, False])
def test_the_apps_return_value_is_kept(run: Any, sampled: bool) -> None:
    """uvicorn complains about an app that returns something, and must hear of it."""

    async def app(scope: Any, receive: Any, send: Any) -> str:
        return "returned"

    wrapped = wrap_asgi(app, FakeRecorder(sampled))
    server = Server()
    assert run(lambda: wrapped(make_scope(), server.receive, server.send)) == "returned"


@LOOPS
def test_every_message_goes_on_unchanged_unknown_ones_too(run: Any) -> None:
    messages = [
        START,
        {"type": "http.response.debug", "info": {}},
        {"type": "no.such.message"},
        {"no": "type"},
        {"type": "http.response.start"},
        BODY,
    ]
    returned: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            returned.append(await send(message))

    recorder = FakeRecorder()
    server = call(app, recorder, run=run)
    assert [id(message) for message in server.sent] == [id(message) for message in messages]
    assert returned == ["sent"] * len(messages)
    assert recorder.only.status == 200


def test_a_message_that_is_no_mapping_is_the_servers_to_refuse() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(None)

    assert call(app, FakeRecorder()).sent == [None]


@pytest.mark.parametrize("kind", ["lifespan", "brand.new"])
def test_other_scopes_go_straight_through_exceptions_included(kind: str) -> None:
    """Django raises ValueError for a lifespan; servers take that as not supported."""
    error = ValueError("only http")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    recorder = FakeRecorder()
    with pytest.raises(ValueError, match="only http") as raised:
        call(app, recorder, {"type": kind})
    assert raised.value is error
    assert recorder.begun == []


def test_a_scope_of_unknown_type_is_passed_on_unmarked() -> None:
    scope: dict[str, Any] = {"type": "brand.new"}
    call(sending(), FakeRecorder(), scope)
    assert scope == {"type": "brand.new"}


@pytest.mark.parametrize("sampled", [True, False])
def test_a_call_an_outer_wrapper_has_taken_goes_straight_through(sampled: bool) -> None:
    inner, outer = FakeRecorder(), FakeRecorder(sampled)
    assert len(call(wrap_asgi(hello, inner), outer).sent) == 2
    assert len(outer.begun) == 1
    assert inner.begun == []


def test_a_later_request_in_the_same_context_is_recorded_again() -> None:
    """A marker in a context variable would survive into later keep-alive requests."""
    recorder = FakeRecorder()
    wrapped = wrap_asgi(hello, recorder)
    server = Server()

    async def connection() -> None:
        await wrapped(make_scope(), server.receive, server.send)
        await wrapped(make_scope(), server.receive, server.send)

    on_asyncio(connection)
    assert len(recorder.recordings) == 2


def test_an_inherited_recording_is_cleared_for_an_unsampled_request() -> None:
    """On asyncio a keep-alive connection's later requests may inherit an earlier one's context."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(current.get())

    async def connection() -> None:
        current.set("an earlier request's")
        await wrap_asgi(app, FakeRecorder(sampled=False))(make_scope(), Server().receive, Server().send)

    on_asyncio(connection)
    assert seen == [None]


@LOOPS
def test_the_app_runs_inside_the_recording_and_nothing_after_it_does(run: Any) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(current.get())
        await send(START)
        await send(BODY)
        seen.append(current.get())

    recorder = FakeRecorder()
    server = Server()

    async def serve() -> None:
        await wrap_asgi(app, recorder)(make_scope(), server.receive, server.send)
        seen.append(current.get())

    run(serve)
    assert seen == [recorder.only, recorder.only, None]
    assert recorder.only.log == ["enter", "responded", "leave", "finish"]
    assert recorder.only.partial is None


def test_the_response_is_complete_before_background_tasks_and_the_request_after_them() -> None:
    log: list[list[str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await hello(scope, receive, send)
        await asyncio.sleep(0)
        log.append(list(recorder.only.log))

    recorder = FakeRecorder()
    call(app, recorder)
    assert log == [["enter", "responded"]]
    assert recorder.only.log == ["enter", "responded", "leave", "finish"]


TRAILERS = {**START, "trailers": True}
MORE = {**BODY, "more_body": True}


@pytest.mark.parametrize(
    ("messages", "complete"),
    [
        ([START, BODY], True),
        ([START, MORE], False),
        ([START, MORE, BODY], True),
        ([TRAILERS, BODY], False),
        ([TRAILERS, BODY, {"type": "http.response.trailers", "headers": [], "more_trailers": True}], False),
        ([TRAILERS, BODY, {"type": "http.response.trailers", "headers": []}], True),
        ([START, {"type": "http.response.pathsend", "path": "/x"}], True),
        ([TRAILERS, {"type": "http.response.pathsend", "path": "/x"}], False),
        ([START, {"type": "http.response.zerocopysend", "file": 3, "more_body": True}], False),
        ([START, {"type": "http.response.zerocopysend", "file": 3}], True),
        ([START, {"type": "http.response.push", "path": "/", "headers": []}], False),
    ],
)
def test_a_response_is_complete_with_its_final_body_or_trailers_or_file(
    messages: list[dict[str, Any]], complete: bool
) -> None:
    recorder = FakeRecorder()
    call(sending(*messages), recorder)
    assert ("responded" in recorder.only.log) is complete
    assert recorder.only.partial == (None if complete else "aborted")
    assert recorder.only.status == 200


def test_a_response_the_server_refuses_is_not_noted() -> None:
    async def refuse(message: Any) -> None:
        raise RuntimeError("unexpected message")

    recorder = FakeRecorder()
    with pytest.raises(RuntimeError, match="unexpected"):
        on_asyncio(lambda: wrap_asgi(hello, recorder)(make_scope(), Server().receive, refuse))
    assert recorder.only.status is None
    assert isinstance(recorder.only.error, RuntimeError)


def test_a_second_response_is_the_servers_to_judge_and_the_last_status_counts() -> None:
    recorder = FakeRecorder()
    server = call(sending(START, BODY, {**START, "status": 500}, BODY), recorder)
    assert len(server.sent) == 4
    assert recorder.only.status == 500
    assert recorder.only.log.count("responded") == 1


def test_an_app_that_never_answers_has_no_status() -> None:
    recorder = FakeRecorder()
    call(sending(), recorder)
    assert recorder.only.status is None
    assert recorder.only.partial is None


@pytest.mark.parametrize(
    ("messages", "status", "complete"),
    [
        ([{"type": "websocket.accept"}], 101, False),
        ([{"type": "websocket.accept"}, {"type": "websocket.send", "text": "x"}], 101, False),
        ([{"type": "websocket.accept"}, {"type": "websocket.close", "code": 1000}], 101, True),
        ([{"type": "websocket.close"}], 403, True),
        (
            [
                {"type": "websocket.http.response.start", "status": 401, "headers": []},
                {"type": "websocket.http.response.body", "body": b"no"},
            ],
            401,
            True,
        ),
    ],
)
def test_a_websocket_has_the_status_of_its_handshake(
    messages: list[dict[str, Any]], status: int, complete: bool
) -> None:
    recorder = FakeRecorder()
    scope = {"type": "websocket", "path": "/ws", "headers": []}
    assert call(sending(*messages), recorder, scope).sent == messages
    assert recorder.begun == [("WEBSOCKET", "/ws")]
    assert recorder.only.status == status
    assert ("responded" in recorder.only.log) is complete
    assert recorder.only.partial is None


class Exit(BaseException):
    """No Exception."""


@LOOPS
@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("error", [ValueError("x"), Exit()])
def test_whatever_the_app_raises_leaves_as_the_very_object(
    run: Any, error: BaseException, sampled: bool
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    error.__cause__ = cause = KeyError("cause")
    recorder = FakeRecorder(sampled)
    with pytest.raises(type(error)) as raised:
        call(app, recorder, run=run)
    assert raised.value is error
    assert error.__cause__ is cause
    assert error.__context__ is None
    if sampled:
        assert recorder.only.error is error
        assert recorder.only.partial == (None if isinstance(error, Exception) else "aborted")
    else:
        assert recorder.failures == ([("GET", "/orders/7")] if isinstance(error, Exception) else [])


def test_a_cancelled_request_is_aborted_and_its_cancellation_goes_on() -> None:
    recorder = FakeRecorder()
    cleaned: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("app")

    async def serve() -> None:
        server = Server()
        task = asyncio.ensure_future(wrap_asgi(app, recorder)(make_scope(), server.receive, server.send))
        while not server.sent:
            await asyncio.sleep(0)
        task.cancel("the server's reason")
        with pytest.raises(asyncio.CancelledError) as raised:
            await task
        assert raised.value.args == ("the server's reason",)
        assert task.cancelled()

    on_asyncio(serve)
    assert cleaned == ["app"]
    assert isinstance(recorder.only.error, asyncio.CancelledError)
    assert recorder.only.partial == "aborted"
    assert recorder.only.finished == 1


def test_a_request_cancelled_on_trio_is_aborted() -> None:
    recorder = FakeRecorder()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep_forever()

    async def serve() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await wrap_asgi(app, recorder)(make_scope(), Server().receive, Server().send)
        assert scope.cancelled_caught

    trio.run(serve)
    assert recorder.only.partial == "aborted"


def test_a_coroutine_that_is_closed_ends_its_recording() -> None:
    """Event loops close what is left of a connection, outside the context it ran in."""
    recorder = FakeRecorder()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Future(loop=loop)

    loop = asyncio.new_event_loop()
    coroutine = wrap_asgi(app, recorder)(make_scope(), Server().receive, Server().send)
    coroutine.send(None)
    current.set(None)
    thread = threading.Thread(target=coroutine.close)
    thread.start()
    thread.join()
    loop.close()
    assert isinstance(recorder.only.error, GeneratorExit)
    assert recorder.only.partial == "aborted"
    assert recorder.only.finished == 1


def test_a_stream_whose_client_left_is_aborted_without_an_error() -> None:
    """Frameworks return quietly from a stream when http.disconnect arrives."""
    recorder = FakeRecorder()
    call(sending(START, MORE, MORE), recorder)
    assert recorder.only.error is None
    assert recorder.only.partial == "aborted"


@pytest.mark.parametrize("begins", [False, True])
@pytest.mark.parametrize("error", [None, ValueError("the app's own")])
def test_a_broken_recorder_never_shows(begins: bool, error: Exception | None) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await hello(scope, receive, send)
        if error:
            raise error

    recorder = BrokenRecorder(begins)
    if error is None:
        assert call(app, recorder).sent == [START, BODY]
    else:
        with pytest.raises(ValueError, match="the app's own") as raised:
            call(app, recorder)
        assert raised.value is error


def test_a_scope_without_a_path_reaches_the_app() -> None:
    assert call(hello, FakeRecorder(), {"type": "http"}).sent == [START, BODY]


def test_the_path_is_taken_as_the_scope_has_it() -> None:
    """It includes root_path already."""
    recorder = FakeRecorder()
    call(hello, recorder, make_scope(path="/api/orders", root_path="/api"))
    assert recorder.begun == [("GET", "/api/orders")]


def test_headers_are_found_in_any_case_and_repeats_are_joined() -> None:
    recorder = FakeRecorder()
    headers = [(b"X-Requestcov-Force", b"one"), (b"x-requestcov-force", b"tw\xf6"), (b"host", b"h")]
    call(hello, recorder, make_scope(headers=iter(headers)))
    assert recorder.header is not None
    assert recorder.header("x-requestcov-force") == "one, twö"


def test_an_absent_header_is_none() -> None:
    recorder = FakeRecorder()
    call(hello, recorder, make_scope(headers=[(b"host", b"h")]))
    assert recorder.header is not None
    assert recorder.header("traceparent") is None


def test_the_route_is_read_when_the_response_starts_and_again_at_the_end() -> None:
    async def early(scope: Any, receive: Any, send: Any) -> None:
        scope["path_template"] = "/orders/{id}"
        await send(START)
        del scope["path_template"]

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await hello(scope, receive, send)
        scope["route"] = SimpleNamespace(path="/late")

    recorder = FakeRecorder()
    call(early, recorder)
    call(late, recorder)
    assert [recording.route for recording in recorder.recordings] == ["/orders/{id}", "/late"]


@pytest.mark.parametrize(("status", "route"), [(404, routes.NOT_FOUND), (405, None)])
def test_every_404_without_a_route_has_one_name(status: int, route: str | None) -> None:
    recorder = FakeRecorder()
    call(sending({**START, "status": status}, BODY), recorder)
    assert recorder.only.route == route


class TestLifespan:
    """Straight through, and what was recorded is written before the server hears of its end."""

    def lifespan(self, app: Any, recorder: Any, run: Any = on_asyncio) -> Server:
        return call(app, recorder, {"type": "lifespan"}, run)

    @LOOPS
    @pytest.mark.parametrize("end", ["complete", "failed"])
    def test_flushes_once_before_the_server_hears_of_the_shutdown(self, run: Any, end: str) -> None:
        recorder = FakeRecorder()
        flushed: list[int] = []
        server = Server()

        async def send(message: Any) -> None:
            flushed.append(len(recorder.flushes))
            server.sent.append(message)

        messages = [{"type": "lifespan.startup.complete"}, {"type": f"lifespan.shutdown.{end}"}]
        wrapped = wrap_asgi(sending(*messages), recorder)
        run(lambda: wrapped({"type": "lifespan"}, server.receive, send))
        assert server.sent == messages
        assert flushed == [0, 1]
        assert recorder.flushes == [2.0]

    def test_flushes_when_the_app_returns_without_an_answer(self) -> None:
        recorder = FakeRecorder()
        self.lifespan(sending({"type": "lifespan.startup.complete"}), recorder)
        assert recorder.flushes == [2.0]

    def test_a_flush_that_raises_never_shows(self) -> None:
        messages = [{"type": "lifespan.shutdown.complete"}]
        assert self.lifespan(sending(*messages), BrokenRecorder()).sent == messages

    def test_a_flush_that_hangs_holds_the_shutdown_up_for_a_bounded_time(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        released = threading.Event()

        class Hanging(FakeRecorder):
            def flush(self, timeout: float) -> bool:
                return released.wait(60)

        monkeypatch.setattr("requestcov.asgi.FLUSH_SECONDS", 0.02)
        messages = [{"type": "lifespan.shutdown.complete"}]
        assert self.lifespan(sending(*messages), Hanging()).sent == messages
        released.set()

    def test_the_app_gets_the_servers_own_scope_and_receive_and_its_value_is_kept(self) -> None:
        given: list[Any] = []
        scope = {"type": "lifespan", "state": {}}

        async def app(*args: Any) -> str:
            given.extend(args)
            return "returned"

        server = Server()
        wrapped = wrap_asgi(app, FakeRecorder())
        assert on_asyncio(lambda: wrapped(scope, server.receive, server.send)) == "returned"
        assert given[0] is scope
        assert given[1] == server.receive
        assert scope == {"type": "lifespan", "state": {}}


class DoubleCallable:
    """An ASGI 2 app: called with the scope, gives a coroutine function."""

    def __init__(self, scope: Any) -> None:
        self.scope = scope

    async def __call__(self, receive: Any, send: Any) -> str:
        await hello(self.scope, receive, send)
        return "two"


def double_callable(scope: Any) -> Any:
    return DoubleCallable(scope)


class CallsWithThree:
    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        return hello(scope, receive, send)


def marked(*args: Any) -> Any:
    return hello(*args)


marked._asgi_single_callable = True  # type: ignore[attr-defined]


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize(
    "app",
    [
        DoubleCallable,
        double_callable,
        hello,
        functools.partial(hello),
        CallsWithThree(),
        lambda scope, receive, send: hello(scope, receive, send),
        marked,
    ],
    ids=["class", "function", "single", "partial", "plain __call__", "lambda", "marked"],
)
def test_apps_of_either_version_are_told_apart(app: Any, sampled: bool) -> None:
    assert call(app, FakeRecorder(sampled)).sent == [START, BODY]


def test_a_wrapped_app_runs_under_asgirefs_test_client() -> None:
    async def use() -> list[Any]:
        communicator = ApplicationCommunicator(wrap_asgi(double_callable, FakeRecorder()), make_scope())
        messages = [await communicator.receive_output(), await communicator.receive_output()]
        await communicator.wait()
        return messages

    assert on_asyncio(use) == [START, BODY]


def test_a_wrapper_that_is_off_hands_every_call_straight_to_the_app() -> None:
    given: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        given.append(send)

    scope, server = make_scope(), Server()
    on_asyncio(lambda: ASGIMiddleware(app, enabled=False)(scope, server.receive, server.send))
    assert given == [server.send]
    assert "requestcov" not in scope


def test_a_bad_option_is_refused_by_the_constructor() -> None:
    with pytest.raises(ConfigError, match="sample_rate=2"):
        ASGIMiddleware(hello, sample_rate=2)
    with pytest.raises(ConfigError, match="not both: first"):
        ASGIMiddleware(hello, Config(enabled=False), first=3)


def test_nothing_of_a_request_is_kept_once_it_is_over() -> None:
    recorder = FakeRecorder()
    wrapped = wrap_asgi(hello, recorder)
    scope = make_scope()
    before = len(gc.get_referrers(scope))
    server = Server()
    on_asyncio(lambda: wrapped(scope, server.receive, server.send))
    recorder.header = None
    gc.collect()
    assert len(gc.get_referrers(scope)) == before
