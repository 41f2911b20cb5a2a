"""What the server gets back from a recorded WSGI call, and when the request is over."""

from __future__ import annotations

import gc
import io
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults

import pytest

from requestcov.wsgi import WSGIMiddleware
from tests.wrappers.fakes import BrokenRecorder, FakeRecorder, FakeRecording, current, wrap_wsgi


def make_environ(**values: Any) -> dict[str, Any]:
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ.update(values)
    return environ


def start_response(
    status: str, headers: list[tuple[str, str]], exc_info: Any = None
) -> Callable[[bytes], None]:
    return lambda data: None


def returning(result: Any) -> Callable[..., Any]:
    """An app that answers 200 and returns the given object."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        return result

    return app


class Body:
    """An iterable that is no iterator: a fresh pass each time, and it counts its closes."""

    def __init__(self, *chunks: bytes, close_error: BaseException | None = None) -> None:
        self.chunks = chunks
        self.closes = 0
        self.close_error = close_error
        self.seen: list[FakeRecording | None] = []
        self.status_code = 200

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.seen.append(current.get())
            yield chunk

    def close(self) -> None:
        self.closes += 1
        self.seen.append(current.get())
        if self.close_error:
            raise self.close_error


class SizedBody(Body):
    def __len__(self) -> int:
        return len(self.chunks)


class IteratorBody:
    """Its own iterator; fails at the step it is told to."""

    def __init__(self, chunks: list[bytes], fail_at: int | None = None) -> None:
        self.chunks = iter(chunks)
        self.fail_at = fail_at
        self.steps = 0
        self.closes = 0

    def __iter__(self) -> IteratorBody:
        return self

    def __next__(self) -> bytes:
        if self.steps == self.fail_at:
            raise KeyError("in next")
        self.steps += 1
        return next(self.chunks)

    def close(self) -> None:
        self.closes += 1


class SizedIteratorBody(IteratorBody):
    def __len__(self) -> int:
        return 1


def call(result: Any, **environ: Any) -> tuple[Any, FakeRecorder]:
    recorder = FakeRecorder()
    return wrap_wsgi(returning(result), recorder)(make_environ(**environ), start_response), recorder


class PlainList(list[bytes]):
    """Differs from a list in nothing that iterating it would run."""


class ClosingList(list[bytes]):
    closes = 0

    def close(self) -> None:
        self.closes += 1


class LazyList(list[bytes]):
    def __iter__(self) -> Iterator[bytes]:
        yield from (b"made", b"up")


@pytest.mark.parametrize(
    "result", [[b"a", b"b"], [], (b"a",), b"bytes", "text", PlainList([b"a"]), None], ids=repr
)
def test_a_result_that_runs_no_app_code_is_handed_on_as_the_very_object_and_ends_the_request(
    result: Any,
) -> None:
    """Its lines have all run, and servers look at its type: wrapped bytes would yield ints."""
    returned, recorder = call(result)
    assert returned is result
    assert recorder.only.log == ["enter", "leave", "finish"]
    assert recorder.only.partial is None


@pytest.mark.parametrize("body_type", [ClosingList, LazyList])
def test_a_list_with_code_of_its_own_in_iteration_or_close_is_recorded_to_its_end(body_type: Any) -> None:
    body = body_type([b"x"])
    returned, recorder = call(body)
    assert not recorder.only.finished
    assert len(returned) == 1
    assert list(returned) == list(body)
    returned.close()
    assert recorder.only.finished == 1
    assert getattr(body, "closes", 1) == 1


def test_an_unsampled_call_returns_the_apps_own_result_object() -> None:
    body = Body(b"x")
    recorder = FakeRecorder(sampled=False)
    assert wrap_wsgi(returning(body), recorder)(make_environ(), start_response) is body


def test_an_unsampled_call_hands_on_the_servers_own_start_response() -> None:
    given: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        given.append(start_response)
        return []

    wrap_wsgi(app, FakeRecorder(sampled=False))(make_environ(), start_response)
    assert given == [start_response]


@pytest.mark.parametrize(
    ("body", "sized"),
    [
        (Body(b"x"), False),
        (SizedBody(b"x", b"y"), True),
        (iter([b"x"]), False),
        (SizedIteratorBody([b"x"]), True),
        ((chunk for chunk in [b"x"]), False),
        ({b"x": 1}.keys(), True),
    ],
    ids=["iterable", "sized", "iterator", "sized iterator", "generator", "keys"],
)
def test_a_result_has_a_length_exactly_when_the_apps_has(body: Any, sized: bool) -> None:
    returned, _ = call(body)
    assert hasattr(returned, "__len__") is sized
    if sized:
        assert len(returned) == len(body)
    returned.close()


def test_a_sized_result_can_be_read_twice() -> None:
    """gevent.pywsgi sums the chunks' lengths first and then sends them."""
    returned, recorder = call(SizedBody(b"x", b"y"))
    assert list(returned) == list(returned) == [b"x", b"y"]
    assert "responded" not in recorder.only.log
    returned.close()
    assert recorder.only.finished == 1


