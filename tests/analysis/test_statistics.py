"""Bounds and estimates against scipy, hand-worked examples and simulated traffic."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from requestcov.analysis.dead_days import watch_of
from requestcov.analysis.statistics import (
    beta_cdf,
    chance_of_none,
    chance_of_none_thinned,
    effective_size,
    novelty,
    requests_needed,
    rule_of_three,
    unseen,
    upper_bound,
    worst_size,
)
from requestcov.storage.results import Outcome

SIZES = st.integers(1, 1_000_000)


@given(st.data(), SIZES, st.sampled_from([0.5, 0.1, 0.05, 0.01, 0.001]))
def test_the_bound_is_the_one_of_clopper_and_pearson(data, requests, alpha):
    ran = data.draw(st.integers(0, requests))
    expected = 1.0 if ran == requests else stats.beta.ppf(1 - alpha, ran + 1, requests - ran)
    assert upper_bound(ran, requests, 1 - alpha) == pytest.approx(expected, rel=1e-7)


@given(st.floats(0, 1), st.floats(0.5, 1e5), st.floats(0.5, 1e5))
def test_the_beta_distribution_is_scipys(x, a, b):
    assert beta_cdf(x, a, b) == pytest.approx(stats.beta.cdf(x, a, b), rel=1e-6, abs=1e-10)


def test_none_of_n_has_a_closed_form_and_three_over_n_beside_it():
    """None of 100: 1 - 0.05 ** 0.01 = 2.951 %, by the rule of three 3 %."""
    assert upper_bound(0, 100) == pytest.approx(0.029513, abs=1e-6)
    assert rule_of_three(100) == 0.03
    for requests in (30, 1000, 1_000_000):
        assert rule_of_three(requests) * 0.94 < upper_bound(0, requests) < rule_of_three(requests)


@given(st.data(), st.integers(2, 10_000))
def test_more_requests_lower_the_bound_and_more_that_ran_it_raise_it(data, requests):
    ran = data.draw(st.integers(0, requests - 1))
    assert upper_bound(ran, requests + 1) < upper_bound(ran, requests) < upper_bound(ran + 1, requests)


@given(st.floats(1e-6, 0.5), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_requests_needed_bring_the_bound_down_and_one_less_does_not(share, confidence):
    needed = requests_needed(share, confidence)
    assert upper_bound(0, needed, confidence) <= share * (1 + 1e-9)
    assert needed == 1 or upper_bound(0, needed - 1, confidence) > share * (1 - 1e-9)


def test_nothing_is_known_of_no_requests():
    assert upper_bound(0, 0) == 1
    assert effective_size(0, 0) == worst_size([]) == unseen(0, 0, 0) == 0
    assert novelty(0, 0) is None


def test_kish_by_hand():
    """Weights 1, 1, 2: 4 ** 2 / (1 + 1 + 4) = 2.667; equal weights count in full."""
    assert effective_size(4, 6) == pytest.approx(16 / 6)
    assert effective_size(700, 70_000) == pytest.approx(7)


GROUPS = st.lists(st.tuples(st.integers(1, 500), st.floats(1, 1000)), min_size=1, max_size=8)


@given(GROUPS)
def test_the_worst_size_never_exceeds_kishs_nor_the_sample(groups):
    sums = [(n * w, n * w * w) for n, w in groups]
    kish = effective_size(sum(s for s, _ in sums), sum(q for _, q in sums))
    assert worst_size(sums) <= kish * (1 + 1e-9) <= sum(n for n, _ in groups) * (1 + 1e-6)
    assert worst_size(sums) == pytest.approx(sum(s for s, _ in sums) / max(w for _, w in groups))
    assert worst_size(reversed(sums)) == pytest.approx(worst_size(sums))


def test_good_turing_by_hand():
    """Of ten requests two ran a line of their own: the eleventh does with a chance of 2 / 10."""
    assert novelty(2, 10) == 0.2


def test_chao2_by_hand():
    """Q1 = 10, Q2 = 4, n = 20: 19/20 * 10 * 9 / (2 * 5) = 8.55."""
    assert unseen(10, 4, 20) == pytest.approx(8.55)
    assert unseen(1, 0, 20) == 0


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 50))
def test_none_later_by_chance_is_fishers_exact_test(ran, other, after):
    before = ran + other
    expected = stats.fisher_exact([[ran, other], [0, after]], alternative="greater").pvalue
    assert chance_of_none([(ran, before, after)]) == pytest.approx(expected, rel=1e-6)


def test_strata_multiply():
    one, two = (3, 10, 7), (2, 5, 40)
    assert chance_of_none([one, two]) == pytest.approx(chance_of_none([one]) * chance_of_none([two]))


def test_thinning_by_hand():
    """Ten hits of weight 1 beside ten of weight 10, then twenty of weight 10: 11 and 20 are kept."""
    one_in_ten = chance_of_none_thinned([([(10, 0.1)], 11, 20)])
    assert one_in_ten == 1.0  # 2 · (1 - 0.1 · 20/31)^10 = 1.03
    whole = chance_of_none_thinned([([(10, 1.0)], 11, 20)])
    assert whole == pytest.approx(2 * (11 / 31) ** 10)
    assert chance_of_none_thinned([([(10, 0.5)], 11, 20)]) == pytest.approx(2 * (1 - 10 / 31) ** 10)
    assert chance_of_none_thinned([]) == 1.0
    assert chance_of_none_thinned([([(3, 1.0)], 10, 0)]) == 1.0


@given(st.integers(1, 30), st.floats(0.01, 1), st.integers(0, 60), st.integers(0, 60))
def test_thinning_is_never_below_twice_the_mean_of_the_exact_tests(hits, kept, other, after):
    """The exact test of every number of hits that thinning can leave, by its chance."""
    mean = sum(
        stats.binom.pmf(left, hits, kept)
        * stats.fisher_exact([[left, other + hits - left], [0, after]], alternative="greater").pvalue
        for left in range(hits + 1)
    )
    bound = chance_of_none_thinned([([(hits, kept)], hits + other, after)])
    assert bound >= min(1.0, 2 * mean) * (1 - 1e-9)


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=20), st.integers(20, 99), st.integers(0, 99))
def test_taking_the_mean_chance_of_several_only_raises_it(chances, before, after):
    apart = chance_of_none_thinned([([(1, kept) for kept in chances], before, after)])
    together = chance_of_none_thinned([([(len(chances), sum(chances) / len(chances))], before, after)])
    assert together >= apart * (1 - 1e-9)


def test_silence_by_chance_is_called_so_where_requests_were_sampled_unlike():
    """Both releases run a path in three of ten requests at start-up, which are a tenth, and in no other.

    The earlier recorded all at start-up and one in twenty of the others, the later one in twenty of all.
    """
    chance, false, naive = random.Random(SEED), 0, 0
    for _ in range(RUNS):
        ran = sum(chance.random() < 0.3 for _ in range(100))
        others = sum(chance.random() < 0.05 for _ in range(900))
        starts = [chance.random() < 0.3 for _ in range(100) if chance.random() < 0.05]
        later = len(starts) + sum(chance.random() < 0.05 for _ in range(900))
        if not any(starts):
            before = (100 + 20 * others) / 20
            false += chance_of_none_thinned([([(ran, 1 / 20)], before, later)]) <= 0.05
            naive += chance_of_none([(ran, 100 + others, later)]) <= 0.05
    print(f"called silent by chance: {false / RUNS:.1%}; counting heads {naive / RUNS:.1%}")
    assert false / RUNS <= 0.05
    assert naive / RUNS > 0.1


def outcome(kind: str, requests: int, weight: float) -> Outcome:
    return Outcome(
        service="shop",
        release="r1",
        endpoint="GET /",
        day=datetime(2026, 11, 20, tzinfo=UTC),
        failed=kind == "failed",
        status=None,
        error=None,
        sampled_by=kind,
        partial=None,
        engine="monitoring",
        requests=requests,
        weight=requests * weight,
        squares=requests * weight * weight,
    )


RUNS, SEED = 1000, 1953
FLOOR = 0.95 - 2.33 * (0.95 * 0.05 / RUNS) ** 0.5
"""What a bound that holds in exactly 95 % falls below in one of a hundred such simulations."""


def binomial(chance: random.Random, n: int, p: float) -> int:
    """By the gaps between hits, as p is small."""
    count, at = 0, 0
    while True:
        at += int(chance.expovariate(1) / -math.log1p(-p)) + 1
        if at > n:
            return count
        count += 1


def covered(rate: float, rare_share: float, failing: float, requests: int) -> float:
    """In how many runs the bound holds: the path is seen, or its true share is within the bound.

    Healthy requests are kept at a rate, all failing ones are; the rare path is a healthy one.
    """
    chance = random.Random(SEED)
    held = 0
    rare = round(requests * rare_share)
    failed = round(requests * failing)
    for _ in range(RUNS):
        seen = rare if rate == 1 else binomial(chance, rare, rate)
        kept = seen + (
            binomial(chance, requests - failed - rare, rate) if rate < 1 else requests - failed - rare
        )
        watch = watch_of([outcome("rate", kept, 1 / rate), outcome("failed", failed, 1)], 0.95)
        held += seen > 0 or watch.bound >= rare_share
    return held / RUNS


@pytest.mark.parametrize("failing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("times", [0.5, 1.02, 1.2, 2.0])
def test_the_stated_bound_holds_in_95_percent_of_simulations(times, failing):
    """1 % sampling of 100,000 requests, the rare path just below to well above what the bound says.

    The worst, of a path just above the bound, is 95 % by construction, so noise of the 1,000 runs
    is allowed for.
    """
    requests, rate = 100_000, 0.01
    share = times * upper_bound(0, requests * rate)
    achieved = covered(rate, share, failing, requests)
    print(f"coverage {achieved:.1%} at {times} times the bound, {failing:.0%} failing")
    assert achieved >= FLOOR


def test_kishs_size_would_promise_too_much():
    """Why the bound does not stand on it: half the requests fail and are all kept, one healthy of a
    hundred is. A path of healthy requests, just above what Kish's size allows, is mostly missed."""
    healthy, failed, weight = 500, 50_000, 100
    kish = effective_size(failed + healthy * weight, failed + healthy * weight * weight)
    worst = worst_size([(failed, failed), (healthy * weight, healthy * weight * weight)])
    share = upper_bound(0, kish)
    # It is a share 2 * share of the healthy half.
    missed = (1 - 2 * share) ** healthy
    assert missed > 0.2
    assert (1 - 2 * upper_bound(0, worst)) ** healthy <= 0.05


@given(st.integers(1, 2000), st.floats(0.0001, 0.3))
def test_the_bound_holds_in_at_least_95_percent_of_samples_whatever_the_truth(requests, share):
    """No simulation: the chances of all counts for which it holds, added up."""
    highest = int(requests * share)
    fails = [hits for hits in range(highest + 1) if upper_bound(hits, requests) < share]
    assert sum(stats.binom.pmf(fails, requests, share)) <= 0.05 + 1e-9


@pytest.mark.parametrize("share", [0.001, 0.00302, 0.005, 0.02])
def test_the_bound_of_what_ran_seldom_holds_too(share):
    """At 0.302 %, just above what no hit of 1,000 allows, it holds in 95.14 % of samples: these 1,000
    runs say 94.3 %, 10,000 from the same seed 95.34 %. The difference is chance (one in ten such
    simulations is as low), which FLOOR allows for; the test above has none."""
    chance = random.Random(SEED)
    held = sum(upper_bound(binomial(chance, 1000, share), 1000) >= share for _ in range(RUNS))
    print(f"coverage {held / RUNS:.1%} at {share:.2%}")
    assert held / RUNS >= FLOOR
