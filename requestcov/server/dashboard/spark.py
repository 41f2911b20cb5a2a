"""Small drawings of numbers over days, that many fit beside each other and compare.

Laws: all of one table share their days, so that what stands below each other
happened at the same time; each has its own height, since an endpoint of few
requests would else show none; the figures are told in words too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WIDTH, HEIGHT = 100, 20
MOST = 50
"""Bars in a drawing; of a longer time each stands for several days."""


@dataclass(frozen=True)
class Spark:
    """One drawing.

    Attributes:
        all, failed: SVG path data of the bars, in a view box of WIDTH by HEIGHT; ``""``: none.
        highest: the weight that the tallest bar stands for.
        last: weight of the last bar.
    """

    all: str
    failed: str
    highest: float
    last: float


class Sparks(dict[str, Spark]):
    """Drawings by name; of a name without numbers an empty one."""

    def __missing__(self, name: str) -> Spark:
        return Spark("", "", 0.0, 0.0)


def sparks(days: Mapping[str, Mapping[datetime, tuple[float, float]]]) -> Sparks:
    """A drawing for each.

    Args:
        days: name -> UTC day -> (weight, that of the failed).
    """
    every = [day for own in days.values() for day in own]
    if not every:
        return Sparks()
    first = min(every)
    span = (max(every) - first) // timedelta(days=1) + 1
    step = -(-span // MOST)
    columns = -(-span // step)
    return Sparks({name: _spark(own, first, step, columns) for name, own in days.items()})


def _spark(own: Mapping[datetime, tuple[float, float]], first: datetime, step: int, columns: int) -> Spark:
    sums = [[0.0, 0.0] for _ in range(columns)]
    for day, (weight, failed) in own.items():
        at = (day - first) // timedelta(days=1) // step
        sums[at][0] += weight
        sums[at][1] += failed
    highest = max(weight for weight, _ in sums)
    pitch = WIDTH / columns
    return Spark(
        all=_bars([weight for weight, _ in sums], highest, pitch),
        failed=_bars([failed for _, failed in sums], highest, pitch),
        highest=highest,
        last=sums[-1][0],
    )


def _bars(values: Sequence[float], highest: float, pitch: float) -> str:
    """A rectangle for each value above nought, which shows however small it is."""
    return "".join(
        f"M{at * pitch:.4g} {HEIGHT}v-{max(1.0, HEIGHT * value / highest):.3g}h{pitch * 0.8:.3g}V{HEIGHT}z"
        for at, value in enumerate(values)
        if value > 0
    )
