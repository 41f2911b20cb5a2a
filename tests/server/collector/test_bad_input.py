"""What a collector may be sent that is no batch: each is refused with a sentence, and nothing breaks."""

from __future__ import annotations

import gzip
import json
import time
import zlib

import pytest

from requestcov.wire import encode
from tests.server.collector.running import BEARER, Collecting, error, request
from tests.storage.samples import batch, record

GOOD = encode(batch([record(1)]))
PACKED = {"Content-Encoding": "gzip"}


@pytest.fixture(autouse=True)
def _still_collects(collector: Collecting):
    """Whatever was sent, the process has answered nothing with 500 and up, and takes the next batch."""
    yield
    assert collector.post(batch([record(1)])).status_code == 200
    assert "Traceback" not in collector.server.output
    assert " 500 " not in collector.server.output


def changed(**fields: object) -> bytes:
    data = json.loads(GOOD)
    data["records"][0].update(fields)
    return json.dumps(data).encode()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_wrong_method(collector: Collecting, method: str):
    response = collector.client.request(method, "/v1/batches", headers=BEARER)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


def test_wrong_path(collector: Collecting):
    for path in ("/v1", "/v1/batches/", "/v2/batches", "/../etc/passwd", "/%00", "/v1/batches%0d%0a"):
        assert collector.client.post(path, content=GOOD).status_code == 404
        assert error(collector.client.get(path)) == "There is nothing here."


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "json"],
)
def test_wrong_type(collector: Collecting, kind: str):
    response = collector.post(GOOD, {"Content-Type": kind})
    assert response.status_code == 415
    assert "application/json" in error(response)


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "x", "gzip;q=1"])
def test_unknown_encoding(collector: Collecting, encoding: str):
    response = collector.post(GOOD, {"Content-Encoding": encoding})
    assert response.status_code == 415
    assert response.headers["accept-encoding"] == "gzip, identity"


def test_missing_length(collector: Collecting):
    assert b" 411 " in collector.raw(request({})).partition(b"\r\n")[0]


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "+5", "9" * 30, "", "0x10", "5, 6"])
def test_length_that_is_no_number(collector: Collecting, length: str):
    answer = collector.raw(request({"Content-Length": length}), GOOD, end=True)
    assert answer.split(b" ")[1] in (b"400", b"413")


def test_length_beyond_the_limit_is_refused_before_the_body_is_sent(collector: Collecting):
    head = request({"Content-Length": 200_001, "Expect": "100-continue"})
    answer = collector.raw(head)
    assert b" 413 " in answer.partition(b"\r\n")[0]
    assert "200,000 bytes" in error(answer)


def test_length_that_promises_more_than_comes(collector: Collecting):
    head = request({"Content-Length": len(GOOD) + 1})
    collector.raw(head, GOOD, end=True)
    before = time.monotonic()
    answer = collector.raw(head, GOOD)
    assert b" 408 " in answer.partition(b"\r\n")[0]
    assert time.monotonic() - before < 10


def test_length_that_promises_less_than_comes(collector: Collecting):
    answer = collector.raw(request({"Content-Length": len(GOOD) - 1}), GOOD)
    assert b" 400 " in answer.partition(b"\r\n")[0]


def test_length_twice_and_length_with_chunks(collector: Collecting):
    """What a proxy before us might have read otherwise."""
    head = request({"Content-Length": "5", "content-length": "6"})
    assert b" 400 " in collector.raw(head, b"12345").partition(b"\r\n")[0]
    head = request({"Content-Length": "5", "Transfer-Encoding": "chunked"})
    assert collector.raw(head, b"0\r\n\r\n").split(b" ")[1] == b"400"


@pytest.mark.parametrize(
    "chunks", [b"x\r\n", b"-1\r\n", b"5\r\nab", b"ffffffffffffffffffff\r\n", b"0\r\n\r\n"]
)
def test_chunks_that_are_none(collector: Collecting, chunks: bytes):
    answer = collector.raw(request({"Transfer-Encoding": "chunked"}), chunks)
    assert answer.split(b" ")[1] in (b"400", b"408")


