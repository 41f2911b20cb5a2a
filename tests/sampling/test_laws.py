"""What holds for any requests: bounds, exact counts, unbiased weights, forks, threads, cost."""

from __future__ import annotations

import os
import random
import string
import sys
import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from requestcov import sampling
from requestcov.config import Config
from requestcov.routes import fallback
from requestcov.sampling import Sampler


def no_header(name: str) -> None:
    return None


METHODS = st.sampled_from(["GET", "POST", "WEBSOCKET", "BREW"])
PATHS = st.one_of(
    st.sampled_from(["/", "/orders/1", "/orders/2", "/pages/a", "/pages/b", "/health", "/static/x"]),
    st.text(string.ascii_lowercase + "/123-{}<>*:.", max_size=30).map(lambda text: "/" + text),
    st.text(max_size=20),
)
TEMPLATES = st.one_of(
    st.sampled_from(
        ["/orders/{id}", "/orders/<int:id>", "/pages/{slug}", "/{path:path}", "/", "(not found)"]
    ),
    st.text(string.ascii_lowercase + "/{}<>:*()[]\\+?", max_size=30).map(lambda text: "/" + text),
)
STEPS = st.one_of(
    st.tuples(st.just("decide"), METHODS, PATHS, st.none()),
    st.tuples(st.just("learned"), METHODS, PATHS, TEMPLATES),
    st.tuples(st.just("failed"), METHODS, PATHS, st.none() | TEMPLATES),
    st.tuples(st.just("unrouted"), METHODS, PATHS, st.none()),
)


@given(
    st.lists(STEPS, max_size=60),
    st.floats(0, 1),
    st.integers(0, 3),
    st.sampled_from([0.0, 1.0, 50.0]),
)
def test_no_request_is_lost_from_the_counts(
    steps: list[tuple[str, str, str, str | None]], rate: float, first: int, cap: float
) -> None:
    """seen + excluded = decisions, whatever was learned in between; every weight is at least 1."""
    config = Config(sample_rate=rate, first=first, max_per_second=cap)
    sampler = Sampler(config, rng=random.Random(1), clock=lambda: 5.0)
    asked = taken = 0
    for what, method, path, route in steps:
        if what == "decide":
            asked += 1
            decision = sampler.decide(method, path, no_header)
            if decision is not None:
                taken += 1
                assert decision.weight >= 1
        elif what == "learned":
            sampler.learned(method, path, route or "")
        elif what == "unrouted":
            sampler.unrouted(method, fallback(path))
        else:
            sampler.failed(method, path, route)
    assert sum(sampler.seen().values()) + sampler.excluded == asked
    assert taken + sampler.capped <= asked
    if cap:
        assert taken <= max(1.0, cap)


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.sampled_from([0.02, 0.1, 0.5]), st.sampled_from([0, 5]))
def test_a_weight_is_one_over_the_chance_of_its_policy(seed: int, rate: float, first: int) -> None:
    sampler = Sampler(Config(sample_rate=rate, first=first, max_per_second=0), rng=random.Random(seed))
    for n in range(300):
        if n % 100 == 50:
            sampler.failed("GET", "/x", None)
        decision = sampler.decide("GET", "/x", no_header)
        if decision is not None:
            chance = {"first": 1.0, "rate": rate, "boost": sampling.BOOST_RATE}[decision.policy]
            assert decision.weight == pytest.approx(1 / chance)


def test_the_sum_of_weights_estimates_the_requests_without_bias() -> None:
    """Horvitz and Thompson's estimator: over many seeds its mean is the number seen, boosts included."""
    requests, seeds = 400, 400
    estimates = []
    for seed in range(seeds):
        config = Config(sample_rate=0.1, first=5, max_per_second=0)
        sampler = Sampler(config, rng=random.Random(seed), clock=lambda: 5.0)
        chooser = random.Random(-seed)
        total = 0.0
        for _ in range(requests):
            decision = sampler.decide("GET", "/x", no_header)
            total += 0 if decision is None else decision.weight
            if chooser.random() < 0.02:
                sampler.failed("GET", "/x", None)
        assert sampler.seen() == {"GET (unknown route)": requests}
        estimates.append(total)
    mean = sum(estimates) / seeds
    deviation = (sum((e - mean) ** 2 for e in estimates) / (seeds - 1)) ** 0.5
    assert abs(mean - requests) < 3 * deviation / seeds**0.5


