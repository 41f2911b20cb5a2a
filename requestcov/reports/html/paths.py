"""The ways that requests take through the endpoints with most traffic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from requestcov.analysis.paths import paths_of
from requestcov.analysis.paths_results import ExecutionPath, PathPart, Paths
from requestcov.reports.html.material import Material, Place

TITLE = "Paths"

MOST = 8
"""Paths of an endpoint that are told apart."""

MOST_LINES = 12
"""Lines of a path's difference that are shown."""


@dataclass(frozen=True)
class Different:
    """One line that a path runs and the one most like it does not, or the reverse.

    Attributes:
        mark: ``+`` or ``-``.
        path, function, number, text: the line.
        href: a link to where it is shown, or None.
    """

    mark: str
    path: str
    function: str
    number: int
    text: str
    href: str | None


@dataclass(frozen=True)
class Told:
    """A path with its difference to the one most like it; ``more`` lines are left out."""

    path: ExecutionPath
    lines: Sequence[Different]
    more: int


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with."""
    return {"endpoints": _endpoints(material), "left": len(material.numbers) - len(material.busiest)}


def _endpoints(material: Material) -> Iterator[tuple[Paths, list[Told]]]:
    for endpoint in material.busiest:
        timings = material.timings(endpoint)
        paths = paths_of(timings, MOST)
        place = partial(material.place, evidence=timings.evidence)
        yield paths, [told(path, place) for path in paths.paths]


def told(path: ExecutionPath, place: Place) -> Told:
    """A path with its difference; ``place`` gives the link to a line of a file."""
    sides: Sequence[tuple[str, Sequence[PathPart]]] = (("+", path.adds), ("-", path.lacks))
    lines = [
        Different(mark, part.path, part.name, line.number, line.text, place(part.path, line.number))
        for mark, parts in sides
        for part in parts
        for line in part.lines
    ]
    lines.sort(key=lambda line: (line.path, line.number))
    return Told(path, lines[:MOST_LINES], max(0, len(lines) - MOST_LINES))
