"""A collector as a real process, and requests to it, also such as no library sends."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from requestcov.record import Batch
from requestcov.storage import open_store
from requestcov.wire import PATH, encode
from tests.servers.harness import DEADLINE, ROOT, Server, _running, kill

WRITE, READ = "write-token-of-these-tests", "read-token-of-these-tests"
TOKENS = {"REQUESTCOV_WRITE_TOKENS": WRITE, "REQUESTCOV_READ_TOKENS": READ}
JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": f"Bearer {WRITE}"}


class _Server(Server):
    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + DEADLINE
        while self.process.poll() is None and time.monotonic() < deadline:
            if found := re.search(r" at http://\S+:([0-9]+)\n", self.output):
                return int(found[1])
            time.sleep(0.01)
        raise AssertionError(f"the collector did not start:\n{self.output}")


class Collecting:
    """A collector that runs.

    Attributes:
        server: the process.
        store: path of its database.
    """

    def __init__(self, server: Server, store: Path) -> None:
        self.server = server
        self.store = store
        self.client = httpx.Client(base_url=server.url, timeout=DEADLINE)

    def post(
        self, batch: Batch | bytes, headers: Mapping[str, str] | None = None, *, packed: bool = False
    ) -> httpx.Response:
        """Send a batch, or any bytes, with the write token unless headers say otherwise."""
        body = encode(batch) if isinstance(batch, Batch) else batch
        sent = {**JSON, **BEARER, **({"Content-Encoding": "gzip"} if packed else {}), **(headers or {})}
        return self.client.post(PATH, content=gzip.compress(body) if packed else body, headers=sent)

    def raw(self, *pieces: bytes, end: bool = False) -> bytes:
        """Send bytes as they are, and read until the server closes; ``end``: close our half."""
        with self.server.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            if end:
                with suppress(OSError):  # The server has closed it already.
                    connection.shutdown(socket.SHUT_WR)
            found = b""
            try:
                while part := connection.recv(65536):
                    found += part
            except ConnectionResetError:
                pass
            return found

    def ids(self) -> set[str]:
        """The records in the store, each of which is counted once."""
        with open_store(str(self.store)) as store:
            found = [record.id for record in store.records()]
            assert sum(cohort.requests for cohort in store.cohorts()) == len(found) == len(set(found))
        return set(found)

    def memory(self) -> int:
        """The most memory the process has had, in bytes."""
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024


def error(response: httpx.Response | bytes) -> str:
    """The sentence of a refusal, which is all that it holds."""
    if isinstance(response, bytes):
        body = json.loads(response.partition(b"\r\n\r\n")[2])
    else:
        assert response.headers["content-type"] == "application/json"
        body = response.json()
    assert list(body) == ["error"]
    assert body["error"].endswith(".")
    return str(body["error"])


@contextmanager
def collecting(
    directory: Path,
    *flags: str,
    env: Mapping[str, str] = TOKENS,
    prefix: tuple[str, ...] = (),
    store: Path | None = None,
) -> Iterator[Collecting]:
    """Run ``requestcov collect`` on a free port until the block ends."""
    store = store or directory / "store.db"
    output = directory / f"collector-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", "requestcov.cli", "collect", "--port", "0", "--store", str(store)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [*prefix, *command, *flags],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **env},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _running.add(process)
    try:
        found = Collecting(_Server(process, output), store)
        with found.client:
            until_alive(found)
            yield found
    finally:
        kill(process)


def until_alive(found: Collecting) -> None:
    """Wait until the app answers: with several workers the socket listens before they do."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            assert found.client.get("/healthz").status_code == 200
        except httpx.TransportError:
            if time.monotonic() > deadline or found.server.process.poll() is not None:
                raise AssertionError(f"the collector does not answer:\n{found.server.output}") from None
        else:
            return


def request(headers: Mapping[str, Any], method: str = "POST", path: str = PATH) -> bytes:
    """The head of a request."""
    given = {"Host": "127.0.0.1", "Connection": "close", **JSON, **BEARER, **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")
