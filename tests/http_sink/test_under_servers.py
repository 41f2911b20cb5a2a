"""Under every server, by TLS: what requests ran reaches the collector, or the spool when there is none."""

from __future__ import annotations

import ssl
import threading
import time
from pathlib import Path

import pytest
import trustme

from tests.http_sink.app import TOKEN, App, files, until
from tests.http_sink.collector import collector, free_port, ok
from tests.servers.harness import ASGI_SERVERS, WSGI_SERVERS, installed, serve

SERVERS = [*WSGI_SERVERS, *ASGI_SERVERS]


def app_for(server: str) -> str:
    return f"tests.servers.kept_app:{'wsgi' if server in WSGI_SERVERS else 'asgi'}"


def path_for(server: str) -> str:
    return "/generator" if server in WSGI_SERVERS else "/chunked"


def environment(url: str, spool: Path, **more: str) -> dict[str, str]:
    options = {"SINKS": url, "TOKEN": TOKEN, "SPOOL": str(spool), "FLUSH_INTERVAL": "0.05"}
    options |= {
        "SAMPLE_RATE": "1",
        "MAX_PER_SECOND": "0",
        "SOURCE": str(Path(__file__).parents[1] / "servers"),
    }
    return {f"REQUESTCOV_{name}": value for name, value in (options | more).items()}


@pytest.mark.parametrize("server", SERVERS)
def test_records_arrive_while_the_server_serves(server: str, tmp_path: Path) -> None:
    if not installed(server):
        pytest.skip(f"{server} is not installed")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with collector(context) as there:
        env = environment(there.url, tmp_path / "spool", CA_FILE=str(tmp_path / "ca.pem"))
        with serve(server, app_for(server), env=env) as running:
            for turn in range(3):
                running.request(f"GET {path_for(server)} HTTP/1.1")
                until(lambda turn=turn: len(there.kept.records) == turn + 1, 30)
            assert "Traceback" not in running.output
        routes = {record.route for batch in there.kept.batches.values() for record in batch.records}
        assert routes == {path_for(server)}


@pytest.mark.parametrize(
    "server", ["gunicorn sync", "gunicorn gevent", "uvicorn", "gunicorn uvicorn", "uWSGI"]
)
def test_34_records_of_a_server_that_ends_in_an_outage_are_sent_by_the_next(
    server: str, tmp_path: Path
) -> None:
    if not installed(server):
        pytest.skip(f"{server} is not installed")
    port = free_port()
    env = environment(f"http://127.0.0.1:{port}", tmp_path, FLUSH_INTERVAL="3600")
    with serve(server, app_for(server), env=env) as running:
        for _ in range(3):
            running.request(f"GET {path_for(server)} HTTP/1.1")
        running.wait_idle()
        running.stop()
        assert "Traceback" not in running.output
    assert len(files(tmp_path)) == 1
    with collector(port=port) as there, App(there.url, tmp_path) as later:
        later.put()
        until(lambda: len(there.kept.records) == 4)


@pytest.mark.parametrize("server", ["gunicorn gevent", "gunicorn sync", "uvicorn"])
def test_requests_do_not_wait_for_a_collector_that_hangs(server: str, tmp_path: Path) -> None:
    if not installed(server):
        pytest.skip(f"{server} is not installed")
    let_go = threading.Event()

    def hang(exchange):
        let_go.wait(30)
        ok(exchange)

    with collector() as there:
        there.always = hang
        with serve(server, app_for(server), env=environment(there.url, tmp_path)) as running:
            try:
                running.request(f"GET {path_for(server)} HTTP/1.1")
                until(lambda: there.seen)
                slowest = 0.0
                for _ in range(20):
                    start = time.monotonic()
                    running.request(f"GET {path_for(server)} HTTP/1.1")
                    slowest = max(slowest, time.monotonic() - start)
                # The machine may be busy; a request that waited would wait for seconds.
                assert slowest < 2
            finally:
                let_go.set()
            there.always = ok
            until(lambda: len(there.kept.records) == 21)
