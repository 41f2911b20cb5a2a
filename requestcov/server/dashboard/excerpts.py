"""The source around lines that a ranking names.

Laws: the text is that of the newest version of the evidence, in which the
lines were placed; how much is left out is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from requestcov.analysis.contrast import Part
from requestcov.analysis.evidence import Evidence
from requestcov.record import parse_lines

AROUND = 2
"""Lines above and below a marked one."""

MOST_LINES = 12
"""Lines of a function that are marked."""

MOST_PARTS = 3
"""Functions of a tie whose text is shown."""


@dataclass(frozen=True)
class Shown:
    """One line; ``marked``: it is one of those that are named."""

    number: int
    text: str
    marked: bool


@dataclass(frozen=True)
class Excerpt:
    """The text around lines of one function.

    Attributes:
        path, function: where.
        lines: as in the text; None stands for lines between that are not shown.
        more: lines that would be marked, and are not shown.
        problem: why there is no text, or None.
    """

    path: str
    function: str
    lines: tuple[Shown | None, ...]
    more: int
    problem: str | None


def excerpts(parts: Sequence[Part], evidence: Evidence) -> tuple[Excerpt, ...]:
    """Of the first functions of a tie."""
    return tuple(_excerpt(part, evidence) for part in parts[:MOST_PARTS])


def _excerpt(part: Part, evidence: Evidence) -> Excerpt:
    marked = sorted({*parse_lines(part.lines), *(int(arc.split("-")[0]) for arc in part.branches)})
    shown = marked[:MOST_LINES]
    source = evidence.source(part.path, evidence.newest[part.path])
    if source is None:
        return Excerpt(part.path, part.function, (), len(marked), "Its text is not at hand.")
    return Excerpt(
        part.path, part.function, tuple(_lines(source.lines, shown)), len(marked) - len(shown), None
    )


def _lines(lines: Sequence[str], marked: Sequence[int]) -> Iterator[Shown | None]:
    near = {at for line in marked for at in range(line - AROUND, line + AROUND + 1)}
    before = 0
    for number in sorted(at for at in near if 1 <= at <= len(lines)):
        if before and number > before + 1:
            yield None
        before = number
        yield Shown(number, lines[number - 1].expandtabs(), number in marked)
