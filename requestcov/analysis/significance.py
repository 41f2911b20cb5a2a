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
    most = min(failing, ran)
    log_all = _log_choose(total, ran)
    tail = math.fsum(
        math.exp(_log_choose(failing, k) + _log_choose(total - failing, ran - k) - log_all)
        for k in range(ef, most + 1)
    )
    return min(1.0, max(tail, 5e-324))


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
