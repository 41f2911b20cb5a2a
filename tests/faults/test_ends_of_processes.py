"""However a process ends, what was kept is whole, what was lost is counted, and the end is not held up."""

from __future__ import annotations

import signal
import sys
import time

import pytest

from requestcov.pipeline import EXIT_TIMEOUT

# An interpreter's start and end on a busy machine, beside the flush.
SLACK = 4.0


def test_an_ordinary_exit_writes_everything(crime):
    crime.run("Victim().serve(3)")
    assert crime.seqs == [1, 2, 3]
    (ledger,) = crime.ledgers
    assert (ledger.sampled, ledger.stored, ledger.pending) == (3, 3, 0)


@pytest.mark.parametrize(
    ("ending", "status"),
    [("sys.exit(3)", 3), ("raise SystemExit('x')", 1), ("os.kill(os.getpid(), signal.SIGTERM)", 7)],
)
def test_the_exit_status_stays_what_it_was(crime, ending, status):
    code = f"""
        signal.signal(signal.SIGTERM, lambda *args: sys.exit(7))
        Victim().serve(2)
        {ending}
        """
    crime.run(code, status=status)
    assert crime.seqs == [1, 2]


def test_counts_of_requests_that_nobody_sampled_are_written_at_exit(crime):
    """Without a single record, and so without a thread."""
    crime.run(
        """
        victim = Victim()
        victim.seen["GET /"] = 12
        assert threading.active_count() == 1
        """
    )
    assert [ledger.seen for ledger in crime.ledgers] == [{"GET /": 12}]


def test_a_process_that_served_nothing_leaves_no_file(crime):
    crime.run("victim = Victim(); victim.flush(); victim.pipeline.close()")
    assert not crime.path.exists()


@pytest.mark.parametrize("sink", ["BlockedSink", "DeadSink"])
def test_a_second_sigterm_during_the_flush_ends_it(crime, sink):
    """gunicorn, docker stop and Ctrl-C twice: no deadlock, no longer than the limit."""
    process = crime.start(
        f"""
        signal.signal(signal.SIGTERM, lambda *args: (say("told"), sys.exit(0)))
        victim = Victim({sink}(), open_sink("file:///" + PATH))
        victim.serve(3)
        atexit.register(say, "ending")  # registered last, runs first
        say("ready")
        while True:
            time.sleep(1)
        """
    )
    crime.heard(process, "ready")
    before = time.monotonic()
    process.send_signal(signal.SIGTERM)
    crime.heard(process, "ending")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=EXIT_TIMEOUT + SLACK) == 0
    assert time.monotonic() - before < EXIT_TIMEOUT + SLACK
    for ledger in crime.ledgers:
        assert ledger.sampled == 3


@pytest.mark.parametrize("sink", ["BlockedSink", "DeadSink"])
def test_an_exit_with_a_dead_destination_is_bounded_and_the_other_sink_gets_everything(crime, sink):
    _, seconds = crime.run(
        f"""
        victim = Victim({sink}(), open_sink("file:///" + PATH))
        victim.serve(5)
        """
    )
    assert seconds < EXIT_TIMEOUT + SLACK
    assert crime.seqs == [1, 2, 3, 4, 5]


def test_sigkill_loses_only_what_was_not_written_and_the_gap_shows(crime):
    process = crime.start(
        """
        victim = Victim()
        lost = victim.begin(3)
        victim.serve(4)
        victim.flush()
        for seq in lost:
            victim.pipeline.put(seq)
        say("ready")
        time.sleep(60)
        """
    )
    crime.heard(process, "ready")
    process.kill()
    process.wait(10)
    assert crime.seqs == [4, 5, 6, 7]
    (ledger,) = crime.ledgers
    assert (ledger.sampled, ledger.stored, ledger.pending) == (7, 4, 3)


