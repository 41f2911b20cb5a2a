"""What most requests run, and how much of it: worked by hand, and laws that no evidence breaks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from requestcov.analysis.hot import hot_functions, hot_lines
from requestcov.analysis.statistics import margin
from requestcov.analysis.tally import effective
from requestcov.analysis.thin import thin_functions
from requestcov.storage.results import Outcome
from tests.analysis.evidence_by_hand import build
from tests.analysis.test_coverage_of_requests import VIEWS

# Body lines: show 6, 7, 8; ship 11, 12, 13. At import: 1, 3, 5, 10.
OTHER = "def add(a):\n    return a\n"

RUNS = [
    ("GET /a", "views.py", 0, {6, 8}, 3, 300.0),
    ("GET /a", "views.py", 0, {6, 7}, 1, 60.0),
    ("POST /a", "views.py", 0, {11, 12}, 2, 40.0),
]


def test_a_share_is_of_the_weight_not_of_what_was_recorded():
    """show: 3 + 1 of 6 recorded requests, but 360 of the 400 that they stand for."""
    hot = hot_functions(build({"views.py": [VIEWS]}, RUNS))
    assert [(f.name, f.line, f.requests, f.weight, f.share, f.endpoints) for f in hot.functions] == [
        ("show", 5, 4, 360.0, 0.9, ("GET /a",)),
        ("ship", 10, 2, 40.0, 0.1, ("POST /a",)),
    ]
    assert hot.total == 2


def test_lines_are_ranked_with_their_text():
    hot = hot_lines(build({"views.py": [VIEWS]}, RUNS), 3)
    assert [(item.line, item.function, item.text, item.requests, item.share) for item in hot.lines] == [
        (6, "show", "if order is None:", 4, 0.9),
        (8, "show", "return render(order)", 3, 0.75),
        (7, "show", "return 404", 1, 0.15),
    ]
    assert (hot.total, hot.functions) == (5, ())


def test_a_request_counts_once_for_a_function_of_which_it_runs_many_lines():
    evidence = build({"views.py": [VIEWS]}, [("GET /a", "views.py", 0, {6, 7, 8}, 5, 5.0)])
    assert [(f.requests, f.share) for f in hot_functions(evidence).functions] == [(5, 1.0)]


def test_what_runs_at_import_is_not_hot():
    evidence = build({"views.py": [VIEWS]}, [("GET /a", "views.py", 0, {1, 3, 5, 10}, 5, 5.0)])
    assert hot_functions(evidence).functions == ()
    assert hot_lines(evidence).lines == ()


def test_equal_shares_stand_in_the_order_of_the_text():
    evidence = build({"views.py": [VIEWS]}, [("GET /a", "views.py", 0, {13, 11, 8, 6}, 1, 1.0)])
    assert [item.line for item in hot_lines(evidence).lines] == [6, 8, 11, 13]


def test_a_function_that_has_moved_keeps_its_requests():
    runs = [("GET /a", "views.py", 0, {6, 8}, 3, 3.0), ("GET /a", "views.py", 1, {7, 9}, 1, 1.0)]
    evidence = build({"views.py": [VIEWS, "#\n" + VIEWS]}, runs)
    assert [(f.line, f.requests, f.share, f.earlier) for f in hot_functions(evidence).functions] == [
        (6, 4, 1.0, 0.0)
    ]


def test_a_function_that_was_changed_is_not_cold_for_that():
    """Of 10 requests 9 ran show as it was: it stands as high as before, and the share tells both."""
    new = VIEWS.replace("404", "410")
    runs = [("GET /a", "views.py", 0, {6, 8, 11}, 9, 9.0), ("GET /a", "views.py", 1, {6, 8}, 1, 1.0)]
    evidence = build({"views.py": [VIEWS, new]}, runs)
    assert [(f.name, f.requests, f.share, f.earlier) for f in hot_functions(evidence).functions] == [
        ("show", 1, 0.1, 0.9),
        ("ship", 9, 0.9, 0.0),
    ]


def test_of_functions_that_share_a_name_each_is_followed_by_its_order():
    """A property and its setter; the setter's body has changed."""
    getter = "class C:\n    @property\n    def x(self):\n        go()\n"
    old = getter + "    @x.setter\n    def x(self, y):\n        to(y)\n"
    runs = [("GET /a", "c.py", 0, {7}, 1, 1.0), ("GET /a", "c.py", 1, {4}, 1, 1.0)]
    evidence = build({"c.py": [old, old.replace("to(y)", "to(y, 1)")]}, runs)
    assert [(f.line, f.share, f.earlier) for f in hot_functions(evidence).functions] == [
        (3, 0.5, 0.0),
        (6, 0.0, 0.5),
    ]


def test_lines_without_a_source_are_counted_as_unread():
    evidence = build({"gone.py": [None]}, [("GET /a", "gone.py", 0, {6, 8}, 1, 1.0)])
    assert (hot_functions(evidence).functions, hot_functions(evidence).unread) == ((), 2)
    assert thin_functions(evidence).unread == 2


