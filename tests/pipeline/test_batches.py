"""When records are written, and what a batch carries."""

from __future__ import annotations

from requestcov.drainer import GATHER
from requestcov.outlet import LEDGER_EVERY
from tests.pipeline.memory import Bench, MemorySink, assert_balanced, record


def test_a_record_waits_one_flush_interval_and_no_longer():
    bench = Bench()
    bench.put()
    assert bench.sinks[0].batches == []
    bench.advance(1.9)
    assert bench.sinks[0].batches == []
    bench.advance(0.1)
    assert bench.sinks[0].seqs == [1]


def test_the_interval_counts_from_the_first_waiting_record():
    """A steady trickle must not put the flush off for ever."""
    bench = Bench()
    for _ in range(4):
        bench.put()
        bench.advance(0.5)
    assert bench.sinks[0].seqs == [1, 2, 3, 4]


def test_a_full_batch_is_written_at_once():
    bench = Bench(batch_size=3)
    bench.put(7)
    assert [len(batch.records) for batch in bench.sinks[0].batches] == [3, 3]
    bench.advance(2.0)
    assert bench.sinks[0].seqs == [1, 2, 3, 4, 5, 6, 7]


def test_a_loop_with_nothing_waiting_sleeps_until_the_next_ledger():
    bench = Bench()
    bench.put()
    bench.advance(2.0)
    due = bench.process.loops[0].turn(True)
    assert due == bench.clock.now + LEDGER_EVERY * 2.0


def test_a_loop_with_a_record_waiting_sleeps_until_it_is_due():
    """Also when the next ledger would have been due in the meantime."""
    bench = Bench()
    bench.clock.now += LEDGER_EVERY * 2.0 - 1
    bench.put()
    bench.advance(1.5)
    assert bench.process.loops[0].turn(True) == bench.clock.now + 0.5


def test_a_batch_carries_the_ledger_as_it_stands_once_it_is_kept():
    bench = Bench(batch_size=2)
    bench.put(5)
    first, second = (batch.ledger for batch in bench.sinks[0].batches)
    assert (first.sampled, first.stored, first.pending) == (5, 2, 3)
    assert (second.sampled, second.stored, second.pending) == (5, 4, 1)


def test_changed_counts_alone_are_written_seldom():
    """Requests that nobody sampled still are the denominator of every report."""
    bench = Bench()
    bench.seen["GET /"] += 3
    bench.advance(2.0)
    assert bench.sinks[0].batches == []
    bench.advance(LEDGER_EVERY * 2.0)
    (batch,) = bench.sinks[0].batches
    assert batch.records == ()
    assert batch.ledger.seen == {"GET /": 3}


def test_unchanged_counts_are_not_written_again():
    bench = Bench()
    bench.put()
    bench.advance(2.0)
    for _ in range(5):
        bench.advance(LEDGER_EVERY * 2.0)
    assert len(bench.sinks[0].batches) == 1


def test_a_ledger_keeps_the_counts_it_was_made_with():
    """The counts go on changing on the request's side; a batch written twice must be the same twice."""
    bench = Bench()
    bench.seen["GET /"] = 1
    bench.put()
    bench.advance(2.0)
    bench.seen["GET /"] = 99
    assert bench.sinks[0].batches[0].ledger.seen == {"GET /": 1}


def test_every_sink_gets_every_record_and_has_its_own_ledger():
    left, right = MemorySink("left:"), MemorySink("right:")
    right.down = OSError("gone")
    bench = Bench(left, right)
    bench.put(3)
    bench.advance(2.0)
    assert left.seqs == [1, 2, 3]
    assert [ledger.stored for ledger in bench.pipeline.ledgers()] == [3, 0]
    assert [ledger.pending for ledger in bench.pipeline.ledgers()] == [0, 3]


def test_the_text_of_a_file_version_is_sent_once_to_each_sink():
    asked = []

    def source(path, digest):
        asked.append((path, digest))
        return path.encode()

    def assemble(seq):
        return record(seq, [("a.py", "d1"), ("b.py", "d1" if seq < 3 else "d2"), ("unread.py", "")])

    bench = Bench(assemble=assemble, source=source, batch_size=2)
    bench.put(4)
    first, second = bench.sinks[0].batches
    assert [(s.path, s.digest, s.text) for s in first.sources] == [
        ("a.py", "d1", b"a.py"),
        ("b.py", "d1", b"b.py"),
    ]
    assert [(s.path, s.digest) for s in second.sources] == [("b.py", "d2")]
    assert asked == [("a.py", "d1"), ("b.py", "d1"), ("b.py", "d2")]


