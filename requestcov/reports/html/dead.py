"""What no recorded request ran, and how sure it is that none does."""

from __future__ import annotations

from collections.abc import Mapping

from requestcov.analysis.dead import DeadFunction, DeadLines, Verdict, dead
from requestcov.reports.html.material import Material

TITLE = "Not run"


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with."""
    found = dead(material.evidence, material.holders, elsewhere=material.elsewhere, scripts=material.scripts)
    plain = [f for f in found.functions if not f.hint and f.verdict is not Verdict.ELSEWHERE]
    ran: list[DeadFunction | DeadLines] = [*found.functions, *found.lines]
    return {
        "found": found,
        "sure": [function for function in plain if function.verdict is Verdict.DEAD],
        "unsure": [function for function in plain if function.verdict is not Verdict.DEAD],
        "lines": [lines for lines in found.lines if lines.verdict is not Verdict.ELSEWHERE],
        "hinted": [f for f in found.functions if f.hint and f.verdict is not Verdict.ELSEWHERE],
        "elsewhere": [item for item in ran if item.verdict is Verdict.ELSEWHERE],
    }
