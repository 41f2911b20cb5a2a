"""The first section: how much traffic, on which days, and what all of it stands on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from requestcov.reports.html.material import Material
from requestcov.reports.text.footing import caveats, facts
from requestcov.storage.results import Outcome

TITLE = "Overview"

MOST_BARS = 92
"""Bars in the drawing of the traffic; of a longer time each stands for several days."""


@dataclass(frozen=True)
class Bar:
    """The recorded requests of some days.

    Attributes:
        first, last: UTC days, both included.
        requests, failed: recorded.
        weight: how many requests those stand for.
        x, width: in hundredths of the drawing's width.
        height, bad: of all and of the failed ones' weight, in hundredths of the highest bar.
    """

    first: datetime
    last: datetime
    requests: int
    failed: int
    weight: float
    x: float
    width: float
    height: float
    bad: float


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with."""
    footing = material.evidence.footing
    files = [file for file in material.files if file.problem is None]
    return {
        "footing": footing,
        "endpoints": len(material.endpoints),
        "files": len(material.files),
        "executed": sum(file.executed for file in files),
        "executable": sum(file.executable for file in files),
        "bars": traffic(material.evidence.outcomes),
        "facts": tuple(facts(footing, material.selection)),
        "notes": (
            *caveats(
                material.evidence,
                material.selection,
                sum(result.unread for result in material.endpoints),
            ),
        ),
    }


def traffic(outcomes: Sequence[Outcome]) -> tuple[Bar, ...]:
    """The days from the first to the last, those without a request included."""
    if not outcomes:
        return ()
    first = min(outcome.day for outcome in outcomes)
    days = (max(outcome.day for outcome in outcomes) - first).days + 1
    step = -(-days // MOST_BARS)
    groups: list[list[Outcome]] = [[] for _ in range(-(-days // step))]
    for outcome in outcomes:
        groups[(outcome.day - first).days // step].append(outcome)
    return tuple(_bars(groups, first, timedelta(days=step)))


def _bars(groups: Sequence[Sequence[Outcome]], first: datetime, step: timedelta) -> Iterator[Bar]:
    highest = max(sum(outcome.weight for outcome in group) for group in groups) or 1.0
    pitch = 100 / len(groups)
    for number, group in enumerate(groups):
        weight = sum(outcome.weight for outcome in group)
        failed = [outcome for outcome in group if outcome.failed]
        yield Bar(
            first=first + number * step,
            last=first + (number + 1) * step - timedelta(days=1),
            requests=sum(outcome.requests for outcome in group),
            failed=sum(outcome.requests for outcome in failed),
            weight=weight,
            x=round(number * pitch, 3),
            width=round(min(pitch * 0.8, 8.0), 3),
            height=round(100 * weight / highest, 2),
            bad=round(100 * sum(outcome.weight for outcome in failed) / highest, 2),
        )
