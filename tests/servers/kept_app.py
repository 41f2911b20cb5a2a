"""The apps of this folder, wrapped as the environment says."""

from __future__ import annotations

from requestcov import ASGIMiddleware, WSGIMiddleware
from tests.servers import asgi_app, wsgi_app

wsgi = WSGIMiddleware(wsgi_app.bare)
asgi = ASGIMiddleware(asgi_app.bare)
