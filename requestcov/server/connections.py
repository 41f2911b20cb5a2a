"""Connections whose clients take their time: uvicorn has a deadline for the next request, none for its head.

Law: the head of a request is whole within ``body_timeout`` of its first byte, or of the
connection; one that is not is closed, so that slow clients hold no connection for ever.
"""

from __future__ import annotations

import asyncio
from functools import cache

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from requestcov.server.settings import Settings


@cache
def head_seconds() -> float:
    """How long a head may take in this process."""
    return Settings.load().body_timeout


class PunctualProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with that deadline."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._watch(True)

    def data_received(self, data: bytes) -> None:
        """Wait on, or no longer."""
        super().data_received(data)
        self._watch(self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._watch(False)
        super().connection_lost(exc)

    def _watch(self, waits: bool) -> None:
        if waits and self._deadline is None:
            self._deadline = self.loop.call_later(head_seconds(), self.transport.close)
        elif not waits and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
