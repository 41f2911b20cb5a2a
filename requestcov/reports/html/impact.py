"""Whom a change concerns: the endpoints that run the changed lines, and those lines."""

from __future__ import annotations

from collections.abc import Mapping

from requestcov.analysis.impact import ChangedLine, Through
from requestcov.reports.html.material import Material

TITLE = "Impact"

HOW = {Through.AROUND: "lines around", Through.FUNCTION: "function", Through.IMPORT: "runs at import"}
"""By what the requests were found, where that needs saying."""


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with; only called where there is an answer."""
    found = material.impact
    assert found is not None
    return {"found": found, "how": _how}


def _how(line: ChangedLine) -> str:
    return "nobody ran it" if line.unrun else HOW.get(line.through, "")
