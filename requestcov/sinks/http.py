"""To a collector: ``https://host[:port]/``, by way of a spool on disk.

Laws: ``write`` returns when the batch is on disk; sending it is a step of its
own, oldest first, and what is not acknowledged stays. Where the disk takes
nothing, a batch is sent from memory, after all that is on disk, or the write
fails and the outlet keeps it. Nothing of this is ever done by a request's
thread. A child of a fork uses nothing of its parent's.
"""

from __future__ import annotations

import gzip
import ipaddress
import logging
import os
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from requestcov import native, wire
from requestcov._values import has_controls
from requestcov.complaints import Complaints, describe
from requestcov.config import Config
from requestcov.errors import ConfigError, SinkError
from requestcov.record import Batch
from requestcov.sinks import path as place
from requestcov.sinks.http_answers import Refused, Unsent
from requestcov.sinks.http_box import Parcel
from requestcov.sinks.http_delivery import Delivery, Part
from requestcov.sinks.http_losses import LOST, REJECTED
from requestcov.sinks.http_spool import ADOPT_EVERY, Spool

if TYPE_CHECKING:
    from requestcov.sinks.http_client import Client

_log = logging.getLogger("requestcov")

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")
_FORM = "write https://host or https://host:port"


def open_http(url: str, config: Config) -> HttpSink:
    """A sink for an ``http:`` or ``https:`` URL.

    Raises:
        ConfigError: the URL, the package httpx or the authorities' file cannot be used.
    """
    origin, host = parse_url(url)
    try:
        # Only now: an app without such a sink never loads httpx.
        from requestcov.sinks import http_client
    except ImportError as error:
        raise place.refuse(
            url, f"it needs httpx, which cannot be imported ({error}): pip install 'requestcov[http]'"
        ) from error
    try:
        if config.ca_file or origin.startswith("https:") or config.proxy.startswith("https:"):
            http_client.trust(config.ca_file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"ca_file={config.ca_file!r} cannot be used: {describe(error)}.") from error
    if readable_on_the_way(url, config) and host not in _warned:
        _warned.add(host)
        _log.warning("requestcov: %s", READABLE.format(origin))
    return HttpSink(origin, config)


READABLE = "{} is sent to unencrypted: whoever is on the way can read the token and the records; use https"
_warned: set[str] = set()


class HttpSink:
    """Keeps batches in a spool, and sends them to one collector.

    ``write`` and ``close`` are for one thread, ``resume`` for one; the two may differ.

    Attributes:
        name: ``https://host:port``.
        spool: what is on disk.
    """

    def __init__(self, origin: str, config: Config) -> None:
        self.name = origin
        self.spool = Spool(os.path.abspath(config.spool), origin.replace("://", "-"), config.spool_size)
        self._config = config
        self._complaints = Complaints()
        self._sending = native.new_lock()
        self._client: Client | None = None
        self._pid = 0
        self._closed = False
        self._delivery: Delivery | None = None
        self._parcel: Parcel | None = None
        self._unkept: tuple[str, Delivery] | None = None
        self._unanswered = ""

    @property
    def taken(self) -> int:
        """Batches written so far."""
        return self.spool.taken

    @property
    def through(self) -> int:
        """How many of the first of them are held no more."""
        return self.spool.through

    @property
    def delivered(self) -> int:
        """Records of this process that were acknowledged."""
        return self.spool.delivered

    @property
    def lost(self) -> Mapping[str, int]:
        """Records of this process that were lost after they had been written, by reason."""
        return self.spool.lost

    def forgot_sources(self) -> bool:
        """Whether texts were lost since this was last asked, and have to come again."""
        forgot, self.spool.resend_sources = self.spool.resend_sources, False
        return forgot

    def write(self, batch: Batch) -> None:
        """Keep a batch on disk, or have it acknowledged at once.

        Raises:
            SinkError, OSError: neither could be done.
        """
        self._closed = False
        body = gzip.compress(wire.encode(batch), mtime=0)
        if self._unkept is not None and self._unkept[0] == batch.id:
            # Parts of it are with the collector already: go on with the others.
            return self._send_from_memory(batch, body)
        try:
            self.spool.put(batch, body, tried=batch.id == self._unanswered)
        except (OSError, SinkError) as error:
            text = f"the spool {self.spool.path} takes nothing ({describe(error)})"
            self._say("spool", f"{text}; batches are sent from memory")
            self._send_from_memory(batch, body)

    def resume(self) -> float | None:
        """Make one exchange, if something is held.

        Returns:
            Seconds until it wants to be called again: 0 when more is held.

        Raises:
            SinkError: what was sent was not acknowledged.
        """
        with self._sending:
            try:
                parcel = None if self._closed else self.spool.next()
                if parcel is not None:
                    self._send(parcel)
            finally:
                if self._closed:
                    self._let_go()
        return ADOPT_EVERY if parcel is None else 0.0

    def refusal(self) -> str | None:
        """Why the collector would not take a batch now, asked with one that nobody could; None: it would."""
        with self._sending:
            try:
                self._connected().post("", 0, b"")
            except Refused:
                return None
            except Unsent as error:
                return str(error)
            finally:
                self._let_go()
        return None

    def close(self) -> None:
        """Let go of the connection and the spool's lock; what is held stays on disk."""
        self._closed = True
        # A thread in the middle of an exchange lets go itself, when that is over.
        if self._sending.acquire(False):
            try:
                self._let_go()
            finally:
                self._sending.release()

    def _send(self, parcel: Parcel) -> None:
        before = parcel.tried
        if not self.spool.mark(parcel, tried=True):
            return
        try:
            if self._delivery is None or self._parcel is not parcel:
                office = _Kept(self, parcel)
                self._parcel = parcel
                self._delivery = Delivery(parcel.id, parcel.records, parcel.body(), office)
            done = self._delivery.step(self._connected())
        except SinkError as error:
            divided = self._delivery is not None and self._delivery.divided
            if isinstance(error, Unsent) and not (error.arrived or before or divided):
                self.spool.mark(parcel, tried=False)
            raise
        except (OSError, ValueError, EOFError, LookupError) as error:
            self._say("lost", f"a batch in the spool cannot be read: {describe(error)}")
            self.spool.lose(parcel, LOST, parcel.records)
            done = True
        if done:
            self._parcel = self._delivery = None
            self.spool.finish(parcel)

    def _send_from_memory(self, batch: Batch, body: bytes) -> None:
        with self._sending:
            # In order: this batch's ledger says that all before it are stored.
            while (parcel := self.spool.oldest()) is not None:
                self._send(parcel)
            if self._unkept is None or self._unkept[0] != batch.id:
                self._unkept = batch.id, Delivery(batch.id, len(batch.records), body, _Unkept(self))
            _, delivery = self._unkept
            try:
                while not delivery.step(self._connected()):
                    continue
            except SinkError as error:
                if not isinstance(error, Unsent) or error.arrived:
                    self._unanswered = batch.id
                if not delivery.divided:
                    self._unkept = None
                raise
            self._unkept = None

    def reject(self, part: Part, body: bytes, why: str) -> None:
        """A part that cannot be divided is refused: put it aside and say so."""
        kept = self.spool.quarantine(part.id, body) if part.records else False
        what = "a record" if part.records else "the text of a file" if part.sources else "a ledger"
        where = f"; it is in {self.spool.directory}/quarantine" if kept else ""
        self._say("rejected", f"{self.name} refuses {what} for good: {why}{where}")

    def _connected(self) -> Client:
        from requestcov.sinks import http_client

        if self._pid != os.getpid():
            # The parent's connection: it is neither used nor closed here.
            _inherited.append(self._client)
            self._client = None
        if self._client is None:
            self._pid = os.getpid()
            self._client = http_client.Client(
                self.name,
                token=self._config.token,
                timeout=self._config.sink_timeout,
                proxy=self._config.proxy,
                ca_file=self._config.ca_file,
            )
        return self._client

    def _let_go(self) -> None:
        client, self._client = self._client, None
        self._parcel = self._delivery = None
        self.spool.close()
        if client is not None and self._pid == os.getpid():
            client.close()

    def _say(self, kind: str, text: str) -> None:
        self._complaints.say(kind, text, time.monotonic())


