"""Under gevent's monkey patching the writing is native: no greenlet starves it, and it stalls no hub."""

from __future__ import annotations

import json
import textwrap

import pytest

pytest.importorskip("gevent")

PATCH = "from gevent import monkey; monkey.patch_all()\n"
IMPORT = "from tests.faults.victim import *\n"


def run(crime, code, patched):
    """Run the code with everything patched before or after requestcov is imported; returns stdout."""
    first = PATCH + IMPORT if patched == "before" else IMPORT + PATCH
    head = "import os, sys, time, threading\n" + first + "import gevent\n"
    return crime.finished(crime.spawn("-c", head + textwrap.dedent(code)))


both = pytest.mark.parametrize("patched", ["before", "after"])


@both
def test_records_are_written_behind_a_greenlet_that_burns_cpu(crime, patched):
    out = run(
        crime,
        """
        victim = Victim(flush_interval=0.05)
        def burn():
            limit = time.monotonic() + 10
            while not victim.pipeline.ledgers()[0].stored:  # never yields to the hub
                assert time.monotonic() < limit
            say("kept meanwhile")
        victim.serve(3)
        gevent.spawn(burn).get()
        victim.check()
        os._exit(0)
        """,
        patched,
    )
    assert out.split("\n")[0] == "kept meanwhile"
    assert crime.seqs == [1, 2, 3]


@both
def test_a_blocked_sink_stalls_the_hub_for_less_than_50_ms(crime, patched):
    """Requests are served, and a flush waits, while a write does not return."""
    out = run(
        crime,
        """
        import _queue
        entered, leave = _queue.SimpleQueue(), _queue.SimpleQueue()
        class Stuck:
            name = "stuck:"
            def write(self, batch):
                entered.put(None)
                leave.get()
            def close(self):
                pass
        victim = Victim(Stuck(), open_sink("file:///" + PATH), batch_size=1, queue_size=10_000)
        victim.serve(1)
        entered.get()
        def watch():
            global worst
            while True:
                before = time.monotonic()
                gevent.sleep(0.001)
                worst = max(worst, time.monotonic() - before)
        gevent.spawn(watch)
        stalls = []
        while not stalls or stalls[-1] >= 0.05 and len(stalls) < 20:
            worst = 0.0
            waiting = gevent.spawn(victim.pipeline.flush, 0.5)
            for _ in range(100):
                victim.serve(1)
                gevent.sleep(0.001)
            assert not waiting.get()
            stalls.append(worst)
        say(stalls)
        for _ in range(10_000):
            leave.put(None)
        assert victim.pipeline.flush(10)
        victim.check()
        """,
        patched,
    )
    stalls = json.loads(out)
    assert stalls[-1] < 0.05, stalls  # one of ours would be there every time, one of the machine's is not
    assert crime.seqs == list(range(1, 100 * len(stalls) + 2))


@both
def test_the_flush_at_exit_works(crime, patched):
    run(crime, "Victim().serve(3)", patched)
    assert crime.seqs == [1, 2, 3]


@both
def test_many_greenlets_put_at_once(crime, patched):
    run(
        crime,
        """
        victim = Victim(flush_interval=0.02, queue_size=10_000)
        def work():
            for _ in range(20):
                victim.serve(1)
                gevent.sleep(0)
        gevent.joinall([gevent.spawn(work) for _ in range(50)], raise_error=True)
        victim.flush()
        assert victim.check().stored == 1000
        """,
        patched,
    )
    assert crime.seqs == list(range(1, 1001))


