"""Every policy alone, and their order."""

from __future__ import annotations

import random
import sys
import threading
import time
from itertools import pairwise
from typing import Any

import pytest

from requestcov import sampling
from requestcov._entry import MAX_PROBES
from requestcov.config import Config
from requestcov.routes import NOT_FOUND
from requestcov.sampling import Sampler

SECRET = "a-secret-of-20-chars"


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def no_header(name: str) -> str | None:
    raise AssertionError("no secret is configured: headers are not looked at")


def make(seed: int = 1, clock: Clock | None = None, **options: Any) -> Sampler:
    options = {"sample_rate": 0.0, "first": 0, "max_per_second": 0.0, **options}
    return Sampler(Config(**options), rng=random.Random(seed), clock=clock or Clock())


def policies(sampler: Sampler, path: str, times: int, header: Any = no_header) -> list[str | None]:
    taken = [sampler.decide("GET", path, header) for _ in range(times)]
    return [None if decision is None else decision.policy for decision in taken]


def test_rate_0_takes_nothing_and_rate_1_takes_all() -> None:
    assert set(policies(make(sample_rate=0.0), "/x", 20_000)) == {None}
    sampler = make(sample_rate=1.0)
    decisions = [sampler.decide("GET", "/x", no_header) for _ in range(20_000)]
    assert {(d.policy, d.weight) for d in decisions if d} == {("rate", 1.0)}
    assert None not in decisions


def test_the_same_seed_takes_the_same_requests() -> None:
    once, again, other = (policies(make(seed, sample_rate=0.3), "/x", 500) for seed in (7, 7, 8))
    assert once == again != other


def test_a_weight_is_the_reciprocal_of_the_rate() -> None:
    sampler = make(sample_rate=0.05)
    weights = {d.weight for _ in range(1000) if (d := sampler.decide("GET", "/x", no_header))}
    assert weights == {20.0}


def test_the_first_requests_of_every_endpoint_are_taken() -> None:
    sampler = make(first=3)
    assert policies(sampler, "/orders", 5) == ["first"] * 3 + [None] * 2
    assert policies(sampler, "/users", 2) == ["first"] * 2
    assert sampler.decide("POST", "/orders", no_header) == ("first", 1.0, "/orders")


def test_ids_in_a_path_make_no_new_endpoint() -> None:
    sampler = make(first=3)
    taken = [sampler.decide("GET", f"/orders/{n}", no_header) for n in range(100)]
    assert [d.shape for d in taken if d] == ["/orders/{id}"] * 3


def test_words_in_a_path_make_no_new_endpoint_once_the_template_is_learned() -> None:
    """Page titles look like words: with the template known they share its budget, but for a few probes."""
    sampler = make(first=5)
    words = ["".join(random.Random(n).choices("abcdefghij", k=7)) for n in range(1000)]
    taken = 0
    for word in words:
        path = f"/pages/{word}"
        if sampler.decide("GET", path, no_header):
            taken += 1
            sampler.learned("GET", path, "/pages/{slug}")
    assert taken <= 5 + MAX_PROBES
    assert sampler.seen() == {"GET /pages/{slug}": 1000}


def test_a_literal_route_behind_a_parameter_is_still_met_first() -> None:
    sampler = make(first=2)
    sampler.decide("GET", "/pages/one", no_header)
    sampler.learned("GET", "/pages/one", "/pages/{slug}")
    assert policies(sampler, "/pages/about", 1) == ["first"]
    sampler.learned("GET", "/pages/about", "/pages/about")
    assert policies(sampler, "/pages/about", 2) == ["first", None]
    assert sampler.seen() == {"GET /pages/{slug}": 1, "GET /pages/about": 3}


def test_what_was_taken_before_the_route_was_known_counts() -> None:
    sampler = make(first=5)
    assert policies(sampler, "/orders/1", 2) == ["first"] * 2
    sampler.learned("GET", "/orders/1", "/orders/<int:pk>")
    assert policies(sampler, "/orders/2", 4) == ["first"] * 3 + [None]


