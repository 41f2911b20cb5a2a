"""What is worked out before anybody asks: the first pages, and then the busiest endpoints.

Law: it is only ever done while nobody waits for anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from requestcov.analysis.evidence import Selection
from requestcov.errors import StoreError
from requestcov.server.dashboard.answers import Question
from requestcov.server.dashboard.desk import Desk, evidence
from requestcov.server.dashboard.frame import templates
from requestcov.server.dashboard.pages import (
    PAGES,
    dead,
    endpoint,
    endpoints,
    files,
    hot,
    releases,
    search,
    slow,
    suspects,
    thin,
)

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
            search.functions_of(EVERYTHING),
            *(Question("ahead", entry.name, partial(_compiled, entry.name)) for entry in PAGES),
            dead.dead_of(EVERYTHING),
            dead.LIVE,
            evidence(EVERYTHING, by_release=True),
            releases.each_of(EVERYTHING),
            Question("ahead", "releases", _of_the_latest),
            Question("ahead", "endpoints", _of_the_busiest),
            hot.hot_of(EVERYTHING, "function"),
            hot.hot_of(EVERYTHING, "line"),
            thin.thin_of(EVERYTHING),
            evidence(EVERYTHING, by_failed=True),
        )


def _compiled(page: str, desk: Desk) -> None:
    """Have a page's template ready."""
    templates().get_template(f"{page}.html")


def _of_the_busiest(desk: Desk) -> Sequence[str]:
    """Begin with the endpoints that most of the recorded traffic goes to; their names."""
    found = desk.evidence(EVERYTHING)
    counts = found.counts
    for name in slow.asked_most(found):
        desk.answers.prepare(slow.slow_of(replace(EVERYTHING, endpoint=name)))
    for name, _ in suspects.failing_most(found):
        desk.answers.prepare(suspects.suspects_of(replace(EVERYTHING, endpoint=name)))
    busiest = sorted(counts, key=lambda name: (-counts[name].weight, name))[:BUSIEST]
    for name in busiest:
        selection = replace(EVERYTHING, endpoint=name)
        desk.answers.prepare(endpoint.ran_by(selection), endpoint.paths_through(selection))
    return busiest


def _of_the_latest(desk: Desk) -> Sequence[str]:
    """Begin to compare the latest two releases; their names."""
    named = [name for name in releases.in_order(desk.evidence(EVERYTHING, by_release=True)) if name]
    if len(named) > 1:
        desk.answers.prepare(releases.compared(EVERYTHING, *named[-2:]))
    return named[-2:]
