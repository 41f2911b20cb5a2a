"""One endpoint: its numbers over time, what it runs, the ways through it, and how it failed last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from requestcov.analysis.coverage import by_endpoint, by_file
from requestcov.analysis.coverage_results import EndpointCoverage, FileCoverage
from requestcov.analysis.evidence import Evidence, Selection
from requestcov.analysis.gather import latest_failures
from requestcov.analysis.growth import Grown, growth
from requestcov.analysis.paths import paths_of
from requestcov.analysis.paths_results import Paths
from requestcov.reports.html.overview import traffic as bars_of
from requestcov.reports.html.paths import Told, told
from requestcov.server.dashboard.answers import Question
from requestcov.server.dashboard.desk import Desk
from requestcov.server.dashboard.filters import Refused, text
from requestcov.server.dashboard.view import View
from requestcov.storage.results import Request

FIELDS = (text("endpoint"),)

MOST_PATHS = 8
"""Paths that are told apart."""

MOST_FAILURES = 500
"""Latest failing requests that are looked at, for the newest of each kind."""


@dataclass(frozen=True)
class Ran:
    """What an endpoint runs."""

    result: EndpointCoverage | None
    files: Sequence[FileCoverage]
    grown: Sequence[Grown]


@dataclass(frozen=True)
class Failure:
    """Requests that failed alike.

    Attributes:
        status, error: as in a record.
        requests: how many recorded ones did.
        latest: the newest of them whose row is kept, or None.
    """

    status: int | None
    error: str | None
    requests: int
    latest: Request | None


def ran_by(selection: Selection) -> Question[Ran]:
    """Coverage of the selection's endpoint, by file, and as it grew."""

    def compute(desk: Desk) -> Ran:
        evidence = desk.evidence(selection)
        results = {found.endpoint: found for found in by_endpoint(evidence)}
        result = results.get(selection.endpoint or "")
        return Ran(result, by_file(evidence), growth(evidence))

    return Question("ran", selection, compute)


def paths_through(selection: Selection) -> Question[Paths]:
    """The execution paths of the selection's endpoint."""

    def compute(desk: Desk) -> Paths:
        found = desk.timings(selection)
        return paths_of(replace(found, evidence=desk.evidence(selection)), MOST_PATHS)

    return Question("paths", selection, compute)


def failures_of(selection: Selection) -> Question[Sequence[Request]]:
    """The latest failing requests of the selection."""
    return Question("failures", selection, lambda desk: latest_failures(desk.place, selection, MOST_FAILURES))


def page(view: View) -> Mapping[str, object]:
    """What the template is filled with."""
    endpoint, selection = view.endpoint, view.selection
    if endpoint is None:
        raise Refused("This page shows an endpoint: give its name, as in ?endpoint=GET /orders/{id}.")
    evidence = view.evidence()
    if evidence.footing.records:
        view.begin(ran_by(selection), paths_through(selection))
    failed = evidence.footing.failed
    latest = view.may(failures_of(selection)) if failed else ()
    ran = view.may(ran_by(selection)) if evidence.footing.records else None
    paths = view.may(paths_through(selection)) if evidence.footing.records else None
    return {
        "title": endpoint,
        "endpoint": endpoint,
        "seen": evidence.seen.get(endpoint),
        "bars": bars_of(evidence.outcomes),
        "ran": ran,
        "files": _reached(ran.files) if ran is not None else (),
        "paths": paths,
        "told": _told(paths, view) if paths is not None else (),
        "failures": _failures(evidence, latest) if latest is not None else None,
        "unread": ran.result.unread if ran is not None and ran.result is not None else 0,
    }


def _reached(files: Sequence[FileCoverage]) -> Sequence[tuple[FileCoverage, int, int, int]]:
    """Of each file: the functions that the endpoint reaches, their lines it runs, and all of them."""
    found = []
    for file in files:
        reached = [function for function in file.functions if function.executed]
        executed = sum(function.executed for function in reached)
        found.append((file, len(reached), executed, sum(function.executable for function in reached)))
    return [row for row in found if row[1] or row[0].problem]


def _told(paths: Paths, view: View) -> Sequence[Told]:
    return [told(path, view.place) for path in paths.paths]


def _failures(evidence: Evidence, latest: Sequence[Request]) -> Sequence[Failure]:
    """By kind, the most frequent first."""
    counts: dict[tuple[int | None, str | None], int] = defaultdict(int)
    for outcome in evidence.outcomes:
        if outcome.failed:
            counts[outcome.status, outcome.error] += outcome.requests
    newest: dict[tuple[int | None, str | None], Request] = {}
    for request in latest:
        newest.setdefault((request.status or None, request.error), request)
    found = [
        Failure(status, error, count, newest.get((status, error)))
        for (status, error), count in counts.items()
    ]
    return sorted(found, key=lambda failure: (-failure.requests, failure.status or 0, failure.error or ""))