def test_an_excluded_path_is_counted_and_never_taken() -> None:
    sampler = make(sample_rate=1.0, first=5, exclude=("/health", "/static/*", "/v?/ping", "/[a]"))
    for path in ("/health", "/static/", "/static/a/b.css", "/v1/ping", "/[a]"):
        assert policies(sampler, path, 2) == [None, None], path
    for path in ("/healthcare", "/x/health", "/health/", "/v12/ping", "/a", "/health\n"):
        assert None not in policies(sampler, path, 2), path
    assert sampler.excluded == 10
    assert sum(sampler.seen().values()) == 12


def test_an_excluded_method_is_counted_and_never_taken_on_any_path() -> None:
    sampler = make(sample_rate=1.0, first=5, exclude_methods=("HEAD", "options"))
    for method in ("HEAD", "OPTIONS"):
        assert sampler.decide(method, "/x", no_header) is None
    assert sampler.decide("GET", "/x", no_header) is not None
    assert sampler.excluded == 2


def test_forged_headers_force_nothing() -> None:
    sampler = make(force_secret=SECRET)
    forged = [SECRET[:-1], SECRET + "x", "", "é" * 20, "\udcff", SECRET.upper()]
    for n in range(10_000):
        assert sampler.decide("GET", "/x", {"x-requestcov-force": forged[n % 6]}.get) is None
    assert sampler.capped == 0


def test_valid_forced_requests_have_a_cap_of_their_own() -> None:
    clock = Clock()
    sampler = make(force_secret=SECRET, clock=clock, max_per_second=10.0)
    forced = policies(sampler, "/x", 1000, {"x-requestcov-force": SECRET}.get)
    assert forced == ["forced"] * 5 + [None] * 995
    assert sampler.capped == 995
    clock.now += 2
    assert policies(sampler, "/x", 10, {"x-requestcov-force": SECRET}.get).count("forced") == 2


def test_forcing_does_not_reach_an_excluded_path() -> None:
    sampler = make(force_secret=SECRET)
    assert policies(sampler, "/health", 1, {"x-requestcov-force": SECRET}.get) == [None]


def test_the_cap_bounds_recordings_a_second_and_counts_what_it_turns_away() -> None:
    clock = Clock()
    sampler = make(sample_rate=1.0, max_per_second=10.0, clock=clock)
    taken = 0
    for _ in range(1000):  # 10 seconds at 100 a second
        taken += sampler.decide("GET", "/x", no_header) is not None
        clock.now += 0.01
    assert 100 <= taken <= 110
    assert sampler.capped == 1000 - taken


def test_a_first_request_that_the_cap_turned_away_is_owed() -> None:
    clock = Clock()
    sampler = make(first=2, max_per_second=1.0, clock=clock)
    assert policies(sampler, "/x", 3) == ["first", None, None]
    clock.now += 1
    assert policies(sampler, "/x", 2) == ["first", None]


def test_a_clock_that_stands_or_runs_back_opens_no_cap() -> None:
    clock = Clock()
    sampler = make(sample_rate=1.0, max_per_second=1.0, clock=clock)
    assert policies(sampler, "/x", 2) == ["rate", None]
    clock.now -= 3600
    assert policies(sampler, "/x", 2) == [None, None]


def test_a_failure_boosts_its_endpoint_for_a_while() -> None:
    clock = Clock()
    sampler = make(sample_rate=0.001, clock=clock)
    sampler.failed("GET", "/orders/1", None)
    decisions = [sampler.decide("GET", f"/orders/{n}", no_header) for n in range(1000)]
    boosted = [n for n, d in enumerate(decisions) if d and d.policy == "boost"]
    assert 4 <= len(boosted) <= 20
    assert boosted[-1] < sampling.BOOST_REQUESTS
    assert {d.weight for d in decisions if d and d.policy == "boost"} == {1 / sampling.BOOST_RATE}
    assert "boost" not in policies(sampler, "/users", 100)