def outcome(requests: int, weight: float) -> Outcome:
    """So many requests of that weight each."""
    return Outcome(
        service="shop",
        release="r1",
        endpoint="GET /a",
        day=datetime(2026, 11, 20, tzinfo=UTC),
        failed=False,
        status=200,
        error=None,
        sampled_by="rate",
        partial=None,
        engine="monitoring",
        requests=requests,
        weight=requests * weight,
        squares=requests * weight * weight,
    )


def test_the_effective_sample_is_kishs():
    """Ten of weight 1 and one of weight 10: 20 squared over 10 + 100 is 3.64, not 11."""
    evidence = build({}, [])
    assert effective(evidence) == 0.0
    assert effective(replace(evidence, outcomes=(outcome(25, 7.0),))) == pytest.approx(25)
    uneven = replace(evidence, outcomes=(outcome(10, 1.0), outcome(1, 10.0)))
    assert effective(uneven) == pytest.approx(400 / 110)


def test_the_margin_is_that_of_a_share_of_one_half():
    """The poll of a thousand, known from the news: 3.1 points either way."""
    assert margin(1000) == pytest.approx(0.03099, abs=1e-5)
    assert margin(0) == 1.0
    assert margin(0.5) == 1.0


def test_thinness_is_the_share_times_the_part_that_never_ran():
    """show: 0.9 of requests, all of its lines run; ship: 0.1 of requests, one line of three never."""
    thin = thin_functions(build({"views.py": [VIEWS]}, RUNS))
    (ship,) = thin.functions
    assert (ship.name, ship.share, ship.executed, ship.executable, ship.unrun) == ("ship", 0.1, 2, 3, (13,))
    assert ship.thinness == pytest.approx(0.1 / 3)
    assert (thin.total, thin.whole) == (1, 1)


def test_the_thinnest_is_first_and_so_many_are_told():
    runs = [("GET /a", "views.py", 0, {6}, 9, 9.0), ("GET /b", "views.py", 0, {6, 11}, 1, 1.0)]
    evidence = build({"views.py": [VIEWS], "other.py": [OTHER]}, runs)
    thin = thin_functions(evidence)
    assert [(f.name, round(f.thinness, 4)) for f in thin.functions] == [("show", 0.6667), ("ship", 0.0667)]
    assert thin_functions(evidence, 1).functions == thin.functions[:1]
    assert thin_functions(evidence, 1).total == 2


run_of = st.tuples(
    st.sampled_from(["GET /a", "GET /b"]),
    st.just("views.py"),
    st.sampled_from([0, 1]),
    st.sets(st.integers(min_value=1, max_value=15)),
    st.integers(min_value=1, max_value=5),
    st.floats(min_value=0.1, max_value=1000),
)
runs_of = st.lists(run_of, min_size=1, max_size=8)
TEXTS = {"views.py": [VIEWS, "\n" + VIEWS.replace("404", "410")]}


@settings(max_examples=60, deadline=None)
@given(st.data(), runs_of)
def test_the_order_of_records_does_not_matter(data, runs):
    one, other = build(TEXTS, runs), build(TEXTS, data.draw(st.permutations(runs)))
    # The whole is a sum in the order of records; it is the footing's, and not at stake here.
    other = replace(other, footing=one.footing)
    assert hot_functions(one) == hot_functions(other)
    assert hot_lines(one) == hot_lines(other)
    assert thin_functions(one) == thin_functions(other)


@settings(max_examples=60, deadline=None)
@given(runs_of, st.integers(min_value=-8, max_value=8))
def test_scaling_all_weights_changes_no_share(runs, power):
    """By a power of two, so that no sum is rounded in another way."""
    scaled = [(*run[:5], run[5] * 2.0**power) for run in runs]
    one, other = build(TEXTS, runs), build(TEXTS, scaled)
    assert [replace(f, weight=0.0) for f in hot_functions(one).functions] == [
        replace(f, weight=0.0) for f in hot_functions(other).functions
    ]
    assert thin_functions(one) == thin_functions(other)


@settings(max_examples=60, deadline=None)
@given(runs_of, runs_of)
def test_a_further_request_never_lowers_lines_executed_nor_requests(runs, more):
    # The file's versions are the same on both sides.
    small, large = build(TEXTS, runs), build(TEXTS, [*runs, *more])
    after = {(item.path, item.line): item.requests for item in hot_lines(large).lines}
    assert all(after[item.path, item.line] >= item.requests for item in hot_lines(small).lines)


@settings(max_examples=60, deadline=None)
@given(runs_of)
def test_shares_are_fractions_and_a_line_is_no_hotter_than_its_function(runs):
    evidence = build(TEXTS, runs)
    functions = {(f.path, f.name): f for f in hot_functions(evidence).functions}
    for item in hot_lines(evidence).lines:
        owner = functions[item.path, item.function]
        assert 0 < item.share <= owner.share + 1e-12
        assert item.requests <= owner.requests
    for function in functions.values():
        assert 0 <= function.share + function.earlier <= 1 + 1e-12
    for function in thin_functions(evidence).functions:
        assert 0 < function.thinness < 1
