"""What the server logs: one line each, on standard error.

Laws: a line holds nothing of a token, a query or a body; whatever it does hold is escaped, so
that one entry is one line and no terminal is steered by it.
"""

from __future__ import annotations

import logging
import time
from typing import Any


class OneLine(logging.Formatter):
    """A time in UTC, a level, and a message whose control characters are escaped."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        text = super().format(record)
        return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "requestcov.server.logs.OneLine"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}
    },
    "loggers": {
        "requestcov": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}
"""For :func:`logging.config.dictConfig`, and uvicorn's ``log_config``."""
