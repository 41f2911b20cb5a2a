"""What a store counts after pruning and merging: each request once, whatever comes how often."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from requestcov.errors import StoreError
from requestcov.record import Block, RequestRecord, SourceFile
from requestcov.storage import open_store
from requestcov.storage.sqlite_merge import merge
from requestcov.storage.sqlite_prune import prune, vacuum
from requestcov.storage.sqlite_writer import Writer
from tests.storage.samples import MODELS, NOON, batch, ledger, record

DAY = timedelta(days=1)
TEXT = b"x = '\xff'\n"


def requests(worker: str, days: Sequence[int], each: int = 3) -> list[RequestRecord]:
    """Some requests of one process on each of these days after NOON's; every one has a path of its own."""
    return [
        record(
            number,
            time=NOON + day * DAY + timedelta(minutes=number),
            worker=worker,
            status=500 if number % 2 else 200,
            blocks=(MODELS, Block("shop/views.py", "aa" * 16, frozenset({1, 10 + day, 100 + number}))),
            background=(MODELS,) if number == 2 else (),
        )
        for day in days
        for number in range(1, each + 1)
    ]


def write(path: Path, records: Sequence[RequestRecord], boot: str = "b1") -> None:
    last = max(one.time for one in records)
    counts = ledger(
        len(records),
        worker=records[0].worker,
        boot=boot,
        started=min(one.time for one in records) - timedelta(hours=1),
        updated=last + timedelta(minutes=1),
    )
    with closing(Writer(str(path))) as writer:
        writer.write(batch(records, counts, [SourceFile("shop/views.py", "aa" * 16, TEXT)]))


def prune_until(path: Path, day: int) -> int:
    with closing(Writer(str(path))) as writer:
        return prune(writer, NOON + day * DAY).requests


def merged(into: Path, source: Path) -> tuple[int, int, int]:
    with closing(Writer(str(into))) as writer, open_store(str(source)) as store:
        return merge(writer, store)


def counted(path: Path) -> object:
    """All that reports count, in no order of its making."""
    with open_store(str(path)) as store:
        blocks = store.blocks()
        hits = sorted(
            (hit.endpoint, hit.failed, blocks[hit.block].id, hit.requests, hit.weight, hit.first, hit.last)
            for hit in store.hits(by_failed=True)
        )
        return (
            sorted(map(repr, store.outcomes())),
            sorted(map(repr, store.cohorts())),
            store.durations(),
            hits,
            sorted(map(repr, store.ledgers())),
            sorted(map(repr, store.sources())),
        )


def rows(path: Path) -> set[str]:
    with open_store(str(path)) as store:
        return {repr(one) for one in store.records()}


def test_pruning_takes_rows_and_paths_and_leaves_every_count(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    write(store, requests("web:1", range(10), each=40))
    before = counted(store)
    with closing(Writer(str(store))) as writer:
        gone = prune(writer, NOON + 7 * DAY)
        vacuum(writer)
    assert gone.requests == 7 * 40
    assert gone.spectra >= 7 * 40 - 20
    assert counted(store) == before
    with open_store(str(store)) as left:
        assert {one.time.date() for one in left.requests()} == {
            (NOON + day * DAY).date() for day in (7, 8, 9)
        }
        assert len(list(left.records())) == 120  # Their paths are whole, those they differ from too.
    assert prune_until(store, 7) == 0


def test_a_request_that_was_pruned_is_turned_away_when_it_comes_again(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    records = requests("web:1", [0, 9])
    write(store, records)
    before = counted(store)
    prune_until(store, 5)
    write(store, records)
    assert counted(store) == before
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute("SELECT late FROM store").fetchone() == (3,)


def test_a_process_that_writes_on_does_not_count_on_pruned_paths(tmp_path: Path) -> None:
    """It remembers which paths are in the store, and other processes prune them."""
    store = tmp_path / "s.db"
    old, new = record(1), record(2, time=NOON + 9 * DAY)
    with closing(Writer(str(store))) as writer:
        writer.write(batch([old]))
        prune_until(store, 5)
        writer.write(batch([new]))
    with open_store(str(store)) as left:
        assert [one.blocks for one in left.records()] == [new.blocks]


def test_pruning_that_is_interrupted_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "s.db"
    write(store, requests("web:1", range(6)))
    before = counted(store)
    monkeypatch.setattr("requestcov.storage.sqlite_prune.REQUESTS_AT_ONCE", 1)

    def interrupt(gone: int) -> None:
        raise KeyboardInterrupt

    with closing(Writer(str(store))) as writer, pytest.raises(KeyboardInterrupt):
        prune(writer, NOON + 5 * DAY, interrupt)
    assert counted(store) == before
    assert 0 < prune_until(store, 5) < 15
    assert len(rows(store)) == 3
    assert counted(store) == before


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_stores_merged_in_any_order_any_number_of_times_count_as_one(
    tmp_path_factory: pytest.TempPathFactory, chance: random.Random
) -> None:
    tmp_path = tmp_path_factory.mktemp("merge")
    shared = requests("web:9", [0, 1, 2])
    parts = [requests(f"web:{number}", [0, 1, 2]) for number in range(3)]
    sources = [tmp_path / f"{number}.db" for number in range(3)]
    for number, path in enumerate(sources):
        write(path, parts[number], boot=f"b{number}")
        write(path, chance.sample(shared, 6), boot="shared")
    together = tmp_path / "together.db"
    for number, part in enumerate(parts):
        write(together, part, boot=f"b{number}")
    order = [*sources, *chance.choices(sources, k=2)]
    chance.shuffle(order)
    into = tmp_path / "into.db"
    for path in order:
        merged(into, path)
    held = set().union(*map(rows, sources))
    assert rows(into) == held
    with open_store(str(into)) as store:
        assert sum(cohort.requests for cohort in store.cohorts()) == len(held)
    assert merged(into, sources[0])[0] == 0


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0, 1)])
def test_sums_of_pruned_days_are_merged_once(tmp_path: Path, order: Sequence[int]) -> None:
    parts = [requests("web:1", range(6)), requests("web:2", range(6))]
    whole = tmp_path / "whole.db"
    sources = [tmp_path / "0.db", tmp_path / "1.db"]
    for number, part in enumerate(parts):
        write(sources[number], part, boot=f"b{number}")
        write(whole, part, boot=f"b{number}")
    prune_until(sources[0], 3)
    prune_until(sources[1], 4)
    into = tmp_path / "into.db"
    for at in order:
        merged(into, sources[at])
    assert counted(into) == counted(whole)
    # And what was summed cannot come in again one by one.
    write(into, parts[0], boot="b0")
    assert counted(into) == counted(whole)


