"""TCP and TLS for httpcore, under one deadline for all that an exchange does.

Laws: looking up a name, connecting, the TLS handshake, sending and receiving share
one deadline, so that a peer that sends a byte now and then gains nothing; only
the look-up of a name cannot be cut short, and counts when it returns. A
socket here is the operating system's also where gevent or eventlet has
replaced ``socket``, ``ssl`` and ``select``: the thread that sends is a real
one and has no event loop.

How: ``_socket`` holds the type that ``socket.socket`` extends and that no
monkey patch replaces; TLS runs in memory (``SSLObject``) over whatever stream
is below, so TLS to a collector goes through TLS to a proxy as well.
"""

from __future__ import annotations

import _socket
import math
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import httpcore

_CHUNK = 65_536
"""Bytes given to TLS, or taken from the network, at once."""


class Deadline:
    """When an exchange has to be over, and whether anything of it has left.

    Attributes:
        sent: some byte was handed to the network since :meth:`start`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.sent = False
        self._clock = clock
        self._at = math.inf

    def start(self, seconds: float) -> None:
        """An exchange begins, and may take that long."""
        self.sent = False
        self._at = self._clock() + seconds

    def left(self) -> float:
        """Seconds left.

        Raises:
            TimeoutError: none.
        """
        left = self._at - self._clock()
        if left <= 0:
            raise TimeoutError("no complete answer in time")
        return left


class Network(httpcore.NetworkBackend):
    """Opens streams that keep to a deadline, whatever timeouts they are given."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of a host's addresses that answers.

        Raises:
            httpcore.ConnectError, httpcore.ConnectTimeout: none does, or not in time.
        """
        try:
            addresses = _socket.getaddrinfo(host, port, type=_socket.SOCK_STREAM)
            return _Tcp(self._connect(addresses), self._deadline)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no connection in time ({error})") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error

    def _connect(self, addresses: list[Any]) -> _socket.socket:
        failed: OSError = OSError("the name has no address")
        for at, (family, kind, protocol, _, address) in enumerate(addresses):
            # The time left is shared out: an address that swallows packets leaves some to the next.
            seconds = self._deadline.left() / (len(addresses) - at)
            connection = _socket.socket(family, kind, protocol)
            try:
                connection.settimeout(seconds)
                connection.connect(address)
                connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
                return connection
            except OSError as error:
                connection.close()
                failed = error
        raise failed


class _Tcp(httpcore.NetworkStream):
    def __init__(self, connection: _socket.socket, deadline: Deadline) -> None:
        self._socket = connection
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            self._socket.settimeout(self._deadline.left())
            return self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout("no complete answer in time") from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = memoryview(buffer)
        try:
            while left:
                self._socket.settimeout(self._deadline.left())
                self._deadline.sent = True
                left = left[self._socket.send(left) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout("not sent in time") from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Tls(self, ssl_context, server_hostname)

    def get_extra_info(self, info: str) -> Any:
        """Only what httpcore asks of an idle connection: whether the peer has closed it."""
        return self._is_readable() if info == "is_readable" else None

    def _is_readable(self) -> bool:
        try:
            self._socket.settimeout(0)
            self._socket.recv(1, _socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True


class _Tls(httpcore.NetworkStream):
    def __init__(self, below: httpcore.NetworkStream, context: ssl.SSLContext, hostname: str | None) -> None:
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
            self._run(self._ssl.do_handshake)
        except (ssl.SSLError, ssl.CertificateError, ValueError) as error:
            with suppress(httpcore.NetworkError, httpcore.TimeoutException):
                self._pass_on()  # the alert that tells the peer why
            below.close()
            raise httpcore.ConnectError(str(error)) from error
        except BaseException:
            below.close()
            raise

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return bytes(self._run(self._ssl.read, max_bytes))
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError as error:
            raise httpcore.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        whole = memoryview(buffer)
        try:
            for start in range(0, len(whole), _CHUNK):
                self._run(self._ssl.write, whole[start : start + _CHUNK])
        except ssl.SSLError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        # Without a farewell: after a fork it would end the other process's conversation.
        self._below.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Tls(self, ssl_context, server_hostname)

    def get_extra_info(self, info: str) -> Any:
        return self._ssl if info == "ssl_object" else self._below.get_extra_info(info)

    def _run(self, action: Callable[..., Any], *args: Any) -> Any:
        while True:
            try:
                result = action(*args)
            except ssl.SSLWantReadError:
                self._pass_on()
                data = self._below.read(_CHUNK)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                self._pass_on()
                return result

    def _pass_on(self) -> None:
        data = self._outgoing.read()
        if data:
            self._below.write(data)
