"""What is worked out before anybody asks: the first pages, and then the busiest endpoints.

Law: it is only ever done while nobody waits for anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from requestcov.analysis.evidence import Selection
from requestcov.errors import StoreError
from requestcov.server.dashboard.answers import Question
from requestcov.server.dashboard.desk import Desk, evidence
from requestcov.server.dashboard.pages import dead, endpoint, endpoints, files, hot, releases, search, thin

EVERYTHING = Selection()

BUSIEST = 8
"""Endpoints whose pages are worked out."""


def prepare(desk: Desk) -> None:
    """Begin; a store that cannot be read is for the first page to tell of."""
    with suppress(StoreError):
        desk.state.now()
        desk.answers.prepare(
            endpoints.coverage_of(EVERYTHING),
            files.files_of(EVERYTHING),
            evidence(EVERYTHING, by_failed=True),
            search.functions_of(EVERYTHING),
            hot.hot_of(EVERYTHING, "function"),
            thin.thin_of(EVERYTHING),
            dead.dead_of(EVERYTHING),
            releases.each_of(EVERYTHING),
            Question("ahead", EVERYTHING, _of_the_busiest),
        )


def _of_the_busiest(desk: Desk) -> Sequence[str]:
    """Begin with the endpoints that most of the recorded traffic goes to; their names."""
    counts = desk.evidence(EVERYTHING).counts
    busiest = sorted(counts, key=lambda name: (-counts[name].weight, name))[:BUSIEST]
    for name in busiest:
        selection = replace(EVERYTHING, endpoint=name)
        desk.answers.prepare(endpoint.ran_by(selection), endpoint.paths_through(selection))
    return busiest