def test_a_store_that_is_pruned_between_two_merges_is_merged_on(tmp_path: Path) -> None:
    store, into, whole = tmp_path / "s.db", tmp_path / "into.db", tmp_path / "whole.db"
    early, late = requests("web:1", [0, 1]), requests("web:1", [2, 3])
    write(store, early)
    merged(into, store)
    prune_until(store, 1)
    assert merged(into, store) == (0, 3, 0)
    write(store, late)
    prune_until(store, 3)
    assert merged(into, store)[2] == 3
    for part in (early, late):
        write(whole, part)
    assert counted(into) == counted(whole)


def test_what_was_merged_by_way_of_another_store_is_known(tmp_path: Path) -> None:
    first, second, into = tmp_path / "1.db", tmp_path / "2.db", tmp_path / "into.db"
    write(first, requests("web:1", [0, 1]))
    merged(second, first)
    merged(into, second)
    prune_until(first, 1)
    before = counted(into)
    assert merged(into, first) == (0, 3, 0)
    assert counted(into) == before


def test_a_day_that_was_pruned_after_only_a_part_of_it_was_merged_is_refused(tmp_path: Path) -> None:
    store, into = tmp_path / "s.db", tmp_path / "into.db"
    records = requests("web:1", [0, 5])
    write(store, records[:2])
    merged(into, store)
    write(store, records[2:])
    prune_until(store, 3)
    before = counted(into)
    with pytest.raises(StoreError, match=r"of 2026-01-05 .* has 3 requests, of which 2 were merged before"):
        merged(into, store)
    assert counted(into) == before


def test_sums_of_a_process_that_both_stores_know_are_refused(tmp_path: Path) -> None:
    """The same process may have written to a file too, which was imported here."""
    store, into = tmp_path / "s.db", tmp_path / "into.db"
    records = requests("web:1", [0, 5])
    write(store, records)
    write(into, records)
    prune_until(store, 3)
    before = counted(into)
    with pytest.raises(StoreError, match=r"both know of the process web:1 that ran then"):
        merged(into, store)
    assert counted(into) == before


def test_a_copy_is_merged_only_while_nothing_is_pruned(tmp_path: Path) -> None:
    store, copy = tmp_path / "s.db", tmp_path / "copy.db"
    write(store, requests("web:1", [0, 5]))
    shutil.copy(store, copy)
    before = counted(store)
    assert merged(store, copy) == (0, 6, 0)
    prune_until(copy, 3)
    with pytest.raises(StoreError, match="is a copy"):
        merged(store, copy)
    assert counted(store) == before


def test_a_merge_that_is_interrupted_leaves_a_whole_store_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, into = tmp_path / "s.db", tmp_path / "into.db"
    write(store, requests("web:1", range(6)))
    prune_until(store, 2)
    monkeypatch.setattr("requestcov.storage.sqlite_merge.AT_ONCE", 5)
    steps = iter([False, False, True])

    def interrupt(done: int) -> None:
        if next(steps):
            raise KeyboardInterrupt

    with (
        closing(Writer(str(into))) as writer,
        open_store(str(store)) as source,
        pytest.raises(KeyboardInterrupt),
    ):
        merge(writer, source, interrupt)
    with closing(sqlite3.connect(into)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(rows(into)) == 10
    merged(into, store)
    assert counted(into) == counted(store)


def test_a_ledger_is_the_same_in_whatever_order_its_lines_come(tmp_path: Path) -> None:
    told = [
        ledger(1, seen={"GET /a": 1, "GET /b": 1}),
        ledger(2, seen={"GET /a": 2}),
        ledger(2, updated=NOON + timedelta(hours=1), seen={"GET /b": 7}),
    ]
    found = []
    for number, order in enumerate(([0, 1, 2], [2, 1, 0], [1, 2, 0])):
        path = tmp_path / f"{number}.db"
        with closing(Writer(str(path))) as writer:
            for at in order:
                writer.add(ledgers=[told[at]])
        with open_store(str(path)) as store:
            found.append(store.ledgers())
    assert found[0] == found[1] == found[2]
    assert found[0][0].seen == {"GET /a": 2, "GET /b": 7}
