"""Who may write and read, what a browser is kept from, and what is never logged."""

from __future__ import annotations

import gzip
import json
import os
import socket
import stat
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from requestcov.wire import PATH, encode
from tests.server.collector.running import BEARER, READ, TOKENS, WRITE, Collecting, collecting, error, request
from tests.servers.harness import DEADLINE
from tests.storage.samples import batch, record

CANARY = "canary-of-these-tests"


def reader(token: str = READ) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "Bearer",
        f"Basic {WRITE}",
        WRITE,
        f"Bearer {WRITE}x",
        f"Bearer {WRITE[:-1]}",
        f"Bearer {WRITE.upper()}",
        f"Bearer {WRITE} x",
        f"Bearer {WRITE},{WRITE}",
        "Bearer " + "x" * 5000,
    ],
    ids=lambda value: str(value)[:30],
)
def test_without_a_write_token_nothing_is_kept(collector: Collecting, value: str | None):
    before = collector.ids()
    headers = {"Content-Type": "application/json", **({} if value is None else {"Authorization": value})}
    response = collector.client.post(PATH, content=encode(batch([record(1)])), headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert WRITE not in error(response)
    assert collector.ids() == before


@pytest.mark.parametrize("token", ["tökén".encode(), b"\xff\xfe\xfd", b"\x80" * 40, "令牌".encode()])
def test_a_token_that_is_not_ascii_is_unknown_and_no_error(collector: Collecting, token: bytes):
    head = request({"Content-Length": 2}).replace(WRITE.encode(), token)
    answer = collector.raw(head, b"{}")
    assert answer.split(b" ")[1] == b"401"


def test_two_authorizations_are_none(collector: Collecting):
    head = request({"Content-Length": 2, "AUTHORIZATION": f"Bearer {WRITE}"})
    assert collector.raw(head, b"{}").split(b" ")[1] == b"401"


def test_a_token_in_the_address_is_none_and_is_not_logged(collector: Collecting):
    for path in (f"{PATH}?token={WRITE}{CANARY}", f"{PATH}?access_token={WRITE}{CANARY}"):
        response = collector.client.post(path, content=encode(batch([record(1)])))
        assert response.status_code == 401
    assert CANARY not in collector.server.output


def test_a_read_token_does_not_write_and_a_write_token_does_not_read(collector: Collecting):
    response = collector.post(batch([record(1)]), reader())
    assert (response.status_code, error(response)) == (403, "This token is none to write with.")
    assert collector.client.get("/metrics", headers=BEARER).status_code == 403
    assert collector.client.get("/metrics").status_code == 401
    assert collector.client.get("/metrics", headers=reader()).status_code == 200


@pytest.mark.parametrize(
    "header", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_page_of_another_site_sends_nothing(collector: Collecting, header: dict[str, str]):
    before = collector.ids()
    response = collector.post(batch([record(1)]), header)
    assert (response.status_code, error(response)) == (
        403,
        "A page of another site may not send this request.",
    )
    assert collector.ids() == before


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1"])
def test_a_name_that_is_not_ours_is_refused(collector: Collecting, host: str):
    assert "--allowed-hosts" in error(collector.post(batch([record(1)]), {"Host": host}))
    assert collector.client.get("/healthz", headers={"Host": host}).status_code == 403


def test_a_form_of_another_site_is_refused(collector: Collecting):
    headers = {"Content-Type": "text/plain", "Origin": "http://evil.example"}
    assert collector.client.post(PATH, content=b"{}", headers=headers).status_code == 403


def test_a_line_of_the_log_is_one_line_and_holds_no_canary(tmp_path: Path):
    with collecting(tmp_path) as found:
        hostile = f"/%0d%0a%1b[31m{CANARY}?{CANARY}={CANARY}"
        for method in ("GET", "POST", "DELETE"):
            found.client.request(method, hostile, headers={**reader(), "Cookie": CANARY, "X": CANARY})
        found.post(encode(batch([record(1)])).replace(b'"v":1', f'"v":"{CANARY}"'.encode(), 1))
        found.post(batch([record(1, route=f"/{CANARY}", labels={CANARY: CANARY})]))
        found.raw(f"{CANARY}\r\n\r\n".encode())
        found.raw(f"GET /\x1b[31m{CANARY} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        found.client.post(f"{PATH}?{CANARY}", headers={"Authorization": f"Bearer {CANARY}-and-more"})
        output = found.server.output
    assert CANARY not in output
    assert WRITE not in output
    assert READ not in output
    assert "\x1b" not in output
    assert all(line[:2] == "20" or "requestcov" in line for line in output.splitlines())
    assert f"POST {PATH} 200" in output
    assert "POST (no such path) 404" in output


def test_what_the_collector_makes_is_for_its_owner_alone(tmp_path: Path):
    old = os.umask(0)
    try:
        with collecting(tmp_path, "--daily-quota", "1G", store=tmp_path / "new" / "store.db") as found:
            found.post(batch([record(1)]))
            assert stat.S_IMODE(found.store.parent.stat().st_mode) == 0o700
            files = list(found.store.parent.iterdir())
            assert {file.name for file in files} >= {"store.db", "store.db.quota"}
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    finally:
        os.umask(old)


def test_a_link_in_the_place_of_the_store_is_not_followed(tmp_path: Path):
    (tmp_path / "store.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(AssertionError, match="symbolic link"), collecting(tmp_path):
        pass
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_token_sends_no_more_a_day_than_its_quota_and_another_still_may(tmp_path: Path):
    other = "another-write-token-of-a-test"
    env = {**TOKENS, "REQUESTCOV_WRITE_TOKENS": f"{WRITE},{other}"}
    sent = encode(batch([record(seq) for seq in range(20)]))
    with collecting(tmp_path, "--daily-quota", str(3 * len(sent)), "--workers", "2", env=env) as found:
        for _ in range(3):
            assert found.post(sent, packed=True).status_code == 200
        refused = found.post(sent, packed=True)
        assert refused.status_code == 429
        assert 0 < int(refused.headers["retry-after"]) <= 86_401
        assert "bytes a UTC day" in error(refused)
        assert found.post(sent, {"Authorization": f"Bearer {other}"}).status_code == 200
    with collecting(tmp_path, "--daily-quota", str(3 * len(sent)), env=env) as found:
        assert found.post(sent).status_code == 429


def test_without_tokens_this_machine_alone_is_heard(tmp_path: Path):
    with collecting(tmp_path, env={}) as found:
        assert "any program of this machine" in found.server.output
        assert found.post(batch([record(1)]), {"Authorization": ""}).status_code == 200
        assert found.client.get("/metrics").status_code == 200


def test_beyond_this_machine_a_token_is_asked_for_and_any_name_answers(tmp_path: Path):
    with collecting(tmp_path, "--host", "0.0.0.0", env={"REQUESTCOV_WRITE_TOKENS": WRITE}) as found:
        assert found.post(batch([record(1)]), {"Host": "collector.example"}).status_code == 200
        assert found.post(batch([record(1)]), {"Authorization": ""}).status_code == 401
        assert found.client.get("/metrics").status_code == 401
        assert found.client.get("/healthz").json() == {"status": "alive"}


def test_tokens_come_from_a_file_too(tmp_path: Path):
    (tmp_path / "tokens").write_text(f"# the shop\n{CANARY}\n")
    with collecting(tmp_path, "--write-token-file", "tokens", env={}) as found:
        assert found.post(batch([record(1)]), {"Authorization": f"Bearer {CANARY}"}).status_code == 200
        assert found.post(batch([record(1)])).status_code == 401


def numbers(found: Collecting) -> dict[tuple[str, ...], float]:
    text = found.client.get("/metrics", headers=reader()).text
    return {
        (sample.name.removeprefix("requestcov_collector_"), *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_the_numbers_are_those_of_all_processes(tmp_path: Path, workers: int):
    with collecting(tmp_path, "--workers", str(workers)) as found:
        sent = batch([record(seq) for seq in range(7)])
        size = 0
        for body in (sent, sent, *(batch([record(1)]) for _ in range(10))):
            packed = gzip.compress(encode(body))
            size += len(packed)
            # A connection of its own each, so that every process gets some.
            with httpx.Client(base_url=found.server.url, timeout=DEADLINE) as client:
                headers = {"Content-Type": "application/json", "Content-Encoding": "gzip", **BEARER}
                assert client.post(PATH, content=packed, headers=headers).status_code == 200
        assert found.post(b"{").status_code == 400
        told = numbers(found)
    assert told["records_total", "new"] == 17
    assert told["records_total", "known"] == 7
    assert told["batches_total",] == 12
    assert told["responses_total", PATH, "200"] == 12
    assert told["responses_total", PATH, "400"] == 1
    assert told["received_bytes_total", "body"] == size + 1
    assert told["waiting_batches",] == 0
    assert told["commit_seconds_count",] <= 12


def test_many_connections_that_say_nothing_keep_nobody_out(collector: Collecting):
    idle = [socket.create_connection(("127.0.0.1", collector.server.port)) for _ in range(100)]
    try:
        started = time.monotonic()
        assert collector.post(batch([record(1)])).status_code == 200
        assert time.monotonic() - started < 5
    finally:
        for connection in idle:
            connection.close()


def test_the_description_is_served_to_anybody_and_holds_the_limits(collector: Collecting):
    told = collector.client.get("/openapi.json").json()
    assert told["openapi"] == "3.1.0"
    assert "200000 bytes as they are sent" in json.dumps(told)
