"""The lines that requests ran, day by day."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from requestcov.analysis.evidence import Selection
from requestcov.analysis.gather import gather
from requestcov.analysis.growth import growth
from tests.reports.shop_store import MISSING, SHIPPED, SHOWN, START, record, write_store

MIDNIGHT = START.replace(hour=0)
DAY = timedelta(days=1)


def test_a_line_counts_from_the_day_on_which_it_ran_first(tmp_path: Path):
    records = [
        record("GET /orders", SHOWN, at=2 * DAY),
        record("GET /orders", SHOWN),
        record("GET /orders", MISSING, at=DAY),
        record("POST /orders", SHIPPED, at=4 * DAY),
    ]
    store = write_store(tmp_path / "s.db", records)
    found = growth(gather(store, Selection(), None))
    assert [(each.day, each.new, each.lines, each.whole) for each in found] == [
        (MIDNIGHT, 2, 2, 6),
        (MIDNIGHT + DAY, 1, 3, 6),
        (MIDNIGHT + 4 * DAY, 3, 6, 6),
    ]
    assert [each.coverage for each in found] == [2 / 6, 3 / 6, 1]


def test_functions_that_nobody_reached_are_no_part_of_the_whole(tmp_path: Path):
    store = write_store(tmp_path / "s.db", [record("GET /orders", SHOWN)])
    assert [each.whole for each in growth(gather(store, Selection(), None))] == [3]


def test_nothing_that_ran_is_nothing_grown(tmp_path: Path):
    store = write_store(tmp_path / "s.db", [record("GET /orders", {})])
    assert growth(gather(store, Selection(), None)) == ()
