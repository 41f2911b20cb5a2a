"""The WSGI app bare and wrapped, side by side in one process under one server.

The header ``X-Way`` chooses: ``bare``, ``sampled``, ``nested``, ``unsampled``, ``off``.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from requestcov import WSGIMiddleware
from tests.servers.wsgi_app import bare, log

_sendfile = socket.socket.sendfile


def _noted_sendfile(self: socket.socket, *args: Any, **kwargs: Any) -> int:
    log.append("sendfile")
    return _sendfile(self, *args, **kwargs)


socket.socket.sendfile = _noted_sendfile  # type: ignore[method-assign]

recorded = WSGIMiddleware(bare, sample_rate=1.0, max_per_second=0, exclude=(), sinks=())
nested = WSGIMiddleware(recorded, sample_rate=1.0, max_per_second=0, exclude=(), sinks=())
unsampled = WSGIMiddleware(bare, sample_rate=0.0, first=0, exclude=(), sinks=())
off = WSGIMiddleware(bare, enabled=False)

WAYS = {"bare": bare, "sampled": recorded, "nested": nested, "unsampled": unsampled, "off": off}


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The way that the request asks for."""
    return WAYS[environ.get("HTTP_X_WAY", "bare")](environ, start_response)
