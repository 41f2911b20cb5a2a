"""From a real SQLite store to evidence."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from requestcov._source import digest_of
from requestcov.analysis.coverage import by_endpoint
from requestcov.analysis.evidence import MAX_SOURCE, Selection, Sources
from requestcov.analysis.gather import gather
from requestcov.errors import StoreError
from tests.reports.shop_store import MISSING, SHIPPED, SHOWN, START, VIEWS, record, shop, write_store

ALL = Selection()


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_footing_says_what_the_numbers_stand_on(tmp_path: Path):
    url = shop(tmp_path / "shop.db")
    footing = gather(url, ALL, None).footing
    assert (footing.seen, footing.excluded, footing.sampled, footing.stored) == (1237, 4, 7, 5)
    assert (footing.dropped, footing.pending) == ({"queue_full": 2}, 0)
    assert (footing.records, footing.weight, footing.failed, footing.partial) == (5, 201.0, 1, {"aborted": 1})
    assert (footing.first, footing.last) == (START, START + timedelta(hours=26))
    assert (footing.services, footing.releases, footing.engines) == (("shop",), ("r1", "r2"), ("monitoring",))
    assert (footing.workers, footing.store) == (1, url)


def test_endpoints_are_counted_recorded_and_seen(tmp_path: Path):
    evidence = gather(shop(tmp_path / "shop.db"), ALL, None)
    results = {
        r.endpoint: (r.seen, r.recorded, r.failed, r.executed, r.executable) for r in by_endpoint(evidence)
    }
    assert results == {
        "GET /orders/{id}": (1200, 4, 0, 3, 3),
        "POST /orders": (30, 1, 1, 3, 3),
        "GET /quiet": (7, 0, 0, 0, 0),
    }


@pytest.mark.parametrize(
    ("selection", "recorded"),
    [
        (Selection(service="shop"), {"GET /orders/{id}": 4, "POST /orders": 1}),
        (Selection(service="other"), {}),
        (Selection(release="r2"), {"GET /orders/{id}": 1}),
        (Selection(since=day("2026-11-21")), {"GET /orders/{id}": 1}),
        (Selection(until=day("2026-11-20")), {"GET /orders/{id}": 3, "POST /orders": 1}),
        (
            Selection(since=day("2026-11-20"), until=day("2026-11-21")),
            {"GET /orders/{id}": 4, "POST /orders": 1},
        ),
    ],
)
def test_a_selection_means_the_same_for_requests_and_for_lines(tmp_path: Path, selection, recorded):
    evidence = gather(shop(tmp_path / "shop.db"), selection, None)
    assert {name: counts.requests for name, counts in evidence.counts.items()} == recorded
    ran = {name: sum(run.requests for run in evidence.runs if run.endpoint == name) for name in recorded}
    assert ran == recorded
    assert evidence.footing.records == sum(recorded.values())


def test_the_newest_version_is_the_one_that_ran_last_also_within_a_day(tmp_path: Path):
    """The old version was sent last and ran most, but a request ran the new one after it."""
    new = {"shop/views.py": VIEWS.replace("404", "410")}
    hour = timedelta(hours=1)
    records = [
        record("GET /a", MISSING, texts=new, at=4 * hour),
        record("GET /a", SHOWN, at=0 * hour),
        record("GET /b", SHIPPED, at=3 * hour),
    ]
    url = write_store(tmp_path / "s.db", records)
    evidence = gather(url, ALL, None)
    assert evidence.newest == {"shop/views.py": digest_of(new["shop/views.py"].encode())}
    assert len(evidence.versions["shop/views.py"]) == 2


def test_a_version_that_could_not_be_read_is_never_the_newest_of_several(tmp_path: Path):
    known = record("GET /a", SHOWN)
    unknown = replace(
        known, id="x", blocks=(replace(known.blocks[0], digest=""),), time=START + timedelta(days=3)
    )
    evidence = gather(write_store(tmp_path / "s.db", [known, unknown]), ALL, None)
    assert evidence.newest == {"shop/views.py": digest_of(VIEWS.encode())}
    (result,) = by_endpoint(evidence)
    assert (result.executed, result.unread) == (2, 2)


def test_the_working_tree_stands_in_only_for_the_very_version(tmp_path: Path):
    url = write_store(tmp_path / "s.db", [record("GET /a", SHOWN)], texts={})
    assert gather(url, ALL, None).source("shop/views.py", digest_of(VIEWS.encode())) is None
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/views.py").write_text(VIEWS + "\n")
    assert gather(url, ALL, str(tmp_path)).source("shop/views.py", digest_of(VIEWS.encode())) is None
    (tmp_path / "shop/views.py").write_text(VIEWS)
    source = gather(url, ALL, str(tmp_path)).source("shop/views.py", digest_of(VIEWS.encode()))
    assert source is not None
    assert source.lines[5] == "def show(order):"


@pytest.mark.parametrize(
    "path", ["../outside.py", "/etc/passwd", "pipe", "a\0b", "", "large.py", "directory"]
)
def test_a_hostile_path_reads_nothing_outside_the_tree_and_waits_for_nothing(tmp_path: Path, path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.py").write_text("x = 1\n")
    os.mkfifo(root / "pipe")
    (root / "directory").mkdir()
    with open(root / "large.py", "wb") as large:
        large.truncate(MAX_SOURCE + 1)
    sources = Sources(lambda path, digest: None, str(root))
    assert sources(path, digest_of(b"x = 1\n")) is None


def test_a_latin_1_file_is_understood(tmp_path: Path):
    text = "# coding: latin-1\ndef f():\n    return 'é'\n".encode("latin-1")
    run = record("GET /a", {"shop/views.py": {3}})
    run = replace(run, blocks=(replace(run.blocks[0], digest=digest_of(text)),))
    evidence = gather(write_store(tmp_path / "s.db", [run], texts={"shop/views.py": text}), ALL, None)
    (result,) = by_endpoint(evidence)
    assert (result.executed, result.executable) == (1, 1)


def test_a_missing_store_says_what_to_do(tmp_path: Path):
    with pytest.raises(StoreError, match="send the app some requests first"):
        gather(str(tmp_path / "none.db"), ALL, None)
