"""A request's body: from bytes that come as they like to one document.

Laws: no more is held than was allowed, compressed or not, whatever a header promises; the
whole body is there by one deadline; a compressed body is one whole gzip member and nothing
else.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping

from starlette.types import Receive

from requestcov.server.collector.refusals import Refusal, later

MOST_DRAINED = 16_000_000
DRAIN_SECONDS = 2.0
"""How much of a body that is refused is read, and how long, so that the sender reads the refusal
rather than find the connection reset."""

_PIECE = 1 << 20


class Gone(Exception):
    """The sender closed the connection before its body was whole."""


class Incoming:
    """A body that comes in pieces.

    Attributes:
        whole: the last piece has come, or none will.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.whole = False

    async def piece(self) -> bytes:
        """The next bytes.

        Raises:
            Gone: the sender is.
        """
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.whole = True
            raise Gone
        self.whole = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece

    async def drain(self) -> bool:
        """Read what is left of a body that is refused; whether that was all of it."""
        left = MOST_DRAINED
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self.whole and left > 0:
                    left -= len(await self.piece())
        except (TimeoutError, Gone):
            return False
        return self.whole


class Bodies:
    """Reads bodies, of which it holds so many bytes at once, at most.

    Args:
        most: bytes of one body as it is sent.
        seconds: until it is whole.
        room: bytes of all bodies that are read or wait.
    """

    def __init__(self, most: int, seconds: float, room: int) -> None:
        self._most = most
        self._seconds = seconds
        self._room = max(room, most)
        self._held = 0
        self._reading: set[asyncio.Timeout] = set()
        self._hurried = False

    async def read(self, incoming: Incoming, headers: Mapping[str, str]) -> bytes:
        """The body as it was sent; :meth:`release` it when it is done with.

        Raises:
            Refusal: it is too long, too slow, or there is no room.
            Gone: the sender is.
        """
        length = headers.get("content-length")
        if length is None and "transfer-encoding" not in headers:
            raise Refusal(411, "A batch is sent with its Content-Length, or chunked.")
        if length is not None and (not length.isdigit() or len(length) > 18):
            raise Refusal(400, "Content-Length is not a number of bytes.")
        if int(length or 0) > self._most:
            raise self._too_long()
        if self._held + int(length or 0) > self._room:
            raise later(503, "The collector holds as many batches as it can; send this one again.", 1)
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(1.0 if self._hurried else self._seconds) as deadline:
                self._reading.add(deadline)
                try:
                    while not incoming.whole:
                        piece = await incoming.piece()
                        size += len(piece)
                        self._held += len(piece)
                        if size > self._most:
                            raise self._too_long()
                        pieces.append(piece)
                finally:
                    self._reading.discard(deadline)
        except TimeoutError:
            self._held -= size
            if self._hurried:
                raise later(503, "The collector is shutting down; send this batch again.", 1) from None
            raise Refusal(408, f"The body was not whole after {self._seconds:g} seconds.") from None
        except BaseException:
            self._held -= size
            raise
        return b"".join(pieces)

    def release(self, body: bytes) -> None:
        """Forget a body."""
        self._held -= len(body)

    def hurry(self) -> None:
        """Give the bodies that are being read a second more: the server is about to end."""
        self._hurried = True
        soon = asyncio.get_running_loop().time() + 1.0
        for deadline in self._reading:
            when = deadline.when()
            deadline.reschedule(soon if when is None else min(soon, when))

    def _too_long(self) -> Refusal:
        return Refusal(413, f"The body has more than {self._most:,} bytes; send fewer records at once.")


def check_headers(headers: Mapping[str, str]) -> None:
    """Whether a body is of a kind that is read.

    Raises:
        Refusal: it is not; says which are.
    """
    kind, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if kind.strip().lower() != "application/json" or charset not in ("", "utf-8", "us-ascii"):
        raise Refusal(415, "Content-Type has to be application/json, in UTF-8.")
    if _encoding(headers) not in ("identity", "gzip"):
        raise Refusal(
            415, "Content-Encoding has to be gzip or identity.", {"Accept-Encoding": "gzip, identity"}
        )


def decompress(body: bytes, headers: Mapping[str, str], most: int) -> bytes:
    """The document that a body is.

    Args:
        most: bytes of the document.

    Raises:
        Refusal: it is longer, or not what Content-Encoding says.
    """
    if _encoding(headers) == "identity":
        if len(body) > most:
            raise _swollen(most)
        return body
    gzip = zlib.decompressobj(wbits=31)
    pieces: list[bytes] = []
    size = 0
    try:
        while not gzip.eof:
            piece = gzip.decompress(body, _PIECE)
            body = gzip.unconsumed_tail
            if not piece and not body:
                raise Refusal(400, "The compressed body ends early.")
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise _swollen(most)
    except zlib.error as error:
        raise Refusal(400, f"The body is not gzip: {error}.") from None
    if gzip.unused_data:
        raise Refusal(400, "Something follows the compressed document: send one gzip member.")
    return b"".join(pieces)


def _encoding(headers: Mapping[str, str]) -> str:
    found = headers.get("content-encoding", "").strip().lower()
    return {"": "identity", "x-gzip": "gzip"}.get(found, found)


def _swollen(most: int) -> Refusal:
    return Refusal(413, f"The document has more than {most:,} bytes; send fewer records at once.")
