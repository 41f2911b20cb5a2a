"""Whatever servers do to workers: each records, answers as the bare app does, loses only what it must."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from requestcov.errors import StoreError
from requestcov.storage import open_store
from tests.pipeline.memory import assert_balanced
from tests.servers.harness import ASGI_SERVERS, DEADLINE, installed, serve

GUNICORN = ["gunicorn sync", "gunicorn gthread", "gunicorn gevent", "gunicorn uvicorn"]


def served(server, crime, *options, **settings):
    """The app under that server, everything of it recorded into the crime's file."""
    if not installed(server):
        pytest.skip(f"{server} is not installed")
    environment = {
        "SAMPLE_RATE": "1",
        "MAX_PER_SECOND": "0",
        "MAX_IN_FLIGHT": "1000",
        "FLUSH_INTERVAL": "0.05",
        "SOURCE": str(Path(__file__).parent),
        "SINKS": f"file:///{crime.path}",
    } | settings
    app = f"tests.faults.served_app:{'asgi' if server in ASGI_SERVERS else 'wsgi'}"
    env = {f"REQUESTCOV_{name}": value for name, value in environment.items()}
    return serve(server, app, *options, env=env)


def ask(running, path):
    """The whole answer, without the date."""
    answer = running.request(f"GET {path} HTTP/1.1")
    return re.sub(rb"(?i)\r\ndate: [^\r]*", b"", answer)


def same(running, path):
    """The body of a recorded answer that is the bare app's, byte for byte."""
    recorded = ask(running, path)
    assert recorded == ask(running, "/bare" + path)
    return recorded.rpartition(b"\r\n\r\n")[2].decode()


def cut(running, path):
    """Whether the connection ends without an answer."""
    try:
        return ask(running, path) == b""
    except ConnectionResetError:
        return True


def until(condition, what=lambda: ""):
    """Poll; a file that is being written may end in the middle of a line."""
    limit = time.monotonic() + DEADLINE
    while time.monotonic() < limit:
        with suppress(ValueError):
            if condition():
                return
        time.sleep(0.01)
    raise AssertionError(what())


def every_worker(running, count):
    """Ask until so many workers have answered; how often each one has."""
    served_by = {}

    def asked():
        worker = ask(running, "/pid").rpartition(b"\r\n\r\n")[2].decode()
        served_by[worker] = served_by.get(worker, 0) + 1
        return len(served_by) == count

    until(asked, lambda: f"only {served_by} answered:\n{running.output}")
    return served_by


def check_workers(crime, served_by):
    """Each worker has recorded all that it served, and says so."""
    numbers = {}
    for record in crime.records:
        numbers.setdefault(record.worker.rpartition(":")[2], []).append(record.seq)
        assert record.partial is None
        assert any(block.path.endswith("served_app.py") for block in record.blocks)
    assert {worker: sorted(seqs) for worker, seqs in numbers.items()} == {
        worker: list(range(1, count + 1)) for worker, count in served_by.items()
    }
    balances = {ledger.worker.rpartition(":")[2]: ledger for ledger in crime.ledgers}
    for worker, count in served_by.items():
        ledger = balances[worker]
        assert (ledger.sampled, ledger.stored, ledger.pending) == (count, count, 0)


@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
@pytest.mark.parametrize("server", GUNICORN)
def test_every_worker_of_gunicorn_records(crime, server, preload):
    """With --preload the recorder is made before the fork, and its threads would be the parent's."""
    with served(server, crime, "--workers", "2", *(["--preload"] if preload else [])) as running:
        assert same(running, "/plain") == "plain"
        until(lambda: crime.records)
        (first,) = crime.records
        served_by = every_worker(running, 2)
        running.stop()
        assert "Traceback" not in running.output
    served_by[first.worker.rpartition(":")[2]] += 1
    check_workers(crime, served_by)


