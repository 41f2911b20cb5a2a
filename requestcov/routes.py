"""The route template of a request, read from what its framework leaves behind.

Laws: no framework is imported here; a template is read from what the framework
leaves in the environ or the scope, or by a hook on a class found in
``sys.modules``. A hook calls the original exactly once with the same
arguments, hands on its result or its exception, and writes only to the current
recording; without one it does nothing. Nothing here raises into the app.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from requestcov._names import NOT_FOUND, clean, fallback, known_method, readable

__all__ = [
    "NOT_FOUND",
    "Named",
    "bind",
    "current",
    "fallback",
    "from_environ",
    "from_scope",
    "install_hooks",
    "known_method",
    "set_route",
    "uninstall_hooks",
]


class Named(Protocol):
    """What a hook needs of a recording."""

    route: str | None


def _no_recording() -> Named | None:
    return None


_current: Callable[[], Named | None] = _no_recording


def bind(getter: Callable[[], Named | None]) -> None:
    """Say where the current request's recording is found; the recorder does this at import."""
    global _current
    _current = getter


def current() -> Named | None:
    """The recording of the request this code runs for, or None."""
    return _current()


def set_route(template: str) -> None:
    """Name the current request's route, for frameworks that requestcov does not know.

    Args:
        template: the route with its parameters unfilled, e.g. ``/orders/{id}``. Never
            pass the requested path: every distinct one would become an endpoint.

    Does nothing when the request is not recorded. An explicit call wins over
    what requestcov finds by itself, as long as it comes after routing.
    """
    recording = _current()
    if recording is not None:
        recording.route = clean(template)


def _suggest(template: str) -> None:
    """A hook's find: the first one stays, for sub-requests route a second time."""
    recording = _current()
    if recording is not None and recording.route is None:
        recording.route = clean(template)


# What frameworks leave behind ------------------------------------------------------------


def from_environ(environ: Mapping[str, Any], script_name: str | None = None) -> str | None:
    """The route template of a WSGI request, once the framework has it.

    Flask and Werkzeug apps drop it before the call returns: read it inside
    ``start_response``. Bottle's stays.

    Args:
        environ: the dict that was handed to the app.
        script_name: its ``SCRIPT_NAME`` before the call; with it, the part that a
            dispatcher in between has moved there comes before the template.

    Returns:
        The template, or None: unknown framework, or no route matched.
    """
    try:
        rule = getattr(getattr(environ.get("werkzeug.request"), "url_rule", None), "rule", None)
        if rule is None:
            rule = getattr(environ.get("bottle.route"), "rule", None)
        if not isinstance(rule, str):
            return None
        now = environ.get("SCRIPT_NAME", "")
        if script_name is None or len(now) <= len(script_name) or not now.startswith(script_name):
            return clean(rule)
        return clean(fallback(now[len(script_name) :]).rstrip("/") + clean(rule))
    except Exception:  # a framework's object may be anything
        return None


_MOUNT = "requestcov.mount"  # (the innermost Mount that matched, the prefix up to its end)
_ROUTE = "requestcov.route"  # the innermost route that matched


def from_scope(scope: Mapping[str, Any]) -> str | None:
    """The route template of an ASGI request, once the framework has it.

    Starlette, FastAPI and Litestar write it into the scope while they route;
    it is there at the response's start and after the call. The prefix of mounts,
    and routes that FastAPI or an older Starlette does not tell of, are what the
    hooks on the route classes have noted.

    Args:
        scope: the dict that was handed to the app, not a copy of it.

    Returns:
        The template, or None: unknown framework, or no route matched.
    """
    try:
        mount, prefix = scope.get(_MOUNT, (None, ""))
        template = scope.get("path_template")  # Litestar
        if template is None:
            route = scope.get("route")
            if route is None or route is mount:
                route = scope.get(_ROUTE, route)
            if mount is not None and route is mount:
                template = "/{path}"  # nothing inside it matched, or it is no router
            else:
                template = _effective(scope, route) or _path_of(route)
        return None if not isinstance(template, str) else clean(prefix + clean(template))
    except Exception:  # a framework's object may be anything
        return None


def _effective(scope: Mapping[str, Any], route: object) -> object:
    """FastAPI's template with the prefixes of included routers; the route lost them in 0.137."""
    state = scope.get("fastapi")
    context = state.get("effective_route_context") if isinstance(state, dict) else None
    if context is None:
        return None
    # A context left behind by another router's attempt is not about this route.
    if context.original_route is not route and getattr(context, "starlette_route", None) is not route:
        return None
    return getattr(context, "path_format", None)


def _path_of(route: object) -> object:
    template = getattr(route, "path_format", None)
    return template if isinstance(template, str) else getattr(route, "path", None)


# Hooks -----------------------------------------------------------------------------------

_installed: dict[str, Callable[[], None]] = {}
"""Module name → how to undo its hook. A module is here too when its hook was given up."""

_looked_at = 0
"""How many modules were loaded when the hooks were last looked at."""


def install_hooks() -> None:
    """Hook the frameworks that are loaded by now and leave nothing to read behind.

    Cheap and idempotent: it looks again only when modules were imported since.
    """
    if len(sys.modules) != _looked_at:
        _look()


