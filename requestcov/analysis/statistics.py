"""What can be said of all requests from the recorded ones.

Laws: pure functions of counts; a bound holds at the confidence it was asked
for whatever the truth is; an estimate says of what. Sources stand with each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

CONFIDENCE = 0.95

FEW = 30
"""Requests of equal weight, below which a report says that they are too few for a share."""

Z95 = 1.96
"""Standard deviations to either side that hold 95 % of a normal distribution."""


def fraction_of(weight: float, whole: float) -> float:
    """A part of a sum of weights, 0 to 1; 0 of nothing."""
    # Rounding in sums of weights must not show as more than all.
    return min(1.0, weight / whole) if whole > 0 else 0.0


def effective_size(weight: float, squares: float) -> float:
    """How many equally weighted requests tell as much as these unequally weighted ones.

    (Σw)² / Σw²: L. Kish, Survey Sampling (1965), §11.7. It is the number of requests when all
    weights are equal, and less otherwise.

    Args:
        weight: sum of the weights.
        squares: sum of their squares.
    """
    return weight * weight / squares if squares > 0 else 0.0


def margin(requests: float) -> float:
    """How far off an estimated share is at the most, either way, in 95 of 100 samples.

    The normal approximation at a share of one half, where it is widest: 1.96 · √(¼ / n).

    Args:
        requests: equally weighted ones, or the effective size.
    """
    return min(1.0, Z95 * math.sqrt(0.25 / requests)) if requests > 0 else 1.0


def upper_bound(hits: float, requests: float, confidence: float = CONFIDENCE) -> float:
    """The largest share of all requests that is compatible with what was seen.

    The one-sided bound of C. J. Clopper and E. S. Pearson, Biometrika 26 (1934): the share at which
    so few hits would come with a chance of 1 - confidence. Without hits it is
    1 - (1 - confidence)^(1/requests), which for 95 % is a little less than 3/requests, the "rule of
    three" (J. A. Hanley and A. Lippman-Hand, JAMA 249, 1983).

    Args:
        hits: requests that did it, from 0 to ``requests``.
        requests: recorded ones; need not be whole, as an effective size is not.
        confidence: between 0 and 1.

    Returns:
        a share, 0 to 1; 1 when nothing was recorded.
    """
    if requests <= 0 or hits >= requests:
        return 1.0
    if hits <= 0:
        # expm1 and log: the difference to 1 is small when there are many requests.
        return -math.expm1(math.log1p(-confidence) / requests)
    low, high = hits / requests, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        if beta_cdf(middle, hits + 1, requests - hits) < confidence:
            low = middle
        else:
            high = middle
    return high


def rule_of_three(requests: float) -> float:
    """3 / n, at most 1: a rule of thumb for the 95 % bound without hits, for 30 requests or more.

    -ln 0.05 is 2.996, and 1 - exp(-2.996 / n) is a little less than 2.996 / n (Hanley and
    Lippman-Hand, 1983).
    """
    return min(1.0, 3 / requests) if requests > 0 else 1.0


def worst_size(groups: Iterable[tuple[float, float]]) -> float:
    """How many equally weighted requests would as surely meet what only the least sampled run.

    Kish's size is right for what has nothing to do with how a request was sampled. A rare path may
    have: where all failures are kept and one healthy request in a hundred, what only healthy ones
    run is met by those few. Where the W requests that a sample stands for were kept with chance 1/w
    at worst, those p W that run a thing are all missed with a chance of (1 - 1/w)^(p W) at most,
    about exp(-p W/w): as by W/w equally weighted ones. Never more than Kish's size.

    Args:
        groups: (sum of weights, sum of their squares) of requests that were sampled alike.
    """
    total, largest = 0.0, 0.0
    for weight, squares in groups:
        total += weight
        if weight > 0:
            largest = max(largest, squares / weight)
    return total / largest if largest > 0 else 0.0


def chance_of_none(strata: Iterable[tuple[int, int, int]]) -> float:
    """How likely none of the later requests runs a thing that they run as often as earlier ones.

    Fisher's exact test, one-sided, for tables whose second group has no hit, in strata: were it
    chance alone which of a stratum's requests are the earlier ones, all that ran the thing would be
    among them with a chance of C(before, hits) / C(before + after, hits).

    Args:
        strata: (hits, before, after) of each: how many of the ``before`` earlier requests ran it,
            and how many later ones there are, of which none did.
    """
    logarithm = 0.0
    for hits, before, after in strata:
        logarithm += math.lgamma(before + 1) - math.lgamma(before - hits + 1)
        logarithm -= math.lgamma(before + after + 1) - math.lgamma(before + after - hits + 1)
    return min(1.0, math.exp(logarithm))


def chance_of_none_thinned(strata: Iterable[tuple[Sequence[tuple[int, float]], float, float]]) -> float:
    """An upper bound of :func:`chance_of_none` for requests of unequal weights.

    Keep of each recorded request only a part, at random: one of weight w with a chance of w / largest w.
    What is left was drawn with one and the same chance. Of the hits each is left with its chance t, and
    is among the earlier requests with r = before / (before + after) at most, so that the mean of the test
    over all ways of thinning is Π (1 - t (1 - r)) at most. Twice the mean of p-values is one itself
    (L. Rüschendorf, Advances in Applied Probability 14, 1982).

    Args:
        strata: of each (requests that ran the thing and the mean chance of those to be kept, ...), and how
            many earlier and later requests are kept in the mean. Taking the mean of chances for each can
            only raise the bound, for log(1 - t (1 - r)) is concave in t.

    Returns:
        a probability; 1 of no stratum.
    """
    logarithm, several = 0.0, False
    for hits, before, after in strata:
        several = True
        rest = after / (before + after) if before + after > 0 else 0.0
        logarithm += math.fsum(requests * math.log1p(-min(1.0, kept) * rest) for requests, kept in hits)
    return min(1.0, (2.0 if several else 1.0) * math.exp(logarithm))


def requests_needed(share: float, confidence: float = CONFIDENCE) -> int:
    """How many requests must not do a thing for the bound on it to come down to a share.

    Args:
        share: more than 0 and less than 1.
    """
    return math.ceil(math.log1p(-confidence) / math.log1p(-share))


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function I_x(a, b).

    By its continued fraction (Abramowitz and Stegun, 26.5.8), evaluated by Lentz's method.
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - beta_cdf(1 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    tiny = 1e-300
    upper, lower = 1.0, 0.0
    fraction = 1.0
    for step in range(10_000):
        half = step // 2
        if step == 0:
            term = 1.0
        elif step % 2:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        lower = 1.0 + term * lower
        lower = 1.0 / (lower if abs(lower) > tiny else tiny)
        upper = 1.0 + term / upper
        upper = upper if abs(upper) > tiny else tiny
        fraction *= lower * upper
        if step and abs(1.0 - lower * upper) < 1e-14:
            break
    # Lentz's first step makes 1 + 1/1 of the fraction's head; what was asked for is the rest.
    return front / a * (fraction - 1.0)


def novelty(pioneers: int, requests: int) -> float | None:
    """The chance that the next request runs a line that none before it ran.

    I. J. Good's estimate (Biometrika 40, 1953), left one out: the share of the recorded requests
    that themselves ran a line which no other recorded request ran.

    Args:
        pioneers: how many did.
        requests: recorded.
    """
    return pioneers / requests if requests else None


def unseen(once: int, twice: int, requests: int) -> float:
    """How many lines requests can run that no recorded one ran; rather too few than too many.

    A. Chao's lower bound for incidence data (Biometrics 43, 1987; bias-corrected form):
    (n-1)/n · Q1(Q1-1) / (2(Q2+1)).

    Args:
        once, twice: lines that exactly one, exactly two recorded requests ran.
        requests: recorded.
    """
    if requests <= 0:
        return 0.0
    return (requests - 1) / requests * once * (once - 1) / (2 * (twice + 1))