def test_an_endpoint_that_keeps_failing_is_not_boosted_for_ever() -> None:
    clock = Clock()
    sampler = make(sample_rate=0.001, clock=clock)
    taken = 0
    for _ in range(3000):  # five minutes
        sampler.failed("GET", "/x", None)
        decision = sampler.decide("GET", "/x", no_header)
        taken += decision is not None and decision.policy == "boost"
        clock.now += 0.1
    assert 0 < taken <= sampling.BOOST_REQUESTS
    clock.now += sampling.BOOST_PAUSE
    sampler.failed("GET", "/x", None)
    assert "boost" in policies(sampler, "/x", sampling.BOOST_REQUESTS)


def test_a_boost_ends_after_its_time() -> None:
    clock = Clock()
    sampler = make(sample_rate=1e-9, clock=clock)
    sampler.failed("GET", "/x", None)
    clock.now += sampling.BOOST_SECONDS
    assert set(policies(sampler, "/x", 100)) == {None}


@pytest.mark.parametrize("rate", [0.0, 0.25, 1.0])
def test_a_boost_never_changes_a_rate_of_0_nor_lowers_one(rate: float) -> None:
    sampler = make(sample_rate=rate)
    sampler.failed("GET", "/x", None)
    assert "boost" not in policies(sampler, "/x", 200)


def test_failures_of_a_recorded_route_boost_it_by_its_template() -> None:
    sampler = make(sample_rate=0.001)
    sampler.decide("GET", "/orders/7", no_header)
    sampler.learned("GET", "/orders/7", "/orders/{id}")
    sampler.failed("GET", "/orders/7", "/orders/{id}")
    assert "boost" in policies(sampler, "/orders/8", sampling.BOOST_REQUESTS)


def test_seen_counts_every_request_by_route() -> None:
    sampler = make()
    for n in range(10):
        sampler.decide("GET", f"/orders/{n}", no_header)
    sampler.learned("GET", "/orders/3", "/orders/{order_id}")
    sampler.decide("HEAD", "/orders/3", no_header)
    sampler.decide("GET", "/orders/11", no_header)
    sampler.decide("BREW", "/pot", no_header)
    assert sampler.seen() == {
        "GET /orders/{order_id}": 11,
        "HEAD (unknown route)": 1,
        "(other) (unknown route)": 1,
    }


def test_a_name_made_from_a_path_is_counted_only_once_a_record_carries_it() -> None:
    """A plain word in a path may be a person's name; what was counted before is not lost."""
    sampler = make(sample_rate=1.0)
    for path in ("/people/smith", "/people/jones", "/people/jones"):
        sampler.decide("GET", path, no_header)
    assert sampler.seen() == {"GET (unknown route)": 3}
    sampler.unrouted("GET", "/people/jones")
    assert sampler.seen() == {"GET (unknown route)": 1, "GET /people/jones": 2}
    sampler.learned("GET", "/people/smith", "/people/{name}")
    assert sampler.seen() == {"GET /people/{name}": 3}


def test_paths_that_met_no_route_are_counted_under_one_name() -> None:
    sampler = make(first=1)
    for path in ("/wp-login.php", "/admin.php"):
        sampler.decide("GET", path, no_header)
        sampler.learned("GET", path, NOT_FOUND)
    sampler.decide("GET", "/wp-login.php", no_header)
    assert sampler.seen() == {f"GET {NOT_FOUND}": 3}
    sampler.learned("GET", "/admin.php", "/admin.php")
    assert sampler.decide("GET", "/admin.php", no_header) is not None, "it has become an endpoint"


def test_the_decision_names_the_route_that_the_path_most_likely_has() -> None:
    sampler = make(sample_rate=1.0)
    sampler.learned("GET", "/pages/one", "/pages/{slug}")
    decision = sampler.decide("GET", "/pages/2", no_header)
    assert decision is not None
    assert decision.shape == "/pages/{slug}"