def _look() -> None:
    global _looked_at
    _looked_at = len(sys.modules)
    for name, install in _HOOKS.items():
        if name in _installed or name not in sys.modules:
            continue
        claim = functools.partial(_nothing)
        # One C call decides between threads: no lock that a fork could leave taken.
        if _installed.setdefault(name, claim) is not claim:
            continue
        try:
            _installed[name] = install(sys.modules[name])
        except AttributeError:
            if getattr(getattr(sys.modules[name], "__spec__", None), "_initializing", False):
                del _installed[name]  # still being imported by another thread: next time
                _looked_at = 0
        except RecursionError:  # where the stack ends: next time, on whatever has been hooked by then
            del _installed[name]
            _looked_at = 0
        except Exception:  # another version of the framework: names fall back
            pass


def uninstall_hooks() -> None:
    """Put back what was hooked, for tests. A method that others have wrapped since stays."""
    global _looked_at
    _looked_at = 0
    while _installed:
        _installed.popitem()[1]()


def _nothing() -> None:
    pass


def _after(owner: type, name: str, note: Callable[[Any, tuple[Any, ...], Any], None]) -> Callable[[], None]:
    """Wrap a plain method: the note sees self, the arguments and the result of each recorded call."""
    original = _unhooked(owner.__dict__.get(name))
    if not callable(original) or inspect.iscoroutinefunction(original):
        raise AttributeError(name)

    @functools.wraps(original)
    def hooked(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        try:
            if _current() is not None:
                note(self, args, result)
        except Exception:  # the framework's call went well: ours must not spoil it
            pass
        return result

    return _put(owner, name, hooked, original)


def _hook_starlette(module: Any) -> Callable[[], None]:
    # handle() runs for the one route that was chosen, matches() for every candidate.
    def note_mount(mount: Any, scope: Any) -> None:
        prefix = scope.get(_MOUNT, (None, ""))[1] + mount.path_format.removesuffix("/{path}")
        scope[_MOUNT] = (mount, prefix)
        scope[_ROUTE] = mount

    def note_route(route: Any, scope: Any) -> None:
        scope[_ROUTE] = route

    undo = [_before(module.Mount, "handle", note_mount)]
    undo += [_before(owner, "handle", note_route) for owner in (module.Route, module.WebSocketRoute)]

    def undo_all() -> None:
        for step in undo:
            step()

    return undo_all


def _before(owner: type, name: str, note: Callable[[Any, Any], None]) -> Callable[[], None]:
    """Wrap a coroutine method: the note sees self and the scope before each recorded call."""
    original = _unhooked(owner.__dict__.get(name))
    if not inspect.iscoroutinefunction(original):
        raise AttributeError(name)

    @functools.wraps(original)
    async def hooked(self: Any, scope: Any, receive: Any, send: Any) -> Any:
        try:
            if _current() is not None:
                note(self, scope)
        except Exception:  # a name is not worth a request
            pass
        return await original(self, scope, receive, send)

    return _put(owner, name, hooked, original)


def _unhooked(method: Any) -> Any:
    """A method without our hook, which stays where hooking its framework ended half-way."""
    hook = getattr(method, "_requestcov_hook", None)
    # Others' wrappers may have copied our attributes, and are theirs all the same.
    return hook[1] if hook is not None and hook[0] is method else method


def _put(owner: type, name: str, hooked: Any, original: Any) -> Callable[[], None]:
    hooked._requestcov_hook = (hooked, original)
    setattr(owner, name, hooked)

    def undo() -> None:
        if owner.__dict__.get(name) is hooked:
            setattr(owner, name, original)

    return undo


def _hook_django(module: Any) -> Callable[[], None]:
    def note(handler: Any, args: tuple[Any, ...], match: Any) -> None:
        if match.route is not None:
            _suggest(readable(str(match.route)))

    return _after(module.BaseHandler, "resolve_request", note)


def _hook_quart(module: Any) -> Callable[[], None]:
    # Coroutine functions: Quart would run a plain one in a thread.
    async def on_request(*_: Any, **__: Any) -> None:
        _suggest_rule(module, "request")

    async def on_websocket(*_: Any, **__: Any) -> None:
        _suggest_rule(module, "websocket")

    module.request_started.connect(on_request, weak=False)
    module.websocket_started.connect(on_websocket, weak=False)

    def undo() -> None:
        module.request_started.disconnect(on_request)
        module.websocket_started.disconnect(on_websocket)

    return undo


def _suggest_rule(quart: Any, kind: str) -> None:
    try:
        rule = getattr(getattr(quart, kind).url_rule, "rule", None)
        if rule is not None:
            _suggest(rule)
    except Exception:  # an exception in a signal's receiver would become the response
        pass


def _hook_pyramid(module: Any) -> Callable[[], None]:
    def note(mapper: Any, args: tuple[Any, ...], found: Any) -> None:
        if found["route"] is not None:
            _suggest(found["route"].pattern)

    return _after(module.RoutesMapper, "__call__", note)


def _hook_falcon(module: Any) -> Callable[[], None]:
    def note(app: Any, args: tuple[Any, ...], found: Any) -> None:
        if found[3] is not None:
            _suggest(found[3])

    return _after(module.App, "_get_responder", note)


_HOOKS: dict[str, Callable[[Any], Callable[[], None]]] = {
    "starlette.routing": _hook_starlette,
    "django.core.handlers.base": _hook_django,
    "quart": _hook_quart,
    "pyramid.urldispatch": _hook_pyramid,
    "falcon.app": _hook_falcon,
}
