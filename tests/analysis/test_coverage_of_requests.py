"""Coverage of the functions that requests reach: worked by hand, and its laws."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from requestcov.analysis.coverage import by_endpoint, by_file, by_function, by_release, union
from requestcov.storage.results import Outcome
from tests.analysis.evidence_by_hand import build

VIEWS = """\
import os

LIMIT = 3

def show(order):
    if order is None:
        return 404
    return render(order)

def ship(order):
    order.sent = True
    for item in order:
        pack(item)
"""
# Body lines: show 6, 7, 8; ship 11, 12, 13. At import: 1, 3, 5, 10.


def test_coverage_counts_body_lines_of_functions_reached():
    """Two of show's three lines ran; ship was not reached, so it does not count."""
    evidence = build({"views.py": [VIEWS]}, [("GET /a", "views.py", 0, {6, 8}, 4, 400.0)])
    (result,) = by_endpoint(evidence)
    assert (result.executed, result.executable) == (2, 3)
    assert result.coverage == 2 / 3
    assert [(f.name, f.line, f.executed, f.executable) for f in result.functions] == [("show", 5, 2, 3)]
    assert (result.recorded, result.weight, result.seen, result.unread) == (4, 400.0, None, 0)


def test_different_requests_of_an_endpoint_add_up():
    runs = [("GET /a", "views.py", 0, {6, 8}, 4, 4.0), ("GET /a", "views.py", 0, {6, 7}, 1, 1.0)]
    (result,) = by_endpoint(build({"views.py": [VIEWS]}, runs))
    assert (result.executed, result.executable) == (3, 3)


def test_lines_that_run_at_import_count_neither_above_nor_below():
    """A module first imported by a request runs its module level inside that request."""
    evidence = build({"views.py": [VIEWS]}, [("GET /a", "views.py", 0, {1, 3, 5, 10}, 1, 1.0)])
    (result,) = by_endpoint(evidence)
    assert (result.executed, result.executable, result.coverage) == (0, 0, None)
    (file,) = by_file(evidence)
    assert (file.executed, file.executable, file.endpoints) == (0, 6, ())


def test_a_file_counts_every_function_and_who_ran_it():
    runs = [
        ("GET /a", "views.py", 0, {6, 8}, 4, 4.0),
        ("POST /a", "views.py", 0, {11, 12}, 1, 1.0),
        ("GET /b", "views.py", 0, {1}, 1, 1.0),
    ]
    (file,) = by_file(build({"views.py": [VIEWS]}, runs))
    assert (file.executed, file.executable, file.endpoints) == (4, 6, ("GET /a", "POST /a"))
    assert [(f.name, f.executed) for f in file.functions] == [("show", 2), ("ship", 2)]


def test_an_endpoint_seen_but_never_recorded_is_listed():
    evidence = build({}, [], seen={"GET /quiet": 12})
    (result,) = by_endpoint(evidence)
    assert (result.endpoint, result.seen, result.recorded, result.coverage) == ("GET /quiet", 12, 0, None)


def test_an_older_version_still_counts_for_functions_that_did_not_change():
    """show moved down two lines and ship changed: show's old lines carry over, ship's do not."""
    new = '"""Views."""\n\n' + VIEWS.replace("order.sent = True", "order.sent = now()")
    runs = [("GET /a", "views.py", 0, {6, 8, 11, 12, 13}, 1, 1.0), ("GET /a", "views.py", 1, {8, 9}, 1, 1.0)]
    (result,) = by_endpoint(build({"views.py": [VIEWS, new]}, runs))
    assert [(f.name, f.line, f.executed, f.executable) for f in result.functions] == [("show", 7, 3, 3)]
    (file,) = by_file(build({"views.py": [VIEWS, new]}, runs))
    assert (file.versions, file.executed, file.executable) == (2, 3, 6)


