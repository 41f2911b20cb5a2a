"""What slow requests run that fast ones do not, for the endpoints with most traffic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from requestcov.analysis.slow import Slow, SlowPart, slow
from requestcov.reports.html.material import Material
from requestcov.reports.html.ranks import Rank, rank

TITLE = "Slow"

MOST = 10
"""Ties of an endpoint in a table."""


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with."""
    return {"answers": _answers(material), "left": len(material.numbers) - len(material.busiest)}


def _answers(material: Material) -> Iterator[tuple[Slow, list[tuple[Rank, SlowPart]]]]:
    for endpoint in material.busiest:
        timings = material.timings(endpoint)
        answer = slow(timings, most=MOST)
        place = partial(material.place, evidence=timings.evidence)
        yield answer, [(rank(part.suspect, place), part) for part in answer.parts]
