"""The sink and the collector that comes with it, as two processes on one machine."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from requestcov.config import Config
from requestcov.sinks import open_sink
from tests.http_sink.app import TOKEN, App, files, until
from tests.http_sink.collector import free_port


@contextmanager
def collecting(store: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """``requestcov collect``, killed at the end."""
    command = [sys.executable, "-m", "requestcov.cli", "collect", "--store", str(store), "--port", str(port)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("REQUESTCOV_")}
    env["REQUESTCOV_WRITE_TOKENS"] = TOKEN
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: accepts(port), 60)
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def totals(store: Path) -> tuple[int, list[tuple[int, int, int]]]:
    """Requests in the store, and sampled, stored and pending of each ledger."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as database:
        (requests,) = database.execute("SELECT count(*) FROM request").fetchone()
        return requests, database.execute("SELECT sampled, stored, pending FROM ledger").fetchall()


def test_records_reach_the_store_and_its_ledger_agrees(tmp_path: Path) -> None:
    port, store = free_port(), tmp_path / "store.db"
    with collecting(store, port), App(f"http://127.0.0.1:{port}", tmp_path / "spool") as app:
        app.put(120)
        assert app.flush(30)
        assert totals(store) == (120, [(120, 120, 0)])
        assert app.ledger.stored == 120


def test_33_totals_agree_though_the_collector_is_killed_again_and_again(tmp_path: Path) -> None:
    port, store = free_port(), tmp_path / "store.db"
    with App(f"http://127.0.0.1:{port}", tmp_path / "spool", batch_size=5) as app:
        for turn in range(3):
            with collecting(store, port):
                app.put(60)
                app.flush(0)
                until(lambda turn=turn: app.ledger.stored > turn * 60, 60)
        with collecting(store, port):
            assert app.flush(60)
            assert totals(store) == (180, [(180, 180, 0)])
        assert app.ledger.stored == 180
    assert files(tmp_path) == []


def test_a_wrong_token_keeps_the_records(tmp_path: Path) -> None:
    port, store = free_port(), tmp_path / "store.db"
    with (
        collecting(store, port),
        App(f"http://127.0.0.1:{port}", tmp_path / "spool", token="another-token-0123456789") as app,
    ):
        app.put(3)
        until(lambda: app.state.failures)
        assert "refuses the token" in app.state.error
        assert app.state.held == 3


def test_doctor_and_the_collector_understand_each_other(tmp_path: Path) -> None:
    port = free_port()
    with collecting(tmp_path / "store.db", port):
        config = Config(token=TOKEN, spool=str(tmp_path / "spool"))
        assert open_sink(f"http://127.0.0.1:{port}", config).refusal() is None
        wrong = Config(token="another-token-0123456789", spool=str(tmp_path / "spool"))
        assert "refuses the token" in str(open_sink(f"http://127.0.0.1:{port}", wrong).refusal())
