"""One exchange with a collector: a batch goes out, an acknowledgement comes back.

Laws: taken is only what a 200 acknowledges in JSON, by the batch's id and its
number of records; every other answer is a failure with a reason. An exchange
has one deadline. TLS is verified, no redirect is followed, no cookie kept,
no environment variable asked for a proxy. The token is in the request's
header and nowhere else: not in an error, not in a log at any level, also when
the peer repeats it.
"""

from __future__ import annotations

import json
import logging
import ssl
from contextvars import ContextVar
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import certifi
import httpcore
import httpx

from requestcov import wire
from requestcov.sinks.http_answers import Refused, Unsent
from requestcov.sinks.http_network import Deadline, Network

MAX_ANSWER = 65_536
"""Bytes of an answer's body that are read; an acknowledgement has about a hundred."""

WRONG_TOKEN_WAIT = 60.0
"""Seconds between two attempts when the token is refused: somebody has to mend that."""

_IDLE = 3.0
"""Seconds for which an unused connection is kept: less than servers do, who would hang up on us."""

_PIECE = 8
"""Characters of a secret in a row that give it away."""

_REFUSED = (400, 413, 422)
_TRANSIENT = (408, 425, 429)

_UNCONNECTED = (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.ProxyError)
_FAILURES = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpcore.ConnectionNotAvailable,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)

_HINTS = {
    "WRONG_VERSION_NUMBER": "what listens there speaks no TLS",
    "self-signed certificate": "its authority is not known here: see the option ca_file",
    "self signed certificate": "its authority is not known here: see the option ca_file",
    "unable to get local issuer": "its authority is not known here: see the option ca_file",
}
"""What OpenSSL means by its words."""

_sending: ContextVar[bool] = ContextVar("requestcov.sending", default=False)


