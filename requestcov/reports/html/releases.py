"""Coverage by release."""

from __future__ import annotations

from collections.abc import Mapping

from requestcov.analysis.coverage import by_release
from requestcov.reports.html.material import Material

TITLE = "Releases"


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with."""
    results = by_release(material.by_release())
    return {"results": results, "branched": any(result.branches is not None for result in results)}
