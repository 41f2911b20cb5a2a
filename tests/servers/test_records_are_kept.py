"""Under every server, what requests ran reaches the sink: while it serves, and when it is told to end."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.servers.harness import ASGI_SERVERS, DEADLINE, WSGI_SERVERS, installed, serve

SERVERS = [*WSGI_SERVERS, *ASGI_SERVERS]

END_CLEANLY = [name for name in SERVERS if name not in ("wsgiref", "gevent.pywsgi", "waitress")]
"""These tell the app, or run atexit, when they get a SIGTERM; the others are ended by it."""


def app_for(server: str) -> str:
    return f"tests.servers.kept_app:{'wsgi' if server in WSGI_SERVERS else 'asgi'}"


def path_for(server: str) -> str:
    return "/generator" if server in WSGI_SERVERS else "/chunked"


def environment(directory: Path, flush_interval: float) -> dict[str, str]:
    return {
        "REQUESTCOV_SAMPLE_RATE": "1",
        "REQUESTCOV_MAX_PER_SECOND": "0",
        "REQUESTCOV_FLUSH_INTERVAL": str(flush_interval),
        "REQUESTCOV_SOURCE": str(Path(__file__).parent),
        "REQUESTCOV_SINKS": f"file:///{directory}/records.jsonl",
    }


def read(directory: Path) -> list[dict[str, Any]]:
    path = directory / "records.jsonl"
    text = path.read_text() if path.exists() else ""
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in lines if "method" in line]


def check(records: list[dict[str, Any]], server: str) -> None:
    assert [record["seq"] for record in records] == [1, 2, 3]
    assert {(record["method"], record["status"]) for record in records} == {("GET", 200)}
    assert {record["partial"] for record in records} == {None}
    assert {record["route"] for record in records} == {path_for(server)}
    name = "wsgi_app.py" if server in WSGI_SERVERS else "asgi_app.py"
    for record in records:
        assert any(path.endswith(name) for path in record["files"])


@pytest.mark.parametrize("server", SERVERS)
def test_records_are_kept_while_the_server_serves(server: str, tmp_path: Path) -> None:
    if not installed(server):
        pytest.skip(f"{server} is not installed")
    with serve(server, app_for(server), env=environment(tmp_path, 0.05)) as running:
        for _ in range(3):
            running.request(f"GET {path_for(server)} HTTP/1.1")
        deadline = time.monotonic() + DEADLINE
        while len(read(tmp_path)) < 3:
            assert time.monotonic() < deadline, running.output
            time.sleep(0.01)
    check(read(tmp_path), server)


@pytest.mark.parametrize("server", END_CLEANLY)
def test_records_that_wait_are_kept_when_the_server_is_told_to_end(server: str, tmp_path: Path) -> None:
    """By the lifespan's end, for uvicorn runs no atexit; else by atexit."""
    if not installed(server):
        pytest.skip(f"{server} is not installed")
    with serve(server, app_for(server), env=environment(tmp_path, 3600)) as running:
        for _ in range(3):
            running.request(f"GET {path_for(server)} HTTP/1.1")
        running.wait_idle()
        running.stop()
        assert "Traceback" not in running.output
    check(read(tmp_path), server)
