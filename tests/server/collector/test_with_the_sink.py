"""The HTTP sink and the collector, each as it is: what one sends the other keeps."""

from __future__ import annotations

import time
from pathlib import Path

from requestcov.config import Config
from requestcov.errors import SinkError
from requestcov.record import SourceFile
from requestcov.sinks import open_sink
from requestcov.sinks.http import HttpSink
from requestcov.storage import open_store
from tests.server.collector.running import WRITE, Collecting, collecting
from tests.servers.harness import DEADLINE
from tests.storage.samples import VIEWS, batch, ledger, record


def sink_for(found: Collecting, spool: Path) -> HttpSink:
    sink = open_sink(f"{found.server.url}/", Config(token=WRITE, spool=str(spool)))
    assert isinstance(sink, HttpSink)
    return sink


def send_all(sink: HttpSink) -> None:
    """Exchanges until nothing is held."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            if sink.resume() != 0:
                sink.close()
                return
        except SinkError:
            time.sleep(0.01)
    raise AssertionError("the sink still holds something")


def test_records_ledger_and_sources_arrive_as_by_a_sink_on_the_spot(tmp_path: Path):
    sent = batch(
        [record(seq, labels={"n": str(seq)}) for seq in range(1, 51)],
        ledger(50, dropped={"queue_full": 0}),
        [SourceFile(VIEWS.path, VIEWS.digest, b"x = 1\n")],
    )
    here = open_sink(f"sqlite:///{tmp_path}/here.db")
    here.write(sent)
    here.close()
    with collecting(tmp_path) as found:
        sink = sink_for(found, tmp_path / "spool")
        sink.write(sent)
        send_all(sink)
        with open_store(str(found.store)) as store, open_store(str(tmp_path / "here.db")) as other:
            assert list(map(repr, store.records())) == list(map(repr, other.records()))
            assert list(store.sources()) == list(other.sources())
            assert store.ledgers() == other.ledgers()


def test_a_batch_that_is_too_large_arrives_in_parts(tmp_path: Path):
    sent = [record(seq) for seq in range(1, 32)]
    with collecting(tmp_path, "--max-records", "10") as found:
        sink = sink_for(found, tmp_path / "spool")
        sink.write(batch(sent[:30], ledger(30)))
        sink.write(batch(sent[30:], ledger(31)))
        send_all(sink)
        kept = found.ids()
        with open_store(str(found.store)) as store:
            told = store.ledgers()[0]
    assert kept == {one.id for one in sent}
    assert (told.stored, told.pending, sum(told.dropped.values())) == (31, 0, 0)


def test_what_is_written_while_the_collector_is_away_arrives_once_it_is_back(tmp_path: Path):
    with collecting(tmp_path) as found:
        port = str(found.server.port)
        sink = sink_for(found, tmp_path / "spool")
    sent = [record(seq) for seq in range(1, 21)]
    for seq, one in enumerate(sent, 1):
        sink.write(batch([one], ledger(seq)))
    with collecting(tmp_path, "--port", port) as found:
        send_all(sink)
        assert found.ids() == {one.id for one in sent}
