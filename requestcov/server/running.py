"""A server app as processes: uvicorn, on a socket that listens already.

Laws: what the processes need to know they are told by their environment; a signal ends them in
order, and a second one at once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from socket import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from requestcov.server.connections import PunctualProtocol
from requestcov.server.logs import LOGGING
from requestcov.server.settings import Settings

ENDING_SECONDS = 30
"""How long requests that have begun may take to end, once a signal came."""


def configured(app: ASGIApp | str, ending: int, **more: Any) -> uvicorn.Config:
    """How uvicorn serves an app of ours.

    Args:
        ending: seconds that requests which have begun may take to end, once a signal came.
        more: of uvicorn's options.
    """
    return uvicorn.Config(
        app,
        lifespan="on",
        log_config=LOGGING,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=ending,
        **more,
    )


def run(factory: str, settings: Settings, listening: socket) -> None:
    """Serve until a signal.

    Args:
        factory: ``module:name`` of a callable that makes the app from its environment.
    """
    os.environ.update(settings.environment())
    config = configured(
        factory, ENDING_SECONDS, factory=True, workers=settings.workers, http=PunctualProtocol
    )
    if settings.workers == 1:
        uvicorn.Server(config).run(sockets=[listening])
        return
    numbers = tempfile.mkdtemp(prefix="requestcov-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = numbers  # Where the processes add up their metrics.
    try:
        Multiprocess(config, sockets=[listening]).run()
    finally:
        shutil.rmtree(numbers, ignore_errors=True)
