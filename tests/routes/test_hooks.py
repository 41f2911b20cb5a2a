"""The hooks: harmless, removable, found through sys.modules only."""

from __future__ import annotations

import functools
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import falcon.app
import pytest
import starlette.routing
from django.core.handlers.base import BaseHandler
from pyramid.urldispatch import RoutesMapper

from requestcov import routes

HOOKED = [
    (starlette.routing.Mount, "handle"),
    (starlette.routing.Route, "handle"),
    (BaseHandler, "resolve_request"),
    (RoutesMapper, "__call__"),
    (falcon.app.App, "_get_responder"),
]


def test_the_routes_module_imports_no_framework() -> None:
    root = Path(routes.__file__).parents[1]
    code = (
        "import sys, requestcov.routes as r; r.install_hooks();"
        "print(sorted({m.partition('.')[0] for m in sys.modules} &"
        " {'starlette','django','quart','pyramid','falcon','flask','bottle','litestar','blinker'}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(("owner", "name"), HOOKED)
def test_a_hook_keeps_the_signature_and_goes_away_again(owner: type, name: str) -> None:
    original = owner.__dict__[name]
    signature = inspect.signature(original)
    routes.install_hooks()
    hooked = owner.__dict__[name]
    assert hooked is not original
    assert inspect.signature(hooked) == signature
    assert hooked.__name__ == original.__name__
    assert inspect.iscoroutinefunction(hooked) == inspect.iscoroutinefunction(original)
    routes.install_hooks()
    assert owner.__dict__[name] is hooked, "a second install wraps nothing twice"
    routes.uninstall_hooks()
    assert owner.__dict__[name] is original


def test_where_the_stack_ends_hooking_is_done_later_and_wraps_nothing_twice(monkeypatch) -> None:
    original = starlette.routing.Mount.__dict__["handle"]
    before, calls = routes._before, []

    def ends(owner: type, name: str, note: Any) -> Any:
        calls.append(owner)
        if len(calls) == 2:
            raise RecursionError
        return before(owner, name, note)

    monkeypatch.setattr(routes, "_before", ends)
    routes.install_hooks()
    assert "starlette.routing" not in routes._installed
    half = starlette.routing.Mount.__dict__["handle"]
    assert half is not original
    routes.install_hooks()
    assert starlette.routing.Mount.__dict__["handle"].__wrapped__ is original
    routes.uninstall_hooks()
    assert starlette.routing.Mount.__dict__["handle"] is original


def test_a_wrapper_that_copied_our_attributes_is_not_taken_for_our_hook() -> None:
    def ours() -> None: ...

    @functools.wraps(ours)
    def theirs() -> None: ...

    class Owner:
        method = ours

    undo = routes._put(Owner, "method", ours, None)
    theirs.__dict__.update(ours.__dict__)
    assert routes._unhooked(ours) is None
    assert routes._unhooked(theirs) is theirs
    undo()


def test_a_method_that_someone_wrapped_after_us_stays_theirs() -> None:
    original = BaseHandler.resolve_request
    routes.install_hooks()
    ours = BaseHandler.resolve_request
    theirs = lambda self, request: ours(self, request)  # noqa: E731
    BaseHandler.resolve_request = theirs
    try:
        routes.uninstall_hooks()
        assert BaseHandler.resolve_request is theirs
    finally:
        BaseHandler.resolve_request = original


class Owner:
    def method(self, value: int) -> int:
        if value < 0:
            raise LookupError(value)
        return value + 1


def test_what_the_method_returns_or_raises_comes_through(recording: Any) -> None:
    def note(owner: Any, args: tuple[Any, ...], result: Any) -> None:
        raise RuntimeError("ours")

    undo = routes._after(Owner, "method", note)
    assert Owner().method(1) == 2
    with pytest.raises(LookupError):
        Owner().method(-1)
    undo()


def test_without_a_recording_a_hook_only_calls_the_original() -> None:
    calls: list[Any] = []
    undo = routes._after(Owner, "method", lambda owner, args, result: calls.append(result))
    assert Owner().method(value=1) == 2
    undo()
    assert calls == []


def test_a_framework_without_the_hooked_method_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of the framework: no error, no second try at each request."""
    monkeypatch.delattr(falcon.app.App, "_get_responder")
    routes.install_hooks()
    assert "falcon.app" in routes._installed


def test_a_module_that_is_still_being_imported_is_hooked_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Module:
        pass

    partial: Any = Module()
    partial.__spec__ = Module()
    partial.__spec__._initializing = True
    monkeypatch.setitem(sys.modules, "pyramid.urldispatch", partial)
    routes.install_hooks()
    assert "pyramid.urldispatch" not in routes._installed
    partial.RoutesMapper = type("RoutesMapper", (), {"__call__": lambda self, request: None})
    routes.install_hooks()
    assert "pyramid.urldispatch" in routes._installed


def test_set_route_outside_a_recording_does_nothing() -> None:
    routes.set_route("/orders/{id}")
    assert routes.current() is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("orders/{id}", "/orders/{id}"),
        ("/a\nb\x1b[31m\x7f\u2028\ud800", "/ab[31m"),
        ("/" + "x" * 1000, "/" + "x" * 199),
        ("", "/"),
        ("/größe/{id}", "/größe/{id}"),
    ],
)
def test_a_template_is_cleaned_and_bounded(recording: Any, given: str, kept: str) -> None:
    routes.set_route(given)
    assert recording.route == kept