@both
def test_a_child_forked_by_gevent_records(crime, patched):
    run(
        crime,
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        # A loop first made after the fork may miss the end of a child that was faster, for ever.
        gevent.get_hub().loop.install_sigchld()
        victim = Victim()
        victim.serve(2)
        pid = os.fork()
        if pid == 0:
            victim.serve(1)
            victim.flush()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert status == 0
        """,
        patched,
    )
    assert crime.seqs == [1, 1, 2]


@both
def test_no_request_runs_in_the_middle_of_a_fork_that_waits_for_a_write(crime, patched):
    """It might fork itself, between the steps of the first fork."""
    run(
        crime,
        """
        import sqlite3, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        gevent.get_hub().loop.install_sigchld()
        database = PATH + ".db"
        victim = Victim(open_sink("sqlite:///" + database), batch_size=1)
        victim.serve(1)
        victim.flush()
        lock = sqlite3.connect(database, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        (sink,) = [outlet._sink for outlet in victim.pipeline._process.outlets]
        def turns():
            while True:
                taken.append(1)
                gevent.sleep(0)
        taken = []
        gevent.spawn(turns)
        victim.serve(1)
        limit = time.monotonic() + 10
        while sink._lock.acquire(False):  # until the drain thread has it, and waits for the database
            sink._lock.release()
            assert time.monotonic() < limit
            gevent.sleep(0.001)
        before = len(taken)
        pid = os.fork()
        if pid == 0:
            os._exit(len(taken) - before)
        assert os.waitpid(pid, 0)[1] == 0
        lock.execute("ROLLBACK")
        victim.flush()
        assert victim.check().stored == 2
        """,
        patched,
    )


@both
def test_a_drain_thread_that_waits_for_a_locked_file_waits_natively(crime, patched):
    """gevent would give it a hub, with a loop and file descriptors of its own."""
    out = run(
        crime,
        """
        import fcntl
        from gevent._hub_local import get_hub_if_exists
        hubs = []
        class Watched:
            name = "watched:"
            def __init__(self):
                self.sink = open_sink("file:///" + PATH)
            def write(self, batch):
                try:
                    self.sink.write(batch)
                finally:
                    hubs.append(get_hub_if_exists())
            def close(self):
                pass
        victim = Victim(Watched(), flush_interval=0.05)
        victim.serve(1)
        victim.flush()
        file = open(PATH)
        fcntl.flock(file, fcntl.LOCK_EX)
        victim.serve(1)
        assert not victim.pipeline.flush(0.2)
        fcntl.flock(file, fcntl.LOCK_UN)
        victim.flush()
        say(set(hubs))
        """,
        patched,
    )
    assert out.strip() == "{None}"
    assert crime.seqs == [1, 2]


@both
def test_a_collector_that_does_not_answer_stalls_no_hub(crime, patched):
    """The thread that sends waits in a socket of the operating system's, for as long as it may."""
    out = run(
        crime,
        """
        import _socket
        from gevent._hub_local import get_hub_if_exists
        from requestcov.config import Config
        silent = _socket.socket()
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        config = Config(spool=PATH + "-spool", sink_timeout=1.0)
        sink = open_sink("http://127.0.0.1:%d" % silent.getsockname()[1], config)
        resume, hubs, exchanges = sink.resume, set(), []
        def watched():
            before = time.monotonic()
            try:
                return resume()
            finally:
                hubs.add(get_hub_if_exists())
                exchanges.append(time.monotonic() - before)
        sink.resume = watched
        victim = Victim(sink, flush_interval=0.05)
        limit, worst = time.monotonic() + 20, 0.0
        while not any(seconds > 0.9 for seconds in exchanges):
            assert time.monotonic() < limit
            victim.serve(1)
            before = time.monotonic()
            gevent.sleep(0.005)
            worst = max(worst, time.monotonic() - before)
        victim.check()
        say((hubs, worst < 0.5))
        """,
        patched,
    )
    assert out.strip() == "({None}, True)"


@both
def test_a_log_message_from_a_drain_thread_does_no_harm(crime, patched):
    """logging's locks are gevent's then, and the thread is none that threading knows."""
    out = run(
        crime,
        """
        import logging
        logging.basicConfig(stream=sys.stdout, format="%(threadName)s")
        class Flaky:
            name = "flaky:"
            failed = False
            def write(self, batch):
                if not self.failed:
                    self.failed = True
                    raise OSError("once")
            def close(self):
                pass
        victim = Victim(Flaky())
        victim.serve(1)
        victim.flush()
        assert victim.check().stored == 1
        """,
        patched,
    )
    assert len(out.splitlines()) == 2


def test_gevent_is_not_imported_for_it(crime):
    crime.run("victim = Victim(); victim.serve(1); victim.flush(); assert 'gevent' not in sys.modules")
