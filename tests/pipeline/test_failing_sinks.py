"""A sink that fails: retries, bounded memory, one log line, and the others untouched."""

from __future__ import annotations

import logging
import re

import pytest

from requestcov import backoff, native, outlet
from requestcov.complaints import LENGTH, QUIET
from requestcov.errors import SinkError
from tests.pipeline.memory import Bench, MemorySink


@pytest.fixture(autouse=True)
def longest_jitter(monkeypatch):
    """Back-off without chance: always the upper end."""
    monkeypatch.setattr(backoff, "_jitter", lambda low, high: high)


def test_a_failed_batch_comes_again_unchanged_with_doubling_pauses():
    sink = MemorySink()
    sink.down = SinkError("busy")
    bench = Bench(sink, batch_size=1)
    bench.put()
    pauses = []
    for _ in range(12):
        (state,) = bench.pipeline.states()
        pauses.append(state.retry_in)
        bench.advance(state.retry_in)
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60])
    assert all(attempt is sink.attempts[0] for attempt in sink.attempts)
    sink.down = None
    bench.advance(60)
    assert sink.seqs == [1]
    assert len(sink.batches) == 1


def test_pauses_are_spread_by_chance(monkeypatch):
    """Or a thousand workers come back to a recovered server in the same instant."""
    monkeypatch.undo()
    pauses = set()
    for _ in range(20):
        sink = MemorySink()
        sink.down = OSError()
        bench = Bench(sink, batch_size=1)
        bench.put()
        pauses.add(bench.pipeline.states()[0].retry_in)
    assert len(pauses) > 10
    assert all(0.05 <= pause <= 0.1 for pause in pauses)


@pytest.mark.parametrize("error", [Exception("x"), SystemExit(1), MemoryError(), KeyboardInterrupt()])
def test_whatever_a_sink_raises_costs_a_retry_and_no_more(error):
    sink, other = MemorySink("bad:"), MemorySink("good:")
    sink.errors = [error]
    bench = Bench(sink, other, batch_size=1)
    bench.put()
    assert other.seqs == [1]
    bench.advance(0.1)
    assert sink.seqs == [1]


def test_a_sink_down_for_long_costs_bounded_memory_and_loses_the_oldest():
    sink, other = MemorySink("down:"), MemorySink("up:")
    sink.down = ConnectionRefusedError()
    bench = Bench(sink, other, queue_size=20, batch_size=5)
    for _ in range(200):
        bench.put(5)
        bench.advance(2.0)
    (state, fine) = bench.pipeline.states()
    assert state.waiting == 25  # the batch in flight, and queue_size behind it
    assert fine.waiting == 0
    assert bench.pipeline.ledgers()[0].dropped == {"sink_backlog": 975}
    assert bench.pipeline.ledgers()[1].dropped == {}
    sink.down = None
    bench.advance(60)
    bench.advance(2.0)
    assert sink.seqs == [1, 2, 3, 4, 5, *range(981, 1001)]
    last = sink.batches[-1].ledger
    assert (last.sampled, last.stored, last.dropped, last.pending) == (1000, 25, {"sink_backlog": 975}, 0)


def test_a_batch_that_a_sink_can_never_take_is_given_up_and_the_next_pass():
    sink = MemorySink()
    sink.errors = [UnicodeEncodeError("utf-8", "\udc80", 0, 1, "surrogate")] * outlet.GIVE_UP
    bench = Bench(sink, batch_size=1)
    bench.put(2)
    for _ in range(outlet.GIVE_UP + 2):
        bench.advance(60)
    assert sink.seqs == [2]
    assert bench.pipeline.ledgers()[0].dropped == {"sink_error": 1}


@pytest.mark.parametrize(
    "error", [SinkError("locked"), OSError(28, "No space left on device"), MemoryError()]
)
def test_a_batch_is_never_given_up_for_a_reason_that_can_pass(error):
    sink = MemorySink()
    sink.down = error
    bench = Bench(sink, batch_size=1)
    bench.put()
    for _ in range(5 * outlet.GIVE_UP):
        bench.advance(60)
    sink.down = None
    bench.advance(60)
    assert sink.seqs == [1]


