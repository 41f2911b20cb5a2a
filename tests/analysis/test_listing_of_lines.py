"""Which lines requests ran, and how often: worked by hand."""

from __future__ import annotations

import pytest

from requestcov.analysis.listing import Kind, Listing, of_endpoint, of_file
from tests.analysis.evidence_by_hand import build

VIEWS = """\
import os

def show(order):
    '''One order.'''
    if order is None:
        return 404
    return render(
        order,
    )

def ship(order):
    order.sent = True
"""
TEXTS = {"views.py": [VIEWS]}


def kinds(listing: Listing) -> str:
    """One letter a line: Executed, Missed, Import, - for none."""
    return "".join("-" if line.kind is Kind.NONE else line.kind.value[0].upper() for line in listing.lines)


def test_each_line_says_what_can_be_said_of_it():
    """Inner lines of a statement share its fate; a docstring and blank lines have none."""
    evidence = build(TEXTS, [("GET /a", "views.py", 0, {5, 7, 8}, 3, 3.0)])
    (listing,) = of_endpoint(evidence, "GET /a")
    assert kinds(listing) == "I-I-EMEEE-IM"
    assert listing.reached == ((3, 9),)
    assert listing.recorded == {5, 7, 8}


def test_a_line_has_the_requests_that_ran_it_and_their_share_by_weight():
    """One request in a hundred went another way, but it was recorded with every other one."""
    runs = [("GET /a", "views.py", 0, {5, 7}, 2, 198.0), ("GET /a", "views.py", 0, {5, 6}, 2, 2.0)]
    (listing,) = of_endpoint(build(TEXTS, runs), "GET /a")
    seen = {line.number: (line.requests, line.share) for line in listing.lines if line.kind is Kind.EXECUTED}
    assert seen == {5: (4, 1.0), 6: (2, 0.01), 7: (2, 0.99), 8: (2, 0.99), 9: (2, 0.99)}


def test_an_endpoint_listing_leaves_out_what_others_ran():
    runs = [("GET /a", "views.py", 0, {5, 7}, 1, 1.0), ("GET /b", "views.py", 0, {12}, 1, 1.0)]
    (listing,) = of_endpoint(build(TEXTS, runs), "GET /a")
    assert listing.lines[11].kind is Kind.MISSED
    assert listing.endpoints == ("GET /a",)


def test_a_file_listing_names_the_endpoints_of_each_line():
    runs = [("GET /a", "views.py", 0, {5, 7}, 1, 1.0), ("GET /b", "views.py", 0, {5, 6}, 1, 3.0)]
    listing = of_file(build(TEXTS, runs), "views.py")
    assert listing.lines[4].endpoints == ("GET /a", "GET /b")
    assert listing.lines[5].endpoints == ("GET /b",)
    assert listing.lines[5].share == 0.75


def test_a_module_imported_by_a_request_shows_it_without_counting_it_as_covered():
    (listing,) = of_endpoint(build(TEXTS, [("GET /a", "views.py", 0, {1, 3, 11}, 1, 1.0)]), "GET /a")
    assert (listing.lines[0].kind, listing.lines[0].requests) == (Kind.IMPORT, 1)
    assert listing.reached == ()


def test_older_versions_are_placed_where_functions_did_not_change():
    """Line 12 of the old version was in a function that has changed: it has no place."""
    new = "#\n" + VIEWS.replace("order.sent = True", "order.sent = now()")
    runs = [("GET /a", "views.py", 0, {5, 7, 12}, 5, 5.0), ("GET /a", "views.py", 1, {6, 7}, 1, 1.0)]
    evidence = build({"views.py": [VIEWS, new]}, runs)
    (listing,) = of_endpoint(evidence, "GET /a")
    assert kinds(listing) == "-I-I-EEEEE-IM"
    assert listing.lines[5].requests == 6
    assert listing.left_out == 1
    assert len(listing.digests) == 2


def test_an_older_version_can_be_shown_as_it_ran():
    new = "#\n" + VIEWS
    runs = [("GET /a", "views.py", 0, {5, 7}, 5, 5.0), ("GET /a", "views.py", 1, {6, 7}, 1, 1.0)]
    evidence = build({"views.py": [VIEWS, new]}, runs)
    old = evidence.versions["views.py"][1]
    listing = of_file(evidence, "views.py", old)
    assert kinds(listing) == "I-I-EMEEE-IM"
    assert listing.lines[4].requests == 5


def test_without_a_source_the_recorded_lines_remain():
    evidence = build({"views.py": [None]}, [("GET /a", "views.py", 0, {5, 7}, 1, 1.0)])
    (listing,) = of_endpoint(evidence, "GET /a")
    assert (listing.lines, listing.recorded, listing.problem) == ((), {5, 7}, "source not available")


def test_a_source_this_python_cannot_parse_is_listed_with_the_recorded_lines():
    evidence = build({"views.py": ["def f(:\n    go()\n"]}, [("GET /a", "views.py", 0, {2}, 1, 1.0)])
    (listing,) = of_endpoint(evidence, "GET /a")
    assert [line.kind for line in listing.lines] == [Kind.NONE, Kind.EXECUTED]
    assert listing.reached == ((2, 2),)


def test_functions_inside_functions_are_shown_once():
    text = "def outer():\n    def inner():\n        go()\n    return inner\n\ndef other():\n    go()\n"
    evidence = build({"views.py": [text]}, [("GET /a", "views.py", 0, {2, 3, 4, 7}, 1, 1.0)])
    assert of_file(evidence, "views.py").reached == ((1, 4), (6, 7))


def test_a_version_nobody_ran_is_refused():
    evidence = build(TEXTS, [("GET /a", "views.py", 0, {5}, 1, 1.0)])
    with pytest.raises(KeyError):
        of_file(evidence, "other.py")
