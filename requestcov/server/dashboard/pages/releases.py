"""Two releases side by side: what the later one began to run, what went silent, traffic, failures, coverage.

Laws: which two is part of the address; where it does not say, the two latest
that have a name are compared. Both are of the same service, period and store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from requestcov.analysis.coverage import by_release
from requestcov.analysis.coverage_results import ReleaseCoverage
from requestcov.analysis.evidence import Counts, Evidence, Selection
from requestcov.analysis.releases import Begun, Change, Releases, Silent, releases
from requestcov.analysis.statistics import fraction_of
from requestcov.server.dashboard.answers import Question
from requestcov.server.dashboard.desk import Desk, evidence
from requestcov.server.dashboard.filters import Refused, Unknown, choice, named, tag, text
from requestcov.server.dashboard.tables import matching
from requestcov.server.dashboard.view import View

FIELDS = (text("q"), text("before"), text("after"), choice("show", ("all", "significant")))

MOST = 200
"""Functions of a table."""

T = TypeVar("T", Begun, Silent)


@dataclass(frozen=True)
class Compared:
    """The answer, and what is recorded of each.

    Attributes:
        newest: path -> digest in the later release.
    """

    releases: Releases
    before: Mapping[str, Counts]
    after: Mapping[str, Counts]
    newest: Mapping[str, str]


@dataclass(frozen=True)
class Side:
    """An endpoint in the two releases: recorded, and what part of it failed, 0 to 1."""

    endpoint: str
    before: int
    after: int
    failed_before: int
    failed_after: int
    share_before: float
    share_after: float


def each_of(selection: Selection) -> Question[tuple[ReleaseCoverage, ...]]:
    """Coverage by release, in the order in which they first came."""

    def compute(desk: Desk) -> tuple[ReleaseCoverage, ...]:
        return by_release(desk.evidence(selection, by_release=True))

    return Question("releases", selection, compute)


def compared(selection: Selection, earlier: str, later: str) -> Question[Compared]:
    """Two releases of a selection that names none."""

    def compute(desk: Desk) -> Compared:
        before = desk.evidence(replace(selection, release=earlier))
        after = desk.evidence(replace(selection, release=later))
        found = releases(earlier, later, before, after)
        return Compared(found, before.counts, after.counts, after.newest)

    return Question("compared", (selection, earlier, later), compute)


def page(view: View) -> Mapping[str, object]:
    """What the template is filled with."""
    # Both are looked at, whichever the filter names: it then is the later one.
    filtered = view.selection.release
    view.selection = base = replace(view.selection, release=None)
    view.ground = ground = view.need(evidence(base, by_release=True))
    order = in_order(ground)
    earlier, later = _chosen(view, order, filtered)
    question = None if earlier is None or later is None else compared(base, earlier, later)
    if question is not None:
        # Of both at once, which two processors are good for.
        view.begin(*(evidence(replace(base, release=name)) for name in (earlier, later)), question)
    results = view.may(each_of(base))
    found = None if question is None else view.may(question)
    common: dict[str, object] = {
        "earlier": earlier,
        "later": later,
        "order": order,
        "choices": [(tag(name), name) for name in reversed(order) if name],
        "results": None if results is None else list(reversed(results)),
        "pair": {one.release: one for one in results or ()},
        "found": found,
        "show": view.filters["show"],
        "swap": view.link("releases", before=later, after=earlier),
    }
    if found is None:
        return common
    return {**common, **_tables(view, found), "sides": _sides(found)}


def _tables(view: View, found: Compared) -> Mapping[str, object]:
    q, answer = view.filters.text("q"), found.releases

    def place(item: Begun | Silent) -> str:
        # What was edited or removed stands only in the earlier version.
        there = item.path in found.newest and item.change is not Change.GONE
        release = answer.later if there else answer.earlier
        return f"{view.link('source', path=item.path, release=release, line=item.line)}#L{item.line}"

    def listed(items: Iterable[T]) -> tuple[list[tuple[T, str]], int]:
        fitting = matching(items, q, lambda item: f"{item.path} {item.name}")
        return [(item, place(item)) for item in fitting[:MOST]], max(0, len(fitting) - MOST)

    silent = [item for item in answer.silent if item.change is Change.SAME]
    if view.filters["show"] == "significant":
        silent = [item for item in silent if item.significant]
    return {
        "begun": listed(answer.begun),
        "silent": listed(silent),
        "gone": listed([item for item in answer.silent if item.change is Change.GONE]),
        "significant": sum(item.significant for item in answer.silent),
        "notes": [f"{path} could not be read or parsed." for path in answer.unread[:5]],
    }


def in_order(ground: Evidence) -> list[str]:
    """The releases as they first came; evidence must tell them apart."""
    first: dict[str, datetime] = {}
    for outcome in ground.outcomes:
        first[outcome.release] = min(outcome.day, first.get(outcome.release, outcome.day))
    return sorted(first, key=lambda name: (first[name], name))


def _chosen(view: View, order: Sequence[str], filtered: str | None) -> tuple[str | None, str | None]:
    """The earlier and the later one; None where there is none."""
    told: dict[str, str | None] = {}
    for field in ("before", "after"):
        given = view.filters.text(field)
        told[field] = None if given is None else named(given, view.names.releases, "release")
        if told[field] is not None and told[field] not in view.names.releases:
            raise Unknown(f"No release here is called {told[field]}.")
    names = [name for name in order if name]
    later = told["after"] or filtered or next((n for n in reversed(names) if n != told["before"]), None)
    at = names.index(later) if later in names else len(names)
    earlier = told["before"] or next((name for name in reversed(names[:at] or names) if name != later), None)
    if earlier is not None and earlier == later:
        raise Refused("before and after are the same release: choose two.")
    return earlier, later


def _sides(found: Compared) -> list[Side]:
    none = Counts(0, 0.0, 0)
    weights = [sum(one.weight for one in counts.values()) for counts in (found.before, found.after)]
    sides = []
    for one in found.releases.traffic:
        a, b = found.before.get(one.endpoint, none), found.after.get(one.endpoint, none)
        sides.append(
            Side(
                one.endpoint,
                a.requests,
                b.requests,
                a.failed,
                b.failed,
                fraction_of(a.weight, weights[0]),
                fraction_of(b.weight, weights[1]),
            )
        )
    return sides
