"""What failing and slow requests run: by hand, over a real store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from requestcov._source import digest_of
from requestcov.analysis.evidence import Selection
from requestcov.analysis.gather import gather_timings, gather_traffic
from requestcov.analysis.slow import slow
from requestcov.analysis.suspects import by_error, by_label, by_status, failed, suspects
from requestcov.record import Block, parse_lines
from tests.reports.shop_store import record, write_store

TEXT = """\
def pay(card, amount):
    if amount < 0:
        raise ValueError(amount)
    if card.old:
        card = renew(card)
        fee = card.fee
    else:
        fee = 0
    charge(card, amount + fee)
    return "paid"


def renew(card):
    card.fee = None
    return card
"""
HEALTHY = {2, 4, 8, 9, 10}
FAILING = {2, 4, 5, 6, 9, 14, 15}
REFUSED = {2, 3}
ARCS = {True: {(2, 4), (4, 8)}, False: {(2, 4), (4, 5)}}

PAY = "POST /pay"


def request(lines: set[int], *, text: str = TEXT, **fields):
    """One request to PAY; ``fields`` are a record's."""
    branches = fields.pop("branches", None)
    made = record(PAY, {}, at=fields.pop("at", timedelta()))
    block = Block("shop/pay.py", digest_of(text.encode()), frozenset(lines), branches)
    return replace(made, blocks=(block,), **fields)


def traffic(path: Path, records, *, texts=(TEXT,)):
    return gather_traffic(store(path, records, texts), Selection(endpoint=PAY), None)


def timings(path: Path, records, *, texts=(TEXT,)):
    return gather_timings(store(path, records, texts), Selection(endpoint=PAY), None)


def store(path: Path, records, texts) -> str:
    url = write_store(path / "s.db", records, texts={})
    for text in texts:
        url = add_source(path / "s.db", text)
    return url


def add_source(path: Path, text: str) -> str:
    return write_store(path, [], texts={"shop/pay.py": text})


def mixed():
    """6 healthy, 3 failing by the renewed card, 2 refused."""
    return [
        *(request(HEALTHY) for _ in range(6)),
        *(request(FAILING, status=500, error="builtins.TypeError") for _ in range(3)),
        *(request(REFUSED, status=422) for _ in range(2)),
    ]


def parts(ties):
    return [(tie.first, tie.last, [(part.function, part.lines) for part in tie.parts]) for tie in ties]


def test_the_lines_that_only_failing_requests_run_come_first(tmp_path: Path):
    answer = suspects(traffic(tmp_path, mixed()), failed())
    assert (answer.failing, answer.healthy, answer.apart, answer.too_few) == (3, 8, 0, None)
    first, second = answer.ran
    assert parts([first]) == [(1, 5, [("pay", "5-6"), ("renew", "14-15")])]
    # Healthy requests run line 9 too; these went no further.
    assert first.parts[0].branches == ("9-ended",)
    assert (first.failing, first.healthy, first.ochiai, first.dstar) == (3, 0, 1.0, None)
    assert first.chance == pytest.approx(1 / 165)  # one in 11 choose 3
    assert parts([second]) == [(6, 7, [("pay", "4,9")])]
    assert (second.failing, second.healthy) == (3, 6)


def test_the_lines_that_failing_requests_miss_are_told_apart(tmp_path: Path):
    """They never return, and never take the way without a fee."""
    answer = suspects(traffic(tmp_path, mixed()), failed())
    assert parts(answer.missing)[0] == (1, 2, [("pay", "8,10")])
    assert (answer.missing[0].failing, answer.missing[0].healthy) == (3, 2)


def test_what_all_requests_run_is_no_suspect(tmp_path: Path):
    answer = suspects(traffic(tmp_path, mixed()), failed())
    assert not any("2" in part.lines.split(",") for tie in answer.ran for part in tie.parts)
    assert answer.ranked == 11  # ten lines, and where the failing ones ended


def test_groups_are_chosen_by_error_status_and_label(tmp_path: Path):
    records = [
        *mixed(),
        *(request(HEALTHY, status=500, error="app.Timeout") for _ in range(2)),
        *(request(HEALTHY | {3}, labels={"plan": "gold"}) for _ in range(2)),
    ]
    found = traffic(tmp_path, records)
    answer = suspects(found, by_error("TypeError"))
    assert (answer.failing, answer.healthy, answer.apart) == (3, 10, 2)
    assert suspects(found, by_error("builtins.TypeError")).failing == 3
    assert suspects(found, by_error("Error")).failing == 0
    answer = suspects(found, by_status(422))
    assert (answer.failing, answer.healthy, answer.apart) == (2, 8, 5)
    assert parts(answer.ran)[0] == (1, 1, [("pay", "3")])
    answer = suspects(found, by_label("plan", "gold"))
    assert (answer.failing, answer.healthy, answer.apart) == (2, 13, 0)
    assert parts(answer.ran)[0][2] == [("pay", "3")]


def test_branches_are_ranked_beside_lines(tmp_path: Path):
    records = [
        *(request({2, 4, 8, 9}, branches=frozenset({(2, 4), (4, 8)})) for _ in range(4)),
        *(request({2, 4, 5, 9}, branches=frozenset({(2, 4), (4, 5)}), status=500) for _ in range(2)),
    ]
    answer = suspects(traffic(tmp_path, records), failed())
    (part,) = answer.ran[0].parts
    assert (part.lines, part.branches) == ("5", ("4-5", "5-ended"))
    # The branch into the line and its end, which say nothing beside it, take no places of their own.
    assert (answer.ran[0].first, answer.ran[0].last) == (1, 1)
    # From line 2 all went one way: that tells nothing.
    assert not any(arc.startswith("2-") for tie in answer.ran for p in tie.parts for arc in p.branches)


