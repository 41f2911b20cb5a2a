"""What most requests run."""

from __future__ import annotations

from collections.abc import Mapping

from requestcov.analysis.hot import hot_functions, hot_lines
from requestcov.analysis.statistics import FEW
from requestcov.reports.html.material import Material

TITLE = "Hot"

MOST = 25
"""Functions, and lines, in the tables."""


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with."""
    functions = hot_functions(material.evidence, MOST)
    return {
        "functions": functions,
        "few": functions.effective < FEW,
        "lines": hot_lines(material.evidence, MOST),
    }
