"""Under every ASGI server, a wrapped app answers with the bare app's very bytes."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.servers.asgi_app import ANSWERS
from tests.servers.harness import ASGI_SERVERS, DEADLINE, Server, installed, serve

WRAPPED = ["sampled", "nested", "unsampled", "off"]
REQUESTS = [f"GET {path}" for path in ANSWERS if path not in ("/log", "/recording", "/echo")]
REQUESTS += ["HEAD /one", "HEAD /chunked", "OPTIONS /one", "POST /echo"]


@pytest.fixture(scope="module", params=ASGI_SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if not installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    with serve(request.param, "tests.servers.asgi_ways:app") as server:
        yield server


def ask(server: Server, request: str, way: str, version: str = "HTTP/1.1") -> bytes:
    body = b"sent" if request.startswith("POST") else b""
    answer = server.request(f"{request} {version}", f"X-Way: {way}", body=body)
    return re.sub(rb"(?im)^date: .*\r$", b"Date: \r", answer)


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_every_answer_is_the_bare_apps_byte_for_byte(server: Server, version: str) -> None:
    """Status line, headers, framing and body; protocol errors too are the server's to judge."""
    different = []
    for request in REQUESTS:
        expected = ask(server, request, "bare", version)
        for way in WRAPPED if version == "HTTP/1.1" else ["sampled"]:
            answer = ask(server, request, way, version)
            if answer != expected:
                different.append((request, way, answer, expected))
    assert not different
    assert b" 200 " in ask(server, "GET /one", "sampled")


def test_background_work_goes_on_after_the_response(server: Server) -> None:
    for way in ("bare", "sampled", "unsampled"):
        ask(server, "GET /log", "bare")
        ask(server, "GET /background", way)
        deadline = time.monotonic() + DEADLINE
        while (ran := body_of(ask(server, "GET /log", "bare"))) != b"background":
            assert not ran
            assert time.monotonic() < deadline, way


def test_no_recording_leaks_into_the_next_request_on_a_connection(server: Server) -> None:
    """On asyncio, later keep-alive requests can start in the context of an earlier one."""
    answers = []
    with server.connect() as connection, connection.makefile("rb") as stream:
        for way in ("sampled", "bare", "unsampled", "sampled", "off"):
            connection.sendall(f"GET /recording HTTP/1.1\r\nHost: x\r\nX-Way: {way}\r\n\r\n".encode())
            head = b"".join(itertools.takewhile(lambda line: line.strip(), stream))
            length = re.search(rb"(?i)content-length: (\d+)", head)
            assert length is not None
            answers.append(stream.read(int(length[1])))
    assert answers == [b"True", b"False", b"False", b"True", b"False"]


@pytest.mark.parametrize("way", ["bare", "sampled", "unsampled"])
def test_a_websocket_works_and_is_recorded_as_long_as_it_is_open(server: Server, way: str) -> None:
    url = f"ws://127.0.0.1:{server.port}/socket"
    with connect(url, additional_headers={"X-Way": way}, open_timeout=DEADLINE, proxy=None) as socket:
        for text in ("one", "two"):
            socket.send(text)
            assert socket.recv(DEADLINE) == f"{text} {way == 'sampled'}"


@pytest.mark.parametrize("way", ["bare", "sampled", "unsampled"])
def test_a_websocket_can_be_rejected(server: Server, way: str) -> None:
    url = f"ws://127.0.0.1:{server.port}/rejected"
    with pytest.raises(InvalidStatus, match="403"):
        connect(url, additional_headers={"X-Way": way}, open_timeout=DEADLINE, proxy=None)


@pytest.mark.parametrize("name", ["recorded", "recorded_double"])
@pytest.mark.parametrize("kind", ASGI_SERVERS)
def test_a_server_runs_the_wrapper_itself_from_startup_to_shutdown(kind: str, name: str) -> None:
    """It is taken for an ASGI 3 app, and its lifespan is the app's."""
    if not installed(kind):
        pytest.skip(f"{kind} is not installed")
    with serve(kind, f"tests.servers.asgi_ways:{name}") as server:
        answer = body_of(server.request("GET /scope HTTP/1.1"))
        assert b"dict /scope" in answer
        assert b"'started': 'yes'" in answer
        assert server.stop() in (0, -15)
        assert server.output.count("lifespan startup") == 1
        assert server.output.count("lifespan shutdown") == 1
        assert "Traceback" not in server.output
