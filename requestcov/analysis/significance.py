"""Whether a difference between two groups of requests could be chance.

Laws: exact, for groups are often small; what is asked of many lines at once is
corrected for how many were asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def fisher(ef: int, ep: int, nf: int, np: int) -> float:
    """The chance that a line which has nothing to do with failing is run by so many of the failing.

    R. A. Fisher's exact test, one-sided: P(X >= ef) where X is hypergeometric, the margins of the
    table being what they are.

    Args:
        ef, ep: failing and healthy requests that ran the line.
        nf, np: failing and healthy requests that did not.

    Returns:
        a probability, more than 0 and at most 1.
    """
    failing, ran, total = ef + nf, ef + ep, ef + ep + nf + np
    mode = (failing + 1) * (ran + 1) // (total + 2)
    # Summed on the side where chances fall with each step, so that few of them count.
    if ef > mode:
        tail = _tail(failing, ran, total, ef, 1)
    else:
        tail = 1.0 - (_tail(failing, ran, total, ef - 1, -1) if ef else 0.0)
    return min(1.0, max(tail, 5e-324))


def _tail(failing: int, ran: int, total: int, k: int, step: int) -> float:
    """P(X = k) and on, away from the mode, until nothing is added; each from the one before.

    P(X = k + 1) / P(X = k) = (failing - k)(ran - k) / ((k + 1)(total - failing - ran + k + 1)).
    """
    if not 0 <= k <= min(failing, ran) or ran - k > total - failing:
        return 0.0
    log_first = _log_choose(failing, k) + _log_choose(total - failing, ran - k) - _log_choose(total, ran)
    term = tail = 1.0
    while term > 1e-17 * tail:
        up = k if step > 0 else k - 1
        rise, fall = (failing - up) * (ran - up), (up + 1) * (total - failing - ran + up + 1)
        if step < 0:
            rise, fall = fall, rise
        term *= rise / fall if fall else 0.0
        tail += term
        k += step
    return tail * math.exp(log_first)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def adjusted(chances: Sequence[float]) -> list[float]:
    """Each chance corrected for the number of tests, in the order given.

    Y. Benjamini and Y. Hochberg, Journal of the Royal Statistical Society B 57 (1995): of the lines
    called different up to a value q, at most a share q is expected to be chance.
    """
    order = sorted(range(len(chances)), key=lambda i: chances[i], reverse=True)
    least = 1.0
    result = [1.0] * len(chances)
    for rank, i in zip(range(len(chances), 0, -1), order, strict=True):
        least = min(least, chances[i] * len(chances) / rank)
        result[i] = least
    return result
