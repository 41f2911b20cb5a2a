"""What began, what went silent, and whether silence says anything."""

from __future__ import annotations

import math

import pytest
from scipy import stats

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


def test_many_lines_are_corrected_for_how_many_were_tested(tmp_path):
    """Benjamini and Hochberg's step-up, by hand and by scipy; lines of the same requests are one test."""
    functions = [f"def f{n}(order):\n    a = {n}\n    return a\n\n\n" for n in range(20)]
    text = "".join(functions)
    texts = {"shop/views.py": text}

    def lines(*numbers):
        return {"shop/views.py": {5 * n + at for n in numbers for at in (2, 3)}}

    # All run f5 to f19; five requests of forty run f0, and so on.
    ran = [lines(*range(5, 20), *(n for n in range(5) if request < 5 + n)) for request in range(40)]
    before = [one for each in ran for one in run(0, 1, each, OLD, texts=texts)]
    result = compared(tmp_path, [*before, *run(1, 40, lines(*range(5, 20)), NEW, texts=texts)], text)
    chances = [math.comb(40, 5 + n) / math.comb(80, 5 + n) for n in range(5)]
    # f5 to f19 ran in the same requests: one test, and that of a line that still runs.
    corrected = stats.false_discovery_control([*chances, 1.0])
    assert [silent.name for silent in result.silent] == ["f0", "f1", "f2", "f3", "f4"]
    assert [silent.probability for silent in result.silent] == pytest.approx(chances)
    assert [silent.adjusted for silent in result.silent] == pytest.approx(list(corrected[:5]))
    assert result.silent[4].adjusted == pytest.approx(chances[4] * 6)  # the smallest of six
    assert all(silent.exact and silent.significant for silent in result.silent)


def test_what_one_in_twenty_is_by_chance_is_not_significant_among_many(tmp_path):
    """A line of five requests of forty is silent: 2.7 % alone, more where many others were tested."""
    names = range(60)
    text = "".join(f"def f{n}(order):\n    a = {n}\n    return a\n\n\n" for n in names)
    texts = {"shop/views.py": text}

    def lines(numbers):
        return {"shop/views.py": {5 * n + at for n in numbers for at in (2, 3)}}

    def each(request, release):
        mine = [n for n in names if n and (request >> (n % 6)) & 1]
        mine += [0] if release == OLD and request < 5 else []
        return run(0 if release == OLD else 1, 1, lines(mine), release, texts=texts)

    before = [one for request in range(40) for one in each(request, OLD)]
    after = [one for request in range(40) for one in each(request, NEW)]
    (silent,) = compared(tmp_path, [*before, *after], text).silent
    assert silent.probability == pytest.approx(math.comb(40, 5) / math.comb(80, 5))
    assert silent.probability <= 0.05
    assert silent.adjusted == pytest.approx(silent.probability * 7)  # six ways to run, and this one
    assert not silent.significant


def test_hits_that_were_sampled_more_than_others_say_less(tmp_path):
    """Ten of weight 1 ran it, ten of weight 10 did not; later there are twenty of weight 10."""
    later = run(1, 20, SHOWN, NEW, weight=10.0)
    light = [*run(0, 10, MISSING, OLD, weight=1.0, status=404), *run(0, 10, SHOWN, OLD, weight=10.0), *later]
    (silent,) = compared(tmp_path, light, VIEWS).silent
    assert (silent.probability, silent.exact, silent.significant) == (1.0, False, False)
    # Of equal weight the same counts would be C(20, 10) / C(40, 10) = 0.02 %.
    (tmp_path / "s.db").unlink()
    heavy = [*run(0, 10, MISSING, OLD, weight=10.0, status=404), *run(0, 10, SHOWN, OLD, weight=1.0), *later]
    (silent,) = compared(tmp_path, heavy, VIEWS).silent
    assert silent.probability == pytest.approx(2 * (11 / 31) ** 10)
    assert silent.significant
    assert silent.bound == upper_bound(0, 20)


def test_releases_of_two_rates_are_each_sampled_alike(tmp_path):
    records = [*run(0, 20, MISSING, OLD), *run(0, 20, SHOWN, OLD), *run(1, 40, SHOWN, NEW, weight=50.0)]
    (silent,) = compared(tmp_path, records, VIEWS).silent
    assert silent.exact
    assert silent.probability == pytest.approx(math.comb(40, 20) / math.comb(80, 20))


def test_a_line_of_few_does_not_lend_its_endpoint_to_one_of_many(tmp_path):
    """The chance is of one line, not of the most requests of each endpoint over several."""
    text = "def f(order):\n    a = 1\n    b = 2\n    return a\n"
    texts = {"shop/f.py": text}
    records = [
        *run(0, 3, {"shop/f.py": {2}}, OLD, texts=texts),
        *run(0, 37, SHIPPED, OLD),
        *run(0, 3, {"shop/f.py": {3}}, OLD, texts=texts, endpoint="POST /"),
        *run(0, 37, SHIPPED, OLD, endpoint="POST /"),
        *run(1, 40, SHIPPED, NEW),
        *run(1, 40, SHIPPED, NEW, endpoint="POST /"),
    ]
    silent = [one for one in compared(tmp_path, records, text).silent if one.name == "f"]
    assert [one.probability for one in silent] == [pytest.approx(math.comb(40, 3) / math.comb(80, 3))]
    assert [one.endpoints for one in silent] == [("GET /orders/{id}", "POST /")]


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
