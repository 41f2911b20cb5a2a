"""requestcov: which lines of a web application each request really runs, in production."""

from __future__ import annotations

from requestcov.asgi import ASGIMiddleware
from requestcov.config import Config
from requestcov.recorder import annotate, current, flush
from requestcov.wsgi import WSGIMiddleware

__all__ = ["ASGIMiddleware", "Config", "WSGIMiddleware", "annotate", "current", "flush"]

__version__ = "0.1.0"
