"""Ends of processes, disks and stores: nothing that was acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from requestcov.record import Batch
from requestcov.wire import PATH, encode
from tests.server.collector.running import BEARER, JSON, TOKENS, Collecting, collecting, error, request
from tests.servers.harness import DEADLINE, ROOT
from tests.storage.samples import batch, ledger, record


class Sender(threading.Thread):
    """Sends batches one after the other, each until it is acknowledged, whatever happens meanwhile.

    Attributes:
        sent: ids of the records of every batch that was begun.
        acknowledged: those of which the collector said that it has them.
    """

    def __init__(self, port: int, number: int) -> None:
        super().__init__(daemon=True)
        self._url = f"http://127.0.0.1:{port}{PATH}"
        self._number = number
        self._enough = threading.Event()
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()

    def run(self) -> None:
        seq = 0
        with httpx.Client(timeout=DEADLINE) as client:
            while not self._enough.is_set():
                records = [record(seq + one, worker=f"web:{self._number}") for one in range(1, 6)]
                seq += 5
                self.sent |= {one.id for one in records}
                told = ledger(seq, boot=f"b{self._number}", worker=f"web:{self._number}")
                self._until_acknowledged(client, batch(records, told))
                self.acknowledged |= {one.id for one in records}

    def _until_acknowledged(self, client: httpx.Client, sending: Batch) -> None:
        body = encode(sending)
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            try:
                response = client.post(self._url, content=body, headers={**JSON, **BEARER})
            except httpx.TransportError:
                time.sleep(0.01)
                continue
            if response.status_code == 200:
                return
            assert response.status_code == 503, response.text
            assert response.headers["retry-after"]
            time.sleep(0.01)
        raise AssertionError("the collector does not come back")

    def stop(self) -> None:
        self._enough.set()
        self.join(2 * DEADLINE)
        assert not self.is_alive()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_collector_killed_at_any_moment_loses_nothing_that_it_acknowledged(tmp_path: Path, workers: int):
    """Senders go on through ten kills; in the end the store holds what they sent, once."""
    port = str(free_port())
    senders = [Sender(int(port), number) for number in range(3)]
    chance = random.Random(workers)
    for round in range(5):
        with collecting(tmp_path, "--port", port, "--workers", str(workers)) as found:
            if not round:
                for sender in senders:
                    sender.start()
            acknowledged = len(senders[0].acknowledged)
            deadline = time.monotonic() + DEADLINE
            while len(senders[0].acknowledged) < acknowledged + 10 and time.monotonic() < deadline:
                time.sleep(chance.uniform(0.001, 0.02))
            kept = set().union(*(sender.acknowledged.copy() for sender in senders))
            os.killpg(found.server.process.pid, signal.SIGKILL)
            found.server.process.wait(DEADLINE)
            assert kept <= found.ids()
    with collecting(tmp_path, "--port", port, "--workers", str(workers)) as found:
        for sender in senders:
            sender.stop()
        assert found.ids() == set().union(*(sender.sent for sender in senders))
    with closing(sqlite3.connect(found.store)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_worker_that_is_killed_is_replaced_and_loses_nothing(tmp_path: Path):
    with collecting(tmp_path, "--workers", "2") as found:
        senders = [Sender(found.server.port, number) for number in range(3)]
        for sender in senders:
            sender.start()
        children = Path(f"/proc/{found.server.process.pid}/task/{found.server.process.pid}/children")
        victims = [
            int(pid)
            for pid in children.read_text().split()
            if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
        ]
        assert len(victims) == 2
        os.kill(victims[0], signal.SIGKILL)
        deadline = time.monotonic() + DEADLINE
        while str(victims[0]) in children.read_text().split() and time.monotonic() < deadline:
            time.sleep(0.01)
        before = len(senders[0].acknowledged)
        while len(senders[0].acknowledged) < before + 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        for sender in senders:
            sender.stop()
        assert found.ids() == set().union(*(sender.sent for sender in senders))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_shutdown_keeps_what_was_accepted_and_refuses_the_rest_for_now(tmp_path: Path, number: int):
    with collecting(tmp_path) as found:
        senders = [Sender(found.server.port, one) for one in range(3)]
        for sender in senders:
            sender.start()
        while not all(sender.acknowledged for sender in senders):
            time.sleep(0.01)
        slow = found.server.connect()
        slow.sendall(request({"Content-Length": 1000, "Expect": "100-continue"}))
        # From here on it is a request that was accepted: before, it may still wait to be taken.
        assert slow.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        slow.sendall(b"{")
        found.server.process.send_signal(number)
        answer = b"".join(iter(lambda: slow.recv(65536), b""))
        slow.close()
        assert b" 503 " in answer.partition(b"\r\n")[0]
        assert "shutting down" in error(answer)
        found.server.process.wait(DEADLINE)
        kept = set().union(*(sender.acknowledged.copy() for sender in senders))
        assert kept <= found.ids()
        assert "Traceback" not in found.server.output
        for sender in senders:
            sender._enough.set()
        with collecting(tmp_path, "--port", str(found.server.port)):
            for sender in senders:
                sender.stop()
        assert found.ids() == set().union(*(sender.sent for sender in senders))


def test_a_store_that_is_locked_is_waited_for_and_then_refused_for_now(tmp_path: Path):
    with collecting(tmp_path, "--max-waiting", "1") as found:
        found.post(batch([record(1)]))
        sent = batch([record(2)])
        with closing(sqlite3.connect(found.store, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            assert found.client.get("/readyz").status_code == 503
            refused = found.post(sent)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0
            assert found.client.get("/healthz").status_code == 200
            connection.execute("ROLLBACK")
        assert found.post(sent).json()["new"] == 1
        until_ready(found)


def until_ready(found: Collecting) -> None:
    deadline = time.monotonic() + DEADLINE
    while found.client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_disk_that_fills_refuses_for_now_and_goes_on_once_there_is_room(tmp_path: Path):
    """A store on a file system of 1 MB, in a name space of its own."""
    small = tmp_path / "small"
    small.mkdir()
    probe = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("no unprivileged mounts here")
    mount = 'mount -t tmpfs -o size=1m none "$1" && shift && exec "$@"'
    prefix = ("unshare", "-rm", "sh", "-c", mount, "sh", str(small))
    with collecting(tmp_path, prefix=prefix, store=small / "store.db") as found:
        inside = Path(f"/proc/{found.server.process.pid}/root{small}")
        full = inside / "filler"
        assert found.post(batch([record(1)])).status_code == 200
        with full.open("wb", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError:
                pass
        big = batch([record(seq, route=f"/{seq}/" + "x" * 200) for seq in range(500)])
        refused = found.post(big)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        full.unlink()
        kept = found.post(big)
        assert (kept.status_code, kept.json().get("new")) == (200, 500)
        until_ready(found)
    assert "the store cannot be written" in found.server.output


def test_a_corrupt_store_is_set_aside_and_a_fresh_one_begun(tmp_path: Path):
    with collecting(tmp_path) as found:
        found.post(batch([record(1)]))
    store = found.store
    for name in tmp_path.glob("store.db-*"):
        name.unlink()
    store.write_bytes(store.read_bytes()[:100] + os.urandom(50_000))
    with collecting(tmp_path) as found:
        assert found.post(batch([record(2)])).status_code == 200
    assert list(tmp_path.glob("store.db.corrupt-*"))


def test_a_store_of_another_program_ends_the_start_with_a_sentence(tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    done = start(tmp_path)
    assert done.returncode == 2
    assert "left as it is: it is a database of another program" in done.stderr


def start(directory: Path, *flags: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to end at once."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return subprocess.run(
        [sys.executable, "-m", "requestcov.cli", "collect", "--port", "0", *flags, "--store", "store.db"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": path, **TOKENS, **env},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@pytest.mark.parametrize(
    ("flags", "env", "said"),
    [
        (("--host", "0.0.0.0"), {"REQUESTCOV_WRITE_TOKENS": ""}, "no write token is set"),
        ((), {"REQUESTCOV_WRITE_TOKENS": "short"}, "Token 1 of REQUESTCOV_WRITE_TOKENS cannot be used"),
        ((), {"REQUESTCOV_READ_TOKENS": "nön-ascii-token-of-a-test"}, "Token 1 of REQUESTCOV_READ_TOKENS"),
        (("--write-token-file", "missing"), {}, "The token file 'missing' cannot be read"),
        (("--port", "99999"), {}, "--port='99999' cannot be used"),
        (("--host", "host.invalid"), {}, "Cannot listen on host.invalid"),
        (("--max-body", "1"), {}, "--max-body='1' cannot be used"),
        ((), {"REQUESTCOV_MAX_BODDY": "1M"}, "did you mean REQUESTCOV_MAX_BODY?"),
        ((), {"REQUESTCOV_BODY_TIMEOUT": "5s"}, "REQUESTCOV_BODY_TIMEOUT='5s' cannot be used"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_start_that_cannot_be_right_ends_with_a_sentence(
    tmp_path: Path, flags: tuple[str, ...], env: dict[str, str], said: str
):
    done = start(tmp_path, *flags, **env)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "store.db").exists() or "Cannot listen" in said


def test_a_queue_that_is_full_refuses_at_once(tmp_path: Path):
    with collecting(tmp_path, "--max-waiting", "1") as found:
        found.post(batch([record(1)]))
        with closing(sqlite3.connect(found.store, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            bodies = [encode(batch([record(seq)])) for seq in range(8)]
            answers: list[httpx.Response] = []
            threads = [
                threading.Thread(target=lambda body=body: answers.append(found.post(body))) for body in bodies
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(DEADLINE)
            connection.execute("ROLLBACK")
        assert {answer.status_code for answer in answers} == {503}
        assert any("wait already" in error(answer) for answer in answers)
        assert {found.post(body).json()["known"] for body in bodies} == {0}
