"""What stands in front of every answer of the server, as pure ASGI middleware.

Laws: a request is answered only for a name of the server's own (Host), and one that could
change something only if no other site's page sent it (Origin); every response carries the
headers that keep a browser from guessing types, framing, running inline script, or telling
where it was. A refusal is JSON with one sentence, and holds nothing of what was asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No inline script or style, nothing from elsewhere, no frame."""

_SAFE = {"GET", "HEAD", "OPTIONS"}
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def guarded(app: ASGIApp, *, hosts: Iterable[str], policy: str = CONTENT_SECURITY_POLICY) -> ASGIApp:
    """An app behind all three.

    Args:
        hosts: see AllowedHosts, and ``binding.hosts``.
        policy: the Content-Security-Policy of responses that have none.
    """
    return SecurityHeaders(AllowedHosts(SameOrigin(app), hosts), policy)


class SecurityHeaders:
    """Adds to every response the headers it does not have."""

    def __init__(self, app: ASGIApp, policy: str = CONTENT_SECURITY_POLICY) -> None:
        self._app = app
        self._headers = [
            (b"content-security-policy", policy.encode("ascii")),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),  # what frame-ancestors says, for old browsers
            # no-referrer would make browsers send "Origin: null" with a form of our own.
            (b"referrer-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"cache-control", b"no-store"),  # a file that may be kept says so itself
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and add headers to the response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                there = {name.lower() for name, _ in headers}
                headers += [pair for pair in self._headers if pair[0] not in there]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with_headers)


class AllowedHosts:
    """Refuses a request for a name that is not ours: what a rebound DNS name of another site sends.

    Args:
        hosts: in lower case, without ports; ``*.example.org`` is every name below it, ``*`` is
            any, and so is a request for none.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._below = tuple(host[1:] for host in self._hosts if host.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse with 403."""
        if scope["type"] in ("http", "websocket") and not self._allows(_header(scope, b"host") or b""):
            await refuse(
                scope,
                receive,
                send,
                403,
                "The server is not called by this host name; it has to be named by --allowed-hosts.",
            )
            return
        await self._app(scope, receive, send)

    def _allows(self, header: bytes) -> bool:
        if "*" in self._hosts:
            return True
        host = _host(header.decode("latin-1"))
        return host in self._hosts or host.endswith(self._below)


class SameOrigin:
    """Refuses a request that may change something and comes from another site's page.

    A browser tells in Origin, and newer ones in Sec-Fetch-Site, whose page sends a request; a
    client that sends neither is no browser, and holds no cookie that another site could use.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse with 403."""
        changes = scope["type"] == "websocket" or (scope["type"] == "http" and scope["method"] not in _SAFE)
        if changes and _is_foreign(scope):
            await refuse(scope, receive, send, 403, "A page of another site may not send this request.")
            return
        await self._app(scope, receive, send)


async def refuse(scope: Scope, receive: Receive, send: Send, status: int, sentence: str) -> None:
    """Answer a request, or a WebSocket's opening, with a refusal."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    body = json.dumps({"error": sentence}).encode("ascii")
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if scope["method"] not in _SAFE:
        headers.append((b"connection", b"close"))  # The body that comes with it is not read.
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _is_foreign(scope: Scope) -> bool:
    if (_header(scope, b"sec-fetch-site") or b"none") not in (b"same-origin", b"none"):
        return True
    origin = _header(scope, b"origin")
    if origin is None:
        return False
    try:
        told = urlsplit(origin.decode("latin-1"))
        port = told.port or _PORTS[told.scheme]
        host = _header(scope, b"host") or b""
        ours = urlsplit(f"//{host.decode('latin-1')}")
        return (told.hostname, port) != (ours.hostname, ours.port or _PORTS[told.scheme])
    except (ValueError, KeyError):  # "null", or no origin at all
        return True


def _header(scope: Scope, name: bytes) -> bytes | None:
    """The value of a header; of several, one that fits no comparison."""
    values = [value for key, value in scope["headers"] if key == name]
    return b",".join(values) if values else None


def _host(header: str) -> str:
    """A Host header's value without its port, in lower case."""
    name, bracket, rest = header.rpartition("]")
    if bracket:
        return f"{name}]".lower() if not rest or rest.startswith(":") else ""
    return header.partition(":")[0].removesuffix(".").lower()
