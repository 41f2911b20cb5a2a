"""A child has its own queue, counts, sinks and threads; what its parent had queued is its parent's to write.

The victims ignore the warning that CPython 3.12 and later give when a process
with threads forks: that is what is under test.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

HEAD = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
def fork_with_hooks():
    return os.fork()
def switches():
    others = [task for task in os.listdir("/proc/self/task") if int(task) != os.getpid()]
    texts = [open(f"/proc/self/task/{task}/status").read() for task in others]
    return [text.split("voluntary_ctxt_switches:")[1:] for text in texts]
def fork_without_hooks():
    import ctypes
    # CPython itself does not survive this while another thread is being handed the GIL: wait until
    # all of them sleep.
    before, calm = None, 0
    while calm < 5:
        time.sleep(0.002)
        now = switches()
        calm = calm + 1 if now == before else 0
        before = now
    return ctypes.PyDLL(None).fork()
def fork_with_hooks_of_others_only():
    from requestcov import pipeline
    pipeline._pipelines.clear()
    return os.fork()
def ended_well(pid):
    limit = time.monotonic() + 20
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert status == 0, status
            return
        if time.monotonic() > limit:
            os.kill(pid, signal.SIGKILL)
            raise AssertionError("the child hangs")
        time.sleep(0.005)
def in_child(work, fork=fork_with_hooks):
    pid = fork()
    if pid:
        ended_well(pid)
        return
    try:
        work()
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
"""

FORKS = [
    "fork_with_hooks",
    pytest.param(
        "fork_without_hooks", marks=pytest.mark.skipif(sys.platform != "linux", reason="calls the C library")
    ),
    "fork_with_hooks_of_others_only",
]


def run(crime, code):
    """Run the code after HEAD."""
    crime.run(HEAD + textwrap.dedent(code))


@pytest.mark.parametrize("fork", FORKS)
def test_a_record_queued_before_a_fork_is_written_exactly_once(crime, fork):
    run(
        crime,
        f"""
        victim = Victim()
        victim.serve(3)
        def child():
            assert victim.check().sampled == 0
            victim.serve(2)
            victim.flush()
        in_child(child, {fork})
        victim.flush()
        """,
    )
    parent, child = crime.records[0].worker, crime.records[-1].worker
    assert parent != child
    assert crime.seqs == [1, 1, 2, 2, 3]
    assert sorted(ledger.stored for ledger in crime.ledgers) == [2, 3]
    assert all(ledger.seen == {"GET /": ledger.stored} for ledger in crime.ledgers)


@pytest.mark.parametrize("fork", FORKS)
def test_a_child_starts_its_own_thread_at_its_first_record(crime, fork):
    """gunicorn --preload and uWSGI: the parent's thread looks alive in the worker, and is not."""
    run(
        crime,
        f"""
        victim = Victim(flush_interval=0.05)
        victim.serve(1)
        victim.flush()
        def child():
            victim.serve(1)
            limit = time.monotonic() + 5
            while not victim.check().stored:
                assert time.monotonic() < limit
                time.sleep(0.005)
        in_child(child, {fork})
        """,
    )
    assert len({record.worker for record in crime.records}) == 2
    assert len({ledger.boot for ledger in crime.ledgers}) == 2


@pytest.mark.parametrize("fork", FORKS)
def test_every_generation_of_a_double_fork_records(crime, fork):
    run(
        crime,
        f"""
        victim = Victim()
        def grandchild():
            victim.serve(3)
            victim.flush()
        def child():
            victim.serve(2)
            in_child(grandchild, {fork})
            victim.flush()
        victim.serve(1)
        in_child(child, {fork})
        victim.flush()
        """,
    )
    assert len({record.worker for record in crime.records}) == 3
    assert sorted(ledger.stored for ledger in crime.ledgers) == [1, 2, 3]
    assert crime.seqs == [1, 1, 1, 2, 2, 3]


