"""What an app records reaches its collector: sent, kept in the spool, drained."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

from requestcov.wire import decode
from tests.http_sink.app import TOKEN, App, files, until
from tests.http_sink.collector import collector, free_port, status


def test_records_arrive_with_a_ledger_that_says_so(tmp_path: Path) -> None:
    with collector() as there, App(there.url, tmp_path / "spool") as app:
        app.put(25)
        assert app.flush()
        assert len(there.kept.records) == 25
        told = there.kept.ledgers[app.pipeline.boot]
        assert (told.sampled, told.stored, told.dropped, told.pending) == (25, 25, {}, 0)
        assert (app.ledger.stored, app.ledger.pending, app.state.held) == (25, 0, 0)
        assert files(tmp_path) == []


def test_an_exchange_is_as_the_contract_has_it(tmp_path: Path) -> None:
    with collector() as there, App(there.url, tmp_path / "spool") as app:
        app.put(3)
        assert app.flush()
        (exchange,) = there.seen
        assert exchange.headers["Authorization"] == f"Bearer {TOKEN}"
        assert exchange.headers["Content-Type"] == "application/json"
        assert exchange.headers["Content-Encoding"] == "gzip"
        assert exchange.headers["Cookie"] is None
        assert len(decode(gzip.decompress(exchange.body)).records) == 3


def test_batches_use_one_connection(tmp_path: Path) -> None:
    with collector() as there, App(there.url, tmp_path / "spool") as app:
        for _ in range(3):
            app.put()
            assert app.flush()
        assert len(there.seen) == 3
        assert len(there.connections) == 1


def test_while_nobody_listens_records_are_held_and_pending_and_then_they_arrive(tmp_path: Path) -> None:
    port = free_port()
    with App(f"http://127.0.0.1:{port}", tmp_path / "spool") as app:
        app.put(25)
        assert not app.flush(0.3)
        until(lambda: app.state.held == 25)
        assert (app.ledger.stored, app.ledger.pending) == (0, 25)
        assert app.state.failures
        assert app.state.error is not None
        assert "refused" in app.state.error
        with collector(port=port) as there:
            assert app.flush()
            assert len(there.kept.records) == 25
            assert (app.ledger.stored, app.state.held, app.state.failures) == (25, 0, 0)
        assert files(tmp_path) == []


def test_34_at_an_end_with_the_destination_down_the_spool_is_kept_for_the_next_process(
    tmp_path: Path,
) -> None:
    port = free_port()
    with App(f"http://127.0.0.1:{port}", tmp_path / "spool") as app:
        app.put(25)
        boot = app.pipeline.boot
        until(lambda: app.state.held == 25)
    assert len(files(tmp_path)) >= 3
    with collector(port=port) as there, App(there.url, tmp_path / "spool") as later:
        later.put(1)
        until(lambda: len(there.kept.records) == 26)
        assert there.kept.stored(boot) == 25
        assert (there.kept.ledgers[boot].stored, there.kept.ledgers[boot].pending) == (25, 0)
        assert there.kept.ledgers[later.pipeline.boot].stored == 1
    assert files(tmp_path) == []
    assert [path.name for path in (tmp_path / "spool").glob("*/*")] == []


def test_an_outage_is_said_once_and_its_end_too(tmp_path: Path, caplog) -> None:
    with collector() as there, App(there.url, tmp_path / "spool") as app:
        there.then = [status(503)] * 4
        app.put(5)
        until(lambda: app.ledger.stored == 5)
        until(lambda: len(caplog.messages) == 2)
        start, end = caplog.messages
        assert start == (
            f"requestcov: {there.url} failed: the collector answered 503; 5 records are kept for it"
        )
        assert end.startswith(f"requestcov: {there.url} works again after 4 failed attempts in ")
        assert {record.levelno for record in caplog.records} == {logging.WARNING}
