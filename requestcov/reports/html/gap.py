"""Production beside a test-suite: what runs and no test does, what tests run and no request does."""

from __future__ import annotations

from collections.abc import Mapping

from requestcov.reports.html.material import Material

TITLE = "Untested"

MOST = 25
"""Functions of a table."""


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with; only called where there is an answer."""
    found = material.gap
    assert found is not None
    return {
        "found": found,
        "untested": found.untested[:MOST],
        "unrun": found.unrun[:MOST],
        "more_untested": max(0, len(found.untested) - MOST),
        "more_unrun": max(0, len(found.unrun) - MOST),
    }
