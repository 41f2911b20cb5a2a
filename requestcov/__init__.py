"""requestcov: which lines of a web application each request really runs, in production.

Law: a public name is loaded when it is first asked for, so that the command, which
lives in the same package, does not wait for what only an app needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from requestcov.asgi import ASGIMiddleware
    from requestcov.config import Config
    from requestcov.recorder import annotate, current, flush
    from requestcov.wsgi import WSGIMiddleware
else:
    # Type checkers do not see this, so that to them a misspelt name is one.
    _HOMES = {
        "ASGIMiddleware": "asgi",
        "Config": "config",
        "WSGIMiddleware": "wsgi",
        "annotate": "recorder",
        "current": "recorder",
        "flush": "recorder",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOMES})


__all__ = ["ASGIMiddleware", "Config", "WSGIMiddleware", "annotate", "current", "flush"]

__version__ = "0.1.0"
