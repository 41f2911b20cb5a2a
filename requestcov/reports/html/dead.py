"""What no recorded request ran, and how sure it is that none does."""

from __future__ import annotations

from collections.abc import Mapping

from requestcov.analysis.dead import Verdict, dead
from requestcov.reports.html.material import Material

TITLE = "Not run"


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with."""
    found = dead(material.evidence, material.holders)
    return {
        "found": found,
        "sure": [function for function in found.functions if function.verdict is Verdict.DEAD],
        "unsure": [function for function in found.functions if function.verdict is not Verdict.DEAD],
    }
