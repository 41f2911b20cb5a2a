"""What a collector and the network between may do wrong, and that no record is lost or stored twice by it.

The numbers are those of the list of faults to survive.
"""

from __future__ import annotations

import email.utils
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from requestcov import backoff
from requestcov.backoff import LONGEST_ASKED
from requestcov.sinks.http_answers import Unsent
from tests.http_sink.app import App, files, until
from tests.http_sink.collector import collector, free_port, ok, status
from tests.pipeline.memory import Bench, record


class Asked:
    """A sink that is told to come again later."""

    name = "later:"

    def __init__(self, seconds):
        self.seconds = seconds

    def write(self, batch):
        raise Unsent("busy", arrived=False, retry_after=self.seconds)

    def close(self):
        pass


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("0", 0, 1),
        ("7", 6, 7),
        ("1000000000", LONGEST_ASKED - 1, LONGEST_ASKED),
        ("9" * 5000, LONGEST_ASKED - 1, LONGEST_ASKED),
        (lambda: email.utils.formatdate(time.time() + 20, usegmt=True), 15, 21),
        (lambda: email.utils.formatdate(time.time() - 20, usegmt=True), 0, 1),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_ASKED - 1, LONGEST_ASKED),
        ("soon", 0, 1),
        ("-5", 0, 1),
        ("1.5", 0, 1),
        ("inf", 0, 1),
        ("\u0663", 0, 1),
    ],
    ids=[
        "0",
        "7",
        "10^9",
        "5000 digits",
        "date",
        "past",
        "year 9999",
        "word",
        "-5",
        "1.5",
        "inf",
        "other digits",
    ],
)
def test_27_a_retry_after_is_obeyed_up_to_a_limit(tmp_path: Path, said, least: float, most: float) -> None:
    value = said() if callable(said) else said
    with collector() as there, App(there.url, tmp_path) as app:
        there.then = [status(429, Retry_After=value)] * 3
        app.put()
        until(lambda: app.state.failures)
        wait = app.state.retry_in
        assert least <= wait <= most or (most == 1 and app.state.failures != 1)


def test_27_a_flush_does_not_make_a_busy_collector_busier(tmp_path: Path) -> None:
    with collector() as there, App(there.url, tmp_path) as app:
        there.always = status(503, Retry_After="60")
        app.put()
        until(lambda: there.seen)
        assert not app.flush(0.3)
        assert len(there.seen) == 1


def test_27_any_sink_may_ask_to_be_left_alone() -> None:
    for seconds, expected in [(30.0, 30.0), (1e12, LONGEST_ASKED), (float("nan"), 0.1), (-5.0, 0.1)]:
        bench = Bench(Asked(seconds), batch_size=1)
        bench.put()
        (state,) = bench.pipeline.states()
        assert state.retry_in == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("kind", ["500", "refused", "no such name"])
