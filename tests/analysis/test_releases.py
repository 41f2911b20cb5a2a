"""What began, what went silent, and whether silence says anything."""

from __future__ import annotations

import pytest

from requestcov._source import digest_of
from requestcov.analysis.gather import gather
from requestcov.analysis.releases import Change, releases
from requestcov.analysis.statistics import upper_bound
from requestcov.storage.results import Selection
from tests.analysis.traffic_by_hand import traffic, with_sources
from tests.reports.shop_store import MISSING, SHIPPED, SHOWN, VIEWS, write_store

OLD, NEW = "r1", "r2"


def run(days, requests, ran, release, **more):
    return traffic([days], requests, ran, release=release, **more)


def compared(tmp_path, records, *texts):
    url = write_store(tmp_path / "s.db", records)
    by_digest = {digest_of(text.encode()): text for text in (VIEWS, *texts)}
    before, after = (
        with_sources(gather(url, Selection(release=release), None), by_digest) for release in (OLD, NEW)
    )
    return releases(OLD, NEW, before, after)


def test_a_line_that_many_ran_and_none_any_more_is_significantly_silent(tmp_path):
    records = [*run(0, 20, MISSING, OLD), *run(0, 20, SHOWN, OLD), *run(1, 40, SHOWN, NEW)]
    result = compared(tmp_path, records)
    (silent,) = result.silent
    assert (silent.name, silent.lines, silent.whole, silent.change) == ("show", "8", False, Change.SAME)
    assert (silent.ran, silent.before, silent.after) == (20, 40, 40)
    assert silent.bound == upper_bound(0, 40)
    # 20 of 80 requests ran it; that all are among the earlier 40: C(40, 20) / C(80, 20).
    assert silent.probability == pytest.approx(3.9e-8, rel=0.02)
    assert silent.significant
    assert result.begun == ()


def test_silence_of_what_ran_once_is_not_significant(tmp_path):
    records = [*run(0, 1, MISSING, OLD), *run(0, 39, SHOWN, OLD), *run(1, 40, SHOWN, NEW)]
    (silent,) = compared(tmp_path, records).silent
    assert (silent.probability, silent.significant) == (pytest.approx(0.5), False)


def test_silence_of_an_endpoint_without_traffic_says_nothing(tmp_path):
    records = [*run(0, 50, SHIPPED, OLD, endpoint="POST /orders"), *run(1, 50, SHOWN, NEW)]
    result = compared(tmp_path, records)
    (silent,) = result.silent
    assert (silent.name, silent.whole, silent.endpoints) == ("ship", True, ("POST /orders",))
    assert (silent.after, silent.bound, silent.probability, silent.significant) == (0, None, 1.0, False)
    (begun,) = result.begun
    assert (begun.name, begun.change, begun.whole, begun.ran) == ("show", Change.SAME, True, 50)
    assert [(t.endpoint, t.before, t.after) for t in result.traffic] == [
        ("POST /orders", 50, 0),
        ("GET /orders/{id}", 0, 50),
    ]


def test_a_function_that_moved_to_another_file_is_neither_new_nor_silent(tmp_path):
    head, _, tail = VIEWS.partition("def ship")
    moved = "def ship" + tail
    records = [
        *run(0, 50, SHIPPED, OLD),
        *run(1, 50, {"shop/ship.py": {2, 3, 4}}, NEW, texts={"shop/ship.py": moved}),
    ]
    result = compared(tmp_path, records, head, moved)
    assert (result.begun, result.silent) == ((), ())


def test_an_edited_function_is_gone_and_begun_not_silent(tmp_path):
    edited = VIEWS.replace("order.sent = True", "order.sent = 1")
    records = [
        *run(0, 50, SHIPPED, OLD),
        *run(1, 50, SHIPPED, NEW, texts={"shop/views.py": edited}),
    ]
    result = compared(tmp_path, records, edited)
    (silent,), (begun,) = result.silent, result.begun
    assert (silent.name, silent.change, silent.significant) == ("ship", Change.GONE, False)
    assert (begun.name, begun.change, begun.whole) == ("ship", Change.NEW, True)


def test_a_release_beside_itself_has_no_news(tmp_path):
    records = [*run(0, 5, SHOWN, OLD), *run(0, 5, SHOWN, NEW)]
    result = compared(tmp_path, records)
    assert (result.begun, result.silent, result.unread) == ((), (), ())
