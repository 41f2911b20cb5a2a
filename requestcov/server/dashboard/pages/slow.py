"""What slow requests run that fast ones do not: of one endpoint, or a glance at each.

Laws: as for suspects; the difference in time beside a tie goes with its
lines, and need not be spent in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from requestcov.analysis.evidence import Evidence, Selection
from requestcov.analysis.ranking import FORMULAS
from requestcov.analysis.slow import Slow, SlowPart, slow
from requestcov.reports.html.ranks import Rank, rank
from requestcov.server.dashboard.answers import Question
from requestcov.server.dashboard.desk import Desk
from requestcov.server.dashboard.excerpts import excerpts
from requestcov.server.dashboard.filters import Field, choice, text, whole
from requestcov.server.dashboard.view import View


def threshold(given: str) -> float | None:
    """Milliseconds from 0; None of an empty text: the endpoint's 95th percentile."""
    if not given.strip():
        return None
    digits = given.strip().replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit() and len(digits) < 12):
        raise ValueError("milliseconds from 0, as 250")
    return float(given)


FIELDS = (
    text("endpoint"),
    Field("threshold", threshold),
    choice("formula", tuple(FORMULAS)),
    whole("top", 10),
)

MOST_ENDPOINTS = 6
"""Endpoints that are glanced at, those with most recorded requests; each is a pass over all of these."""


@dataclass(frozen=True)
class Answer:
    """The ranking of one endpoint, and the evidence that its lines are placed in."""

    slow: Slow
    evidence: Evidence


@dataclass(frozen=True)
class Glance:
    """An endpoint; ``first`` is the tie that goes best with being slow, if any stands out."""

    endpoint: str
    recorded: int
    answer: Slow | None
    first: tuple[Rank, SlowPart] | None


def slow_of(
    selection: Selection, threshold: float | None = None, formula: str = "ochiai"
) -> Question[Answer]:
    """The ranking of the selection's endpoint."""

    def compute(desk: Desk) -> Answer:
        found = desk.timings(selection)
        return Answer(slow(found, threshold, formula), found.evidence)

    return Question("slow", (selection, threshold, formula), compute)


def page(view: View) -> Mapping[str, object]:
    """What the template is filled with."""
    endpoint, formula = view.endpoint, str(view.filters["formula"])
    asked = view.filters["threshold"]
    limit = asked if isinstance(asked, float) else None
    evidence = view.evidence()
    common: dict[str, object] = {
        "endpoint": endpoint,
        "threshold": view.filters.given.get("threshold", ""),
        "formula": formula,
        "formulas": tuple(FORMULAS),
        "answer": None,
    }
    if endpoint is None:
        return {**common, "glances": _glances(view, evidence, limit, formula)}
    if not evidence.footing.records:
        return common
    answer = view.need(slow_of(view.selection, limit, formula))
    found, top = answer.slow, view.filters.number("top") or 10

    def link(path: str, line: int) -> str:
        return f"{view.link('source', path=path, endpoint=endpoint, line=line)}#L{line}"

    shown = []
    for part in found.parts[:top]:
        texts = excerpts(part.suspect.parts, answer.evidence)
        shown.append((rank(part.suspect, link), part, texts, len(part.suspect.parts) - len(texts)))
    left_out = f"{found.left_out:,} recorded lines are left out: the code there has changed."
    return {
        **common,
        "title": f"Slow requests of {endpoint}",
        "answer": found,
        "shown": shown,
        "clear_cut": any(one.clear for one, _, _, _ in shown),
        "more": view.here(top=len(found.parts)) if len(found.parts) > top else None,
        "link": link,
        "notes": [left_out] if found.left_out else [],
    }


def asked_most(evidence: Evidence) -> list[str]:
    """The endpoints that are glanced at."""
    counts = evidence.counts
    return sorted(counts, key=lambda name: (-counts[name].requests, name))[:MOST_ENDPOINTS]


def _glances(view: View, evidence: Evidence, limit: float | None, formula: str) -> list[Glance]:
    """The endpoints with most requests, and what stands out in each."""
    counts, shown = evidence.counts, asked_most(evidence)
    questions = [slow_of(replace(view.selection, endpoint=name), limit, formula) for name in shown]
    view.begin(*questions)
    answers = [view.may(question) for question in questions]
    found = []
    for name, answer in zip(shown, answers, strict=True):
        first = None
        for part in answer.slow.parts if answer is not None else ():
            one = rank(part.suspect, lambda path, line: None)
            if one.clear and first is None:
                first = one, part
        found.append(Glance(name, counts[name].requests, None if answer is None else answer.slow, first))
    return found
