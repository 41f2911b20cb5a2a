"""Functions that run in many requests, though few of their lines ever do."""

from __future__ import annotations

from collections.abc import Mapping

from requestcov.analysis.statistics import FEW
from requestcov.analysis.thin import thin_functions
from requestcov.reports.html.material import Material

TITLE = "Thin"

MOST = 25
"""Functions in the table."""


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with."""
    thin = thin_functions(material.evidence, MOST)
    return {"thin": thin, "few": thin.effective < FEW}
