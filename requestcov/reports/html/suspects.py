"""What failing requests run that healthy ones do not, for the endpoints that fail most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from requestcov.analysis.suspects import Suspects, failed, suspects
from requestcov.reports.html.material import MOST_ENDPOINTS, Material
from requestcov.reports.html.ranks import Rank, rank

TITLE = "Suspects"

MOST = 10
"""Ties of an endpoint in a table."""


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with."""
    failing = [result for result in material.endpoints if result.failed]
    failing.sort(key=lambda result: -result.failed)
    shown = [result.endpoint for result in failing[:MOST_ENDPOINTS]]
    return {"answers": _answers(material, shown), "shown": len(shown), "left": len(failing) - len(shown)}


def _answers(material: Material, endpoints: list[str]) -> Iterator[tuple[Suspects, list[Rank], list[Rank]]]:
    for endpoint in endpoints:
        traffic = material.traffic(endpoint)
        answer = suspects(traffic, failed())
        place = partial(material.place, evidence=traffic.evidence)
        yield (
            answer,
            [rank(tie, place) for tie in answer.ran[:MOST]],
            [rank(tie, place) for tie in answer.missing[:MOST]],
        )