def test_chunks_beyond_the_limit(collector: Collecting):
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    answer = collector.raw(request({"Transfer-Encoding": "chunked"}), chunk * 7, b"0\r\n\r\n")
    assert b" 413 " in answer.partition(b"\r\n")[0]


def test_a_body_beyond_the_limit_is_answered_while_it_is_sent(collector: Collecting):
    """The sender reads the refusal, and not a connection that was reset."""
    response = collector.post(b" " * 5_000_000)
    assert response.status_code == 413
    assert "fewer records" in error(response)


def test_a_slow_body(collector: Collecting):
    with collector.server.connect() as connection:
        connection.sendall(request({"Content-Length": 1000}))
        before = time.monotonic()
        connection.settimeout(0.05)
        answer = b""
        while time.monotonic() - before < 10:
            try:
                connection.sendall(b" ")
                answer = connection.recv(65536)
                break
            except TimeoutError:
                continue
    assert b" 408 " in answer.partition(b"\r\n")[0]
    assert time.monotonic() - before < 5


@pytest.mark.parametrize(
    "before", [b"", b"POST /v1/batches HTTP/1.1\r\nHost: ", None], ids=["none", "half", "second"]
)
def test_a_slow_head(collector: Collecting, before: bytes | None):
    """Of the first request of a connection, or of a later one."""
    with collector.server.connect() as connection:
        if before is None:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while b"alive" not in connection.recv(65536):
                pass
        connection.sendall(before or b"")
        started = time.monotonic()
        connection.settimeout(0.05)
        while time.monotonic() - started < 10:
            try:
                connection.sendall(b"x")
                if not connection.recv(65536):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
    assert time.monotonic() - started < 5


def test_a_sender_that_goes_away(collector: Collecting):
    assert collector.raw(request({"Content-Length": 1000}), b"{", end=True).split(b" ")[1:2] in ([], [b"408"])