def test_an_outage_is_logged_when_it_starts_and_when_it_ends(caplog):
    sink = MemorySink("clickhouse://db")
    sink.down = OSError(111, "Connection refused")
    bench = Bench(sink, batch_size=1)
    bench.put()
    for _ in range(30):
        bench.advance(10)
    sink.down = None
    bench.advance(60)
    start, end = caplog.messages
    assert start == (
        "requestcov: clickhouse://db failed: ConnectionRefusedError: [Errno 111] Connection refused;"
        " will try again"
    )
    assert re.fullmatch(
        r"requestcov: clickhouse://db works again after \d+ failed attempts in 360 s;"
        " dropped since the start: nothing",
        end,
    )
    assert {name for name, _, _ in caplog.record_tuples} == {"requestcov"}
    assert {level for _, level, _ in caplog.record_tuples} == {logging.WARNING}


def test_a_long_outage_is_mentioned_every_ten_minutes(caplog):
    sink = MemorySink()
    sink.down = OSError()
    bench = Bench(sink, batch_size=1)
    bench.put()
    for _ in range(30):
        bench.advance(60)
    assert len(caplog.messages) == 1 + 30 * 60 / QUIET
    assert "more like it" in caplog.messages[-1]


def test_a_message_cannot_forge_a_log_line_or_flood_the_log(caplog):
    sink = MemorySink()
    sink.down = OSError("no\n2026-11-22 CRITICAL all is lost\x1b[31m\udc80" + "x" * 10_000)
    bench = Bench(sink, batch_size=1)
    bench.put()
    (message,) = caplog.messages
    assert message.isprintable()
    assert r"no\n2026-11-22 CRITICAL all is lost\x1b[31m\udc80" in message
    assert len(message) < LENGTH + 100


def test_an_error_that_cannot_be_shown_is_logged_by_its_type(caplog):
    class Odd(OSError):
        def __str__(self):
            raise RuntimeError

    sink = MemorySink()
    sink.down = Odd()
    bench = Bench(sink, batch_size=1)
    bench.put()
    assert "Odd" in caplog.text


def test_a_storm_of_full_queues_is_logged_once(caplog):
    bench = Bench(queue_size=2)
    for _ in range(50):
        bench.put(10)
    assert [m for m in caplog.messages if "queue was full" in m] == [
        "requestcov: the queue was full; 8 recordings dropped since the start"
    ]


def test_a_log_handler_that_leads_back_here_does_not_recurse():
    """Somebody ships logs over HTTP through the app that is measured."""

    class Back(logging.Handler):
        calls = 0

        def emit(self, record):
            self.calls += 1
            for _ in range(5):
                bench.pipeline.put(bench.pipeline.sampled())
            assert not bench.pipeline.flush(60)

    logger = logging.getLogger("requestcov")
    handler = Back()
    sink = MemorySink()
    sink.down = OSError()
    bench = Bench(sink, batch_size=1, queue_size=3)
    logger.addHandler(handler)
    try:
        for loop in bench.process.loops:
            loop.alive, loop.ident = True, native.get_ident()  # as in a drain thread
        bench.put(20)
        for _ in range(20):
            bench.advance(0.1)
    finally:
        logger.removeHandler(handler)
    assert handler.calls == 2  # the sink, the full queue
    bench.check()


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_a_log_handler_that_raises_does_not_stop_the_writing(error):
    class Broken(logging.Handler):
        def emit(self, record):
            raise error

    logger = logging.getLogger("requestcov")
    handler = Broken()
    logger.addHandler(handler)
    try:
        sink = MemorySink()
        sink.errors = [OSError()]
        bench = Bench(sink, batch_size=1)
        bench.put(2)
        bench.advance(0.1)
    finally:
        logger.removeHandler(handler)
    assert sink.seqs == [1, 2]