def test_a_result_has_next_exactly_when_the_apps_has() -> None:
    iterator, _ = call(IteratorBody([b"x"]))
    assert iter(iterator) is iterator
    assert next(iterator) == b"x"
    iterable, _ = call(Body(b"x"))
    assert not hasattr(iterable, "__next__")
    assert next(iter(iterable)) == b"x"
    iterator.close()
    iterable.close()


def test_attributes_of_the_apps_result_can_be_read_and_set() -> None:
    """Callers read the status_code of Django's response."""
    body = Body()
    returned, _ = call(body)
    assert returned.status_code == 200
    returned.status_code = 404
    assert body.status_code == 404
    with pytest.raises(AttributeError, match="nothing"):
        returned.nothing  # noqa: B018
    returned.close()


def test_a_file_wrapper_is_handed_on_as_the_very_object() -> None:
    wrapper = FileWrapper(io.BytesIO(b"data"))
    returned, recorder = call(wrapper, **{"wsgi.file_wrapper": FileWrapper})
    assert returned is wrapper
    assert recorder.only.finished == 1


def test_a_file_wrapper_of_a_subclass_is_handed_on_too() -> None:
    class Special(FileWrapper):
        pass

    wrapper = Special(io.BytesIO(b"data"))
    assert call(wrapper, **{"wsgi.file_wrapper": FileWrapper})[0] is wrapper


def test_the_file_itself_is_handed_on_where_the_file_wrapper_is_a_function() -> None:
    """uWSGI's returns the app's file and compares pointers afterwards."""
    file = io.BytesIO(b"data")
    assert call(file, **{"wsgi.file_wrapper": lambda file, size=0: file})[0] is file


def test_a_file_is_no_file_wrapper_where_the_server_has_none() -> None:
    file = io.BytesIO(b"data")
    returned, _ = call(file)
    assert returned is not file
    assert b"".join(returned) == b"data"
    returned.close()
    assert file.closed


def test_the_file_wrapper_in_the_environ_is_left_alone() -> None:
    seen: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ["wsgi.file_wrapper"])
        return []

    wrap_wsgi(app, FakeRecorder())(make_environ(**{"wsgi.file_wrapper": FileWrapper}), start_response)
    assert seen == [FileWrapper]


def test_nothing_is_read_ahead() -> None:
    body = IteratorBody([b"a", b"b"])
    returned, _ = call(body)
    steps = iter(returned)
    assert body.steps == 0
    assert next(steps) == b"a"
    assert body.steps == 1
    returned.close()


