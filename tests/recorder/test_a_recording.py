"""A recording from begin to finish: what it holds, when it is cut, and that it ends exactly once."""

from __future__ import annotations

import contextvars
import os
import sys
import threading
import time
import warnings

import pytest

import requestcov
from tests.recorder.conftest import CALL, FAIL, ORDER, PARCEL, no_header, serve, until


def test_a_request_is_kept_with_the_lines_it_ran_and_no_others(bench):
    recorder = bench.recorder()
    bench.shop.parcel()
    serve(recorder, bench.shop.order, method="POST", path="/orders")
    bench.shop.parcel()
    (record,) = bench.records(recorder)
    assert bench.lines(record) == ORDER
    assert (record.method, record.route, record.partial, record.error) == ("POST", "/orders", None, None)
    assert (record.seq, record.weight, record.sampled_by) == (1, 1.0, "first")
    assert record.background == ()
    assert record.worker.endswith(f":{os.getpid()}")


def test_lines_between_two_steps_of_a_request_are_not_its_own(bench):
    """A streamed response is entered and left once for every chunk."""
    recorder = bench.recorder()
    recording = recorder.begin("GET", "/", no_header)
    for work in (bench.shop.order, bench.shop.order):
        _, entered = recorder.enter(recording)
        assert requestcov.current() == recording.id
        work()
        recorder.leave(recording, entered)
        assert requestcov.current() is None
        bench.shop.parcel()
    recorder.finish(recording)
    (record,) = bench.records(recorder)
    assert bench.lines(record) == ORDER


def test_a_step_that_is_left_in_another_context_leaves_nothing_in_this_one(bench):
    recorder = bench.recorder()
    recording = recorder.begin("GET", "/", no_header)
    _, entered = contextvars.copy_context().run(recorder.enter, recording)
    recorder.leave(recording, entered)
    assert recorder.active.get() is None
    _, entered = recorder.enter(recording)
    other = contextvars.copy_context()
    other.run(recorder.leave, recording, entered)
    assert other.run(recorder.active.get) is None
    recorder.leave(recording, entered)
    recorder.finish(recording)
    assert len(bench.records(recorder)) == 1


def test_what_the_app_raised_is_named_and_its_message_is_not_kept(bench):
    recorder = bench.recorder()
    recording = recorder.begin("GET", "/", no_header)
    _, entered = recorder.enter(recording)
    with pytest.raises(ValueError, match="of SKU-7781") as caught:
        bench.shop.fail("SKU-7781")
    recorder.leave(recording, entered)
    recorder.finish(recording, caught.value)
    (record,) = bench.records(recorder)
    assert record.error == "builtins.ValueError"
    assert record.failed
    assert bench.lines(record) == FAIL
    assert "SKU-7781" not in bench.path.read_text()


def test_what_runs_only_after_the_response_is_background(bench):
    recorder = bench.recorder()
    recording = recorder.begin("GET", "/", no_header)
    _, entered = recorder.enter(recording)
    bench.shop.order()
    recorder.responded(recording)
    duration = recording.duration
    bench.shop.order()
    bench.shop.call(bench.shop.parcel)
    recorder.responded(recording)
    recorder.leave(recording, entered)
    recorder.finish(recording)
    assert recording.duration == duration
    (record,) = bench.records(recorder)
    assert bench.lines(record) == ORDER | CALL | PARCEL
    (later,) = record.background
    assert later.lines == CALL | PARCEL
    assert {block.path for block in record.background} <= {block.path for block in record.blocks}


def test_what_outlives_its_request_adds_nothing_to_it_or_to_a_later_one(bench):
    """A task started in a request holds its recording in its context for ever."""
    recorder = bench.recorder()
    recording = recorder.begin("GET", "/", no_header)
    _, entered = recorder.enter(recording)
    inherited = contextvars.copy_context()
    bench.shop.order()
    recorder.leave(recording, entered)
    recorder.finish(recording)
    inherited.run(bench.shop.parcel)
    assert inherited.run(requestcov.current) is None
    later = recorder.begin("GET", "/", no_header)
    inherited.run(bench.shop.parcel)
    recorder.finish(later)
    assert [bench.lines(record) for record in bench.records(recorder)] == [ORDER, set()]


def test_a_request_that_is_not_sampled_runs_in_no_inherited_recording(bench):
    """Servers reuse threads and contexts, of requests that are not over too."""
    recorder = bench.recorder(sample_rate=0.0, first=1)
    recording = recorder.begin("GET", "/", no_header)
    recorder.enter(recording, alone=False)
    bench.shop.order()
    assert recorder.begin("GET", "/", no_header) is None
    bench.shop.parcel()
    assert requestcov.current() is None
    recorder.finish(recording)
    (record,) = bench.records(recorder)
    assert bench.lines(record) == ORDER