@pytest.mark.parametrize("ending", ["os._exit(0)", "os.execv('/bin/true', ['true'])"])
def test_an_end_without_atexit_loses_at_most_one_flush_interval(crime, ending):
    crime.run(
        f"""
        victim = Victim(flush_interval=0.05)
        victim.serve(5)
        limit = time.monotonic() + 10
        while victim.pipeline.ledgers()[0].pending and time.monotonic() < limit:
            time.sleep(0.01)
        victim.serve(2)
        {ending}
        """
    )
    assert crime.seqs[:5] == [1, 2, 3, 4, 5]
    assert crime.ledgers[0].stored in (5, 7)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_multiprocessing_child_loses_at_most_one_flush_interval(crime, method):
    """Such a child ends in os._exit, on most versions without atexit."""
    (crime.path.parent / "child.py").write_text(
        "import time\n"
        "from tests.faults.victim import Victim\n"
        "def serve(victim=None):\n"
        "    victim = victim or Victim(flush_interval=0.05)\n"
        "    victim.serve(5)\n"
        "    limit = time.monotonic() + 10\n"
        "    while victim.pipeline.ledgers()[0].pending and time.monotonic() < limit:\n"
        "        time.sleep(0.01)\n"
        "    victim.serve(2)\n"
    )
    crime.run(
        f"""
        import multiprocessing
        sys.path.insert(0, os.getcwd())
        from child import serve
        if __name__ == "__main__":
            inherited = Victim(flush_interval=0.05)
            args = (inherited,) if {method!r} == "fork" else ()
            child = multiprocessing.get_context({method!r}).Process(target=serve, args=args)
            child.start()
            child.join(20)
            assert child.exitcode == 0
        """
    )
    assert crime.seqs[:5] == [1, 2, 3, 4, 5]


def test_a_full_queue_at_interpreter_shutdown_does_not_hold_it_up(crime):
    """Puts before, during and after our flush, from handlers and from finalizers of module globals."""
    out, seconds = crime.run(
        """
        blocked = BlockedSink()
        def late():
            victim.serve(50)
            say(victim.check().dropped["closed"])
        atexit.register(late)  # runs after the flush
        victim = Victim(blocked, queue_size=5)
        victim.serve(1)
        victim.pipeline.flush(0)
        blocked.entered.wait()
        atexit.register(victim.serve, 50)  # runs before it
        class Last:
            def __del__(self, victim=victim):
                victim.serve(10)
        last = Last()
        last.me = last
        """
    )
    assert out.split() == ["50"]
    assert seconds < EXIT_TIMEOUT + SLACK


def test_what_comes_first_at_interpreter_shutdown_is_written_without_a_thread(crime):
    """From Python 3.12 on no thread can be started then: the exiting thread writes."""
    crime.run(
        """
        victim = Victim()
        atexit.register(victim.serve, 3)
        """
    )
    assert crime.seqs == [1, 2, 3]
    (ledger,) = crime.ledgers
    assert ledger.pending == 0


# The limit does not bind root.
UNPRIVILEGED = """
    import resource
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(54321, 54321, 54321)
        os.setresuid(54321, 54321, 54321)
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    """


@pytest.mark.skipif(sys.platform != "linux", reason="the limit counts threads on Linux only")
def test_where_no_thread_can_be_started_the_flush_and_the_exit_write(unprivileged):
    out, _ = unprivileged.run(
        UNPRIVILEGED
        + """
    resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
    victim = Victim(queue_size=4)
    victim.serve(3)
    say(victim.check().pending)
    victim.flush()
    say(victim.check().stored)
    victim.serve(6)
    say(victim.check().dropped["queue_full"])
    """
    )
    assert out.split() == ["3", "3", "2"]
    assert unprivileged.seqs == [1, 2, 3, 4, 5, 6, 7]
    (ledger,) = unprivileged.ledgers
    assert (ledger.sampled, ledger.stored, ledger.dropped, ledger.pending) == (9, 7, {"queue_full": 2}, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit counts threads on Linux only")
def test_a_thread_that_could_not_be_started_is_started_once_it_can(unprivileged):
    out, _ = unprivileged.run(
        UNPRIVILEGED
        + """
    resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
    victim = Victim(flush_interval=0.05)
    victim.serve(1)
    resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))
    limit = time.monotonic() + 10
    while not victim.check().stored:
        assert time.monotonic() < limit
        victim.serve(1)
        time.sleep(0.01)
    say("kept")
    os._exit(0)
    """
    )
    assert out.split() == ["kept"]
    assert unprivileged.seqs[0] == 1


def test_without_a_free_file_descriptor_records_wait_until_there_is_one(crime):
    out, _ = crime.run(
        """
        import resource
        victim = Victim(flush_interval=0.05)
        victim.seen["GET /"] += 1
        held = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        victim.serve(3)
        assert not victim.pipeline.flush(0.3)
        say(victim.check().pending)
        for fd in held:
            os.close(fd)
        victim.flush()
        say(victim.check().stored)
        """
    )
    assert out.split() == ["3", "3"]
    assert crime.seqs == [1, 2, 3]
