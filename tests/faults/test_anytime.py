"""Put from anywhere at any moment: signal handlers, finalizers, threads; nothing hangs, all is counted."""

from __future__ import annotations

import time

import pytest

from requestcov.outlet import Outlet
from tests.faults.victim import BlockedSink, DeadSink, Victim
from tests.pipeline.memory import MemorySink, assert_balanced


def until(condition, seconds=10.0):
    """Poll."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.002)


@pytest.fixture
def victims():
    """Victims in this process, closed in the end."""
    made = []

    def make(*sinks, **options):
        made.append(Victim(*sinks, **options))
        return made[-1]

    yield make
    for victim in made:
        for sink in victim.pipeline._open_sinks():
            if isinstance(sink, BlockedSink):
                sink.let_go.set()
            if isinstance(sink, DeadSink):
                sink.write = lambda batch: None
        assert victim.pipeline.close(5.0)
        victim.check()


def test_constructing_starts_nothing(victims):
    victim = victims(MemorySink())
    assert not any(loop.alive for loop in victim.pipeline._process.loops)


def test_flush_writes_now_and_close_ends_every_thread(victims):
    sinks = [MemorySink("a:"), MemorySink("b:")]
    victim = victims(*sinks)
    victim.serve(3)
    victim.flush()
    assert [sink.seqs for sink in sinks] == [[1, 2, 3], [1, 2, 3]]
    assert victim.pipeline.close(5.0)
    assert not any(loop.alive for loop in victim.pipeline._process.loops)
    assert [sink.closed for sink in sinks] == [1, 1]
    victim.serve(1)
    assert victim.check().dropped == {"closed": 1}


def test_a_flush_of_a_busy_process_ends_though_its_counts_never_rest(victims):
    sink = MemorySink()
    victim = victims(sink)
    write = sink.write

    def busy(batch):
        victim.seen["GET /other"] += 1
        write(batch)

    sink.write = busy
    victim.serve(1)
    victim.flush()
    assert len(sink.batches) <= 2


def test_a_flush_from_inside_a_sink_returns_at_once(victims):
    answers = []

    class Asking(MemorySink):
        def write(self, batch):
            answers.append(victim.pipeline.flush(60))
            super().write(batch)

    victim = victims(Asking())
    victim.serve(1)
    victim.flush()
    assert answers[0] is False


def test_what_the_drain_threads_run_is_in_no_requests_context(victims):
    from contextvars import ContextVar

    recording = ContextVar("recording", default=None)
    inherited = []

    class Looking(MemorySink):
        def write(self, batch):
            inherited.append(recording.get())
            super().write(batch)

    victim = victims(Looking())
    token = recording.set("a request's")
    try:
        victim.serve(1)
        victim.flush()
    finally:
        recording.reset(token)
    assert inherited == [None] * len(inherited)
    assert inherited


@pytest.mark.parametrize("error", [Exception, SystemExit, MemoryError])
def test_a_drain_thread_outlives_whatever_a_sink_raises(victims, error):
    sink, other = MemorySink("bad:"), MemorySink("good:")
    sink.errors = [error()] * 3
    victim = victims(sink, other, batch_size=1, flush_interval=0.01)
    victim.serve(1)
    until(lambda: sink.seqs == [1] and other.seqs == [1])
    victim.serve(1)
    until(lambda: sink.seqs == [1, 2] and other.seqs == [1, 2])


def test_a_drain_thread_outlives_a_defect_of_its_own(victims, monkeypatch):
    """No defect is known; should one come, the thread goes on."""
    sink = MemorySink()
    victim = victims(sink, batch_size=1)
    victim.serve(1)
    victim.flush()
    step, failures = Outlet.step, [RuntimeError("ours")]

    def faulty(self, flush):
        if failures:
            raise failures.pop()
        return step(self, flush)

    monkeypatch.setattr(Outlet, "step", faulty)
    victim.serve(1)
    until(lambda: sink.seqs == [1, 2])


def test_a_blocked_sink_holds_up_neither_requests_nor_the_other_sink(victims):
    stuck, fine = BlockedSink(), MemorySink()
    victim = victims(stuck, fine, batch_size=1, queue_size=50, flush_interval=0.01)
    victim.serve(1)
    stuck.entered.wait(10)
    slowest = 0.0
    for number in range(2, 202):
        before = time.perf_counter()
        victim.serve(1)
        slowest = max(slowest, time.perf_counter() - before)
        until(lambda number=number: number in fine.seqs[-1:])
    assert slowest < 0.5
    blocked, written = victim.pipeline.ledgers()
    assert written.stored == 201
    assert blocked.dropped == {"sink_backlog": 150}
    assert blocked.pending == 51
    assert not victim.pipeline.flush(0.05)


@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_jump_of_the_wall_clock_delays_nothing(victims, monkeypatch, jump):
    now = time.time
    sink = MemorySink()
    victim = victims(sink, flush_interval=0.05)
    for number in range(1, 4):
        offset = jump * number
        monkeypatch.setattr(time, "time", lambda offset=offset: now() + offset)
        victim.serve(1)
        until(lambda number=number: sink.seqs[-1:] == [number], seconds=5)
    assert victim.pipeline.flush(5.0)


def test_threads_that_put_at_once_lose_no_count(victims):
    from threading import Thread

    sink = MemorySink()
    victim = victims(sink, queue_size=50, flush_interval=0.01)
    ledgers = []

    def work():
        for _ in range(500):
            victim.pipeline.put(victim.pipeline.sampled())
            victim.pipeline.sampled()
            victim.pipeline.drop("max_in_flight")

    def read():
        while any(thread.is_alive() for thread in threads):
            ledgers.extend(victim.pipeline.ledgers())

    threads = [Thread(target=work) for _ in range(4)]
    reader = Thread(target=read)
    for thread in [*threads, reader]:
        thread.start()
    for thread in [*threads, reader]:
        thread.join()
    victim.flush()
    for ledger in ledgers:
        assert_balanced(ledger)
    last = victim.check()
    assert last.sampled == 4000
    assert last.dropped["max_in_flight"] == 2000
    assert last.stored + last.dropped.get("queue_full", 0) == 2000
    assert last.pending == 0
    assert len(set(sink.seqs)) == last.stored


def test_put_from_a_signal_handler(crime):
    """A timer interrupts put itself, some thousand times; queue.Queue would have deadlocked."""
    out, _ = crime.run(
        """
        victim = Victim(flush_interval=0.01, queue_size=50)
        calls = 0
        def handler(signum, frame):
            global calls
            calls += 1
            victim.serve(1)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        served = 0
        while calls < 1000:
            victim.serve(1)
            served += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        victim.flush()
        ledger = victim.check()
        assert ledger.sampled == served + calls, (ledger.sampled, served, calls)
        assert ledger.pending == 0
        say("fine")
        """
    )
    assert out.split() == ["fine"]
    assert len(crime.ledgers) == 1


def test_put_from_a_finalizer(crime):
    """Cyclic garbage is collected in the middle of anything, put and the drain included."""
    out, _ = crime.run(
        """
        import gc
        victim = Victim(flush_interval=0.01, queue_size=1000)
        finalized = 0
        class Cycle:
            def __init__(self):
                self.me = self
            def __del__(self):
                global finalized
                finalized += 1
                victim.serve(1)
        gc.set_threshold(3, 1, 1)
        for _ in range(2000):
            Cycle()
            victim.serve(1)
        gc.set_threshold(700)
        gc.collect()
        victim.flush()
        ledger = victim.check()
        assert finalized == 2000
        assert ledger.sampled == 4000, ledger.sampled
        assert ledger.pending == 0
        say("fine")
        """
    )
    assert out.split() == ["fine"]


def test_a_sink_that_is_down_for_long_costs_flat_memory(victims):
    import tracemalloc

    victim = victims(DeadSink(), queue_size=500, batch_size=100, flush_interval=0.01)
    victim.pipeline._process.outlets[0].hasten()

    def through(count):
        for _ in range(count // 100):
            victim.serve(100)
            until(lambda: not victim.pipeline._process.collector.items)

    through(1000)
    tracemalloc.start()
    try:
        through(1000)
        before = tracemalloc.get_traced_memory()[0]
        through(5000)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 200_000  # 5,000 records would be ten times that
    assert victim.check().pending <= 1100


def test_an_idle_drain_thread_sleeps(victims):
    """Its processor time stands still."""
    sink = MemorySink()
    victim = victims(sink, flush_interval=0.01)
    victim.serve(1)
    until(lambda: sink.seqs == [1])
    turns = []
    (loop,) = victim.pipeline._process.loops
    turn = loop.turn
    loop.turn = lambda wait: turns.append(1) or turn(wait)
    limit = time.monotonic() + 0.5
    until(lambda: time.monotonic() > limit)
    # Changed counts are looked for every 15 flush intervals, here 0.15 s.
    assert len(turns) <= 8