def goes_by(sampler: Sampler, path: str, method: str = "GET") -> bool:
    """What a wrapper does before it asks: whether the request goes by, counted."""
    entry = sampler.known[method].get(path)
    if entry is None or entry.left <= 0:
        return False
    entry.left -= 1
    return True


def test_the_short_way_counts_as_the_long_way_does_and_takes_at_the_same_rate() -> None:
    sampler = make(sample_rate=0.1, first=3, max_per_second=0.0)
    taken = []
    for _ in range(20_000):
        if goes_by(sampler, "/orders"):
            continue
        decision = sampler.decide("GET", "/orders", no_header)
        if decision is not None:
            taken.append(decision)
    assert [d.policy for d in taken[:3]] == ["first"] * 3
    assert {d.policy for d in taken[3:]} == {"rate"}
    assert sum(sampler.seen().values()) == 20_000
    assert 1_850 < len(taken) < 2_150
    assert sum(d.weight for d in taken) == pytest.approx(20_000, rel=0.08)


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("short", [True, False])
def test_each_request_is_taken_independently_of_those_before_it(rate: float, short: bool) -> None:
    """The gaps between hits are geometric, and a hit is as likely after a hit as after a miss."""
    sampler = make(sample_rate=rate, first=0, max_per_second=0.0)
    hits = []
    for _ in range(60_000):
        passed = short and goes_by(sampler, "/orders")
        hits.append(not passed and sampler.decide("GET", "/orders", no_header) is not None)

    def deviations(observed: int, trials: int) -> float:
        return abs(observed - trials * rate) / (trials * rate * (1 - rate)) ** 0.5

    assert deviations(sum(hits), len(hits)) < 4
    after = [now for before, now in pairwise(hits) if before]
    assert deviations(sum(after), len(after)) < 4
    later = [now for before, now in zip(hits, hits[3:], strict=False) if before]
    assert deviations(sum(later), len(later)) < 4
    assert sampler.seen() == {"GET (unknown route)": len(hits)}


def test_threads_that_meet_at_a_hit_share_no_hit_and_lose_no_count() -> None:
    """The hit that was drawn is one thread's; the others draw for themselves."""
    sampler = make(sample_rate=0.5, first=0, max_per_second=0.0, clock=time.monotonic)
    taken: list[int] = []

    def run() -> None:
        mine = 0
        for _ in range(10_000):
            if not goes_by(sampler, "/orders"):
                mine += sampler.decide("GET", "/orders", no_header) is not None
        taken.append(mine)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert 19_500 < sum(taken) < 20_500
    assert sampler.seen() == {"GET (unknown route)": 40_000}


def test_the_short_way_lets_only_requests_pass_that_the_rate_alone_decides() -> None:
    new = make(sample_rate=0.0, first=1)
    assert not goes_by(new, "/x")
    assert policies(new, "/x", 2) == ["first", None]
    assert goes_by(new, "/x")
    assert not goes_by(new, "/y")
    assert not goes_by(new, "/health")
    assert policies(new, "/health", 1) == [None]
    assert goes_by(new, "/health")
    assert new.excluded == 2
    forced = make(sample_rate=0.0, first=0, force_secret=SECRET)
    assert policies(forced, "/x", 1, {}.get) == [None]
    assert not goes_by(forced, "/x")


def test_an_endpoint_that_failed_is_not_passed_over() -> None:
    clock = Clock()
    sampler = make(sample_rate=0.001, first=0, clock=clock)
    policies(sampler, "/x", 1)
    assert goes_by(sampler, "/x")
    sampler.failed("GET", "/x", None)
    assert not goes_by(sampler, "/x")
    clock.now += 61
    policies(sampler, "/x", 1)
    assert goes_by(sampler, "/x")
