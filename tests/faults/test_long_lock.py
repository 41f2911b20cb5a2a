"""A database that another process locks for a minute: no request notices, every record is accounted for.

All servers go through the same minute, so it passes once. It is mostly waiting,
and in a file of its own: the suite's other process works meanwhile.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack, closing
from threading import Event, Thread

import pytest

from requestcov.backoff import FIRST, LONGEST
from requestcov.storage.sqlite_writer import BUSY_SECONDS
from tests.faults.test_servers import ask, balance, same, served, stored, until
from tests.servers.harness import DEADLINE, installed

LOCKED = 60.0
"""Seconds."""

SERVERS = ["gunicorn sync", "gunicorn gthread", "gunicorn gevent", "uvicorn"]

PAUSE = 0.1
"""Seconds between two pairs of requests to one server: some 500 pairs in the minute."""

WAITING, AT_ONCE = 100, 10
"""Records that may wait, and of one batch: most of the minute's do not fit."""


def attempts_in(seconds):
    """How often the drainer at least tries to write to a locked database in so many seconds."""
    spent, tries, pause = 0.0, 0, FIRST
    while spent < seconds:
        spent += BUSY_SECONDS + pause
        pause = min(2 * pause, LONGEST)
        tries += 1
    return tries


class Client(Thread):
    """Asks a server for the bare and the wrapped app in turn until told to end.

    Attributes:
        recorded, bare: seconds that each request took.
        error: what went wrong, None: nothing.
    """

    def __init__(self, running):
        super().__init__(daemon=True)
        self.running, self.error = running, None
        self.recorded, self.bare = [], []
        self._ending = Event()

    def end(self):
        """Let it end, and wait for that."""
        self._ending.set()
        self.join(DEADLINE)

    def run(self):
        try:
            while not self._ending.wait(PAUSE):
                answers = []
                for path, times in (("/plain", self.recorded), ("/bare/plain", self.bare)):
                    before = time.monotonic()
                    answers.append(ask(self.running, path))
                    times.append(time.monotonic() - before)
                assert answers[0] == answers[1]
        except BaseException as error:
            self.error = error


@pytest.mark.timeout(240)
def test_a_database_locked_for_a_minute_costs_no_request_anything_and_all_is_accounted_for(crime):
    servers = [server for server in SERVERS if installed(server)]
    paths = {server: crime.path.with_name(f"{server.replace(' ', '-')}.db") for server in servers}
    with ExitStack() as stack:
        locks, clients = {}, {}
        for server, path in paths.items():
            running = stack.enter_context(
                served(
                    server, crime, SINKS=f"sqlite:///{path}", QUEUE_SIZE=str(WAITING), BATCH_SIZE=str(AT_ONCE)
                )
            )
            assert same(running, "/plain") == "plain"
            until(lambda path=path: stored(path) == [1])
            locks[server] = stack.enter_context(
                closing(sqlite3.connect(path, isolation_level=None, timeout=DEADLINE))
            )
            clients[server] = Client(running)
        for lock in locks.values():
            lock.execute("BEGIN IMMEDIATE")
        for client in clients.values():
            stack.callback(client.end)
            client.start()
        locked_until = time.monotonic() + LOCKED
        for client in clients.values():
            client.join(locked_until - time.monotonic())  # it ends by itself only when something went wrong
        for server, client in clients.items():
            client.end()
            assert client.error is None, (server, client.error)
            locks[server].execute("ROLLBACK")
            client.running.stop()
            assert "Traceback" not in client.running.output
            assert "database is locked" in client.running.output

    for server, client in clients.items():
        ledger = balance(paths[server])
        assert (ledger.sampled, ledger.pending) == (1 + len(client.recorded), 0)
        assert set(ledger.dropped) == {"sink_backlog"}
        assert ledger.stored >= WAITING
        # Had a request waited whenever the drainer did, as many would be slow as there were attempts. The
        # slowest few are the machine's, of the bare app as well.
        aside = attempts_in(LOCKED) // 2
        recorded, bare = sorted(client.recorded)[:-aside], sorted(client.bare)[:-aside]
        assert recorded[-1] < bare[-1] + BUSY_SECONDS / 4, server
        middle = len(bare) // 2
        assert recorded[middle] < 1.5 * bare[middle] + 0.005, server