class _Kept:
    """The accounts of a batch in the spool."""

    def __init__(self, sink: HttpSink, parcel: Parcel) -> None:
        self._sink = sink
        self._parcel = parcel

    def lost(self) -> Mapping[str, int]:
        return self._sink.spool.lost_upto(self._parcel)

    def deliver(self, records: int) -> None:
        self._sink.spool.deliver(self._parcel, records)

    def reject(self, part: Part, body: bytes, why: str) -> None:
        self._sink.spool.lose(self._parcel, REJECTED, len(part.records), part.id)
        self._sink.reject(part, body, why)


class _Unkept:
    """The accounts of a batch that is sent from memory."""

    def __init__(self, sink: HttpSink) -> None:
        self._sink = sink

    def lost(self) -> Mapping[str, int]:
        return self._sink.lost

    def deliver(self, records: int) -> None:
        self._sink.spool.deliver_unkept(records)

    def reject(self, part: Part, body: bytes, why: str) -> None:
        self._sink.spool.lose_unkept(REJECTED, len(part.records))
        self._sink.reject(part, body, why)


_inherited: list[object] = []


def parse_url(url: str) -> tuple[str, str]:
    """The origin and the host that a sink's URL names.

    Raises:
        ConfigError: says what is wrong with the URL.
    """
    scheme, _, rest = url.partition("://")
    if has_controls(url):
        raise place.refuse(url, "it has control characters")
    authority, _, path = rest.partition("/")
    for mark, what in (("#", "a fragment"), ("?", "a query; options go into variables")):
        if mark in rest:
            raise place.refuse(url, f"it has {what}; {_FORM}")
    if "@" in authority:
        raise place.refuse(url, f"it has a user name or password; the token is an option of its own; {_FORM}")
    if path:
        raise place.refuse(url, f"it has a path; {_FORM}")
    host, colon, port = authority, "", ""
    if not authority.endswith("]"):
        host, colon, port = authority.rpartition(":") if ":" in authority else (authority, "", "")
    if colon and not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise place.refuse(url, f"its port is no number from 1 to 65535; {_FORM}")
    if not _is_host(host):
        raise place.refuse(url, f"it names {'no host' if not host else 'no host that can be'}; {_FORM}")
    return f"{scheme}://{host.lower()}{f':{int(port)}' if colon else ''}", host.lower().strip("[]")


def _is_host(host: str) -> bool:
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return host.endswith("]")
    return bool(_HOST.fullmatch(host)) and ".." not in host


def readable_on_the_way(url: str, config: Config) -> bool:
    """Whether a token would go over a network unencrypted."""
    origin, host = parse_url(url)
    if not config.token or origin.startswith("https:"):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost" and not host.endswith(".localhost")
