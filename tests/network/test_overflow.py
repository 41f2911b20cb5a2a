"""The collector is away for longer than the hosts can keep what they have: what is lost is counted, exactly.

One run (overflow.py) is played for all tests.
"""

from __future__ import annotations

import pytest

from tests.network.played import play
from tests.pipeline.memory import assert_balanced

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    return play("overflow", tmp_path_factory.mktemp("network"))


def test_every_worker_lost_some_and_says_why(played):
    """A full spool loses its oldest, a full disk what does not fit into memory."""
    reasons = {"web-1": set(), "web-2": set()}
    for worker, ledger in played.ledgers.items():
        reasons[worker.partition(":")[0]] |= set(ledger.dropped)
    assert reasons["web-1"] == {"spool_full"}
    # Where the disk takes nothing, the thread that makes the records also sends them, and may be late.
    assert {"sink_backlog"} <= reasons["web-2"] <= {"sink_backlog", "queue_full"}


def test_a_full_spool_and_a_full_disk_are_emptied_once_the_collector_is_back(played):
    """Deleting what was acknowledged takes no room."""
    (kept,) = [more for _, done, more in played.done if done == "collector started"][1:]
    assert kept["web-1"] > 10
    assert kept["web-2"] > 10
    assert played.after("everything ended") == [{}]


def test_what_is_in_the_store_and_what_was_dropped_is_all_that_was_served(played):
    records = played.records
    for worker, ledger in played.ledgers.items():
        assert_balanced(ledger)
        assert ledger.stored == len({record.id for record in records[worker]}) == len(records[worker]), worker
        assert {record.id for record in records[worker]} <= {name for name, _ in played.noted[worker]}
        if worker != played.killed:
            assert (ledger.sampled, ledger.pending) == (len(played.noted[worker]), 0), worker
            assert ledger.stored + sum(ledger.dropped.values()) == len(played.noted[worker])
            assert played.told[worker]["dropped"] == ledger.dropped
    assert set(records) <= set(played.ledgers)
    assert set(played.noted) == set(played.ledgers)


def test_the_gap_of_a_killed_worker_is_what_its_last_ledger_says(played):
    """Its successor has sent what it left, and told what it had lost."""
    ledger = played.ledgers[played.killed]
    seqs = {record.seq for record in played.records[played.killed]}
    missing = set(range(1, ledger.sampled + 1)) - seqs
    assert max(seqs) <= ledger.sampled
    assert len(missing) == ledger.pending + sum(ledger.dropped.values())
    assert ledger.dropped["spool_full"] > 0