def test_gzip_that_is_truncated(collector: Collecting):
    packed = gzip.compress(GOOD)
    for length in (0, 1, 9, 10, 11, len(packed) // 2, len(packed) - 8, len(packed) - 1):
        response = collector.post(packed[:length], PACKED)
        assert response.status_code == 400
        assert "ends early" in error(response)


def test_gzip_that_is_none(collector: Collecting):
    assert "not gzip" in error(collector.post(GOOD, PACKED))
    assert "not gzip" in error(collector.post(zlib.compress(GOOD), PACKED))
    damaged = bytearray(gzip.compress(GOOD))
    damaged[-6] ^= 1
    assert "not gzip" in error(collector.post(bytes(damaged), PACKED))


@pytest.mark.parametrize(
    "more", [gzip.compress(GOOD), gzip.compress(b""), b"\0", b"x"], ids=["whole", "empty", "zero", "letter"]
)
def test_gzip_that_something_follows(collector: Collecting, more: bytes):
    response = collector.post(gzip.compress(GOOD) + more, PACKED)
    assert response.status_code == 400
    assert "follows" in error(response)


def test_gzip_bomb(collector: Collecting):
    """199 kB that are 200 MB: read up to the limit, in flat memory."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1_000_000)) for _ in range(190)) + packer.flush()
    assert len(bomb) < 200_000
    collector.post(gzip.compress(b"[" * 900_000), PACKED)
    before = collector.memory()
    for _ in range(5):
        response = collector.post(bomb, PACKED)
        assert response.status_code == 413
        assert "1,000,000 bytes" in error(response)
    assert collector.memory() - before < 10_000_000


def test_a_document_beyond_the_limit(collector: Collecting):
    assert collector.post(b" " * 1_000_001, packed=True).status_code == 413


def test_records_beyond_the_limit(collector: Collecting):
    response = collector.post(batch([record(seq) for seq in range(101)]), packed=True)
    assert response.status_code == 413
    assert "100 records" in error(response)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"v":1,"id":"\xc3\x28"}', "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 30_000 + b"1" + b"}" * 30_000, "nested too deeply"),
        (b'{"v":' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"v":NaN}', "NaN"),
        (b'{"v":1,"v":1}', "a name twice"),
        (b"[]", "not a JSON object"),
        (b"{}", "version is null"),
        (GOOD.replace(b'"v":1', b'"v":2', 1), "version is 2, this reads 1"),
        (GOOD.replace(b'"v":1', b'"v":"1"', 1), "version is '1'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "body",
)
def test_what_is_no_document(collector: Collecting, body: bytes, said: str):
    response = collector.post(body)
    assert response.status_code == 400
    assert said in error(response)


@pytest.mark.parametrize(
    "fields",
    [
        {"seq": 2**63},
        {"seq": True},
        {"weight": -1},
        {"weight": float("inf")},
        {"duration_ms": -0.5},
        {"route": "x" * 1001},
        {"time": "1969-12-31T23:59:59Z"},
        {"time": "9999-12-31T23:59:59-01:00"},
        {"time": "10000-01-01T00:00:00Z"},
        {"spectrum": -1},
        {"spectrum": 10**9},
    ],
    ids=str,
)
def test_a_value_that_is_never_written(collector: Collecting, fields: dict[str, object]):
    response = collector.post(changed(**fields))
    assert response.status_code == 400
    assert (
        next(iter(fields)) in error(response) or "not JSON" in error(response) or "spectra" in error(response)
    )


@pytest.mark.parametrize("time", ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_years_that_a_clock_may_be_set_to_are_taken(collector: Collecting, time: str):
    assert collector.post(changed(time=time)).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["../a.py", "a/../../b.py", "/etc/passwd", "C:\\a.py", "C:/a.py", "a\0b", "x" * 5000, "", "\ud800"],
)
def test_paths_outside_of_a_project(collector: Collecting, path: str):
    data = json.loads(GOOD)
    data["files"][0][0] = path
    response = collector.post(json.dumps(data).encode())
    assert response.status_code == 400
    assert "files[0]" in error(response)


@pytest.mark.parametrize("lines", ["0", "-1", "1000000000", "1-1000000000", "5-1", "1,,2", " 1"])
def test_lines_that_no_file_has(collector: Collecting, lines: str):
    data = json.loads(GOOD)
    data["blocks"][0][1] = lines
    response = collector.post(json.dumps(data).encode())
    assert response.status_code == 400
    assert "blocks[0]: lines" in error(response)


def test_a_million_lines_of_a_million_files(collector: Collecting):
    """What fits into the document's limit is read in little more memory than the document's."""
    data = json.loads(GOOD)
    count = 20_000
    data["files"] = [[f"f{number}.py", ""] for number in range(count)]
    data["blocks"] = [[number, "1-1000000"] for number in range(count)]
    response = collector.post(json.dumps(data).encode(), packed=True)
    assert response.status_code == 400
    assert "blocks[399]: the lines of all blocks up to here are too many" in error(response)
    assert collector.memory() < 400_000_000


def test_replayed_ids(collector: Collecting):
    sent = batch([record(1)])
    assert [collector.post(sent).json()["known"] for _ in range(3)] == [0, 1, 1]


def test_a_head_that_is_too_long(collector: Collecting):
    answer = collector.raw(request({"X": "y" * 100_000, "Content-Length": 0}))
    assert answer == b"" or answer.split(b" ")[1] == b"400"


def test_what_is_no_http(collector: Collecting):
    for sent in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\0" * 1000, b"POST /v1/batches\r\n\r\n"):
        answer = collector.raw(sent + b"\r\n\r\n", end=True)
        assert answer == b"" or answer.split(b" ")[1] == b"400"


def test_a_websocket(collector: Collecting):
    head = request({"Upgrade": "websocket", "Connection": "Upgrade"}, "GET")
    answer = collector.raw(head.replace(b"Connection: Upgrade", b"Connection: Upgrade, close"), end=True)
    assert answer.split(b" ")[1] == b"405"
