"""A server app as processes: uvicorn, on a socket that listens already.

Laws: what the processes need to know they are told by their environment; a signal ends them in
order, and a second one at once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from socket import socket

import uvicorn
from uvicorn.supervisors import Multiprocess

from requestcov.server.connections import PunctualProtocol
from requestcov.server.logs import LOGGING
from requestcov.server.settings import Settings

ENDING_SECONDS = 30
"""How long requests that have begun may take to end, once a signal came."""


def run(factory: str, settings: Settings, listening: socket) -> None:
    """Serve until a signal.

    Args:
        factory: ``module:name`` of a callable that makes the app from its environment.
    """
    os.environ.update(settings.environment())
    config = uvicorn.Config(
        factory,
        factory=True,
        lifespan="on",
        workers=settings.workers,
        log_config=LOGGING,
        access_log=False,
        server_header=False,
        ws="none",
        http=PunctualProtocol,
        timeout_graceful_shutdown=ENDING_SECONDS,
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
