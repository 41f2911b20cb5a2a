"""Four workers on two hosts, one collector, and everything goes wrong: in the end each request is there once.

One run (scenario.py) is played for all tests. What they compare was told by
three witnesses that know nothing of each other: the workers noted each request
as they served it, the clients what they were answered, the store what it got.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path

import pytest

from requestcov.storage import open_store
from tests.network import CASES
from tests.network.network import IN_NAMESPACES, ROOT, can_be_made
from tests.network.scenario import KILLS, TOKEN
from tests.pipeline.memory import assert_balanced

pytestmark = pytest.mark.timeout(300)

SEED = 4
"""Of the moments at which the collector is killed, among others. ``NETWORK_SEED`` is another one."""


class Played:
    """What a run has left.

    Attributes:
        done: (when, what, more) of everything that was done.
        noted: by worker (``host:pid``): the id and the case of each request it has begun.
        told: by worker: what it counted itself in the end; none of a killed one.
        answered: ids that clients got.
        store: the collector's database.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.done = json.loads((directory / "done.json").read_text())
        self.noted, self.told = {}, {}
        for path in (directory / "log").iterdir():
            worker = ":".join(path.stem.rsplit("-", 1))
            if path.suffix == ".log":
                self.noted[worker] = [tuple(line.split()) for line in path.read_text().splitlines()]
            else:
                (self.told[worker],) = json.loads(path.read_text())
        self.answered = (directory / "answered").read_text().split()
        self.store = directory / "store.db"

    def times(self, what):
        """How often something was done."""
        return sum(done == what for _, done, _ in self.done)

    def after(self, what):
        """What was found each time when something was done."""
        return [more for _, done, more in self.done if done == what]

    @property
    def killed(self):
        """The worker that was killed."""
        ((name, pid),) = self.after("worker killed")
        return f"{name}:{pid}"

    @property
    def records(self):
        """All that the store holds, by worker."""
        found = defaultdict(list)
        with open_store(str(self.store)) as store:
            for record in store.records():
                found[record.worker].append(record)
        return found

    @property
    def ledgers(self):
        """What the store has of each worker's own count; none has two."""
        with open_store(str(self.store)) as store:
            ledgers = store.ledgers()
        by_worker = {ledger.worker: ledger for ledger in ledgers}
        assert len(by_worker) == len(ledgers)
        return by_worker


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    reason = can_be_made()
    if reason:
        pytest.skip(f"no network namespaces here: {reason}")
    directory = tmp_path_factory.mktemp("network")
    seed = os.environ.get("NETWORK_SEED", str(SEED))
    done = subprocess.run(
        [*IN_NAMESPACES, sys.executable, "-m", "tests.network.scenario", str(directory), seed],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    return Played(directory)


def test_all_of_it_has_happened(played):
    """A run in which nothing had to be kept back would prove nothing."""
    assert played.times("collector killed") == KILLS
    assert played.times("disk filled") == 1
    for outage in ("disk emptied", "plugged in", "web-2 sees the collector again"):
        assert all(played.after(outage)), outage
    assert any(played.after("collector started"))
    assert [name for name, _, kept in played.after("worker ended") if kept] == ["web-1", "web-2"]
    assert [set(left) for left in played.after("servers ended")] == [{"web-1", "web-2"}]
    assert played.after("everything ended") == [{}]
    servers = Counter(worker.partition(":")[0] for worker in played.noted)
    assert servers["web-1"] >= 4  # two, and those in the places of the killed and the ended one
    assert servers["web-2"] >= 3
    assert len(played.answered) > 1000


def test_every_request_is_in_the_store_once(played):
    records = played.records
    stored = [record.id for some in records.values() for record in some]
    assert len(set(stored)) == len(stored)
    assert set(records) <= set(played.noted)
    for worker, noted in played.noted.items():
        begun = Counter(name for name, _ in noted)
        found = Counter(record.id for record in records[worker])
        if worker == played.killed:
            assert found <= begun
        else:
            assert found == begun, worker


def test_whatever_a_client_was_answered_is_in_the_store(played):
    """Unless the worker that answered was killed before it had handed the record over."""
    stored = {record.id for some in played.records.values() for record in some}
    lost = set(played.answered) - stored
    assert lost <= {name for name, _ in played.noted[played.killed]}


def test_the_totals_are_those_of_the_senders_own_ledgers(played):
    records, ledgers = played.records, played.ledgers
    assert set(ledgers) >= set(played.noted)
    for worker, ledger in ledgers.items():
        assert_balanced(ledger)
        assert ledger.stored == len(records[worker]), worker
        assert ledger.dropped == {}
        if worker != played.killed:
            count = len(played.noted.get(worker, ()))
            assert (ledger.sampled, ledger.pending) == (count, 0), worker
            assert sum(ledger.seen.values()) == count
            assert sorted(record.seq for record in records[worker]) == list(range(1, count + 1))
            own = played.told[worker]
            assert (own["boot"], own["sampled"], own["seen"]) == (ledger.boot, count, ledger.seen)
    assert sum(ledger.stored for ledger in ledgers.values()) == sum(map(len, records.values()))


def test_the_gap_of_a_killed_worker_is_what_its_last_ledger_says(played):
    """What it served after that ledger, nobody was told of: its own notes prove that it is little."""
    ledger, noted = played.ledgers[played.killed], played.noted[played.killed]
    seqs = {record.seq for record in played.records[played.killed]}
    assert len(set(range(1, ledger.sampled + 1)) - seqs) == ledger.pending
    assert max(seqs) <= ledger.sampled
    unknown = len(noted) - ledger.sampled
    assert -2 <= unknown < 60  # two threads; a flush interval and an exchange, at thirty requests a second
    assert played.killed not in played.told


def test_the_store_is_whole_and_counts_what_it_holds(played):
    with closing(sqlite3.connect(played.store)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    records = [record for some in played.records.values() for record in some]
    with open_store(str(played.store)) as store:
        assert sum(cohort.requests for cohort in store.cohorts()) == len(records)
        assert (
            sum(cohort.weight for cohort in store.cohorts()) == sum(r.weight for r in records) == len(records)
        )
        assert sum(outcome.requests for outcome in store.outcomes()) == len(records)
        blocks, hits = store.blocks(), Counter()
        for hit in store.hits():
            hits[blocks[hit.block].id] += hit.requests
        assert hits == Counter(block.id for record in records for block in record.blocks)
        assert {file.path for file in store.sources()} == {block.path for r in records for block in r.blocks}


def test_each_request_has_come_with_its_own_lines(played):
    """A case's lines are the same in every worker of a server, and no other case's."""
    lines = defaultdict(set)
    for worker, noted in played.noted.items():
        cases = dict(noted)
        for record in played.records[worker]:
            assert record.labels == {"case": cases[record.id]}
            assert record.route == "/work/{id}"
            assert record.status == (500 if record.labels["case"] == "8" else 200)
            server = worker.partition(":")[0]
            ran = frozenset((b.path, b.digest, line) for b in record.blocks for line in b.lines)
            lines[server, record.labels["case"]].add(ran)
    assert set(lines) == {(f"web-{n}", str(case)) for n in (1, 2) for case in range(CASES)}
    assert [len(found) for found in lines.values()] == [1] * 2 * CASES
    assert len({ran for found in lines.values() for ran in found}) == 2 * CASES


def test_no_token_is_in_anything_that_was_printed(played):
    for path in played.directory.glob("*.out"):
        assert TOKEN not in path.read_text(), path.name
        assert TOKEN[::-1] not in path.read_text(), path.name


def test_no_process_was_upset(played):
    """Workers and collector say what happened in sentences."""
    for path in played.directory.glob("*.out"):
        assert "Traceback" not in path.read_text(), path.name