def test_a_way_out_of_a_function_is_named(tmp_path: Path):
    records = [
        *(request({2, 4}, branches=frozenset({(4, 8)})) for _ in range(3)),
        *(request({2, 4}, branches=frozenset({(4, -1)}), status=500) for _ in range(2)),
    ]
    answer = suspects(traffic(tmp_path, records), failed())
    assert answer.ran[0].parts[0].branches == ("4-exit",)


def test_lines_of_an_older_version_count_where_the_function_is_the_same(tmp_path: Path):
    moved = "\n\n" + TEXT
    shifted = {line + 2 for line in FAILING}
    records = [
        *(request(HEALTHY) for _ in range(4)),
        *(request(FAILING, status=500) for _ in range(2)),
        request(shifted, text=moved, status=500, at=timedelta(days=1)),
        *(request({line + 2 for line in HEALTHY}, text=moved, at=timedelta(days=1)) for _ in range(2)),
    ]
    answer = suspects(traffic(tmp_path, records, texts=(TEXT, moved)), failed())
    assert (answer.ran[0].failing, answer.ran[0].healthy) == (3, 0)
    assert parts(answer.ran)[0][2] == [("pay", "7-8"), ("renew", "16-17")]
    assert answer.left_out == 0


def test_lines_of_a_function_that_has_changed_are_left_out_and_counted(tmp_path: Path):
    changed = TEXT.replace("fee = 0", "fee = 1")
    records = [
        *(request(FAILING, status=500) for _ in range(2)),
        *(request(HEALTHY, text=changed, at=timedelta(days=1)) for _ in range(3)),
    ]
    answer = suspects(traffic(tmp_path, records, texts=(TEXT, changed)), failed())
    assert answer.left_out == len(FAILING - {14, 15})
    assert parts(answer.ran) == [(1, 2, [("renew", "14-15")])]


@pytest.mark.parametrize("failing", [0, 1])
def test_with_too_few_failures_nothing_is_ranked(tmp_path: Path, failing: int):
    records = [request(HEALTHY) for _ in range(5)] + [request(FAILING, status=500)] * failing
    answer = suspects(traffic(tmp_path, records), failed())
    assert (answer.ran, answer.missing) == ((), ())
    assert answer.too_few == f"{failing} failing request{'s' * (failing != 1)} recorded, 2 are needed"


LINES = st.sets(st.integers(2, 15), max_size=8)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(LINES, st.booleans()), min_size=4, max_size=14))
def test_counts_are_those_of_a_loop_over_requests_and_lines(tmp_path_factory, requests):
    """Slow and plain, line by line and request by request."""
    records = [request(lines, status=500 if bad else 200) for lines, bad in requests]
    folder = tmp_path_factory.mktemp("s")
    answer = suspects(traffic(folder, records), failed())
    if answer.too_few:
        return
    bad, good = sum(b for _, b in requests), sum(not b for _, b in requests)
    bodies = {2, 3, 4, 5, 6, 8, 9, 10, 14, 15}
    expected = {}
    for line in bodies:
        ef = sum(line in lines for lines, b in requests if b)
        ep = sum(line in lines for lines, b in requests if not b)
        if ef * good > ep * bad:
            expected[line] = (ef, ep)
    found = {
        line: (tie.failing, tie.healthy)
        for tie in answer.ran
        for part in tie.parts
        for line in parse_lines(part.lines)
    }
    assert found == expected
    ended = {}
    # What one of these lines leads to, by eye; the others leave their function.
    for line, after in {2: {3, 4}, 4: {5, 8}, 5: {6}, 6: {9}, 8: {9}, 9: {10}, 14: {15}}.items():
        ends = [(line in lines and not lines & after, b) for lines, b in requests]
        ef, ep = sum(end and b for end, b in ends), sum(end and not b for end, b in ends)
        if ef * good > ep * bad:
            ended[f"{line}-ended"] = (ef, ep)
    if len({frozenset(lines) for lines, _ in requests}) > 1:
        assert {
            way: (tie.failing, tie.healthy)
            for tie in answer.ran
            for part in tie.parts
            for way in part.branches
        } == ended


def test_where_healthy_requests_ended_is_not_missed_in_failing_ones(tmp_path: Path):
    """Refused ones end in a handler's call; that failing ones do not says nothing."""
    records = [
        *(request({2, 4, 5, 14}, status=422) for _ in range(3)),
        *(request({2, 4, 8, 9}, status=500) for _ in range(3)),
    ]
    answer = suspects(traffic(tmp_path, records), failed())
    assert [part.branches for tie in answer.ran for part in tie.parts] == [("9-ended",)]
    assert not any(part.branches for tie in answer.missing for part in tie.parts)


def test_slow_requests_are_those_above_the_percentile_or_the_threshold(tmp_path: Path):
    records = [
        *(request(HEALTHY, duration_ms=10.0 + n) for n in range(19)),
        request(FAILING | {10}, duration_ms=500.0),
        request(FAILING | {10}, duration_ms=700.0),
        request(REFUSED, duration_ms=9000.0, status=500),
    ]
    found = timings(tmp_path, records)
    answer = slow(found)
    assert (answer.is_percentile, answer.slow, answer.fast, answer.apart) == (True, 1, 20, 1)
    assert answer.too_few == "1 slow request recorded, 2 are needed"
    answer = slow(found, threshold_ms=100.0)
    assert (answer.slow, answer.fast, answer.threshold_ms, answer.is_percentile) == (2, 19, 100.0, False)
    first = answer.parts[0]
    assert [(part.function, part.lines) for part in first.suspect.parts] == [
        ("pay", "5-6"),
        ("renew", "14-15"),
    ]
    assert (first.median_with, first.median_without, first.difference) == (600.0, 19.0, 581.0)
