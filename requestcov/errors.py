"""The kinds of failure requestcov reports to people.

Law of the live half: none of these reaches the wrapped application once it
serves. A ConfigError may stop start-up, before the first request; everything
later is caught, counted in the ledger and logged.
"""

from __future__ import annotations


class RequestcovError(Exception):
    """Base of every error requestcov raises on purpose."""


class ConfigError(RequestcovError, ValueError):
    """An option has a value that cannot be used; the message names it."""


class SinkError(RequestcovError):
    """A sink could not keep a batch. The pipeline retries or counts the loss.

    Attributes:
        retry_after: seconds for which the destination wants to be left alone; 0: it did not say.
    """

    def __init__(self, message: str = "", *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StoreError(RequestcovError):
    """A store cannot be opened or read; the message says what to do."""
