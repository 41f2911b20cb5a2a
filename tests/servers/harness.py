"""Real servers as real processes on a port of their own, and bytes to and from them."""

from __future__ import annotations

import atexit
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""What ``tests`` is found in; on the servers' path, so an app is ``tests.servers.wsgi_app:app``."""

DEADLINE = 30.0
"""Seconds a server has to start, to answer and to end."""

HOST = "127.0.0.1"

_PLAIN = [sys.executable, "-m", "tests.servers.plain"]
_GUNICORN = [sys.executable, "-m", "gunicorn", "--bind", f"{HOST}:0", "--graceful-timeout", "5"]
_HYPERCORN = [sys.executable, "-m", "hypercorn", "--bind", f"{HOST}:0"]

WSGI_SERVERS: dict[str, list[str]] = {
    "wsgiref": [*_PLAIN, "wsgiref"],
    "gevent.pywsgi": [*_PLAIN, "gevent.pywsgi"],
    "waitress": [sys.executable, "-m", "waitress", f"--listen={HOST}:0"],
    "gunicorn sync": [*_GUNICORN, "--worker-class", "sync"],
    "gunicorn gthread": [*_GUNICORN, "--worker-class", "gthread", "--threads", "2"],
    "gunicorn gevent": [*_GUNICORN, "--worker-class", "gevent"],
    "uWSGI": [
        str(Path(sys.executable).with_name("uwsgi")),
        *("--http-socket", f"{HOST}:0", "--need-app", "--enable-threads", "--die-on-term"),
        *("--virtualenv", sys.prefix, "--disable-logging", "--wsgi"),
    ],
}
"""Server → the command that serves the WSGI app named after it on a free port."""

ASGI_SERVERS: dict[str, list[str]] = {
    "uvicorn": [sys.executable, "-m", "uvicorn", "--host", HOST, "--port", "0"],
    "gunicorn uvicorn": [*_GUNICORN, "--worker-class", "uvicorn.workers.UvicornWorker"],
    "hypercorn asyncio": [*_HYPERCORN, "--worker-class", "asyncio"],
    "hypercorn trio": [*_HYPERCORN, "--worker-class", "trio"],
}
"""Server → the command that serves the ASGI app named after it on a free port."""

SERVERS = {**WSGI_SERVERS, **ASGI_SERVERS}

# So that a server ends with a test run that is killed.
_GUARD = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []

_running: set[subprocess.Popen[bytes]] = set()


def installed(server: str) -> bool:
    """Whether a server of SERVERS can be started here."""
    if server == "uWSGI":
        return Path(WSGI_SERVERS[server][0]).exists()
    modules = {"gevent" if part.startswith("gevent") else part for part in server.split()[:2]}
    modules -= {"wsgiref", "sync", "gthread", "asyncio"}
    return all(importlib.util.find_spec(module) is not None for module in modules)


class Server:
    """A server that serves.

    Attributes:
        process: its first process; leads a process group of its own.
        port: on 127.0.0.1.
    """

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self._output = output
        self.port = self._wait_for_port()
        self._wait_until_it_accepts()

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @property
    def output(self) -> str:
        """All that it has printed."""
        return self._output.read_text(errors="replace")

    def request(self, *lines: str, body: bytes = b"") -> bytes:
        """Send one HTTP/1.1 request on a connection of its own; everything that comes back.

        Args:
            *lines: the request line, then headers; Host and Connection are added.
            body: sent after the headers, with its length.
        """
        extra = [f"Host: {HOST}", "Connection: close", *([f"Content-Length: {len(body)}"] if body else [])]
        with self.connect() as connection:
            connection.sendall("\r\n".join([*lines, *extra, "", ""]).encode("latin-1") + body)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def connect(self) -> socket.socket:
        """A connection with the deadline on every wait."""
        return socket.create_connection((HOST, self.port), timeout=DEADLINE)

    def wait_idle(self) -> None:
        """Until the process waits for something: uWSGI runs no atexit while it is in a request."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        deadline = time.monotonic() + DEADLINE
        asleep = 0
        while asleep < 5 and stat.exists() and time.monotonic() < deadline:
            state = stat.read_text().rpartition(")")[2].split()[0]
            asleep = asleep + 1 if state == "S" else 0
            time.sleep(0.01)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the server a signal and wait for its end; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            # uWSGI says "127.0.0.1:0" before it says which port it got.
            for line in self.output.splitlines(keepends=True):
                match = re.search(rf"{re.escape(HOST)}:([1-9][0-9]*)\b", line)
                if match is not None and line.endswith("\n"):
                    return int(match[1])
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"the server did not start:\n{self.output}")

    def _wait_until_it_accepts(self) -> None:
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                self.connect().close()
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise AssertionError(f"the server does not accept:\n{self.output}") from None
                time.sleep(0.01)
            else:
                return


@contextmanager
def serve(
    server: str, app: str, *options: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Server]:
    """Run a server of SERVERS until the block ends; whatever happens, its processes end too.

    Args:
        server: a key of SERVERS.
        app: ``module:name``; a module under ``tests`` or beside ``cwd``.
        *options: further words of the command, before the app.
        env: variables on top of this process's.
        cwd: where it runs; a temporary directory when None.
    """
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory, "output")
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        command = SERVERS[server]
        # uWSGI's --wsgi takes the app as its value, and stays last.
        words = [*command[:-1], *options, command[-1]] if server == "uWSGI" else [*command, *options]
        with output.open("wb") as stream:
            process = subprocess.Popen(
                [*_GUARD, *words, app],
                cwd=cwd or directory,
                env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _running.add(process)
        try:
            yield Server(process, output)
        finally:
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a server's whole process group, workers included."""
    with suppress(ProcessLookupError):  # it has ended, and all its workers with it
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(DEADLINE)
    _running.discard(process)


@atexit.register
def _kill_all() -> None:
    """For the test run that is interrupted between a start and its block."""
    for process in list(_running):
        kill(process)
