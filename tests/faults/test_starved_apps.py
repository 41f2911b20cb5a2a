"""A wrapped app whose process lacks something: it answers as ever, and its requests are stored or counted."""

from __future__ import annotations

import sys
import textwrap

import pytest

from tests.faults.test_ends_of_processes import UNPRIVILEGED

APP = """
import concurrent.futures.thread, io, logging, requestcov
from requestcov.recorder import _recorders
logging.basicConfig(stream=sys.stdout, format="%(name)s says: %(message)s")
from tests.faults import served_app
def app(environ, start_response):
    start_response("200 OK", [])
    return iter([served_app.plain().encode()])
def wrap(*sinks, **options):
    options = {"enabled": True, "sample_rate": 1, "max_per_second": 0, "flush_interval": 0.05} | options
    source = os.path.dirname(served_app.__file__)
    return requestcov.WSGIMiddleware(app, source=[source], sinks=sinks or ["file:///" + PATH], **options)
def ask(wrapped, count=1):
    for _ in range(count):
        result = wrapped({"REQUEST_METHOD": "GET", "PATH_INFO": "/plain"}, lambda *args: None)
        assert b"".join(result) == b"plain"
        getattr(result, "close", bool)()
def ledger():
    (recorder,) = [r for r in _recorders.values() if r.config.sample_rate == 1]
    (ledger,) = recorder.pipeline.ledgers()
    assert_balanced(ledger)
    return ledger
"""

# served_app wraps apps of its own, which are not asked here and shall write nothing.
QUIET = 'os.environ["REQUESTCOV_ENABLED"] = "0"\n'


def run(crime, code, head="", starve=""):
    """Run head, APP, starve and the code; what it says, but for the log, and the log."""
    out, _ = crime.run(QUIET + head + APP + textwrap.dedent(starve) + textwrap.dedent(code))
    lines = out.splitlines()
    log = [line for line in lines if " says: " in line]
    assert all(line.startswith("requestcov says: ") for line in log)
    return [line for line in lines if line not in log], log


def lines_of(record):
    """The lines of the app itself."""
    (lines,) = [block.lines for block in record.blocks if block.path.endswith("served_app.py")]
    return lines


def test_an_app_starts_though_its_sinks_directory_is_read_only(unprivileged):
    """One warning; once the directory can be written, what is waiting is stored."""
    directory = unprivileged.path.parent / "sealed"
    directory.mkdir(0o555)
    out, log = run(
        unprivileged,
        f"""
        wrapped = wrap("sqlite:///{directory}/records.db")
        ask(wrapped, 5)
        assert not requestcov.flush(0.3)
        ask(wrapped, 5)
        assert not requestcov.flush(0.3)
        say(ledger().pending)
        say("ready")
        """,
        starve=UNPRIVILEGED,
    )
    assert out == ["10", "ready"]
    assert len(log) == 1
    assert "records.db" in log[0]
    assert list(directory.iterdir()) == []


def test_without_a_free_file_descriptor_requests_are_recorded_and_wait(crime):
    out, log = run(
        crime,
        """
        import resource
        wrapped = wrap()
        ask(wrapped)
        assert requestcov.flush(10)
        held = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        ask(wrapped, 5)
        requestcov.flush(0.3)
        ledger()
        for fd in held:
            os.close(fd)
        ask(wrapped)
        assert requestcov.flush(10)
        say((ledger().sampled, ledger().stored))
        """,
    )
    assert out == ["(7, 7)"]
    assert len(log) <= 2
    assert crime.seqs == [1, 2, 3, 4, 5, 6, 7]