class TestClose:
    """The app's close is called once, on the object it returned, however far it was read."""

    def test_after_a_full_read(self) -> None:
        body = Body(b"a", b"b")
        returned, recorder = call(body)
        assert list(returned) == [b"a", b"b"]
        returned.close()
        assert body.closes == 1
        assert recorder.only.log.count("responded") == 1
        assert recorder.only.log.index("responded") < recorder.only.log.index("finish")
        assert recorder.only.partial is None
        assert body.seen == [recorder.only] * 3

    def test_when_never_iterated(self) -> None:
        body = Body(b"a")
        returned, recorder = call(body)
        returned.close()
        assert body.closes == 1
        assert recorder.only.finished == 1
        assert recorder.only.partial is None

    def test_when_half_iterated(self) -> None:
        body = Body(b"a", b"b")
        returned, recorder = call(body)
        assert next(iter(returned)) == b"a"
        returned.close()
        assert body.closes == 1
        assert recorder.only.finished == 1
        assert recorder.only.partial == "aborted"

    def test_after_an_exception_in_next(self) -> None:
        body = IteratorBody([b"a", b"b"], fail_at=1)
        returned, recorder = call(body)
        assert next(returned) == b"a"
        with pytest.raises(KeyError, match="in next"):
            next(returned)
        assert recorder.only.finished == 1
        returned.close()
        assert body.closes == 1
        assert recorder.only.finished == 1
        assert isinstance(recorder.only.error, KeyError)

    def test_when_close_raises(self) -> None:
        error = OSError("in close")
        body = Body(b"a", close_error=error)
        returned, recorder = call(body)
        list(returned)
        with pytest.raises(OSError, match="in close") as raised:
            returned.close()
        assert raised.value is error
        assert body.closes == 1
        assert recorder.only.finished == 1
        assert recorder.only.error is error

    def test_when_the_server_closes_twice(self) -> None:
        body = Body(b"a")
        returned, recorder = call(body)
        returned.close()
        returned.close()
        assert body.closes == 1
        assert recorder.only.finished == 1

    def test_not_on_the_iterator_that_iter_gives(self) -> None:
        """werkzeug#1259: the object that was returned has the close that counts."""
        iterator = IteratorBody([b"a"])

        class Outer:
            closes = 0

            def __iter__(self) -> IteratorBody:
                return iterator

            def close(self) -> None:
                self.closes += 1

        outer = Outer()
        returned, _ = call(outer)
        assert list(returned) == [b"a"]
        returned.close()
        assert (outer.closes, iterator.closes) == (1, 0)

    def test_of_a_result_without_close(self) -> None:
        returned, recorder = call(map(bytes, [b"a"]))
        assert list(returned) == [b"a"]
        returned.close()
        assert recorder.only.finished == 1

    def test_of_a_false_result(self) -> None:
        """An empty sized body is false, and still has a close that must be called."""
        body = SizedBody()
        returned, _ = call(body)
        assert not returned
        returned.close()
        assert body.closes == 1


def test_an_iterator_that_is_dropped_unread_is_recorded_as_abandoned() -> None:
    closed: list[str] = []

    def body() -> Iterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append("generator")

    returned, recorder = call(body())
    next(returned)
    del returned
    gc.collect()
    assert closed == ["generator"]
    assert recorder.only.finished == 1
    assert recorder.only.partial == "abandoned"
    assert recorder.only.log == ["enter", "leave", "enter", "leave", "finish"]


def test_an_iterator_that_was_read_but_not_closed_is_recorded_whole() -> None:
    returned, recorder = call(iter([b"a"]))
    assert list(returned) == [b"a"]
    del returned
    gc.collect()
    assert recorder.only.finished == 1
    assert recorder.only.partial is None


def test_a_pass_over_a_result_keeps_it_from_being_abandoned() -> None:
    returned, recorder = call(Body(b"a", b"b"))
    steps = iter(returned)
    del returned
    assert list(steps) == [b"a", b"b"]
    assert not recorder.only.finished
    del steps
    gc.collect()
    assert recorder.only.finished == 1


def test_every_step_runs_inside_the_recording_and_nothing_between_does() -> None:
    body = Body(b"a", b"b")
    returned, recorder = call(body)
    for _ in returned:
        assert current.get() is None
    returned.close()
    assert current.get() is None
    assert body.seen == [recorder.only] * 3


def test_the_call_is_no_generator_function() -> None:
    """Else the app would be called at the first step only."""
    called: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        called.append("app")
        return []

    wrap_wsgi(app, FakeRecorder())(make_environ(), start_response)
    assert called == ["app"]


def test_a_result_that_cannot_be_iterated_fails_where_the_server_iterates_it() -> None:
    returned, recorder = call(object())
    with pytest.raises(TypeError, match="'object' object is not iterable"):
        iter(returned)
    assert recorder.only.finished == 1


def test_a_wrapper_that_is_off_hands_every_call_straight_to_the_app() -> None:
    body = Body(b"x")
    environ = make_environ()
    assert WSGIMiddleware(returning(body), enabled=False)(environ, start_response) is body
    assert "requestcov" not in environ


def test_a_recorder_that_raises_changes_nothing_for_the_app() -> None:
    for recorder in (BrokenRecorder(), BrokenRecorder(begins=True)):
        body = Body(b"a", b"b")
        returned = wrap_wsgi(returning(body), recorder)(make_environ(), start_response)
        assert list(returned) == [b"a", b"b"]
        returned.close()
        assert body.closes == 1
        assert recorder.asked[0] == "begin"
