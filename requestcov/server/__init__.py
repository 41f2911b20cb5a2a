"""The server half: the collector that receives batches, and the dashboard, as ASGI apps.

Laws: it needs the extra ``server``; whatever is sent, the answer is no 5xx but 503; nothing is
shown or logged of a token, a query or a body. The collector shows the dashboard only to whom it
may: to holders of a read token, or, where no token is set at all, to this machine.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from requestcov.errors import ConfigError
from requestcov.server.binding import hosts, is_loopback
from requestcov.server.collector.app import app as collecting
from requestcov.server.dashboard.app import dashboard, unguarded
from requestcov.server.guard import guarded
from requestcov.server.settings import Settings
from requestcov.sinks.path import parse_file_url

__all__ = ["collector", "dashboard"]


def collector(settings: Settings | None = None) -> ASGIApp:
    """The collector, and the dashboard of what it collects, for any ASGI server that runs its lifespan.

    As in ``uvicorn --factory requestcov.server:collector``.

    Args:
        settings: None: those of the environment. Where the server listens is its own affair: set
            ``bind_host`` alike, so that tokens are asked for where they are needed.

    Raises:
        ConfigError: a setting cannot be used, or a token is needed.
    """
    settings = Settings.load() if settings is None else settings
    place = settings.place()
    if place.startswith("sqlite:"):
        path = parse_file_url(place, {})[0]
    elif "://" in place:
        raise ConfigError(f"store={place!a} cannot be used: allowed is the path or URL of a SQLite store.")
    else:
        path = os.path.abspath(place)
    inner = collecting(settings, path)
    app: ASGIApp = inner
    if shows_pages(settings):
        readers = settings.readers()
        app = _Both(inner, unguarded(path, root=None, tokens=readers), open_here=not readers)
    return guarded(app, hosts=hosts(settings.bind_host, settings.allowed_hosts))


def shows_pages(settings: Settings) -> bool:
    """Whether the collector shows the dashboard: not where tokens are set, but none to read with.

    Raises:
        ConfigError: a token cannot be used.
    """
    return bool(settings.readers()) or not settings.writers()


class _Both:
    """The pages at their addresses, and for browsers also where nothing is; the collector elsewhere.

    Args:
        open_here: no token is set; only this machine may look.
    """

    def __init__(self, inner: Starlette, pages: Starlette, *, open_here: bool) -> None:
        self._inner = inner
        self._pages = pages
        self._open_here = open_here
        self._living = Starlette(lifespan=self._lives)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand over to one of the two."""
        if scope["type"] == "lifespan":
            await self._living(scope, receive, send)
        elif scope["type"] == "http" and self._is_page(scope):
            await self._pages(scope, receive, send)
        else:
            await self._inner(scope, receive, send)

    @asynccontextmanager
    async def _lives(self, app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for each in (self._inner, self._pages):
                await stack.enter_async_context(each.router.lifespan_context(each))
            yield

    def _is_page(self, scope: Scope) -> bool:
        if self._open_here and not (scope.get("client") and is_loopback(scope["client"][0])):
            return False
        if any(route.matches(scope)[0] is Match.FULL for route in self._pages.routes):
            return True
        # A browser that went astray is told so by a page.
        astray = all(route.matches(scope)[0] is Match.NONE for route in self._inner.routes)
        looks = scope["method"] in ("GET", "HEAD") and "text/html" in Headers(scope=scope).get("accept", "")
        return astray and looks