LOCKS = ["accounts._reading", "starting", "loops[0]._turning"]


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("fork", FORKS)
def test_a_child_serves_at_once_though_a_lock_was_held_at_its_fork(crime, fork, lock):
    run(
        crime,
        f"""
        victim = Victim()
        victim.serve(1)
        victim.flush()
        lock = victim.pipeline._process.{lock}
        lock.acquire()
        def child():
            before = time.monotonic()
            victim.serve(2)
            victim.flush(1.0)
            assert time.monotonic() - before < 1.0
        in_child(child, {fork})
        lock.release()
        """,
    )
    assert crime.seqs == [1, 1, 2]


def test_these_are_all_the_locks_there_are():
    """So that a new one does not go without the test above."""
    import requestcov.drainer
    import requestcov.ledger
    import requestcov.outlet
    import requestcov.pipeline

    modules = (requestcov.pipeline, requestcov.drainer, requestcov.outlet, requestcov.ledger)
    source = "".join(Path(module.__file__).read_text() for module in modules)
    assert source.count("new_lock()") == len(LOCKS)
    assert "threading" not in source.replace("``threading``", "")


@pytest.mark.parametrize("fork", FORKS)
def test_a_fork_in_the_middle_of_a_write_leaves_both_sides_whole(crime, fork):
    run(
        crime,
        f"""
        import _queue
        class Slow:
            name = "slow:"
            def __init__(self):
                self.sink = open_sink("file:///" + PATH)
            def write(self, batch):
                entered.put(None)
                if os.getpid() == parent:
                    leave.get()
                self.sink.write(batch)
            def close(self):
                pass
        parent = os.getpid()
        entered, leave = _queue.SimpleQueue(), _queue.SimpleQueue()
        victim = Victim(Slow(), batch_size=2)
        victim.serve(2)
        entered.get()
        def child():
            victim.serve(2)
            victim.flush(1.0)
        in_child(child, {fork})
        leave.put(None)
        leave.put(None)
        victim.flush()
        """,
    )
    assert crime.seqs == [1, 1, 2, 2]


def test_forks_while_many_threads_put(crime):
    run(
        crime,
        """
        victim = Victim(flush_interval=0.01, queue_size=100_000)
        ready = threading.Barrier(4)
        def work():
            ready.wait()
            for _ in range(300):
                victim.serve(1)
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        ready.wait()
        def child():
            victim.serve(5)
            victim.flush(5.0)
        for _ in range(5):
            in_child(child)
        for thread in threads:
            thread.join()
        victim.flush()
        """,
    )
    assert sorted(ledger.stored for ledger in crime.ledgers) == [5, 5, 5, 5, 5, 900]


def test_a_child_that_exits_normally_flushes_and_the_parents_records_stay_the_parents(crime):
    run(
        crime,
        """
        victim = Victim()
        victim.serve(3)
        pid = os.fork()
        if pid == 0:
            victim.serve(1)
            sys.exit(0)
        ended_well(pid)
        """,
    )
    assert crime.seqs == [1, 1, 2, 3]


def test_a_child_whose_sinks_cannot_be_made_serves_on(crime):
    run(
        crime,
        """
        from requestcov.errors import ConfigError
        victim = Victim()
        def refuse():
            raise ConfigError("gone")
        victim.pipeline._open_sinks = refuse
        def child():
            import logging
            victim.serve(2)
            assert victim.pipeline.ledgers() == []
            assert victim.pipeline.flush(1.0)
        in_child(child)
        """,
    )


def test_pipelines_come_and_go_without_a_trace():
    """What os.register_at_fork holds can never be taken back, so it holds nothing of them."""
    import gc
    import weakref

    from requestcov import pipeline
    from tests.pipeline.memory import Bench

    before = len(pipeline._pipelines)
    bench = Bench()
    gone = weakref.ref(bench.pipeline)
    del bench
    gc.collect()
    assert gone() is None
    assert len(pipeline._pipelines) <= before
