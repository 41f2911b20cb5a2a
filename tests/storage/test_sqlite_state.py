"""What a store says of its state, and of its failing requests."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from requestcov.analysis.evidence import Selection
from requestcov.analysis.gather import all_names, latest_failures, ledgers
from requestcov.storage import open_store
from tests.reports.shop_store import SHIPPED, SHOWN, record, shop, write_store
from tests.server.dashboard.stores import Growing

HOUR = timedelta(hours=1)


def test_a_write_changes_the_state_and_looking_does_not(tmp_path: Path):
    growing = Growing(tmp_path / "s.db")
    growing.add(record("GET /", SHOWN))
    with open_store(growing.url) as store:
        changes, state = store.changes(), store.state()
        assert (store.changes(), store.state()) == (changes, state)
        growing.add(record("GET /", SHOWN))
        assert store.changes() != changes
        after = store.state()
        assert after != state
        growing.add()  # the process's counts alone, told at another time
        assert store.state() != after
    growing.close()


def test_the_latest_failures_are_failures_the_newest_first(tmp_path: Path):
    records = [
        *(record("POST /orders", SHIPPED, status=500, at=n * HOUR) for n in range(5)),
        *(record("POST /orders", SHOWN, at=n * HOUR) for n in range(5, 10)),
        record("GET /orders", SHOWN, status=500, at=20 * HOUR),
    ]
    url = write_store(tmp_path / "s.db", records)
    of_one = Selection(endpoint="POST /orders")
    found = latest_failures(url, of_one, 3)
    assert [request.time for request in found] == [records[n].time for n in (4, 3, 2)]
    assert all(request.failed for request in found)
    with open_store(url) as store:
        assert len(list(store.requests(of_one, failed=False))) == 5
        assert len(list(store.requests(failed=True))) == 6
        assert len(list(store.requests())) == 11


def test_all_names_are_those_of_requests_and_of_processes(tmp_path: Path):
    records = [
        replace(record("GET /a", SHOWN), service="", release=""),
        replace(record("GET /b", SHOWN), service="desk", release="r9"),
    ]
    url = write_store(tmp_path / "s.db", records, seen={"GET /seen": 1})
    found = all_names(url)
    assert found.endpoints == ("GET /a", "GET /b", "GET /seen")
    assert found.services == ("", "desk", "shop")
    assert found.releases == ("", "r1", "r9")
    assert found.paths == ("shop/views.py",)
    assert found.path_set == {"shop/views.py"}


def test_the_ledgers_are_those_of_the_processes_asked_about(tmp_path: Path):
    url = shop(tmp_path / "s.db")
    assert len(ledgers(url, Selection())) == 1
    assert len(ledgers(url, Selection(release="r1", service="shop"))) == 1
    assert ledgers(url, Selection(release="r2")) == ()
