"""The execution paths of an endpoint: worked by hand, and laws that no traffic breaks."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest
from coverage.numbits import nums_to_numbits
from hypothesis import given, settings
from hypothesis import strategies as st

from requestcov._source import digest_of
from requestcov.analysis.evidence import Timings
from requestcov.analysis.paths import paths_of
from requestcov.storage.results import StoredBlock, Timed
from tests.analysis.evidence_by_hand import build
from tests.analysis.test_coverage_of_requests import VIEWS

# Body lines: show 6, 7, 8; ship 11, 12, 13. At import: 1, 3, 5, 10.
Ran = Mapping[tuple[str, int], frozenset[int]]


@dataclass(frozen=True)
class Asked:
    """One request: its lines of ``(path, version)``, and which of them ran after the response."""

    ran: Ran
    later: Ran | None = None
    weight: float = 1.0
    ms: float = 1.0
    failed: bool = False
    release: str = "r1"


def views(*lines: int, version: int = 0, **more) -> Asked:
    """A request that ran lines of views.py."""
    return Asked({("views.py", version): frozenset(lines)}, **more)


def timings(texts: Mapping[str, Sequence[str | None]], requests: Sequence[Asked]) -> Timings:
    """As a store has it: blocks and spectra numbered as they come."""
    blocks: dict[tuple[str, int, frozenset[int]], int] = {}
    spectra: dict[frozenset[int], int] = {}

    def spectrum(ran: Ran) -> int:
        numbers = frozenset(blocks.setdefault((*key, lines), len(blocks)) for key, lines in ran.items())
        return spectra.setdefault(numbers, len(spectra))

    def digest(path: str, version: int) -> str:
        return digest_of((texts[path][version] or f"unknown {version}").encode())

    timed: dict[tuple[str, bool, int, int | None, float], Timed] = {}
    for asked in requests:
        later = None if asked.later is None else spectrum(asked.later)
        key = (asked.release, asked.failed, spectrum(asked.ran), later, asked.weight)
        insort(timed.setdefault(key, Timed(*key, [])).durations, int(asked.ms * 1000))
    runs = [
        ("GET /a", path, version, set(lines), 1, asked.weight)
        for asked in requests
        for (path, version), lines in asked.ran.items()
    ]
    known = {number: numbers for numbers, number in spectra.items()}
    return Timings(
        endpoint="GET /a",
        evidence=build(texts, runs),
        timed=tuple(timed.values()),
        paths={some.spectrum: known[some.spectrum] for some in timed.values()},
        later={
            some.background: known[some.background] for some in timed.values() if some.background is not None
        },
        blocks={
            number: StoredBlock(
                number=number,
                id=number,
                path=path,
                digest=digest(path, version),
                numbits=nums_to_numbits(lines),
                arcs=None,
            )
            for (path, version, lines), number in blocks.items()
        },
    )


def told(parts) -> list[tuple[str, bool, list[tuple[int, str]]]]:
    """(function, whether the other does not enter it, [(line, text)])."""
    return [(part.name, part.whole, [(line.number, line.text) for line in part.lines]) for part in parts]


def test_requests_that_ran_the_same_lines_are_one_path():
    """show by 6, 8 three times, of weight 6; by 6, 7 once, of weight 2, failing."""
    found = paths_of(
        timings(
            {"views.py": [VIEWS]},
            [
                views(6, 8, ms=10, weight=2),
                views(6, 7, ms=5, weight=2, failed=True),
                views(6, 8, ms=30, weight=2, failed=True),
                views(6, 8, ms=20, weight=2, release="r2"),
            ],
        )
    )
    first, second = found.paths
    assert (first.number, first.requests, first.weight, first.share) == (1, 3, 6.0, 0.75)
    assert (first.failed, first.failing, first.median_ms) == (1, pytest.approx(1 / 3), 20.0)
    assert (first.releases, first.functions, first.lines) == (("r1", "r2"), 1, 2)
    assert (first.like, first.adds, first.lacks) == (None, (), ())
    assert (second.requests, second.share, second.failing, second.median_ms) == (1, 0.25, 1.0, 5.0)
    assert second.like == 1
    assert told(second.adds) == [("show", False, [(7, "    return 404")])]
    assert told(second.lacks) == [("show", False, [(8, "return render(order)")])]
    assert (found.total, found.folded, found.once, found.unseen) == (2, None, 1, 0.25)


def test_the_median_is_of_the_traffic_not_of_the_records():
    """Half of 101 requests is passed by the one record that stands for 99."""
    requests = [views(6, ms=1), views(6, ms=2), views(6, ms=900, weight=99)]
    (path,) = paths_of(timings({"views.py": [VIEWS]}, requests)).paths
    assert path.median_ms == 900


def test_a_path_is_compared_with_the_more_common_one_most_like_it():
    """The third differs from the second by one line, from the first by four."""
    requests = [views(6, 8)] * 3 + [views(6, 7, 11, 12)] * 2 + [views(6, 7, 11, 12, 13)]
    _, second, third = paths_of(timings({"views.py": [VIEWS]}, requests)).paths
    assert (second.like, third.like) == (1, 2)
    assert [name for name, whole, _ in told(second.adds) if whole] == ["ship"]
    assert told(third.adds) == [("ship", False, [(13, "    pack(item)")])]
    assert third.lacks == ()


def test_a_deploy_that_moves_code_splits_no_path():
    texts = {"views.py": [VIEWS, "# moved\n" + VIEWS]}
    requests = [views(6, 8), views(7, 9, version=1, release="r2"), views(1, 6, 8)]
    (path,) = paths_of(timings(texts, requests)).paths
    assert (path.requests, path.lines, path.changed) == (3, 2, 0)


def test_code_that_has_changed_since_tells_paths_apart_and_is_not_shown():
    """Two ways through the old show cannot be told to be a way through the new one, nor one another."""
    texts = {"views.py": [VIEWS, VIEWS.replace("404", "410")]}
    requests = [views(6, 7, version=1)] * 3 + [views(6, 7)] * 2 + [views(6, 8)]
    first, second, third = paths_of(timings(texts, requests)).paths
    assert [(path.requests, path.lines, path.changed) for path in (first, second, third)] == [
        (3, 2, 0),
        (2, 0, 2),
        (1, 0, 2),
    ]
    assert (third.like, third.adds, third.lacks, third.changed_differs) == (2, (), (), True)


def test_without_a_source_paths_are_told_apart_all_the_same():
    found = paths_of(
        timings({"gone.py": [None]}, [Asked({("gone.py", 0): frozenset({n})}) for n in (1, 1, 2)])
    )
    assert [(path.requests, path.lines, path.changed) for path in found.paths] == [(2, 0, 1), (1, 0, 1)]


def test_what_ran_after_the_response_is_told_apart_and_splits_no_path():
    """The second ran ship in a background task: its spectrum holds 11 to 13 too."""
    later = {("views.py", 0): frozenset({11, 12})}
    requests = [views(6, 8, weight=3), views(6, 8, 11, 12, later=later, weight=1)]
    found = paths_of(timings({"views.py": [VIEWS]}, requests))
    (path,) = found.paths
    assert (path.requests, path.lines, path.background) == (2, 2, 1)
    (after,) = found.background
    assert (after.name, after.line, after.lines, after.requests, after.share) == (
        "ship", 10, (11, 12), 1, 0.25,
    )  # fmt: skip


def test_rare_paths_are_folded_with_their_count():
    requests = [*[views(6, 8)] * 5, *[views(6, 7)] * 2, views(6), views(11, failed=True), views(12)]
    found = paths_of(timings({"views.py": [VIEWS]}, requests), 2)
    assert [path.requests for path in found.paths] == [5, 2]
    assert found.folded is not None
    assert (found.total, found.folded.paths, found.folded.requests, found.folded.share) == (5, 3, 3, 0.3)
    assert (found.folded.failed, found.folded.failing) == (1, pytest.approx(1 / 3))
    assert (found.once, found.unseen) == (3, 0.3)


def test_the_chance_of_a_new_path_is_goods():
    """Of 10 requests 3 took a path of their own; with none there is nothing to say."""
    empty = paths_of(timings({}, []))
    assert (empty.paths, empty.total, empty.unseen) == ((), 0, None)


request_of = st.builds(
    lambda lines, version, later, weight, ms, failed: Asked(
        {("views.py", version): frozenset(lines | (later or set()))},
        None if later is None else {("views.py", version): frozenset(later)},
        weight,
        ms,
        failed,
    ),
    st.sets(st.sampled_from([1, 6, 7, 8, 11, 12, 13]), min_size=1),
    st.sampled_from([0, 1]),
    st.none() | st.sets(st.sampled_from([11, 12, 13]), min_size=1),
    st.floats(min_value=0.1, max_value=1000),
    st.sampled_from([1.0, 2.0, 5.0]),
    st.booleans(),
)
requests_of = st.lists(request_of, min_size=1, max_size=12)
TEXTS = {"views.py": [VIEWS, VIEWS.replace("404", "410")]}


@settings(max_examples=60, deadline=None)
@given(st.data(), requests_of)
def test_the_order_of_requests_does_not_matter(data, requests):
    shuffled = data.draw(st.permutations(requests))
    assert paths_of(timings(TEXTS, requests)) == paths_of(timings(TEXTS, shuffled))


@settings(max_examples=60, deadline=None)
@given(requests_of, st.integers(min_value=-8, max_value=8))
def test_scaling_all_weights_changes_no_share_nor_median(requests, power):
    """By a power of two, so that no sum is rounded in another way."""
    scaled = [replace(asked, weight=asked.weight * 2.0**power) for asked in requests]
    one, other = paths_of(timings(TEXTS, requests)), paths_of(timings(TEXTS, scaled))
    assert [replace(path, weight=0.0) for path in one.paths] == [
        replace(path, weight=0.0) for path in other.paths
    ]
    assert one.background == other.background


@settings(max_examples=60, deadline=None)
@given(requests_of, st.integers(min_value=1, max_value=4))
def test_every_request_is_in_one_path_shown_or_folded(requests, most):
    found = paths_of(timings(TEXTS, requests), most)
    groups = [*found.paths, *([found.folded] if found.folded else [])]
    assert sum(group.requests for group in groups) == len(requests)
    assert sum(group.share for group in groups) == pytest.approx(1.0)
    assert sum(group.failed for group in groups) == sum(asked.failed for asked in requests)
    assert len(found.paths) + (found.folded.paths if found.folded else 0) == found.total
    shares = [path.share for path in found.paths]
    assert shares == sorted(shares, reverse=True)


@settings(max_examples=60, deadline=None)
@given(requests_of)
def test_what_tells_two_paths_apart_makes_one_of_the_other(requests):
    """A path's lines are those of the one it is compared with, with what it adds, without what it lacks."""
    found = paths_of(timings(TEXTS, requests))
    for path in found.paths[1:]:
        assert path.like is not None
        other = found.paths[path.like - 1]
        adds, lacks = (sum(len(part.lines) for part in side) for side in (path.adds, path.lacks))
        assert path.lines == other.lines + adds - lacks
        assert adds or lacks or path.changed_differs
