"""A place in a ranking of lines, with where the lines are shown."""

from __future__ import annotations

from dataclasses import dataclass

from requestcov.analysis.ranking import Suspect
from requestcov.reports.html.material import Place

MOST_PARTS = 4
"""Functions of a tie that are named."""

CLEAR = 0.05
"""The largest corrected chance of what stands out."""


@dataclass(frozen=True)
class Where:
    """Lines and branches of one function, and a link to the first."""

    function: str
    path: str
    lines: str
    href: str | None


@dataclass(frozen=True)
class Rank:
    """One tie.

    Attributes:
        place: ``3``, or ``3-7`` when it is shared.
        tie: its counts and scores.
        parts: at most MOST_PARTS; ``more`` are left out.
        clear: whether chance is unlikely to make such a difference.
    """

    place: str
    tie: Suspect
    parts: tuple[Where, ...]
    more: int
    clear: bool


def rank(tie: Suspect, place_of: Place) -> Rank:
    """A tie as a report shows it; ``place_of`` gives the link to a line of a file."""
    parts = tuple(
        Where(
            part.function,
            part.path,
            ", ".join([*filter(None, part.lines.split(",")), *part.branches]),
            place_of(part.path, part.first),
        )
        for part in tie.parts[:MOST_PARTS]
    )
    place = f"{tie.first}" if tie.first == tie.last else f"{tie.first}-{tie.last}"
    return Rank(place, tie, parts, len(tie.parts) - len(parts), tie.adjusted <= CLEAR)