def test_every_process_of_uwsgi_records_and_answers_at_once(crime):
    """Its workers are forked with the app loaded (lazy-apps is off)."""
    with served("uWSGI", crime, "--master", "--processes", "2") as running:
        served_by = every_worker(running, 2)
        assert same(running, "/plain") == "plain"
        until(lambda: len(crime.records) > sum(served_by.values()))
        (plain,) = [record for record in crime.records if record.route == "/plain"]
        running.stop()
    served_by[plain.worker.rpartition(":")[2]] += 1
    check_workers(crime, served_by)


def test_every_worker_of_uvicorn_records(crime):
    with served("uvicorn", crime, "--workers", "2") as running:
        assert same(running, "/plain") == "plain"
        until(lambda: crime.records)
        (first,) = crime.records
        served_by = every_worker(running, 2)
        running.stop()
        assert "Traceback" not in running.output
    served_by[first.worker.rpartition(":")[2]] += 1
    check_workers(crime, served_by)


def test_a_worker_killed_after_the_grace_period_loses_what_was_not_written_and_the_gap_shows(crime):
    """gunicorn's SIGKILL: no atexit, no finally."""
    with served("gunicorn sync", crime, "--graceful-timeout", "1") as running:
        for _ in range(3):
            assert same(running, "/plain") == "plain"
        until(lambda: len(crime.records) >= 3)
        with running.connect() as connection:
            connection.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
            until(lambda: any(ledger.pending for ledger in crime.ledgers), lambda: running.output)
            running.stop()
            assert connection.recv(1) == b""
    assert crime.seqs == [1, 2, 3]
    (ledger,) = crime.ledgers
    assert (ledger.sampled, ledger.stored, ledger.pending) == (4, 3, 1)


def test_a_worker_that_takes_too_long_is_left_by_systemexit_and_its_record_is_aborted(crime):
    """gunicorn raises it inside the app's code."""
    with served("gunicorn sync", crime, "--timeout", "1") as running:
        assert ask(running, "/hang") == ask(running, "/bare/hang")
        assert same(running, "/plain") == "plain"
        until(lambda: len(crime.records) >= 2)
        running.stop()
        assert running.output.count("the app was left by SystemExit") == 2
    aborted, plain = sorted(crime.records, key=lambda record: record.time)
    assert (aborted.partial, aborted.error, aborted.status) == ("aborted", "builtins.SystemExit", None)
    assert plain.partial is None
    assert aborted.worker != plain.worker
    assert [ledger.pending for ledger in crime.ledgers] == [0, 0]


def test_a_request_that_ends_its_process_loses_itself_alone(crime):
    with served("gunicorn sync", crime) as running:
        for _ in range(3):
            assert same(running, "/plain") == "plain"
        until(lambda: len(crime.records) >= 3)
        assert cut(running, "/end")
        assert cut(running, "/bare/end")
        assert same(running, "/plain") == "plain"
        until(lambda: len(crime.records) >= 4)
        running.stop()
    assert crime.seqs == [1, 1, 2, 3]
    assert len({record.worker for record in crime.records}) == 2
    for ledger in crime.ledgers:
        assert ledger.sampled - ledger.stored in (0, 1)


@pytest.mark.parametrize("server", ["gunicorn sync", "gunicorn gevent", "uvicorn"])
@pytest.mark.parametrize("work", ["fork", "process"])
def test_a_child_of_a_request_neither_finishes_nor_adds_to_it(crime, server, work):
    with served(server, crime) as running:
        for _ in range(2):
            assert same(running, f"/{work}") == f"{'child' if work == 'fork' else 'process'} ended with 0"
        running.stop()
    assert crime.seqs == [1, 2]
    (ledger,) = crime.ledgers
    assert (ledger.sampled, ledger.stored) == (2, 2)
    first, second = crime.records
    assert first.spectrum == second.spectrum
    assert first.partial is None


@pytest.fixture
def database(crime):
    """A SQLite file beside the crime's, with a lock that no writer gets past."""
    path = crime.path.with_name("records.db")
    with closing(sqlite3.connect(path, isolation_level=None, timeout=DEADLINE)) as lock:
        yield path, lock


def stored(path):
    """The numbers of the records in a database, which need not be there yet."""
    try:
        with open_store(str(path)) as store:
            return sorted(record.seq for record in store.records())
    except StoreError:
        return []


