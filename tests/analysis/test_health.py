"""Which processes still tell, and what became of their requests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from requestcov.analysis.health import SILENT, Voice, health
from requestcov.record import Ledger

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def ledger(
    worker: str, age: timedelta, *, stored: int = 5, pending: int = 0, dropped: dict[str, int] | None = None
) -> Ledger:
    losses = dropped or {}
    return Ledger(
        worker=worker,
        boot=worker,
        service="shop",
        release="r1",
        started=NOW - timedelta(hours=1),
        updated=NOW - age,
        seen={"GET /": 10, "POST /": 1},
        excluded=2,
        sampled=stored + pending + sum(losses.values()),
        stored=stored,
        dropped=losses,
        pending=pending,
    )


def test_silent_with_requests_pending_is_told_from_merely_quiet():
    found = health(
        [
            ledger("speaks", timedelta(seconds=1), pending=3),
            ledger("idle", SILENT + timedelta(seconds=1)),
            ledger("gone", SILENT + timedelta(seconds=1), pending=7),
            ledger("edge", SILENT, pending=1),
        ],
        NOW,
    )
    assert {worker.ledger.worker: worker.voice for worker in found.workers} == {
        "speaks": Voice.SPEAKING,
        "edge": Voice.SPEAKING,
        "idle": Voice.IDLE,
        "gone": Voice.SILENT,
    }
    assert (found.pending, found.lost) == (11, 7)
    assert found.voices == {Voice.SPEAKING: 2, Voice.IDLE: 1, Voice.SILENT: 1}


def test_the_sums_are_those_of_all_processes_and_the_losses_are_by_reason():
    found = health(
        [
            ledger("a", timedelta(), dropped={"queue_full": 1, "none": 0}),
            ledger("b", timedelta(1), dropped={"queue_full": 2, "assemble": 4}),
        ],
        NOW,
    )
    assert (found.seen, found.excluded, found.sampled, found.stored) == (22, 4, 17, 10)
    assert list(found.dropped.items()) == [("assemble", 4), ("queue_full", 3)]
    assert [worker.dropped for worker in found.workers] == [1, 6]


def test_a_sum_that_does_not_hold_is_told():
    off = ledger("a", timedelta())
    wrong = Ledger(**{**vars(off), "sampled": off.sampled + 1})
    assert [worker.balanced for worker in health([off, wrong], NOW).workers] == [True, False]


def test_a_clock_that_runs_ahead_is_no_age():
    (worker,) = health([ledger("a", -timedelta(hours=1))], NOW).workers
    assert (worker.age, worker.voice) == (timedelta(), Voice.SPEAKING)
