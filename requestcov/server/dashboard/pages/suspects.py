"""What failing requests run, or miss, that healthy ones do not: of one endpoint, or a glance at each.

Laws: requests are compared within an endpoint, since two endpoints differ in
all that they run; a tie is shown as one; what is to count as failing is one
thing at a time, and is part of the address.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from requestcov.analysis.evidence import Evidence, Selection, Traffic
from requestcov.analysis.ranking import FORMULAS, Suspect
from requestcov.analysis.suspects import Division, Suspects, by_error, by_label, by_status, failed, suspects
from requestcov.reports.html.ranks import Rank, rank
from requestcov.server.dashboard.answers import Question
from requestcov.server.dashboard.desk import Desk
from requestcov.server.dashboard.excerpts import Excerpt, excerpts
from requestcov.server.dashboard.filters import Field, Refused, choice, named, tag, text, whole
from requestcov.server.dashboard.view import View
from requestcov.storage.results import Outcome

STATUS = "status:"
ERROR = "error:"


def failing(given: str) -> str | None:
    """What counts as failing: ``error:TYPE`` or ``status:N``; None for any failure."""
    number = given.removeprefix(STATUS)
    if not given or (given.startswith(ERROR) and given != ERROR):
        return given or None
    if number != given and number.isascii() and number.isdigit() and len(number) == 3:
        return given
    raise ValueError("error:TYPE, as error:KeyError, or status:N, as status:503")


def label(given: str) -> str | None:
    """A label that the app gave: ``KEY=VALUE``."""
    key, equals, _ = given.strip().partition("=")
    if given.strip() and not (key and equals):
        raise ValueError("KEY=VALUE, as plan=gold")
    return given.strip() or None


FIELDS = (
    text("endpoint"),
    Field("failing", failing),
    Field("label", label),
    choice("formula", tuple(FORMULAS)),
    whole("top", 10),
)

MOST_ENDPOINTS = 10
"""Endpoints that are glanced at, those that fail most."""

MOST_LABELS = 50
"""Labels that are offered, the most frequent first."""


@dataclass(frozen=True)
class Answer:
    """The ranking of one endpoint, with what it was made from.

    Attributes:
        labels: ``key=value`` of the endpoint's requests, the most frequent first.
    """

    suspects: Suspects
    evidence: Evidence
    labels: Sequence[str]


@dataclass(frozen=True)
class Shown:
    """A tie with the source around it; ``more`` functions of it are left out there."""

    rank: Rank
    excerpts: Sequence[Excerpt]
    more: int


@dataclass(frozen=True)
class Glance:
    """An endpoint that fails.

    Attributes:
        failed, recorded: requests.
        answer: None while it is worked out.
        first: the tie that goes best with failing, if any stands out.
    """

    endpoint: str
    failed: int
    recorded: int
    answer: Suspects | None
    first: Rank | None


def suspects_of(
    selection: Selection, failing: str | None = None, label: str | None = None, formula: str = "ochiai"
) -> Question[Answer]:
    """The ranking of the selection's endpoint."""

    def compute(desk: Desk) -> Answer:
        found = desk.traffic(selection)
        return Answer(suspects(found, division(failing, label), formula), found.evidence, _labels(found))

    return Question("suspects", (selection, failing, label, formula), compute)


def division(failing: str | None, label: str | None) -> Division:
    """Which requests fail; both None: those with an exception or a status of 500 and up."""
    if label is not None:
        key, _, value = label.partition("=")
        return by_label(key, value)
    if failing is None:
        return failed()
    if failing.startswith(STATUS):
        return by_status(int(failing.removeprefix(STATUS)))
    return by_error(failing.removeprefix(ERROR))