def balance(path):
    """The only ledger of a database, which counts the records that are there."""
    with open_store(str(path)) as store:
        (ledger,) = store.ledgers()
        assert ledger.stored == sum(1 for _ in store.records())
    assert_balanced(ledger)
    return ledger


@pytest.mark.parametrize("server", ["gunicorn sync", "gunicorn gthread", "gunicorn gevent", "uvicorn"])
def test_requests_go_on_while_the_database_is_locked_and_all_is_accounted_for(crime, database, server):
    path, lock = database
    lock.execute("BEGIN EXCLUSIVE")
    with served(server, crime, SINKS=f"sqlite:///{path}", QUEUE_SIZE="5", BATCH_SIZE="1") as running:
        for _ in range(20):
            before = time.monotonic()
            assert same(running, "/plain") == "plain"
            assert time.monotonic() - before < 5
        lock.execute("ROLLBACK")
        until(lambda: path.stat().st_size)
        running.stop()
        assert "Traceback" not in running.output
    ledger = balance(path)
    assert (ledger.sampled, ledger.pending) == (20, 0)
    assert ledger.stored >= 5
    assert set(ledger.dropped) <= {"sink_backlog", "queue_full"}


def test_a_database_locked_to_the_end_holds_up_neither_requests_nor_the_end(crime, database):
    path, lock = database
    lock.execute("BEGIN EXCLUSIVE")
    with served("gunicorn gthread", crime, SINKS=f"sqlite:///{path}") as running:
        for _ in range(10):
            assert same(running, "/plain") == "plain"
        before = time.monotonic()
        running.stop()
        assert time.monotonic() - before < 10
        assert "Traceback" not in running.output


def test_a_locked_database_stalls_the_hub_of_gevent_for_less_than_50_ms(crime, database):
    """Measured in the app while the drainer waits for the lock; a stall of its would be there every time."""
    path, lock = database
    with served("gunicorn gevent", crime, SINKS=f"sqlite:///{path}") as running:
        assert same(running, "/plain") == "plain"
        until(lambda: path.stat().st_size)
        lock.execute("BEGIN EXCLUSIVE")
        stalls = []

        def short():
            stalls.append(float(ask(running, "/stall").rpartition(b"\r\n\r\n")[2]))
            return stalls[-1] < 0.05

        until(short, lambda: f"stalled for {stalls}")
        lock.execute("ROLLBACK")
        running.stop()
    ledger = balance(path)
    assert (ledger.sampled, ledger.pending) == (1 + len(stalls), 0)


@pytest.mark.parametrize("server", ["gunicorn gthread", "uvicorn"])
def test_a_directory_of_sinks_that_is_removed_comes_back(crime, server):
    directory = crime.path.parent / "kept"
    crime.path = directory / "records.jsonl"
    sinks = f"file:///{crime.path},sqlite:///{directory}/records.db"
    with served(server, crime, SINKS=sinks) as running:
        assert same(running, "/plain") == "plain"
        until(lambda: crime.seqs == stored(directory / "records.db") == [1])
        shutil.rmtree(directory, ignore_errors=True)
        assert same(running, "/plain") == "plain"
        until(lambda: crime.records, lambda: running.output)
        running.stop()
        assert "Traceback" not in running.output
    assert crime.seqs == [2]
    assert stored(directory / "records.db") == [2]
    with open_store(str(directory / "records.db")) as store:
        (ledger,) = store.ledgers()
    assert_balanced(ledger)
    assert (ledger.sampled, ledger.pending) == (2, 0)


def test_a_second_sigterm_ends_a_server_whose_database_is_locked(crime, database):
    path, lock = database
    lock.execute("BEGIN EXCLUSIVE")
    with served("gunicorn sync", crime, SINKS=f"sqlite:///{path}") as running:
        assert same(running, "/plain") == "plain"
        running.process.send_signal(signal.SIGTERM)
        before = time.monotonic()
        running.stop()
        assert time.monotonic() - before < 10
        with pytest.raises(ProcessLookupError):
            os.killpg(running.process.pid, 0)
