"""What the sink to a collector keeps to itself, whom it trusts, and who can read its spool."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from requestcov.config import Config
from requestcov.errors import ConfigError, SinkError
from requestcov.sinks import open_sink
from requestcov.sinks.http_spool import Spool
from requestcov.wsgi import WSGIMiddleware
from tests.http_sink.app import TOKEN, App, files, until
from tests.http_sink.collector import collector, ok, status
from tests.storage.processes import run_as_nobody
from tests.storage.samples import batch, ledger, record


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def pem(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def serving(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def test_records_arrive_by_tls(tmp_path: Path, authority: trustme.CA, pem: str) -> None:
    with collector(serving(authority, "127.0.0.1")) as there, App(there.url, tmp_path, ca_file=pem) as app:
        for _ in range(3):
            app.put(5)
            assert app.flush()
        assert len(there.kept.records) == 15
        assert len(there.connections) == 1


def test_a_batch_larger_than_a_record_of_tls_arrives(tmp_path: Path, authority: trustme.CA, pem: str) -> None:
    with (
        collector(serving(authority, "127.0.0.1")) as there,
        App(there.url, tmp_path, ca_file=pem, source=lambda path, digest: os.urandom(2_000_000)) as app,
    ):
        client = app.sink
        app.put(1)
        assert app.flush()
        assert client.name == there.url
        assert len(there.kept.records) == 1


@pytest.mark.parametrize("kind", ["self-signed", "another authority's", "another host's"])
def test_a_certificate_that_proves_nothing_is_refused(
    tmp_path: Path, authority: trustme.CA, pem: str, kind: str
) -> None:
    """Before the token is sent; the batch stays."""
    other = trustme.CA()
    context = serving(authority if kind == "another host's" else other, "127.0.0.1")
    if kind == "another host's":
        context = serving(authority, "collector.example")
    if kind == "self-signed":
        own = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
        own.cert_pem.write_to_path(str(tmp_path / "cert.pem"))
        context.load_cert_chain(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    options = {} if kind == "self-signed" else {"ca_file": pem}
    with collector(context) as there, App(there.url, tmp_path / "spool", **options) as app:
        app.put()
        until(lambda: app.state.failures)
        assert "CERTIFICATE_VERIFY_FAILED" in app.state.error
        assert there.seen == []
        assert app.state.held == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_carries_the_token_nowhere(tmp_path: Path, code: int) -> None:
    with collector() as elsewhere, collector() as there, App(there.url, tmp_path) as app:
        there.always = status(code, Location=f"{elsewhere.url}/v1/batches")
        app.put()
        until(lambda: app.state.failures >= 2)
        assert "redirect" in app.state.error
        assert elsewhere.connections == []


class Proxy:
    """A real proxy: CONNECT and absolute targets, in threads."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[bytes] = []
        self._context = context
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for one in self._open:
            one.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            if self._context is not None:
                peer = self._context.wrap_socket(peer, server_side=True)
            self._start(self._serve, peer)

    def _start(self, function, *args) -> None:
        thread = threading.Thread(target=function, args=args)
        self._threads.append(thread)
        thread.start()

    def _serve(self, peer: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += peer.recv(65536)
        self.asked.append(head)
        method, target, _ = head.split(b" ", 2)
        authority = target if method == b"CONNECT" else target.split(b"/")[2]
        host, port = authority.decode().rsplit(":", 1)
        there = socket.create_connection((host, int(port)))
        self._open += [peer, there]
        if method == b"CONNECT":
            peer.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            there.sendall(head)
        self._start(self._copy, there, peer)
        self._copy(peer, there)

    def _copy(self, source: socket.socket, to: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                to.sendall(data)
        except OSError:
            pass
        for one in (source, to):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    one = Proxy()
    yield one
    one.close()


def test_a_proxy_is_used_when_the_option_names_it_and_sees_no_token_of_tls(
    tmp_path: Path, authority: trustme.CA, pem: str, proxy: Proxy
) -> None:
    with collector(serving(authority, "127.0.0.1")) as there:
        way = f"http://joe:hunter2-hunter2@127.0.0.1:{proxy.port}"
        with App(there.url, tmp_path, ca_file=pem, proxy=way) as app:
            app.put(3)
            assert app.flush()
            assert len(there.kept.records) == 3
        (asked,) = proxy.asked
        assert asked.startswith(b"CONNECT 127.0.0.1:")
        assert b"Proxy-Authorization: Basic" in asked
        assert TOKEN.encode() not in asked
        assert "hunter2" not in repr(app.config)


def test_a_proxy_behind_tls_carries_tls_within_tls(tmp_path: Path, authority: trustme.CA, pem: str) -> None:
    proxy = Proxy(serving(authority, "127.0.0.1"))
    try:
        with collector(serving(authority, "127.0.0.1")) as there:
            way = f"https://127.0.0.1:{proxy.port}"
            with App(there.url, tmp_path, ca_file=pem, proxy=way) as app:
                app.put(3)
                assert app.flush()
                assert len(there.kept.records) == 3
            assert TOKEN.encode() not in proxy.asked[0]
    finally:
        proxy.close()


def test_a_proxy_is_used_for_plain_http_too(tmp_path: Path, proxy: Proxy) -> None:
    with collector() as there, App(there.url, tmp_path, proxy=f"http://127.0.0.1:{proxy.port}") as app:
        app.put(3)
        assert app.flush()
        assert proxy.asked[0].startswith(b"POST http://127.0.0.1:")
        assert len(there.kept.records) == 3


def test_proxies_of_the_environment_are_not_looked_at(
    tmp_path: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    with collector() as there, App(there.url, tmp_path) as app:
        app.put()
        assert app.flush()
        assert proxy.asked == []


ECHOES = {
    "in a 401": lambda e: e.answer(401, TOKEN.encode()),
    "in a refusal": lambda e: e.answer(
        400, b'{"error":"bad: %s"}' % TOKEN.encode(), Content_Type="application/json"
    ),
    "in pieces": lambda e: e.answer(
        503, b'{"error":"%s ... %s"}' % (TOKEN[:12].encode(), TOKEN[12:].upper().encode())
    ),
    "in a header": lambda e: e.answer(503, X_Echo=TOKEN, Location=f"http://x/{TOKEN}", Set_Cookie=TOKEN),
    "in the status line": lambda e: e.raw(b"HTTP/1.1 500 %s\r\nContent-Length: 0\r\n\r\n" % TOKEN.encode()),
    "in no HTTP": lambda e: e.raw(b"%s\r\n\r\n" % TOKEN.encode()),
    "in a broken header": lambda e: e.raw(b"HTTP/1.1 200 OK\r\n%s\x00: 1\r\n\r\n" % TOKEN.encode()),
}


@pytest.mark.parametrize("kind", ECHOES)
def test_a_token_that_the_server_repeats_is_said_to_nobody(tmp_path: Path, kind: str, caplog) -> None:
    """In no log, whatever its level and whoever logs; in no state, error or file."""
    logging.getLogger("httpcore").debug("loaded")
    with caplog.at_level(logging.DEBUG), collector() as there, App(there.url, tmp_path) as app:
        there.always = ECHOES[kind]
        app.put(2)
        until(lambda: app.state.failures or app.ledger.dropped)
        until(lambda: caplog.messages)
        said = " ".join(
            [*caplog.messages, repr(app.state), repr(app.sink), repr(app.config), str(vars(app.sink))]
        )
    on_disk = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for piece in (TOKEN, TOKEN.upper(), TOKEN[:12], TOKEN[12:], TOKEN[12:].upper()):
        assert piece not in said
        assert piece.encode() not in on_disk
    assert not [entry for entry in caplog.records if entry.name.startswith(("httpx", "httpcore"))]


def test_what_others_log_of_their_own_exchanges_stays(tmp_path: Path, caplog) -> None:
    httpx = pytest.importorskip("httpx")
    with caplog.at_level(logging.INFO), collector() as there, App(there.url, tmp_path) as app:
        app.put()
        assert app.flush()
        with httpx.Client(trust_env=False) as client, pytest.raises(httpx.HTTPError):
            client.get("http://127.0.0.1:1/")
        there.always = status(404)
        with httpx.Client(trust_env=False) as client:
            client.post(f"{there.url}/v1/batches", content=there.seen[0].body)
    assert [entry.name for entry in caplog.records if entry.name == "httpx"] == ["httpx"]


def test_what_a_server_says_is_one_line(tmp_path: Path, caplog) -> None:
    with collector() as there, App(there.url, tmp_path) as app:
        there.always = lambda e: e.answer(
            503,
            rb'{"error":"no\r\n2026-11-27 CRITICAL all is lost\u001b[31m"}',
            Content_Type="application/json",
        )
        app.put()
        until(lambda: caplog.messages)
        assert all(message.isprintable() for message in caplog.messages)
        assert r"no\r\n2026-11-27 CRITICAL" in caplog.text
        assert app.state.error.isprintable()


def test_nothing_private_of_a_request_is_on_the_wire_in_the_spool_or_in_the_log(
    tmp_path: Path, caplog
) -> None:
    """By the real wrapper, into a collector that fails, so that all of it is kept and said."""
    canaries = [f"canary-{where}-9f3b" for where in ("query", "cookie", "header", "body", "address", "path")]

    def app(environ, start_response):
        environ["wsgi.input"].read()
        start_response("500 Oh", [("X-Answer", canaries[2])])
        return [canaries[3].encode()]

    with caplog.at_level(logging.DEBUG), collector() as there:
        there.always = status(503)
        wrapped = WSGIMiddleware(
            app,
            sample_rate=1,
            source=[str(Path(__file__).parent)],
            sinks=[there.url],
            token=TOKEN,
            spool=tmp_path,
            flush_interval=0.02,
            max_per_second=0,
        )

        for _ in range(3):
            environ = {
                "REQUEST_METHOD": "POST",
                "PATH_INFO": f"/users/{canaries[5]}",
                "QUERY_STRING": canaries[0],
                "HTTP_COOKIE": canaries[1],
                "HTTP_X_SECRET": canaries[2],
                "REMOTE_ADDR": canaries[4],
                "wsgi.input": io.BytesIO(canaries[3].encode()),
                "wsgi.errors": sys.stderr,
            }
            list(wrapped(environ, lambda *args: None))
        until(lambda: there.seen and caplog.messages and files(tmp_path))

    batches = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix in (".batch", ".tried")]
    seen = [gzip.decompress(path.read_bytes()) for path in batches]
    seen += [gzip.decompress(exchange.body) + str(exchange.headers).encode() for exchange in there.seen]
    assert b"test_secrets_and_files" in b"".join(seen)
    # The test's own text is a source, and names them: what is looked for is all but the texts.

    told = [json.loads(one) | {"sources": []} for one in seen if one.endswith(b"}")]
    said = json.dumps(told) + caplog.text
    assert told
    assert not [canary for canary in canaries if canary in said]


def modes(spool: Path) -> set[tuple[bool, int]]:
    return {(path.is_dir(), stat.S_IMODE(path.lstat().st_mode)) for path in [spool, *spool.rglob("*")]}


def test_a_spool_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with collector() as there, App(there.url, tmp_path / "deep" / "spool", batch_size=1) as app:
            there.then = [status(400)] * 2
            there.always = status(503)
            app.put(3)
            until(lambda: len(files(tmp_path)) >= 2 and len(there.seen) >= 3)
            assert modes(tmp_path / "deep") == {(True, 0o700), (False, 0o600)}
    finally:
        os.umask(before)


def test_a_directory_that_is_open_to_others_is_closed(tmp_path: Path) -> None:
    with collector() as there:
        there.always = status(503)
        name = there.url.replace("://", "-").replace(":", "_")
        (tmp_path / "spool" / name).mkdir(parents=True)
        (tmp_path / "spool" / name).chmod(0o777)
        with App(there.url, tmp_path / "spool") as app:
            app.put()
            until(lambda: app.state.held)
        assert stat.S_IMODE((tmp_path / "spool" / name).stat().st_mode) == 0o700


@pytest.mark.parametrize("where", ["spool", "destination", "box"])
def test_a_planted_link_is_not_followed(tmp_path: Path, where: str, caplog) -> None:
    """Nothing is written behind it; the records are sent from memory."""
    target = tmp_path / "target"
    target.mkdir()
    spool = tmp_path / "spool"
    with collector() as there, App(there.url, spool) as app:
        name = there.url.replace("://", "-").replace(":", "_")
        link = {"spool": spool, "destination": spool / name, "box": spool / name / app.pipeline.boot}[where]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
        app.put(3)
        assert app.flush()
        assert len(there.kept.records) == 3
        assert list(target.iterdir()) == []
        assert "link" in caplog.text
        assert len(caplog.messages) == 1


def test_a_planted_link_in_place_of_a_batch_is_not_followed(tmp_path: Path) -> None:
    """Neither read and sent, nor written through."""
    secret = tmp_path / "secret"
    secret.write_text("root:x:0:0")
    with collector() as there, App(there.url, tmp_path / "spool") as app:
        there.always = status(503)
        app.put(4)
        until(lambda: app.state.failures and app.state.held == 4)
        (held,) = (tmp_path / "spool").rglob("*.tried")
        held.unlink()
        held.symlink_to(secret)
        app.pipeline._process.outlets[0].holding._delivery = None
        there.always = ok
        app.flush()
        until(lambda: not app.state.held)
        assert secret.read_text() == "root:x:0:0"
        assert app.ledger.dropped == {"spool_lost": 4}


def test_a_directory_of_somebody_else_is_refused(public: Path) -> None:
    foreign = public / "spool"
    foreign.mkdir(mode=0o777)
    foreign.chmod(0o777)
    if os.geteuid():
        pytest.skip("needs root, to make a directory of another user's")
    os.chown(foreign, 12345, 12345)
    said = run_as_nobody(
        f"""
from requestcov.sinks.http_spool import Spool
from tests.storage.samples import batch, ledger, record
try:
    Spool({str(foreign)!r}, "https-x", 1 << 20).put(batch([record(1)], ledger(1)), b"x")
except Exception as error:
    print(type(error).__name__, error)
""",
        imports="import requestcov.sinks.http_spool",
    )
    assert said.startswith("SinkError The directory")
    assert "belongs to user 12345" in said
    assert list(foreign.iterdir()) == []


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that a user without rights can reach."""

    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_child_of_a_fork_touches_nothing_of_its_parents_connection(
    tmp_path: Path, authority: trustme.CA, pem: str
) -> None:
    """Both go on sending, each by a connection of its own, over TLS."""
    with collector(serving(authority, "127.0.0.1")) as there:
        code = f"""
import os
from tests.http_sink.app import App
app = App({there.url!r}, {str(tmp_path)!r}, ca_file={pem!r})
app.put(3)
assert app.flush()
child = os.fork()
app.put(2)
assert app.flush()
if child:
    assert os.waitpid(child, 0)[1] == 0
    app.put(3)
    assert app.flush()
"""
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)
        assert len(there.kept.records) == 10
        assert sorted(ledger.stored for ledger in there.kept.ledgers.values()) == [2, 8]
        assert len(there.connections) == 2


def test_a_child_does_not_keep_its_parents_spool_locked(tmp_path: Path) -> None:
    """The parent is killed, the child lives: what the parent had is taken over."""
    with collector() as there:
        there.always = status(503)
        code = f"""
import os, signal, sys
from tests.http_sink.app import App, until
app = App({there.url!r}, {str(tmp_path)!r})
app.put(3)
until(lambda: app.state.held == 3)
if os.fork() == 0:
    print("child", flush=True)
    sys.stdin.read()
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""
        with subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "child\n"
            assert process.wait(timeout=30) == -signal.SIGKILL
            there.always = ok
            with App(there.url, tmp_path) as app:
                app.put()
                until(lambda: len(there.kept.records) == 4)
            assert process.stdin is not None
            process.stdin.close()


def test_plain_http_with_a_token_to_another_machine_is_said_once(tmp_path: Path, caplog) -> None:
    config = Config(token=TOKEN, spool=str(tmp_path))
    for _ in range(2):
        open_sink("http://collector-seen-once.example", config)
    open_sink("http://127.0.0.1:1", config)
    open_sink("http://[::1]:1", config)
    open_sink("http://localhost", config)
    open_sink("https://collector.example", config)
    open_sink("http://no-token.example", Config())
    (message,) = caplog.messages
    assert "http://collector-seen-once.example is sent to unencrypted" in message
    assert TOKEN not in message


BAD = [
    ("https://", "names no host"),
    ("https:///v1/batches", "has a path"),
    ("https://joe:hunter2@collector", "user name or password"),
    ("https://collector/v1", "has a path"),
    ("https://collector?token=hunter2", "has a query"),
    ("https://collector/#hunter2", "has a fragment"),
    ("https://collector:0", "port"),
    ("https://collector:99999", "port"),
    ("https://collector:", "port"),
    ("https://collector:https", "port"),
    ("https://collector:-1", "port"),
    ("https://collector:\u0661", "port"),
    ("https://collector\r\nX-Evil: 1", "control characters"),
    ("https://collector\x00", "control characters"),
    ("https://col lector", "no host that can be"),
    ("https://coll\u00e9ctor", "no host that can be"),
    ("https://a..b", "no host that can be"),
    ("https://[::1", "no host that can be|port"),
    ("https://[zz]:1", "no host that can be"),
    ("https://::1", "no host that can be|port"),
    ("https://" + "a" * 300, "no host that can be"),
    ("https://-x", "no host that can be"),
]


@pytest.mark.parametrize(("url", "said"), BAD, ids=[ascii(url)[:50] for url, _ in BAD])
def test_a_url_that_cannot_be_a_collector(url: str, said: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said) as caught:
        open_sink(url)
    assert str(caught.value).isprintable()
    assert "hunter2" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://Collector.example/", "https://collector.example"),
        ("https://collector_1:08443", "https://collector_1:8443"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("https://10.0.0.1", "https://10.0.0.1"),
    ],
)
def test_a_url_that_can(url: str, name: str) -> None:
    assert open_sink(url).name == name


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("token", "short"), ("token", "a" * 16 + "\n"), ("token", "a" * 16 + "\u00e9"), ("token", "a" * 201),
        ("spool", "a\0b"), ("spool", "x" * 4000), ("spool", 5),
        ("spool_size", 0), ("spool_size", -1), ("spool_size", 10**18), ("spool_size", "64MB"),
        ("spool_size", True),
        ("sink_timeout", 0), ("sink_timeout", "inf"), ("sink_timeout", "5s"), ("sink_timeout", float("nan")),
        ("proxy", "socks5://x:1"), ("proxy", "http://x"), ("proxy", "x:1"), ("proxy", "http://x:99999"),
        ("proxy", "http://x:1/a"), ("proxy", "http://x:1?a=b"), ("proxy", "http://joe:hunter2@x:1\r\nA: b"),
        ("ca_file", "a\nb"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_used(option: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{option}=.* cannot be used") as caught:
        Config(**{option: value})
    assert str(caught.value).isprintable() or option == "token"
    assert "hunter2" not in str(caught.value)
    if option == "token":
        assert str(value) not in str(caught.value)


@pytest.mark.parametrize("kind", ["absent", "empty", "no PEM", "directory"])
def test_an_authorities_file_that_cannot_be_used_stops_the_start(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "ca.pem"
    if kind == "directory":
        path.mkdir()
    elif kind != "absent":
        path.write_text("" if kind == "empty" else "hello")
    with pytest.raises(ConfigError, match=r"ca_file='.*ca.pem' cannot be used"):
        open_sink("https://collector", Config(ca_file=str(path)))


def test_without_httpx_the_command_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("requestcov.sinks.http_client")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("requestcov.sinks.http_client", raising=False)
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ConfigError, match=r"pip install 'requestcov\[http\]'"):
        open_sink("https://collector")


def test_a_spool_that_is_no_directory_is_an_error_of_the_sink(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    spool = Spool(str(tmp_path / "spool"), "https-x", 1 << 20)
    with pytest.raises((SinkError, OSError)):
        spool.put(batch([record(1)], ledger(1)), b"x")
