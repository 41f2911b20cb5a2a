"""Under every WSGI server, a wrapped app answers with the bare app's very bytes."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.servers.harness import WSGI_SERVERS, Server, installed, serve
from tests.servers.wsgi_app import ANSWERS

WRAPPED = ["sampled", "nested", "unsampled", "off"]
REQUESTS = [f"GET {path}" for path in ANSWERS if path not in ("/log", "/recording", "/echo")]
REQUESTS += ["HEAD /list", "HEAD /generator", "HEAD /file", "OPTIONS /sized-1", "POST /echo"]


@pytest.fixture(scope="module")
def started() -> Iterator[Callable[[str], Server]]:
    """Starts each server at most once."""
    with ExitStack() as stack:

        @functools.cache
        def start(kind: str) -> Server:
            if not installed(kind):
                pytest.skip(f"{kind} is not installed")
            return stack.enter_context(serve(kind, "tests.servers.wsgi_ways:app"))

        yield start


@pytest.fixture(scope="module", params=WSGI_SERVERS)
def server(request: pytest.FixtureRequest, started: Callable[[str], Server]) -> Server:
    return started(request.param)


def ask(server: Server, request: str, way: str, version: str = "HTTP/1.1") -> bytes:
    body = b"sent" if request.startswith("POST") else b""
    answer = server.request(f"{request} {version}", f"X-Way: {way}", body=body)
    return re.sub(rb"(?im)^date: .*\r$", b"Date: \r", answer)


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_every_answer_is_the_bare_apps_byte_for_byte(server: Server, version: str) -> None:
    """Status line, headers, framing and body; and the same closes and finally blocks ran."""
    different = []
    for request in REQUESTS:
        expected = ask(server, request, "bare", version), body_of(ask(server, "GET /log", "bare"))
        for way in WRAPPED if version == "HTTP/1.1" else ["sampled"]:
            answer = ask(server, request, way, version), body_of(ask(server, "GET /log", "bare"))
            if answer != expected:
                different.append((request, way, answer, expected))
    assert not different
    assert b"200 OK" in ask(server, "GET /list", "sampled")


@pytest.mark.parametrize("way", ["bare", *WRAPPED])
@pytest.mark.parametrize(
    ("kind", "path", "header"),
    [
        ("gevent.pywsgi", "/sized-1", b"Content-Length: 3"),
        ("gevent.pywsgi", "/sized-2", b"Content-Length: 8"),
        ("gevent.pywsgi", "/generator", b"Transfer-Encoding: chunked"),
        ("waitress", "/sized-1", b"Content-Length: 3"),
        ("waitress", "/sized-2", b"Transfer-Encoding: chunked"),
        ("waitress", "/one-shot", b"Content-Length: 3"),
        ("waitress", "/generator-1", b"Transfer-Encoding: chunked"),
    ],
)
def test_the_framing_follows_the_length_of_the_apps_own_result(
    started: Callable[[str], Server], kind: str, path: str, header: bytes, way: str
) -> None:
    answer = ask(started(kind), f"GET {path}", way)
    assert header in answer
    assert b"one" in body_of(answer)


@pytest.mark.parametrize("way", ["bare", *WRAPPED])
def test_gunicorn_still_sends_files_by_sendfile(started: Callable[[str], Server], way: str) -> None:
    server = started("gunicorn sync")
    ask(server, "GET /log", "bare")
    assert b"from a file\n" in body_of(ask(server, "GET /file", way))
    assert b"sendfile" in body_of(ask(server, "GET /log", "bare"))


def test_no_recording_and_no_variable_leaks_into_the_next_request_on_a_connection(server: Server) -> None:
    """Keep-alive requests share a thread, and under gevent a context."""
    answers = {}
    for way in ("bare", "sampled"):
        with server.connect() as connection, connection.makefile("rb") as stream:
            answers[way] = []
            for asked in (way, "bare", "unsampled"):
                try:
                    connection.sendall(
                        f"GET /recording HTTP/1.1\r\nHost: x\r\nX-Way: {asked}\r\n\r\n".encode()
                    )
                    head = b"".join(itertools.takewhile(lambda line: line.strip(), stream))
                except ConnectionError:
                    if not answers[way]:
                        raise
                    head = b""
                if not head:
                    break  # the server keeps no connections alive
                length = re.search(rb"(?i)content-length: (\d+)", head)
                answers[way].append(stream.read(int(length[1]) if length else -1).split()[0])
                if not length:
                    break
    assert answers["bare"] == [b"False"] * len(answers["bare"])
    assert answers["sampled"] == [b"True", b"False", b"False"][: len(answers["bare"])]
