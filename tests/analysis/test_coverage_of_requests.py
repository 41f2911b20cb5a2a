"""Coverage of the functions that requests reach: worked by hand, and its laws."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from requestcov.analysis.coverage import by_endpoint, by_file
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
