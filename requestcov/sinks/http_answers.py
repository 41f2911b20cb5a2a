"""What may become of a batch that was sent, beside being acknowledged."""

from __future__ import annotations

from requestcov.errors import SinkError


class Refused(Exception):
    """The collector will never take this batch as it is: parts of it, perhaps.

    Attributes:
        status: what it answered.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}".strip())
        self.status = status


class Unsent(SinkError):
    """The batch was not acknowledged, and is to be sent again.

    Attributes:
        arrived: False when the collector has certainly not stored it.
        broke: the connection broke, or time ran out, while it was sent or answered.
    """

    def __init__(self, message: str, *, arrived: bool, broke: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(message, retry_after=retry_after)
        self.arrived = arrived
        self.broke = broke