class _Transport(httpx.BaseTransport):
    """httpx over httpcore as httpx itself has it, on a network with a deadline."""

    def __init__(self, network: Network, origin: str, proxy: str, ca_file: str) -> None:
        options: dict[str, Any] = {
            "ssl_context": trust(ca_file) if origin.startswith("https:") else None,
            "max_connections": 1,
            "keepalive_expiry": _IDLE,
            "network_backend": network,
        }
        self._pool: httpcore.ConnectionPool
        if proxy:
            via = httpx.Proxy(proxy)
            self._pool = httpcore.HTTPProxy(
                proxy_url=str(via.url),
                proxy_auth=via.raw_auth,
                proxy_ssl_context=trust(ca_file) if via.url.scheme == "https" else None,
                **options,
            )
        else:
            self._pool = httpcore.ConnectionPool(**options)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        answer = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.read(),
                extensions=request.extensions,
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Any:
        return self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class Client:
    """A connection to one collector, for one thread at a time of one process.

    Args:
        origin: ``https://host:port``.
        token: shown with every batch; empty: none.
        timeout: seconds for an exchange in all.
        proxy: its URL; empty: none.
        ca_file: as :func:`trust` takes it.
    """

    def __init__(self, origin: str, *, token: str, timeout: float, proxy: str, ca_file: str) -> None:
        self._timeout = timeout
        self._deadline = Deadline()
        password = httpx.URL(proxy).password if proxy else ""
        self._proxied = bool(proxy)
        self._secrets = [secret for secret in (token, password) if secret]
        headers = {
            "User-Agent": "requestcov",
            "Accept": wire.CONTENT_TYPE,
            "Accept-Encoding": "identity",
            "Content-Type": wire.CONTENT_TYPE,
            "Content-Encoding": "gzip",
        }
        if token:
            headers["Authorization"] = f"Bearer {token}"
        _hush()
        self._client = httpx.Client(
            base_url=origin,
            headers=headers,
            transport=_Transport(Network(self._deadline), origin, proxy, ca_file),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            follow_redirects=False,
            trust_env=False,
            timeout=None,  # the network has the deadline
        )

    def post(self, batch: str, records: int, body: bytes) -> None:
        """Send a batch and have it acknowledged.

        Args:
            batch: its id.
            records: how many it has.
            body: what ``wire.encode`` made of it, in gzip.

        Raises:
            Refused: it will never be taken as it is.
            Unsent: it was not acknowledged; try again.
        """
        self._deadline.start(self._timeout)
        quiet = _sending.set(True)
        try:
            status, headers, answer = self._exchange(body)
        except _FAILURES as error:
            raise self._failed(error) from None
        finally:
            _sending.reset(quiet)
        if status == 200:
            self._check(batch, records, headers, answer)
            return
        reason = self._reason(headers, answer)
        if status in _REFUSED:
            raise Refused(status, reason)
        if status in (401, 403):
            raise Unsent(self._denied(status, reason), arrived=False, retry_after=WRONG_TOKEN_WAIT)
        if 300 <= status < 400:
            reason = "a redirect, which is not followed; name the collector itself"
        raise Unsent(
            f"the collector answered {status} {reason}".rstrip(),
            arrived=status >= 500,
            retry_after=_retry_after(headers) if status in _TRANSIENT or status >= 500 else 0.0,
        )

    def close(self) -> None:
        """Let go of the connection."""
        quiet = _sending.set(True)
        try:
            self._client.close()
        finally:
            _sending.reset(quiet)

    def _exchange(self, body: bytes) -> tuple[int, httpx.Headers, bytes]:
        with self._client.stream("POST", wire.PATH, content=body) as response:
            answer = b""
            for chunk in response.iter_raw():
                answer += chunk
                if len(answer) > MAX_ANSWER:
                    break
            return response.status_code, response.headers, answer

    def _check(self, batch: str, records: int, headers: httpx.Headers, answer: bytes) -> None:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        data = _json(answer) if kind == wire.CONTENT_TYPE else None
        if data is None:
            problem = "something else than JSON: is that a collector?"
        elif data.get("id") != batch or type(data.get("records")) is not int or data["records"] != records:
            problem = "without naming this batch and all its records"
        else:
            return
        raise Unsent(f"the collector answered 200 {problem}", arrived=True)

    def _reason(self, headers: httpx.Headers, answer: bytes) -> str:
        """What the collector says is wrong, when it says so in JSON and repeats no secret."""
        data = _json(answer) or {}
        said = data.get("error") or data.get("detail") or ""
        return self._safe(said[:200]) if isinstance(said, str) else ""

    def _denied(self, status: int, reason: str) -> str:
        if status == 401 and "Authorization" not in self._client.headers:
            return "the collector asks for a token (401), and the option token is not set"
        if status == 403 and reason:  # not always the token: the host's name may be none of its own
            return f"the collector answered 403: {reason.removesuffix('.')}"
        return f"the collector refuses the token ({status}); see the option token"

    def _failed(self, error: Exception) -> Unsent:
        text = self._safe(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        begun = self._deadline.sent and not isinstance(error, _UNCONNECTED)
        if self._proxied and isinstance(error, _UNCONNECTED):
            text += ", by way of the proxy"
        text += next((f"; {hint}" for mark, hint in _HINTS.items() if mark in text), "")
        return Unsent(text, arrived=begun, broke=begun)

    def _safe(self, text: str) -> str:
        low = text.lower()
        for secret in self._secrets:
            pieces = (secret[at : at + _PIECE] for at in range(max(1, len(secret) - _PIECE + 1)))
            if any(piece.lower() in low for piece in pieces):
                return "(what was said repeats a secret, and is left out)"
        return text


@cache
def trust(ca_file: str) -> ssl.SSLContext:
    """What TLS trusts: the authorities in a file, or the system's and certifi's.

    Read once, when the app starts: reading them holds every thread up for tens of
    milliseconds, and a forked child would do it again.

    Raises:
        OSError, ssl.SSLError: the file cannot be read, or holds no certificate.
    """
    if ca_file:
        return ssl.create_default_context(cafile=ca_file)
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _json(answer: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _retry_after(headers: httpx.Headers) -> float:
    """Seconds, from a number or a date (RFC 9110 §10.2.3); 0: none given. Whoever waits has a limit."""
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return float(said[:12])
    try:
        moment = parsedate_to_datetime(said)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


class _Hushed(logging.Filter):
    """Leaves out what is logged about our exchanges: httpcore tells headers, which may repeat a token."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _sending.get()


_hushed = _Hushed()


def _hush() -> None:
    # A logger's filter does not see its children's records: each has to have it.
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("httpx", "httpcore"):
            logging.getLogger(name).addFilter(_hushed)
