"""Under gevent's monkey patching the writing is native: no greenlet starves it, and it stalls no hub."""

from __future__ import annotations

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
        victim = Victim(Stuck(), open_sink("file:///" + PATH), batch_size=1)
        victim.serve(1)
        entered.get()
        worst = 0.0
        def watch():
            global worst
            while True:
                before = time.monotonic()
                gevent.sleep(0.001)
                worst = max(worst, time.monotonic() - before)
        gevent.spawn(watch)
        waiting = gevent.spawn(victim.pipeline.flush, 0.5)
        for _ in range(100):
            victim.serve(1)
            gevent.sleep(0.001)
        assert not waiting.get()
        say(worst)
        for _ in range(1000):
            leave.put(None)
        assert victim.pipeline.flush(10)
        victim.check()
        """,
        patched,
    )
    assert float(out) < 0.05
    assert crime.seqs == list(range(1, 102))


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
