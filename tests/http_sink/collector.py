"""A collector that does what a test tells it to, on a real socket, and keeps what it acknowledges."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from requestcov.record import Batch, Ledger
from requestcov.wire import PATH, decode

Behaviour = Callable[["Exchange"], None]


class Kept:
    """What a collector stores: every record once, and the newest ledger of each process."""

    def __init__(self) -> None:
        self.batches: dict[str, Batch] = {}
        self.records: dict[str, str] = {}
        self.ledgers: dict[str, Ledger] = {}
        self.sources: set[tuple[str, str]] = set()

    def store(self, batch: Batch) -> None:
        """As the store does: a batch counts once, and so does a record."""
        if batch.id in self.batches:
            return
        self.batches[batch.id] = batch
        for record in batch.records:
            self.records.setdefault(record.id, batch.ledger.boot)
        self.sources.update((source.path, source.digest) for source in batch.sources)
        ledger, before = batch.ledger, self.ledgers.get(batch.ledger.boot)
        assert ledger.stored >= 0
        assert ledger.pending >= 0
        assert ledger.sampled == ledger.stored + sum(ledger.dropped.values()) + ledger.pending
        if before is None or ledger.sampled - ledger.pending >= before.sampled - before.pending:
            self.ledgers[ledger.boot] = ledger

    def stored(self, boot: str) -> int:
        """Records of one process."""
        return sum(owner == boot for owner in self.records.values())


class Exchange:
    """One request as a behaviour sees it."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes | None, kept: Kept) -> None:
        self.headers = handler.headers
        self.body = body or b""
        self.document = b"" if body is None else gzip.decompress(body)
        self.kept = kept
        self.wire = handler.wfile
        self._handler = handler

    @cached_property
    def batch(self) -> Batch:
        """What was sent."""
        return decode(self.document)

    def raw(self, data: bytes) -> None:
        """Bytes as they are, and the end of the connection."""
        with suppress(OSError):
            self.wire.write(data)
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connection."""
        self._handler.close_connection = True

    def drip(self, data: bytes, pause: float) -> None:
        """One byte after the other, until the peer has enough."""
        with suppress(OSError):
            for at in range(len(data)):
                self.wire.write(data[at : at + 1])
                time.sleep(pause)
        self.hang_up()

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A response."""
        with suppress(OSError):
            self._handler.send_response(status)
            for name, value in headers.items():
                self._handler.send_header(name.replace("_", "-"), value)
            self._handler.send_header("Content-Length", str(len(body)))
            self._handler.end_headers()
            self.wire.write(body)

    def acknowledge(self, **changed: Any) -> None:
        """As the contract wants it, but for what is changed."""
        count = len(self.batch.records)
        data = {"id": self.batch.id, "records": count, "new": count, "known": 0, "late": 0, **changed}
        self.answer(200, json.dumps(data).encode(), Content_Type="application/json")


def ok(exchange: Exchange) -> None:
    """Store and acknowledge."""
    exchange.kept.store(exchange.batch)
    exchange.acknowledge()


def status(code: int, body: bytes = b"", **headers: str) -> Behaviour:
    """Answer with a status."""
    return lambda exchange: exchange.answer(code, body, **headers)


class Collector:
    """Answers every batch by the next of its behaviours, or the last one for ever.

    Attributes:
        kept: what was stored.
        seen: every request that came, with its headers.
        then: behaviours to come, each for one request.
        always: the behaviour when there are none left.
        unreadable: that for what is no batch.
    """

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.kept = Kept()
        self.seen: list[Exchange] = []
        self.then: list[Behaviour] = []
        self.always: Behaviour = ok
        self.unreadable: Behaviour = status(400)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                assert self.path == PATH or self.path.endswith(PATH)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    exchange = Exchange(self, body, outer.kept)
                    json.loads(exchange.document)
                except (ValueError, OSError, EOFError):
                    outer.unreadable(Exchange(self, None, outer.kept))
                    return
                outer.seen.append(exchange)
                (outer.then.pop(0) if outer.then else outer.always)(exchange)

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = False

            def get_request(self) -> Any:
                connection, address = super().get_request()
                if context is not None:
                    connection = context.wrap_socket(
                        connection, server_side=True, do_handshake_on_connect=False
                    )
                outer.connections.append(connection)
                return connection, address

            def handle_error(self, *args: Any) -> None:
                """A peer that hangs up is part of the test."""

        self.connections: list[socket.socket] = []
        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.url = f"{'http' if context is None else 'https'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        """End, with every connection."""
        self._server.shutdown()
        self._thread.join()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._server.server_close()


@contextmanager
def collector(context: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Collector]:
    """A collector while it is needed."""
    one = Collector(context, port)
    try:
        yield one
    finally:
        one.close()


def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
