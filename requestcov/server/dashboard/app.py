"""The dashboard as an ASGI app: addresses to pages, and what is answered when there is none.

Laws: it reads the store and never writes it; whatever is asked, the answer is a
page that says what is wrong and what would be right; pages are made in worker
threads, so that an event loop it shares with an app is never held up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from requestcov.errors import StoreError
from requestcov.reports.text.footing import caveats, facts
from requestcov.server.dashboard import filters
from requestcov.server.dashboard.ahead import prepare
from requestcov.server.dashboard.desk import Desk
from requestcov.server.dashboard.frame import (
    THEME_COOKIE,
    THEMES,
    TYPES,
    Frame,
    render,
    static_file,
    theme_of,
)
from requestcov.server.dashboard.pages import PAGES, Entry, load
from requestcov.server.dashboard.session import COOKIE, LASTS, Session
from requestcov.server.dashboard.view import Pending, View, prefix
from requestcov.server.guard import guarded
from requestcov.server.settings import Settings
from requestcov.server.tokens import Tokens

LARGEST_FORM = 4096
"""Bytes of a form that is read."""

YEAR = 31_536_000


def dashboard(
    store: str,
    *,
    root: str | None = None,
    read_tokens: Iterable[str] | None = None,
    allowed_hosts: Iterable[str] = (),
) -> ASGIApp:
    """The dashboard of a store, to be mounted under any path of an ASGI app.

    Args:
        store: the SQLite store's path or URL.
        root: a directory whose files may be shown where the store lacks a text; None: none.
        read_tokens: who looks must have one of these; empty: whoever reaches it may look, which is
            then for the app around to decide; None: those of REQUESTCOV_READ_TOKENS and
            REQUESTCOV_READ_TOKEN_FILE.
        allowed_hosts: names by which it may be reached, without ports; empty: any.

    Raises:
        ConfigError: a token is too weak, or coverage.py's configuration cannot be parsed.
    """
    if read_tokens is None:
        settings = Settings.load()
        tokens = settings.readers()
    else:
        tokens = Tokens(read_tokens, "read_tokens")
    return serving(store, root=root, tokens=tokens, hosts=tuple(allowed_hosts) or ("*",))


def serving(store: str, *, root: str | None, tokens: Tokens, hosts: Iterable[str]) -> ASGIApp:
    """The dashboard with everything given; see :func:`dashboard`, and :func:`guarded` for ``hosts``."""
    return guarded(unguarded(store, root=root, tokens=tokens), hosts=hosts)


def unguarded(store: str, *, root: str | None, tokens: Tokens) -> Starlette:
    """The dashboard for an app that guards it itself."""
    site = _Site(Desk(store, root), Session(tokens))
    return Starlette(
        routes=[
            *(Route(entry.path, partial(site.page, entry), methods=["GET"]) for entry in PAGES),
            Route("/live", site.live, methods=["GET"]),
            Route("/login", site.login, methods=["POST"]),
            Route("/logout", site.logout, methods=["POST"]),
            Route("/theme", site.theme, methods=["POST"]),
            Route("/static/{digest}/{name}", site.static, methods=["GET"]),
        ],
        exception_handlers={HTTPException: site.refused, Exception: site.failed},
        lifespan=site.lifespan,
        middleware=[Middleware(GZipMiddleware, minimum_size=2000, compresslevel=3)],
    )


class _Site:
    """What is answered to each kind of request."""

    def __init__(self, desk: Desk, session: Session) -> None:
        self._desk = desk
        self._session = session
        self._prepared = False

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Where an app is told of its life: work begins before the first click, and is ended."""
        self._prepared = True
        await run_in_threadpool(prepare, self._desk)
        yield
        await run_in_threadpool(self._desk.close)

    async def page(self, entry: Entry, request: Request) -> Response:
        """A page of the table."""
        with self._desk.answers.attending():
            return await run_in_threadpool(self._page, entry, request)

    async def live(self, request: Request) -> Response:
        """The state of the store, for the script to compare with its page's."""
        if not self._session.allows(request):
            return JSONResponse({"error": "Log in first."}, 401)
        try:
            state = await run_in_threadpool(self._desk.state.now)
        except StoreError:
            state = ""
        return JSONResponse({"state": state})

    async def static(self, request: Request) -> Response:
        """A file that pages load; its address changes with its content."""
        name = request.path_params["name"]
        content = static_file(request.path_params["digest"], name)
        if content is None:
            raise HTTPException(404)
        kept = {"Cache-Control": f"public, max-age={YEAR}, immutable", "Content-Type": TYPES[name]}
        return Response(content, headers=kept)

    async def login(self, request: Request) -> Response:
        """A cookie for the token of the form."""
        form = await _form(request)
        cookie = self._session.cookie(form.get("token", "").strip())
        if cookie is None:
            return self._login_page(request, wrong=True, back=_below(form))
        response = RedirectResponse(_back(request, form), 303)
        response.set_cookie(
            COOKIE,
            cookie,
            max_age=LASTS,
            path=_root(request) or "/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    async def logout(self, request: Request) -> Response:
        """The cookie gone."""
        response = RedirectResponse(f"{_root(request)}/", 303)
        response.delete_cookie(COOKIE, path=_root(request) or "/", httponly=True, samesite="strict")
        return response

    async def theme(self, request: Request) -> Response:
        """A cookie that says how the reader wants it to look."""
        form = await _form(request)
        theme = form.get("theme", "")
        if theme not in THEMES:
            return self._problem(request, 400, "Not understood", f"theme is one of {', '.join(THEMES)}.")
        response = RedirectResponse(_back(request, form), 303)
        response.set_cookie(
            THEME_COOKIE, theme, max_age=YEAR, path=_root(request) or "/", httponly=True, samesite="lax"
        )
        return response

    async def refused(self, request: Request, error: Exception) -> Response:
        """An address that is none of ours, or a method that it does not take."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = error.headers if isinstance(error, HTTPException) else None
        if not self._session.allows(request):
            return self._login_page(request)
        said = {
            404: ("Not found", "There is no page at this address."),
            405: ("Not allowed", "This address does not take such a request."),
            413: ("Too large", "This is more than any form here holds."),
        }.get(status, ("Not understood", "This request cannot be answered."))
        response = self._problem(request, status, *said)
        response.headers.update(headers or {})
        return response

    async def failed(self, request: Request, error: Exception) -> Response:
        """A mistake of ours; the server's log has the traceback."""
        said = "This page could not be made. The server's log says more."
        return self._problem(request, 500, "Our mistake", said)

    def _page(self, entry: Entry, request: Request) -> Response:
        if not self._session.allows(request):
            return self._login_page(request)
        frame = self._frame(request, entry.name)
        page = load(entry.name)
        try:
            asked = filters.read(request.scope["query_string"], page.FIELDS)
            view = View(self._desk, asked, frame.root, entry.name)
            context = {"title": entry.title, "notes": (), "unread": 0, **page.page(view)}
            return _html(
                render(
                    f"{entry.name}.html",
                    frame,
                    view=view,
                    footing=_footing(view, context),
                    entry=entry,
                    **context,
                )
            )
        except Pending:
            return _html(render("pending.html", frame, view=view, entry=entry), 202)
        except filters.Refused as wrong:
            return self._problem(request, 400, "Not understood", str(wrong))
        except filters.Unknown as unknown:
            return self._problem(request, 404, "Not found", str(unknown))
        except StoreError as broken:
            return self._problem(request, 503, "There is nothing to read", str(broken), live=True)
        finally:
            if not self._prepared:  # mounted, it is not told of the app's start
                self._prepared = True
                prepare(self._desk)

    def _frame(self, request: Request, page: str = "") -> Frame:
        query = request.scope["query_string"].decode("latin-1")
        return Frame(
            root=_root(request),
            page=page,
            theme=theme_of(request.cookies),
            guarded=bool(self._session.tokens),
            address=_path(request) + (f"?{query}" if query else ""),
        )

    def _problem(
        self, request: Request, status: int, title: str, sentence: str, *, live: bool = False
    ) -> Response:
        return _html(
            render("problem.html", self._frame(request), title=title, sentence=sentence, live=live), status
        )

    def _login_page(self, request: Request, *, wrong: bool = False, back: str | None = None) -> Response:
        frame = self._frame(request)
        response = _html(render("login.html", frame, wrong=wrong, back=back or frame.address), 401)
        response.headers["WWW-Authenticate"] = "Bearer"
        return response


def _html(text: str, status: int = 200) -> Response:
    return HTMLResponse(text, status)


def _footing(view: View, context: Mapping[str, Any]) -> Mapping[str, object] | None:
    """What the page's numbers stand on."""
    if view.ground is None:
        return None
    return {
        "facts": tuple(facts(view.ground.footing, view.selection)),
        "notes": (*context["notes"], *caveats(view.ground, view.selection, context["unread"])),
    }


def _root(request: Request) -> str:
    return prefix(request.scope.get("root_path", ""))


def _path(request: Request) -> str:
    """Below the dashboard's own address."""
    path: str = request.scope["path"]
    root: str = request.scope.get("root_path", "")
    return quote(path.removeprefix(root) if root else path, safe="/") or "/"


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small form; what is no form has none."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise HTTPException(413)
    try:
        return dict(parse_qsl(body.decode("latin-1"), max_num_fields=20))
    except ValueError:  # more fields than any form of ours has
        return {}


def _back(request: Request, form: Mapping[str, str]) -> str:
    """Where the reader was."""
    return f"{_root(request)}{_below(form)}"


def _below(form: Mapping[str, str]) -> str:
    """The same below our own root, which is all that it ever is."""
    address = form.get("back", "")
    if not address.startswith("/") or address[1:2] in ("/", "\\") or not address.isprintable():
        return "/"
    return address