def test_a_text_counts_as_sent_only_once_its_batch_is_kept():
    sink = MemorySink()
    sink.errors = [TypeError("defect")] * 10  # this batch is given up
    bench = Bench(
        sink,
        assemble=lambda seq: record(seq, [("a.py", "d")]),
        source=lambda path, digest: b"x",
        batch_size=1,
    )
    bench.put(2)
    for _ in range(12):
        bench.advance(60)
    assert sink.seqs == [2]
    assert [s.path for s in sink.batches[0].sources] == ["a.py"]


def test_a_source_that_cannot_be_had_does_not_hold_up_its_record():
    def source(path, digest):
        raise OSError("deleted")

    bench = Bench(assemble=lambda seq: record(seq, [("a.py", "d")]), source=source)
    bench.put()
    bench.advance(2.0)
    assert bench.sinks[0].batches[0].sources == ()
    assert bench.sinks[0].seqs == [1]


def test_numbers_of_records_start_at_one_and_have_no_gap():
    bench = Bench()
    assert [bench.pipeline.sampled() for _ in range(3)] == [1, 2, 3]
    bench.pipeline.ledgers()  # reading the counts takes no number
    assert bench.pipeline.sampled() == 4


def test_a_full_queue_drops_the_newest_and_counts_it():
    bench = Bench(queue_size=3)
    bench.put(5)
    bench.advance(2.0)
    (ledger,) = bench.pipeline.ledgers()
    assert bench.sinks[0].seqs == [1, 2, 3]
    assert (ledger.sampled, ledger.stored, ledger.dropped, ledger.pending) == (5, 3, {"queue_full": 2}, 0)


def test_a_healthy_sink_loses_nothing_whatever_the_sizes():
    """A queue smaller than a batch, many at once, in uneven portions."""
    bench = Bench(queue_size=7, batch_size=5)
    for portion in (7, 1, 6, 7, 3, 7):
        bench.put(portion)
        bench.advance(0.5)
    bench.advance(2.0)
    assert bench.sinks[0].seqs == list(range(1, 32))


def test_a_recording_that_cannot_be_assembled_is_counted_and_the_next_one_passes():
    def assemble(seq):
        if seq in (1, 2, 3):
            raise (ValueError, SystemExit, MemoryError)[seq - 1]("bad")
        return record(seq)

    bench = Bench(assemble=assemble)
    bench.put(4)
    bench.advance(2.0)
    (ledger,) = bench.pipeline.ledgers()
    assert bench.sinks[0].seqs == [4]
    assert ledger.dropped == {"assemble": 3}


def test_what_the_recorder_drops_is_in_every_ledger():
    bench = Bench(MemorySink("a:"), MemorySink("b:"))
    bench.pipeline.sampled()
    bench.pipeline.sampled()
    bench.pipeline.drop("max_in_flight", 2)
    for ledger in bench.pipeline.ledgers():
        assert ledger.dropped == {"max_in_flight": 2}
        assert_balanced(ledger)


def test_ticks_come_once_an_interval_until_they_are_declined():
    calls = []
    answers = [True, True, False]

    def tick():
        calls.append(bench.clock.now)
        return answers[len(calls) - 1]

    bench = Bench(tick=tick)
    bench.pipeline.wake()
    bench.settle()
    for _ in range(6):
        bench.advance(2.0)
    assert calls == [1002.0, 1004.0, 1006.0]
    bench.pipeline.wake()
    bench.settle()
    answers.append(False)
    bench.advance(2.0)
    assert len(calls) == 4


def test_a_wake_during_a_tick_is_not_lost():
    calls = []

    def tick():
        calls.append(1)
        if len(calls) == 1:
            bench.pipeline.wake()
        return False

    bench = Bench(tick=tick)
    bench.pipeline.wake()
    bench.settle()
    bench.advance(2.0)
    bench.advance(2.0)
    assert len(calls) == 2


def test_a_tick_that_raises_is_called_again():
    calls = []

    def tick():
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("once")
        return False

    bench = Bench(tick=tick)
    bench.pipeline.wake()
    bench.settle()
    bench.advance(2.0)
    bench.advance(2.0)
    assert len(calls) == 2


def test_a_few_recordings_wait_unassembled_for_company_and_still_meet_their_interval():
    """Each waking of the drainer takes the GIL from requests; the wait counts as part of the interval."""
    bench = Bench()
    bench.put(3)
    assert len(bench.process.collector.items) == 3
    bench.advance(0.25)
    assert len(bench.process.collector.items) == 0
    assert bench.sinks[0].batches == []
    bench.advance(1.75)
    assert bench.sinks[0].seqs == [1, 2, 3]


def test_recordings_are_assembled_at_once_when_they_are_many():
    """Raw line sets are heavy: only so many of them wait."""
    bench = Bench(queue_size=100, batch_size=50)
    bench.put(GATHER)
    assert len(bench.process.collector.items) == 0
