"""How the localisation bench counts: ties fairly, and nothing left out of the shares."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.bench import bench_localisation as bench
from tests.bench.bench_localisation import blind, either, function_rank, line_rank, within

# Two lines at places 1-2, then five at 3-7 over two functions, one of them seen before.
TIES = [
    [1, 2, [["a.py", "f", "4,6", []]]],
    [3, 7, [["a.py", "f", "9", []], ["b.py", "g", "2-4", ["2-4"]]]],
    [8, 8, [["a.py", "h", "20", []]]],
]


def test_a_line_has_the_middle_of_the_places_its_tie_shares():
    assert line_rank(TIES, "a.py", 6) == 1.5
    assert line_rank(TIES, "b.py", 3) == 5
    assert line_rank(TIES, "a.py", 20) == 8


def test_a_branch_out_of_a_line_names_the_line():
    assert line_rank([[1, 1, [["a.py", "f", "", ["4-exit"]]]]], "a.py", 4) == 1


def test_a_line_that_was_not_ranked_has_no_place():
    assert line_rank(TIES, "a.py", 5) is None
    assert line_rank(TIES, "c.py", 4) is None
    assert function_rank(TIES, "a.py", "g") is None


def test_a_function_has_the_place_of_its_first_tie_among_functions():
    assert function_rank(TIES, "a.py", "f") == 1
    assert function_rank(TIES, "b.py", "g") == 2
    assert function_rank(TIES, "a.py", "h") == 3


def test_functions_first_seen_in_one_tie_share_their_places():
    """Also where the tie is told in several rows, as equal scores of different counts are."""
    rows = [[1, 4, [["a.py", "f", "1", []]]], [1, 4, [["a.py", "g", "5", []], ["a.py", "h", "8-9", []]]]]
    assert [function_rank(rows, "a.py", name) for name in "fgh"] == [2, 2, 2]


def test_the_better_of_line_and_function_counts():
    assert either((4.0, 1.5)) == 1.5
    assert either((None, 3.0)) == 3
    assert either((None, None)) is None


def test_a_fault_for_which_nothing_could_be_ranked_is_one_that_was_not_found():
    results = [{"full": {"ochiai": (1.0, 1.0)}}, {"full": None}]
    assert within(results, "full", "ochiai", either).split() == ["50%"] * 4


def test_faults_in_lines_that_healthy_requests_run_too_are_told_apart(capsys):
    """They are the hard ones: a share over both kinds would hide them."""
    shown = {
        "app": "Django app", "file": "a.py", "kind": "result", "after": "return None", "function": "f",
        "endpoint": "GET /", "traceback": False, "traceback_function": False, "picked_from": [10, 2],
        "tenth": None, "tenfold": None,
    }  # fmt: skip
    easy = {formula: [1.0, 1.0] for formula in bench.FORMULAS}
    hard = {formula: [30.0, 9.0] for formula in bench.FORMULAS}
    results = [
        {**shown, "line": 4, "full": easy, "ran_it": [3, 0, 3, 9]},
        {**shown, "line": 7, "full": hard, "ran_it": [3, 8, 3, 9]},
    ]
    bench.tell(results, Counter({"fail no request": 5}))
    told = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "none did, 1 faults: either 100% 100% 100% 100%" in told
    assert "some did, 1 faults: either 0% 0% 0% 100%" in told
    assert "run by 3 of 3 failing, 8 of 9 healthy requests" in told


def test_a_blind_pick_is_among_all_that_failing_requests_ran():
    counts = [
        [2, 5, [["a.py", "f", "1-3", ["3-4"]]]],
        [1, 0, [["a.py", "g", "9", []]]],
        [0, 7, [["b.py", "h", "1", []]]],
    ]
    assert blind(counts) == (5, 2)


@pytest.fixture(scope="module")
def django_unharmed():
    healthy = bench.run("Django app", "", None, 60)
    assert healthy is not None
    return healthy


def test_a_fault_seeded_into_a_served_app_is_judged_by_what_its_requests_ran(django_unharmed):
    """In a process of its own, recorded by the engine, from the store: odd orders lose their answer."""
    [one] = [
        (file, fault)
        for file, fault in bench.candidates("Django app", django_unharmed)
        if fault.kind == "result" and '"odd"' in fault.before
    ]
    found = bench.judge("Django app", django_unharmed, 60, one)
    assert not isinstance(found, str), found
    assert found["function"] == "order"
    assert found["endpoint"] == "GET /shop/orders/<int:number>/"
    assert 2 <= found["new"] < found["requests"]
    line, function = found["full"]["ochiai"]
    assert line <= 2
    assert function == 1
    failing, healthy, of_failing, of_healthy = found["ran_it"]
    assert (failing, healthy) == (of_failing, 0)
    assert of_healthy >= 2
    assert not found["traceback"], "the framework raises, the app's own code is not in the traceback"


def test_a_change_that_fails_no_request_does_not_count(django_unharmed):
    one = next(
        (file, fault)
        for file, fault in bench.candidates("Django app", django_unharmed)
        if fault.kind == "constant" and "return 1" in fault.before
    )
    assert bench.judge("Django app", django_unharmed, 60, one) == "fail no request"


def test_only_lines_that_requests_run_are_seeded(django_unharmed):
    lines = {fault.line for _, fault in bench.candidates("Django app", django_unharmed)}
    text = (bench.ROOT / "tests/apps/django_app.py").read_text().split("\n")
    assert any("number % 2" in text[line - 1] for line in lines)
    assert not any("asgi" in text[line - 1].lower() for line in lines)


def test_a_line_is_first_by_itself_with_and_without_branches():
    """A branch into it, which ties with it, takes no place of its own."""
    found = {}
    for branch in (True, False):
        healthy = bench.run("Django app", "", None, 60, branch)
        assert healthy is not None
        one = next(
            o
            for o in bench.candidates("Django app", healthy)
            if '"odd"' in o[1].before and o[1].kind == "result"
        )
        judged = bench.judge("Django app", healthy, 60, one, branch)
        assert not isinstance(judged, str), judged
        found[branch] = judged["full"]["ochiai"][0]
    assert found == {True: 1, False: 1}
