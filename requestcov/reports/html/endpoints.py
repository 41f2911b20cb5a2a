"""Coverage by endpoint, with each one's part of the traffic and the functions it reaches."""

from __future__ import annotations

from collections.abc import Mapping

from requestcov.reports.html.material import Material

TITLE = "Endpoints"


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with."""
    weight = sum(result.weight for result in material.endpoints)
    return {
        "results": material.endpoints,
        "branched": any(result.branches is not None for result in material.endpoints),
        "traffic": {
            result.endpoint: result.weight / weight if weight > 0 else None for result in material.endpoints
        },
    }