def test_a_file_first_met_without_a_free_descriptor_is_known_later(crime):
    """Its version is not lost for the rest of the process."""
    run(
        crime,
        """
        import resource
        wrapped = wrap()
        held = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        ask(wrapped, 5)
        requestcov.flush(0.3)
        for fd in held:
            os.close(fd)
        ask(wrapped)
        assert requestcov.flush(10)
        """,
    )
    records = sorted(crime.records, key=lambda record: record.seq)
    assert records[-1].seq == 6
    assert [bool(block.digest) for block in records[-1].blocks] == [True]
    (ledger,) = crime.ledgers
    # Where the engine has to import something at its first recording, that fails too.
    assert set(ledger.dropped) <= {"begin"}
    assert ledger.pending == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the limit counts threads on Linux only")
def test_without_a_thread_requests_are_recorded_and_the_exit_writes(unprivileged):
    out, log = run(
        unprivileged,
        """
        resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
        wrapped = wrap(queue_size=4)
        ask(wrapped, 6)
        say((ledger().pending, ledger().dropped))
        """,
        starve=UNPRIVILEGED,
    )
    assert out == ["(4, {'queue_full': 2})"]
    assert len(log) >= 1
    assert unprivileged.seqs == [1, 2, 3, 4]
    (ledger,) = unprivileged.ledgers
    assert (ledger.sampled, ledger.stored, ledger.pending) == (6, 4, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_without_memory_for_another_thread_requests_are_answered_and_accounted_for(crime):
    """The stack of a thread does not fit into the address space that is left; small objects do."""
    out, _ = run(
        crime,
        """
        import resource
        wrapped = wrap()
        b"".join(app({}, lambda *args: None))
        size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (size + 4 * 2**20, hard))
        ask(wrapped, 20)
        say(ledger().sampled)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        """,
    )
    assert out == ["20"]
    (ledger,) = crime.ledgers
    assert (ledger.sampled, ledger.pending) == (20, 0)
    assert ledger.stored == len(crime.seqs)


GREENLETS = """
from gevent import monkey; monkey.patch_all()
import gevent, greenlet
"""


def test_a_greenlet_killed_in_a_request_is_left_by_its_exit_and_by_the_recording(crime):
    """As gevent does at a timeout or when a server stops."""
    pytest.importorskip("gevent")
    out, log = run(
        crime,
        """
        def slow(environ, start_response):
            start_response("200 OK", [])
            try:
                served_app.plain()
                gevent.sleep(60)
            except BaseException as error:
                say(f"left by {type(error).__name__}")
                raise
        wrapped = wrap()
        normal, wrapped.app = wrapped.app, slow
        killed = [gevent.spawn(ask, wrapped) for _ in range(3)]
        gevent.sleep(0)
        assert requestcov.current() is None
        for one in killed:
            one.kill()
            assert isinstance(one.value, greenlet.GreenletExit), one.value
        assert requestcov.current() is None
        assert sys.gettrace() is None
        assert gevent.spawn(requestcov.current).get() is None
        wrapped.app = normal
        gevent.spawn(ask, wrapped).get()
        served_app.pid()
        assert requestcov.flush(10)
        say((ledger().sampled, ledger().stored))
        """,
        head=GREENLETS,
    )
    assert out == ["left by GreenletExit"] * 3 + ["(4, 4)"]
    assert log == []
    records = sorted(crime.records, key=lambda record: record.seq)
    assert [record.partial for record in records] == ["aborted"] * 3 + [None]
    assert [record.error for record in records] == ["greenlet.GreenletExit"] * 3 + [None]
    assert {lines_of(record) for record in records} == {lines_of(records[-1])}


@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_jump_of_the_wall_clock_during_a_request_changes_no_duration(crime, jump):
    run(
        crime,
        f"""
        wrapped = wrap()
        now = time.time
        def jumping(environ, start_response):
            time.time = lambda: now() + {jump}
            return app(environ, start_response)
        wrapped.app = jumping
        ask(wrapped, 2)
        assert requestcov.flush(10)
        """,
    )
    assert crime.seqs == [1, 2]
    assert all(0 < record.duration_ms < 10_000 for record in crime.records)
