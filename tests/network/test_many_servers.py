"""Four workers on two hosts, one collector, and everything goes wrong: in the end each request is there once.

One run (scenario.py) is played for all tests.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing

import pytest

from requestcov.storage import open_store
from tests.network import CASES
from tests.network.played import play
from tests.network.scenario import KILLS, TOKEN
from tests.pipeline.memory import assert_balanced

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    return play("scenario", tmp_path_factory.mktemp("network"))


def test_all_of_it_has_happened(played):
    """A run in which nothing had to be kept back would prove nothing."""
    assert played.times("collector killed") == KILLS
    assert played.times("disk filled") == 1
    for outage in ("disk emptied", "plugged in", "the hosts see each other again"):
        assert all(played.after(outage)), outage
    assert any(played.after("collector started"))
    assert [name for name, _, kept in played.after("worker ended") if kept] == ["web-1", "web-2"]
    assert [set(left) for left in played.after("servers ended")] == [{"web-1", "web-2"}]
    assert played.after("everything ended") == [{}]
    servers = Counter(worker.partition(":")[0] for worker in played.noted)
    assert servers["web-1"] >= 4  # two, and those in the places of the killed and the ended one
    assert servers["web-2"] >= 3
    assert len(played.answered) > 1000


def test_batches_came_again_that_were_committed(played):
    """For those alone "once" is anything to prove; the collector tells how many records were new to it."""
    told = re.findall(r"records=(\d+) new=(\d+)", (played.directory / "collector.out").read_text())
    assert any(int(new) < int(records) for records, new in told)


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