def test_equal_functions_of_one_name_are_matched_in_order():
    """A property and its setter share a qualified name; here even their bodies are equal."""
    getter = "class C:\n    @property\n    def x(self):\n        go()\n"
    old = getter + "    @x.setter\n    def x(self):\n        go()\n"
    runs = [("GET /a", "c.py", 0, {7}, 1, 1.0)]
    (result,) = by_endpoint(build({"c.py": [old, "import os\n" + old]}, runs))
    assert [(f.line, f.executed) for f in result.functions] == [(7, 1)]


def test_lines_without_a_source_are_counted_as_unread():
    runs = [("GET /a", "gone.py", 0, {6, 8}, 1, 1.0), ("GET /a", "bad.py", 0, {1, 2, 3}, 1, 1.0)]
    evidence = build({"gone.py": [None], "bad.py": ["def f(:\n"]}, runs)
    (result,) = by_endpoint(evidence)
    assert (result.executable, result.unread) == (0, 5)
    bad, gone = by_file(evidence)
    assert gone.problem == "source not available"
    assert bad.problem is not None
    assert "cannot parse" in bad.problem


def with_branches(evidence, *arcs):
    """The evidence with the arcs that each run took; None where they were not measured."""
    runs = tuple(
        run if ways is None else replace(run, branches=frozenset(ways))
        for run, ways in zip(evidence.runs, arcs, strict=True)
    )
    return replace(evidence, runs=runs)


def test_branches_count_for_the_functions_reached():
    """show's if goes on to 7 or 8, ship's for to 13 or out; of the endpoint only show's two count."""
    runs = [("GET /a", "views.py", 0, {6, 8}, 4, 4.0)]
    evidence = with_branches(build({"views.py": [VIEWS]}, runs), {(6, 8)})
    (result,) = by_endpoint(evidence)
    assert (result.taken, result.branches, result.branch_coverage) == (1, 2, 0.5)
    (file,) = by_file(evidence)
    assert (file.taken, file.branches) == (1, 4)
    assert [(f.taken, f.branches) for f in file.functions] == [(1, 2), (0, 2)]


def test_branches_that_nobody_measured_are_unknown_not_missing():
    runs = [("GET /a", "views.py", 0, {6, 8}, 4, 4.0), ("GET /b", "other.py", 0, {6, 7}, 1, 1.0)]
    evidence = with_branches(build({"views.py": [VIEWS], "other.py": [VIEWS]}, runs), None, {(6, 7)})
    first, second = by_endpoint(evidence)
    assert (first.taken, first.branches, first.branch_coverage) == (None, None, None)
    assert (second.taken, second.branches) == (1, 2)
    together = union(evidence)
    assert (together.taken, together.branches, together.executed, together.executable) == (1, 2, 4, 6)


def test_branches_of_an_older_version_count_where_the_function_did_not_change():
    new = '"""Views."""\n\n' + VIEWS.replace("order.sent = True", "order.sent = now()")
    runs = [("GET /a", "views.py", 0, {6, 8, 11, 12}, 1, 1.0), ("GET /a", "views.py", 1, {8, 9}, 1, 1.0)]
    evidence = with_branches(build({"views.py": [VIEWS, new]}, runs), {(6, 8), (12, 13)}, {(8, 9)})
    (result,) = by_endpoint(evidence)
    assert (result.taken, result.branches) == (2, 2)


def test_the_union_counts_a_line_once_however_many_endpoints_run_it():
    runs = [("GET /a", "views.py", 0, {6, 8}, 4, 4.0), ("GET /b", "views.py", 0, {6, 7, 11}, 1, 1.0)]
    evidence = build({"views.py": [VIEWS]}, runs)
    together = union(evidence)
    assert (together.executed, together.executable, together.recorded) == (4, 6, 5)
    assert [(f.name, f.executed, f.endpoints) for f in by_function(evidence)] == [
        ("show", 3, ("GET /a", "GET /b")),
        ("ship", 1, ("GET /b",)),
    ]


def outcome(release, day, requests, failed=False):
    return Outcome(
        service="shop",
        release=release,
        endpoint="GET /a",
        day=datetime(2026, 11, day, tzinfo=UTC),
        failed=failed,
        status=500 if failed else 200,
        error=None,
        sampled_by="rate",
        partial=None,
        engine="monitoring",
        requests=requests,
        weight=requests * 10.0,
        squares=requests * 100.0,
    )