def page(view: View) -> Mapping[str, object]:
    """What the template is filled with."""
    asked, label = view.filters.text("failing"), view.filters.text("label")
    if asked and label:
        raise Refused("failing and label are given: one of the two says what is to count as failing.")
    endpoint, formula = view.endpoint, str(view.filters["formula"])
    evidence = view.evidence()
    kinds = _kinds(evidence)
    if asked is not None and asked.startswith(ERROR):
        # Names of exceptions are stored texts, and an address may hold their digests.
        errors = [kind.removeprefix(ERROR) for kind, _, _, _ in kinds]
        asked = ERROR + named(asked.removeprefix(ERROR), errors, "exception")
    common: dict[str, object] = {
        "endpoint": endpoint,
        "kinds": [(value, name, count, kind == asked) for kind, value, name, count in kinds],
        "asked": asked is not None or label is not None,
        "label": label,
        "formula": formula,
        "formulas": tuple(FORMULAS),
        "clear": view.here(failing=None, label=None, top=None),
        "answer": None,
        "labels": (),
    }
    if endpoint is None:
        return {**common, "glances": _glances(view, evidence, asked, label, formula)}
    if not evidence.footing.records:
        return common
    answer = view.need(suspects_of(view.selection, asked, label, formula))
    top = view.filters.number("top") or 10
    found = answer.suspects

    def link(path: str, line: int) -> str:
        return f"{view.link('source', path=path, endpoint=endpoint, by='failing', line=line)}#L{line}"

    def shown(ties: Sequence[Suspect]) -> list[Shown]:
        made = []
        for tie in ties[:top]:
            parts = excerpts(tie.parts, answer.evidence)
            made.append(Shown(rank(tie, link), parts, len(tie.parts) - len(parts)))
        return made

    groups = [
        ("They ran", "Lines and branches that failing requests ran more often.", shown(found.ran)),
        ("They did not run", "What healthy requests ran and failing ones missed.", shown(found.missing)),
    ]
    longest = max(len(found.ran), len(found.missing))
    return {
        **common,
        "title": f"Suspects of {endpoint}",
        "answer": found,
        "labels": answer.labels,
        "groups": groups,
        "ties": {"They ran": len(found.ran), "They did not run": len(found.missing)},
        "clear_cut": any(one.rank.clear for _, _, ties in groups for one in ties),
        "more": view.here(top=min(longest, top + 40)) if longest > top else None,
        "link": link,
        "top": top,
        "notes": _notes(found),
    }


def _notes(found: Suspects) -> list[str]:
    if not found.left_out:
        return []
    return [f"{found.left_out:,} recorded lines are left out: the code there has changed."]


def _kinds(evidence: Evidence) -> list[tuple[str, str, str, int]]:
    """What may count as failing: (as asked, as an address holds it, in words, requests)."""
    errors: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    for outcome in evidence.outcomes:
        if outcome.error:
            errors[outcome.error] += outcome.requests
        if outcome.status and outcome.status >= 400:
            statuses[outcome.status] += outcome.requests
    return [
        *(
            (f"{ERROR}{name}", f"{ERROR}{tag(name)}", f"exception {name}", n)
            for name, n in errors.most_common()
        ),
        *((f"{STATUS}{n}", f"{STATUS}{n}", f"status {n}", count) for n, count in sorted(statuses.items())),
    ]


def _labels(found: Traffic) -> list[str]:
    counts: Counter[str] = Counter()
    for sample in found.samples:
        for key, value in sample.labels.items():
            counts[f"{key}={value}"] += sample.requests
    return [name for name, _ in counts.most_common(MOST_LABELS)]


def failing_most(
    evidence: Evidence, asked: str | None = None, label: str | None = None
) -> list[tuple[str, int]]:
    """The endpoints that are glanced at, and how many of their requests failed."""
    failures: Counter[str] = Counter()
    for outcome in evidence.outcomes:
        if label is not None or _fails(outcome, asked):
            failures[outcome.endpoint] += outcome.requests
    return failures.most_common(MOST_ENDPOINTS)


def _glances(
    view: View, evidence: Evidence, asked: str | None, label: str | None, formula: str
) -> list[Glance]:
    """The endpoints that fail most, and what stands out in each."""
    shown = failing_most(evidence, asked, label)
    questions = [
        suspects_of(replace(view.selection, endpoint=name), asked, label, formula) for name, _ in shown
    ]
    if questions:
        view.begin(*questions)
    answers = [view.may(question) for question in questions]
    found = []
    for (name, count), answer in zip(shown, answers, strict=True):
        first = None
        if answer is not None:
            ties = (*answer.suspects.ran[:1], *answer.suspects.missing[:1])
            best = min(ties, key=lambda tie: tie.adjusted, default=None)
            first = None if best is None else rank(best, lambda path, line: None)
        found.append(
            Glance(
                endpoint=name,
                failed=count if label is None else answer.suspects.failing if answer is not None else 0,
                recorded=evidence.counts[name].requests,
                answer=None if answer is None else answer.suspects,
                first=first if first is not None and first.clear else None,
            )
        )
    return found


def _fails(outcome: Outcome, asked: str | None) -> bool:
    """As ``division`` decides of a single request."""
    if asked is None:
        return outcome.failed
    if asked.startswith(STATUS):
        return outcome.status == int(asked.removeprefix(STATUS))
    name, error = asked.removeprefix(ERROR), outcome.error or ""
    return error == name or error.endswith("." + name)
