"""The formulas of fault localisation, and whether a difference could be chance."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from requestcov.analysis.contrast import Contrast, Part, Tie
from requestcov.analysis.ranking import (
    FORMULAS,
    Suspect,
    by_function,
    dstar,
    jaccard,
    ochiai,
    ranked,
    tarantula,
    too_few,
)
from requestcov.analysis.significance import adjusted, fisher

COUNTS = st.integers(0, 60)


def test_the_formulas_by_hand():
    """2 of 4 failing and 1 of 6 healthy requests ran the line."""
    counts = (2, 1, 2, 5)
    assert ochiai(*counts) == pytest.approx(2 / math.sqrt(4 * 3))
    assert tarantula(*counts) == pytest.approx((2 / 4) / (2 / 4 + 1 / 6))
    assert dstar(*counts) == pytest.approx(4 / (1 + 2))
    assert jaccard(*counts) == pytest.approx(2 / 5)


def test_the_line_that_fails_always_and_never_else_is_the_most_suspicious():
    assert (ochiai(3, 0, 0, 9), tarantula(3, 0, 0, 9), jaccard(3, 0, 0, 9)) == (1.0, 1.0, 1.0)
    assert dstar(3, 0, 0, 9) == math.inf


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_every_formula_grows_with_failing_runs_and_shrinks_with_healthy_ones(ef, ep, nf, np):
    for formula in FORMULAS.values():
        score = formula(ef, ep, nf, np)
        assert score >= 0
        assert (score == 0) == (ef == 0)
        if nf:
            assert formula(ef + 1, ep, nf - 1, np) >= score
        if np:
            assert formula(ef, ep + 1, nf, np - 1) <= score


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_ochiai_is_the_cosine_of_two_vectors(ef, ep, nf, np):
    """Another way to compute it: ran and failed as vectors of zeros and ones."""
    ran = [1] * ef + [1] * ep + [0] * nf + [0] * np
    bad = [1] * ef + [0] * ep + [1] * nf + [0] * np
    dot = sum(a * b for a, b in zip(ran, bad, strict=True))
    assume(dot)
    cosine = Fraction(dot * dot, sum(ran) * sum(bad))
    assert ochiai(ef, ep, nf, np) == pytest.approx(math.sqrt(cosine))


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_fisher_is_scipys(ef, ep, nf, np):
    assume(ef + nf and ep + np)
    expected = stats.fisher_exact([[ef, ep], [nf, np]], alternative="greater").pvalue
    assert fisher(ef, ep, nf, np) == pytest.approx(expected, rel=1e-7, abs=1e-300)


def test_fisher_of_large_groups_does_not_fail():
    """Where a sum of binomials would overflow, or come to nothing."""
    assert fisher(20_000, 5, 0, 900_000) < 1e-300
    assert fisher(0, 5, 20_000, 900_000) == 1.0


@given(st.lists(st.floats(0, 1), max_size=30))
def test_the_correction_is_scipys(chances):
    expected = stats.false_discovery_control(chances) if chances else []
    assert adjusted(chances) == pytest.approx(list(expected))


def contrast(failing: int, healthy: int, ties: list[tuple[int, int, int]]) -> Contrast:
    """Ties as (ef, ep, size)."""
    made = [
        Tie(
            ef=ef,
            ep=ep,
            size=size,
            parts=(
                Part(path=f"p{i}.py", function="f", lines="1", branches=(), first=1, blocks=frozenset({i})),
            ),
        )
        for i, (ef, ep, size) in enumerate(ties)
    ]
    return Contrast(failing=failing, healthy=healthy, apart=0, ties=tuple(made), left_out=0)


def test_equal_scores_share_their_places():
    found = contrast(4, 8, [(4, 2, 3), (4, 0, 1), (1, 0, 2), (4, 8, 50)])
    places = [(s.first, s.last, s.failing, s.healthy) for s in ranked(found.ties, found, "ochiai")]
    assert places == [(1, 1, 4, 0), (2, 4, 4, 2), (5, 6, 1, 0)]
    # Tarantula calls whatever no healthy request ran equally suspicious.
    places = [(s.first, s.last, s.failing) for s in ranked(found.ties, found, "tarantula")]
    assert places == [(1, 3, 4), (1, 3, 1), (4, 6, 4)]


def test_what_is_no_more_frequent_among_the_failing_has_no_place():
    found = contrast(2, 4, [(2, 4, 7), (1, 2, 1), (1, 3, 1), (0, 1, 1)])
    assert ranked(found.ties, found, "ochiai") == ()


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(1, 4)), max_size=8),
    st.randoms(use_true_random=False),
    st.sampled_from(sorted(FORMULAS)),
)
def test_the_order_in_which_ties_come_changes_nothing(ties, random, formula):
    found = contrast(5, 9, ties)
    before = ranked(found.ties, found, formula)
    shuffled = list(found.ties)
    random.shuffle(shuffled)
    assert ranked(shuffled, found, formula) == before
    taken = [place for s in {(s.first, s.last) for s in before} for place in range(s[0], s[1] + 1)]
    assert sorted(taken) == list(range(1, len(taken) + 1))


@pytest.mark.parametrize(
    ("failing", "healthy", "said"),
    [
        (0, 9, "0 failing requests recorded, 2 are needed"),
        (1, 9, "1 failing request recorded, 2 are needed"),
        (5, 1, "1 healthy request recorded, 2 are needed"),
        (2, 2, None),
    ],
)
def test_too_few_requests_are_told(failing, healthy, said):
    assert too_few(contrast(failing, healthy, [])) == said


def test_functions_stand_by_the_first_of_their_lines_and_share_places_as_those_do():
    """Two lines at 1-2, five at 3-7 of which one is of a function met before, one at 8."""

    def tie(first: int, last: int, *parts: tuple[str, str, str]) -> Suspect:
        made = tuple(
            Part(path=path, function=name, lines=lines, branches=(), first=1, blocks=frozenset())
            for path, name, lines in parts
        )
        scores = dict.fromkeys(("ochiai", "tarantula", "dstar", "jaccard", "chance", "adjusted"), 0.5)
        return Suspect(first=first, last=last, failing=3, healthy=first, parts=made, **scores)

    found = by_function(
        [
            tie(1, 2, ("a.py", "f", "4,6")),
            tie(3, 7, ("a.py", "f", "9"), ("b.py", "g", "2-3")),
            tie(3, 7, ("b.py", "h", "8,9")),  # an equal score of other counts
            tie(8, 8, ("b.py", "g", "5"), ("a.py", "k", "20")),
        ]
    )
    assert [(one.function, one.first, one.last, one.lines, one.healthy) for one in found] == [
        ("f", 1, 1, "4,6", 1),
        ("g", 2, 3, "2-3", 3),
        ("h", 2, 3, "8,9", 3),
        ("k", 4, 4, "20", 8),
    ]
