"""Coverage by file, and of each function in it."""

from __future__ import annotations

from collections.abc import Mapping

from requestcov.reports.html.material import Material

TITLE = "Files"


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with."""
    return {
        "results": material.files,
        "branched": any(result.branches is not None for result in material.files),
        "problems": [(file.path, file.problem) for file in material.files if file.problem],
    }
