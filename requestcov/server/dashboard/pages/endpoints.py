"""The first page: every endpoint, its traffic, how it fails, and how much of its code requests run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from requestcov.analysis.coverage import by_endpoint
from requestcov.analysis.coverage_results import EndpointCoverage
from requestcov.analysis.evidence import Counts, Evidence, Selection
from requestcov.analysis.statistics import fraction_of
from requestcov.reports.html.overview import traffic
from requestcov.server.dashboard.answers import Question
from requestcov.server.dashboard.desk import Desk
from requestcov.server.dashboard.filters import sort, text, whole
from requestcov.server.dashboard.spark import Spark, sparks
from requestcov.server.dashboard.tables import table
from requestcov.server.dashboard.view import View

FIELDS = (text("q"), sort("-share", "endpoint", "-seen", "-recorded", "-failed", "coverage"), whole("at", 1))


@dataclass(frozen=True)
class Row:
    """One endpoint.

    Attributes:
        seen: requests that reached the wrappers; None when no process tells.
        share: its part of the weight of all recorded requests, 0 to 1.
        failing: the failed ones' part of its recorded requests, 0 to 1.
        coverage: None while it is worked out, or when nothing is known of what ran.
    """

    endpoint: str
    seen: int | None
    recorded: int
    failed: int
    share: float
    failing: float | None
    days: Spark
    result: EndpointCoverage | None

    @property
    def coverage(self) -> float | None:
        """As :class:`EndpointCoverage` has it."""
        return None if self.result is None else self.result.coverage

    @property
    def route(self) -> tuple[str, str]:
        """By which it is sorted: endpoints of one route stand together."""
        method, _, route = self.endpoint.partition(" ")
        return route, method


def coverage_of(selection: Selection) -> Question[Mapping[str, EndpointCoverage]]:
    """Coverage by endpoint."""

    def compute(desk: Desk) -> Mapping[str, EndpointCoverage]:
        return {found.endpoint: found for found in by_endpoint(desk.evidence(selection))}

    return Question("coverage", selection, compute)


def page(view: View) -> Mapping[str, object]:
    """What the template is filled with."""
    evidence = view.evidence()
    results = view.may(coverage_of(view.selection))
    rows = _rows(evidence, results)
    shown = table(
        view,
        rows,
        {
            "endpoint": lambda row: row.route,
            "seen": lambda row: row.seen,
            "recorded": lambda row: row.recorded,
            "share": lambda row: row.share,
            "failed": lambda row: row.failed,
            "coverage": lambda row: row.coverage,
        },
        searched=lambda row: row.endpoint,
    )
    return {
        "title": "Endpoints",
        "table": shown,
        "known": results is not None,
        "bars": traffic(evidence.outcomes),
        "endpoints": len(rows),
        "unread": sum(found.unread for found in results.values()) if results else 0,
    }


def _rows(evidence: Evidence, results: Mapping[str, EndpointCoverage] | None) -> Sequence[Row]:
    days: dict[str, dict[datetime, tuple[float, float]]] = defaultdict(dict)
    for outcome in evidence.outcomes:
        weight, failed = days[outcome.endpoint].get(outcome.day, (0.0, 0.0))
        days[outcome.endpoint][outcome.day] = (
            weight + outcome.weight,
            failed + outcome.weight * outcome.failed,
        )
    drawn = sparks(days)
    rows = []
    for endpoint in sorted(evidence.endpoints, key=lambda name: (name.partition(" ")[2], name)):
        counts = evidence.counts.get(endpoint, Counts(0, 0.0, 0))
        rows.append(
            Row(
                endpoint=endpoint,
                seen=evidence.seen.get(endpoint),
                recorded=counts.requests,
                failed=counts.failed,
                share=fraction_of(counts.weight, evidence.footing.weight),
                failing=fraction_of(counts.failed, counts.requests) if counts.requests else None,
                days=drawn[endpoint],
                result=None if results is None else results.get(endpoint),
            )
        )
    return rows
