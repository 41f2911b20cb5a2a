"""The collector: an ASGI app that takes batches over HTTP and keeps each record once.

Laws: a batch is acknowledged after the COMMIT that keeps it; memory is bounded whatever is
sent; any number of its processes may write to one store.
"""

from __future__ import annotations

import os

from starlette.types import ASGIApp

from requestcov.errors import ConfigError
from requestcov.server.collector.app import app
from requestcov.server.settings import Settings
from requestcov.sinks.path import parse_file_url

__all__ = ["collector"]


def collector(settings: Settings | None = None) -> ASGIApp:
    """An app for any ASGI server that runs its lifespan.

    As in ``uvicorn --factory requestcov.server.collector:collector``.

    Args:
        settings: None: those of the environment. Where the server listens is its own affair: set
            ``bind_host`` alike, so that tokens are asked for where they are needed.

    Raises:
        ConfigError: a setting cannot be used, or a token is needed.
    """
    settings = Settings.load() if settings is None else settings
    place = settings.place()
    if place.startswith("sqlite:"):
        return app(settings, parse_file_url(place, {})[0])
    if "://" in place:
        raise ConfigError(f"store={place!a} cannot be used: allowed is the path or URL of a SQLite store.")
    return app(settings, os.path.abspath(place))