def test_memory_stays_bounded_however_many_paths_come() -> None:
    sampler = Sampler(Config(first=1, sample_rate=0.01), rng=random.Random(1))
    chooser = random.Random(2)
    total = 20_000
    for n in range(total):
        word = "".join(chooser.choices(string.ascii_lowercase, k=9))
        path = f"/{word}/{n}"
        decision = sampler.decide(chooser.choice(["GET", word.upper()]), path, no_header)
        if decision is not None and n % 2:
            sampler.learned("GET", path, f"/{word}/{{id}}")
    assert len(sampler._shapes) <= sampling.MAX_ENDPOINTS
    assert len(sampler._routes) <= sampling.MAX_ENDPOINTS
    assert sum(map(len, sampler.known.values())) <= sampling.MAX_CACHED_PATHS
    seen = sampler.seen()
    assert sum(seen.values()) == total
    assert seen[sampling.OTHER] > 0
    assert len(seen) <= 2 * sampling.MAX_ENDPOINTS + 1


def test_a_long_path_is_not_kept() -> None:
    sampler = Sampler(Config(), rng=random.Random(1))
    sampler.decide("GET", "/" + "a/" * 100_000, no_header)
    assert not any(sampler.known.values())


def test_counts_are_exact_when_threads_overlap() -> None:
    """The increments hold no point where CPython switches threads; excluded and caps likewise."""
    sampler = Sampler(Config(sample_rate=1.0, first=50, max_per_second=100), clock=lambda: 5.0)
    taken: list[int] = []
    each, threads = 5_000, 4

    def run() -> None:
        mine = 0
        for n in range(each):
            mine += sampler.decide("GET", "/x" if n % 2 else "/health", no_header) is not None
        taken.append(mine)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        running = [threading.Thread(target=run) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert sampler.seen() == {"GET (unknown route)": each * threads // 2}
    assert sampler.excluded == each * threads // 2
    assert sum(taken) == 100
    assert sum(taken) + sampler.capped == each * threads // 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_draws_its_own_numbers_and_starts_its_own_counts() -> None:
    config = Config(sample_rate=0.5, first=2, max_per_second=0)
    sampler = Sampler(config, rng=random.Random(3))
    sampler.learned("GET", "/pages/one", "/pages/{slug}")
    for _ in range(5):
        sampler.decide("GET", "/pages/one", no_header)

    def report() -> str:
        empty = not sampler.seen() and not sampler.excluded and not sampler.capped
        drawn = [sampler.decide("GET", "/pages/one", no_header) for _ in range(66)]
        firsts = Counter(d.policy for d in drawn if d)["first"]
        bits = "".join("01"[d is not None] for d in drawn[2:])
        return f"{empty} {firsts} {sampler.seen()} {bits}"

    reports = []
    for _ in range(2):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:  # pragma: no cover
            os.write(writing, report().encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as stream:
            reports.append(stream.read())
        os.waitpid(pid, 0)
    expected = "True 2 {'GET /pages/{slug}': 66} "
    assert all(text.startswith(expected) for text in reports)
    assert reports[0] != reports[1], "two children would have taken the same requests"
    assert sampler.seen() == {"GET /pages/{slug}": 5}


def test_a_native_fork_without_hooks_is_noticed_when_counts_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = Sampler(Config(sample_rate=1.0, first=0, max_per_second=0), rng=random.Random(3))
    sampler.decide("GET", "/x", no_header)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert sampler.excluded == sampler.capped == 0
    sampler.decide("GET", "/x", no_header)
    assert sampler.seen() == {"GET (unknown route)": 1}
