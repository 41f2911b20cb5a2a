"""Coverage by release, and what the latest one began to run and what went silent with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from requestcov.analysis.coverage import by_release
from requestcov.analysis.releases import Begun, Change, Silent, releases
from requestcov.reports.html.material import Material

TITLE = "Releases"


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with."""
    results = by_release(material.by_release())
    return {
        "results": results,
        "branched": any(result.branches is not None for result in results),
        "change": _change(material, [result.release for result in results]),
    }


def _change(material: Material, names: Sequence[str]) -> Mapping[str, object] | None:
    """What the latest release changed; None where there is no earlier one with a name."""
    earlier, later = ["", *names][-2:]
    if not earlier or not later:
        return None
    after = material.release(later)
    found = releases(earlier, later, material.release(earlier), after)

    def place(item: Begun | Silent) -> str | None:
        # What was edited or removed stands only in the earlier version.
        known = item.path in after.newest and item.change is not Change.GONE
        return material.place(item.path, item.line, after) if known else None

    return {
        "earlier": earlier,
        "later": later,
        "unread": len(found.unread),
        "begun": [(item, place(item)) for item in found.begun],
        "silent": [(item, place(item)) for item in found.silent if item.change is Change.SAME],
        "gone": [(item, place(item)) for item in found.silent if item.change is Change.GONE],
    }