def test_a_release_is_judged_by_the_text_that_it_ran():
    """ship changed in the second release; what the first ran of it counts for the first all the same."""
    new = VIEWS.replace("order.sent = True", "order.sent = now()")
    runs = [("GET /a", "views.py", 0, {11, 12, 13}, 2, 20.0), ("GET /a", "views.py", 1, {11}, 1, 10.0)]
    evidence = build({"views.py": [VIEWS, new]}, runs)
    old_run, new_run = evidence.runs
    evidence = replace(
        evidence,
        runs=(replace(old_run, release="z-first"), replace(new_run, release="a-second")),
        outcomes=(outcome("a-second", 21, 1, failed=True), outcome("z-first", 20, 2)),
    )
    first, second = by_release(evidence)
    assert (first.release, first.executed, first.executable, first.recorded) == ("z-first", 3, 3, 2)
    assert (second.release, second.executed, second.failed, second.weight) == ("a-second", 1, 1, 10.0)
    assert union(evidence).executed == 1


lines = st.sets(st.integers(min_value=1, max_value=15))
run_of = st.tuples(
    st.sampled_from(["GET /a", "GET /b"]),
    st.just("views.py"),
    st.sampled_from([0, 1]),
    lines,
    st.just(1),
    st.just(1.0),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(run_of, max_size=6), st.lists(run_of, max_size=4))
def test_more_requests_never_lower_what_is_executed(before, more):
    """Lines executed, a function's coverage and a file's coverage only ever grow."""
    texts = {"views.py": [VIEWS, "\n" + VIEWS.replace("404", "410")]}
    # The file's versions are the same on both sides: a new version may well take something away.
    base = [("GET /a", "views.py", 1, {1}, 1, 1.0), *before]
    small, large = build(texts, base), build(texts, [*base, *more])
    after = {result.endpoint: result for result in by_endpoint(large)}
    for result in by_endpoint(small):
        assert after[result.endpoint].executed >= result.executed
        functions = {f.line: f.executed for f in after[result.endpoint].functions}
        assert all(functions[f.line] >= f.executed for f in result.functions)
    assert by_file(large)[0].executed >= by_file(small)[0].executed
    assert by_file(large)[0].executable == by_file(small)[0].executable


@settings(max_examples=60, deadline=None)
@given(st.lists(run_of, min_size=1, max_size=6))
def test_coverage_is_a_fraction_and_files_hold_every_endpoint(runs):
    evidence = build({"views.py": [VIEWS, "\n" + VIEWS]}, runs)
    for result in by_endpoint(evidence):
        assert result.coverage is None or 0 < result.coverage <= 1
    (file,) = by_file(evidence)
    assert set(file.endpoints) == {r.endpoint for r in by_endpoint(evidence) if r.executed}


@settings(max_examples=60, deadline=None)
@given(st.data(), st.lists(run_of, min_size=1, max_size=6), st.floats(min_value=0.01, max_value=1000))
def test_neither_the_order_of_records_nor_weights_change_what_is_covered(data, runs, factor):
    texts = {"views.py": [VIEWS, "\n" + VIEWS.replace("404", "410")]}
    shuffled = data.draw(st.permutations(runs))
    heavier = [(*run[:5], run[5] * factor) for run in shuffled]
    one, other = build(texts, runs), build(texts, heavier)
    assert [replace(r, weight=0.0) for r in by_endpoint(one)] == [
        replace(r, weight=0.0) for r in by_endpoint(other)
    ]
    assert by_file(one) == by_file(other)


@settings(max_examples=60, deadline=None)
@given(st.lists(run_of, min_size=1, max_size=6))
def test_the_union_runs_at_least_what_each_endpoint_runs(runs):
    evidence = build({"views.py": [VIEWS, "\n" + VIEWS.replace("404", "410")]}, runs)
    together = union(evidence)
    assert together.executed >= max(result.executed for result in by_endpoint(evidence))
    assert together.executed == sum(file.executed for file in by_file(evidence))