def test_more_recordings_at_once_than_allowed_are_turned_away_and_counted(bench):
    recorder = bench.recorder(max_in_flight=3)
    open_ones = [recorder.begin("GET", "/", no_header) for _ in range(5)]
    assert [recording is not None for recording in open_ones] == [True, True, True, False, False]
    for recording in open_ones[:3]:
        recorder.finish(recording)
    assert serve(recorder, bench.shop.order) is not None
    ledger = bench.ledger(recorder)
    assert (ledger.sampled, ledger.stored, ledger.dropped) == (6, 4, {"max_in_flight": 2})
    assert [record.seq for record in bench.records()] == [1, 2, 3, 6]


def test_a_recording_that_takes_too_long_is_cut_kept_and_gives_its_place_back(bench):
    recorder = bench.recorder(max_duration=0.05, flush_interval=0.01, max_in_flight=1)
    recording = recorder.begin("GET", "/", no_header)
    _, entered = recorder.enter(recording)
    bench.shop.order()
    until(lambda: bench.records())
    bench.shop.parcel()
    assert requestcov.current() is None
    recorder.leave(recording, entered)
    assert serve(recorder, bench.shop.parcel) is not None
    recorder.finish(recording)
    cut, whole = bench.records(recorder)
    assert (cut.partial, bench.lines(cut)) == ("duration", ORDER)
    assert cut.duration_ms >= 50
    assert (whole.partial, bench.lines(whole)) == (None, PARCEL)
    assert bench.ledger(recorder).dropped == {}


def test_finishing_again_changes_nothing(bench):
    recorder = bench.recorder()
    recording = serve(recorder, bench.shop.order)
    recorder.finish(recording, ValueError(), partial="aborted")
    (record,) = bench.records(recorder)
    assert (record.error, record.partial) == (None, None)


def test_of_threads_that_finish_at_the_same_moment_one_does(bench):
    """The request's own thread and the drainer that cuts it, for instance."""
    recorder = bench.recorder(queue_size=1000)
    recordings = []
    gates = [threading.Barrier(3) for _ in range(2)]

    def finish():
        for _ in range(200):
            gates[0].wait(10)
            recorder.finish(recordings[-1])
            gates[1].wait(10)

    threads = [threading.Thread(target=finish) for _ in range(2)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for _ in range(200):
            recordings.append(recorder.begin("GET", "/", no_header))
            gates[0].wait(10)
            gates[1].wait(10)
    except BaseException:
        for gate in gates:
            gate.abort()
        raise
    finally:
        for thread in threads:
            thread.join(10)
        sys.setswitchinterval(interval)
    ledger = bench.ledger(recorder)
    assert (ledger.sampled, ledger.stored) == (200, 200)
    assert sorted(record.seq for record in bench.records()) == list(range(1, 201))


def test_a_child_forked_inside_a_request_leaves_the_request_to_its_parent(bench):
    """It runs on as the app, through the end of the request, and records its own."""
    recorder = bench.recorder()
    recording = recorder.begin("GET", "/parent", no_header)
    _, entered = recorder.enter(recording)
    bench.shop.order()
    with warnings.catch_warnings():
        # The drainer is a thread, and CPython warns of those.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            bench.shop.parcel()
            recorder.responded(recording)
            recorder.leave(recording, entered)
            recorder.finish(recording)
            serve(recorder, bench.shop.parcel, path="/child")
            status = 0 if recorder.flush(10.0) else 2
        finally:
            os._exit(status)
    limit = time.monotonic() + 20
    while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        assert time.monotonic() < limit
        time.sleep(0.005)
    assert ended[1] == 0
    recorder.leave(recording, entered)
    recorder.finish(recording)
    records = {record.route: record for record in bench.records(recorder)}
    assert {route: bench.lines(record) for route, record in records.items()} == {
        "/parent": ORDER,
        "/child": PARCEL,
    }
    assert records["/child"].worker.endswith(f":{pid}")
    assert (records["/child"].seq, records["/parent"].seq) == (1, 1)


def test_closing_keeps_what_is_open_as_aborted_and_a_request_later_is_not_recorded(bench):
    recorder = bench.recorder()
    recording = recorder.begin("GET", "/", no_header)
    _, entered = recorder.enter(recording)
    bench.shop.order()
    recorder.close()
    bench.shop.parcel()
    recorder.leave(recording, entered)
    recorder.finish(recording)
    (record,) = bench.records()
    assert (record.partial, bench.lines(record)) == ("aborted", ORDER)


def test_the_id_is_one_for_all_who_ask_and_tells_when_the_request_began(bench):
    recorder = bench.recorder()
    recording = recorder.begin("GET", "/", no_header)
    ready, ids = threading.Barrier(8), []

    def ask():
        ready.wait(10)
        ids.append(recording.id)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.finish(recording)
    (record,) = bench.records(recorder)
    assert set(ids) == {record.id}
    millis = int(record.id[:13].replace("-", ""), 16)
    assert abs(millis - record.time.timestamp() * 1000) <= 1