def test_28_an_outage_of_ten_minutes_backs_off_and_costs_no_memory(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock of its own: two seconds a turn, a record each."""
    monkeypatch.setattr(backoff, "_jitter", lambda low, high: high)
    with collector() as there:
        there.always = status(500)
        urls = {
            "500": there.url,
            "refused": f"http://127.0.0.1:{free_port()}",
            "no such name": "http://x.invalid",
        }
        app = App(urls[kind], tmp_path, flush_interval=2.0)
        app.close()
        bench = Bench(app.sink, batch_size=1, flush_interval=2.0)
        (outlet,) = bench.process.outlets
        attempts, tried_at = 0, []
        tracemalloc.start()
        for turn in range(300):
            bench.clock.now += 2.0
            bench.put()
            before = outlet.state().failures
            outlet.send()
            if outlet.state().failures > before:
                attempts += 1
                tried_at.append(bench.clock.now)
            if turn == 100:
                early = tracemalloc.get_traced_memory()[0]
        late = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        app.sink.close()
        assert outlet.state().held == 300
        # An index entry for each batch on disk, and nothing of the batches themselves.
        assert late - early < 200 * 700
        pauses = [b - a for a, b in itertools.pairwise(tried_at)]
        assert attempts < 25
        assert max(pauses) == 60
        if kind == "500":
            assert len(there.seen) == attempts


DRIPS = {
    "headers": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Slow: " + b"a" * 500,
    "body": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n" + b" " * 500,
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 100,
    "interim answers": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50,
}


@pytest.mark.parametrize("kind", DRIPS)
def test_29_an_answer_that_drips_is_cut_at_the_one_deadline(tmp_path: Path, kind: str) -> None:
    with collector() as there, App(there.url, tmp_path, sink_timeout=0.5) as app:
        there.then = [lambda exchange: exchange.drip(DRIPS[kind], 0.02)]
        app.put()
        until(lambda: there.seen)
        start = time.monotonic()
        until(lambda: app.state.failures or app.ledger.stored)
        assert time.monotonic() - start < 2
        assert app.flush()
        assert len(there.kept.records) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_29_a_peer_that_takes_the_connection_and_says_nothing_is_cut(tmp_path: Path, scheme: str) -> None:
    """Half-open: the batch is sent into a void, or TLS is never answered."""
    with (
        socket.create_server(("127.0.0.1", 0)) as void,
        App(f"{scheme}://127.0.0.1:{void.getsockname()[1]}", tmp_path, sink_timeout=0.3) as app,
    ):
        start = time.monotonic()
        app.put()
        until(lambda: app.state.failures)
        assert time.monotonic() - start < 3
        assert "in time" in app.state.error


def test_29_a_peer_that_stops_reading_is_cut(tmp_path: Path) -> None:
    """The batch is larger than what the kernel takes for it."""
    with socket.create_server(("127.0.0.1", 0)) as void:
        void.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = os.urandom(20_000_000)
        app = App(f"http://127.0.0.1:{void.getsockname()[1]}", tmp_path, sink_timeout=0.3)
        app.close()
        client = app.sink._connected()
        start = time.monotonic()
        with pytest.raises(Unsent) as caught:
            client.post("ab" * 16, 0, body)
        assert time.monotonic() - start < 2
        assert caught.value.arrived
        app.sink.close()


def with_source(seq):
    return record(seq, [("shop/views.py", "aa" * 16)])


WRONG = {
    "HTML": lambda e: e.answer(200, b"<html>Welcome to the hotel</html>", Content_Type="text/html"),
    "JSON called HTML": lambda e: e.answer(
        200,
        json.dumps({"id": e.batch.id, "records": len(e.batch.records)}).encode(),
        Content_Type="text/html",
    ),
    "another batch": lambda e: e.acknowledge(id="00" * 16),
    "some of the records": lambda e: e.acknowledge(records=len(e.batch.records) - 1),
    "a truth for a number": lambda e: e.acknowledge(records=True),
    "a list": lambda e: e.answer(200, b"[]", Content_Type="application/json"),
    "nothing": lambda e: e.answer(200, b"", Content_Type="application/json"),
    "deep JSON": lambda e: e.answer(200, b"[" * 60_000, Content_Type="application/json"),
    "half an answer": lambda e: e.raw(b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"id":'),
    "no HTTP": lambda e: e.raw(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "no answer": lambda e: e.hang_up(),
    "302": status(302, Location="http://127.0.0.1:1/"),
    "204": status(204),
    "404": status(404),
    "408": status(408),
    "500": status(500),
    "much": lambda e: e.answer(200, b" " * 10_000_000, Content_Type="application/json"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_30_what_is_no_acknowledgement_is_a_failure_and_the_batch_comes_again(
    tmp_path: Path, kind: str
) -> None:
    with collector() as there, App(there.url, tmp_path) as app:
        there.then = [WRONG[kind]]
        app.put()
        until(lambda: there.seen)
        assert app.flush()
        first, second = there.seen
        assert first.batch == second.batch
        assert len(there.kept.records) == 1
        assert app.ledger.stored == 1


@pytest.mark.parametrize("code", [400, 413, 422])
def test_31_a_poison_record_goes_to_quarantine_and_the_others_pass(tmp_path: Path, code: int, caplog) -> None:
    def refuse(exchange):
        if any(record.seq == 7 for record in exchange.batch.records):
            exchange.answer(
                code, b'{"error":"record 7 is from the year 9999"}', Content_Type="application/json"
            )
        else:
            ok(exchange)

    with collector() as there, App(there.url, tmp_path, batch_size=20) as app:
        there.always = refuse
        app.put(30)
        assert app.flush()
        assert len(there.kept.records) == 29
        assert (app.ledger.stored, app.ledger.dropped) == (29, {"rejected": 1})
        told = there.kept.ledgers[app.pipeline.boot]
        assert (told.sampled, told.stored, told.dropped, told.pending) == (30, 29, {"rejected": 1}, 0)
        (aside,) = tmp_path.glob("*/quarantine/*")
        assert aside.stat().st_mode & 0o777 == 0o600
        until(lambda: caplog.messages)
        assert "refuses a record for good" in caplog.text
        assert f"{code} record 7 is from the year 9999" in caplog.text


def test_31_a_record_that_nobody_can_read_harms_no_other(tmp_path: Path) -> None:
    def assemble(number):
        made = record(number)
        return replace(made, seq=-1) if number == 7 else made

    def strict(exchange):
        if b'"seq":-1' in exchange.document:
            exchange.answer(422)
        else:
            ok(exchange)

    with collector() as there, App(there.url, tmp_path, assemble=assemble, batch_size=20) as app:
        there.always = strict
        app.put(30)
        assert app.flush()
        assert len(there.kept.records) == 29
        told = there.kept.ledgers[app.pipeline.boot]
        assert (told.sampled, told.stored, told.dropped, told.pending) == (30, 29, {"rejected": 1}, 0)


def test_31_when_every_record_is_poison_the_ledger_still_arrives(tmp_path: Path) -> None:
    with collector() as there, App(there.url, tmp_path, batch_size=4) as app:
        there.always = lambda exchange: exchange.answer(400) if exchange.batch.records else ok(exchange)
        app.put(12)
        assert app.flush()
        told = there.kept.ledgers[app.pipeline.boot]
        assert (told.stored, told.dropped, told.pending) == (0, {"rejected": 12}, 0)
        assert there.kept.records == {}


def test_31_texts_that_are_too_large_do_not_hold_up_records(tmp_path: Path) -> None:
    def refuse(exchange):
        if exchange.batch.sources:
            exchange.answer(413)
        else:
            ok(exchange)

    with (
        collector() as there,
        App(there.url, tmp_path, assemble=with_source, source=lambda path, digest: b"x = 1\n") as app,
    ):
        there.always = refuse
        app.put(3)
        assert app.flush()
        assert len(there.kept.records) == 3
        assert app.ledger.dropped == {}


def test_31_a_crash_in_the_middle_of_a_division_counts_nothing_twice(tmp_path: Path) -> None:
    """The next process divides the same batch into the same parts."""

    def refuse(exchange):
        if any(record.seq in (3, 6) for record in exchange.batch.records):
            exchange.answer(400)
        else:
            ok(exchange)

    with collector() as there:
        with App(there.url, tmp_path, batch_size=8, flush_interval=60) as app:
            boot = app.pipeline.boot
            there.then = [refuse] * 8
            there.always = status(503)
            app.put(8)
            until(lambda: len(there.seen) == 9)
        assert files(tmp_path)
        there.always = refuse
        with App(there.url, tmp_path) as later:
            later.put()
            until(lambda: not files(tmp_path))
        told = there.kept.ledgers[boot]
        assert (told.stored, told.dropped, told.pending) == (6, {"rejected": 2}, 0)
        assert there.kept.stored(boot) == 6


def test_a_server_that_hangs_up_on_what_is_too_large_gets_it_in_parts(tmp_path: Path) -> None:
    """Its 413 is lost when it closes a connection that it has not read to the end."""

    def hang_up(exchange):
        if len(exchange.batch.records) > 3:
            exchange.hang_up()
        else:
            ok(exchange)

    with collector() as there, App(there.url, tmp_path, batch_size=10) as app:
        there.always = hang_up
        app.put(10)
        until(lambda: app.ledger.stored == 10, 30)
        assert app.flush()
        assert len(there.kept.records) == 10
        told = there.kept.ledgers[app.pipeline.boot]
        assert (told.stored, told.dropped, told.pending) == (10, {}, 0)


def test_a_hanging_collector_makes_no_record_poison(tmp_path: Path) -> None:
    """However often it breaks off: a single record is not given up for that."""
    with collector() as there, App(there.url, tmp_path, batch_size=4) as app:
        there.then = [lambda exchange: exchange.hang_up()] * 14
        app.put(4)
        while there.then:
            app.flush(0.05)
        assert app.flush()
        assert len(there.kept.records) == 4
        assert app.ledger.dropped == {}


def test_32_an_acknowledgement_that_is_lost_makes_no_second_row(tmp_path: Path) -> None:
    def store_and_hang_up(exchange):
        exchange.kept.store(exchange.batch)
        exchange.hang_up()

    with collector() as there, App(there.url, tmp_path) as app:
        there.then = [store_and_hang_up]
        app.put(5)
        assert app.flush()
        assert len(there.kept.records) == 5
        assert len(there.kept.batches) == 1
        assert app.ledger.stored == 5


def test_32_a_batch_that_may_have_arrived_is_not_dropped_when_the_spool_is_full(tmp_path: Path) -> None:
    """It would be stored there and counted as lost here."""

    def store_and_hang_up(exchange):
        exchange.kept.store(exchange.batch)
        exchange.hang_up()

    with collector() as there, App(there.url, tmp_path, spool_size=65_536, batch_size=1) as app:
        there.always = store_and_hang_up
        app.put()
        until(lambda: app.state.failures)
        there.always = status(503)
        for _ in range(6):
            app.put(10)
            until(lambda: not app.pipeline._process.outlets[0]._backlog)
        until(lambda: app.ledger.dropped)
        there.always = ok
        assert app.flush()
        told = there.kept.ledgers[app.pipeline.boot]
        assert told.stored == len(there.kept.records) == app.ledger.stored
        assert told.dropped == app.ledger.dropped
        assert told.pending == 0


STORE = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
import gzip, json, os
from requestcov.wire import decode
class H(BaseHTTPRequestHandler):
    def do_POST(self):
        batch = decode(gzip.decompress(self.rfile.read(int(self.headers["Content-Length"]))))
        with open(sys.argv[2], "a") as file:
            for record in batch.records:
                file.write(f"{record.id}\\n")
            file.flush(); os.fsync(file.fileno())
        body = json.dumps({"id": batch.id, "records": len(batch.records)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
server = HTTPServer(("127.0.0.1", int(sys.argv[1])), H)
print("ready", flush=True)
server.serve_forever()
"""


def test_33_a_collector_killed_again_and_again_loses_nothing(tmp_path: Path) -> None:
    port, store = free_port(), tmp_path / "store"
    store.touch()

    def serve() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", STORE, str(port), str(store)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    with App(f"http://127.0.0.1:{port}", tmp_path / "spool", batch_size=5) as app:
        for turn in range(4):
            with serve() as process:
                try:
                    app.put(40)
                    until(lambda turn=turn: app.ledger.stored > turn * 40)
                finally:
                    process.send_signal(signal.SIGKILL)
        with serve() as process:
            try:
                assert app.flush(20)
            finally:
                process.kill()
        assert app.ledger.stored == 160
    assert len(set(store.read_text().splitlines())) == 160


def test_a_wrong_token_is_said_and_tried_slowly_and_nothing_is_lost(tmp_path: Path, caplog) -> None:
    with collector() as there, App(there.url, tmp_path) as app:
        there.always = status(401)
        app.put(5)
        until(lambda: app.state.failures)
        until(lambda: caplog.messages)
        assert 50 < app.state.retry_in <= 60
        assert "the collector refuses the token (401)" in caplog.text
        assert len(caplog.messages) == 1
        assert app.state.held == 5


def test_requests_and_the_way_to_disk_are_held_up_by_no_exchange(tmp_path: Path) -> None:
    """A collector that takes its time: records go to disk meanwhile."""
    let_go = threading.Event()

    def slow(exchange):
        let_go.wait(20)
        ok(exchange)

    with collector() as there, App(there.url, tmp_path, queue_size=10, batch_size=5, sink_timeout=30) as app:
        there.always = slow
        try:
            for turn in range(10):
                start = time.monotonic()
                app.put(5)
                assert time.monotonic() - start < 0.5
                until(lambda turn=turn: app.state.held == 5 * (turn + 1))
            assert app.ledger.dropped == {}
        finally:
            let_go.set()
        there.always = ok
        assert app.flush()
        assert len(there.kept.records) == 50


def test_an_end_is_bounded_though_an_exchange_hangs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as void:
        code = f"""
import time
from tests.http_sink.app import App
app = App("http://127.0.0.1:{void.getsockname()[1]}", {str(tmp_path)!r}, sink_timeout=600)
app.put(3)
"""
        start = time.monotonic()
        subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
        assert time.monotonic() - start < 10
    assert len(files(tmp_path)) == 1
