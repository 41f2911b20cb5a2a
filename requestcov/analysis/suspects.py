"""What do failing requests of an endpoint run that healthy ones do not?

Laws: pure functions, traffic in, frozen results out. A rank is a place among
lines and branches, with ties given as the first and the last place that they
share; a score says how well running a line goes with failing, never that it
is the cause. With too few requests of either kind nothing is ranked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from requestcov.analysis.contrast import Tie, contrast, divide
from requestcov.analysis.evidence import Traffic
from requestcov.analysis.ranking import Suspect, SuspectFunction, by_function, ranked, too_few
from requestcov.storage.results import Sample


@dataclass(frozen=True, kw_only=True)
class Suspects:
    """The answer.

    Attributes:
        endpoint: ``GET /orders/{id}``.
        failing_means, healthy_means: how the groups were chosen, in words.
        failing, healthy: requests in them.
        apart: requests in neither.
        formula: by which ``ran`` and ``missing`` are ranked.
        ran: what failing requests run, the most suspicious first.
        missing: what failing requests do not run and healthy ones do, likewise.
        functions: those of ``ran``, each by the first of its lines.
        ranked: lines and branches that were ranked.
        left_out: recorded lines of versions in which the function was another one.
        too_few: why nothing is ranked, or None.
    """

    endpoint: str
    failing_means: str
    healthy_means: str
    failing: int
    healthy: int
    apart: int
    formula: str
    ran: tuple[Suspect, ...]
    missing: tuple[Suspect, ...]
    functions: tuple[SuspectFunction, ...]
    ranked: int
    left_out: int
    too_few: str | None


@dataclass(frozen=True)
class Division:
    """How requests are told apart.

    Attributes:
        failing, healthy: in words.
        decide: True for failing, False for healthy, None for neither.
    """

    failing: str
    healthy: str
    decide: Callable[[Sample], bool | None]


HEALTHY = "the others that did not fail"


def failed() -> Division:
    """An exception that left the app, or a status of 500 and up, against all others."""
    return Division(
        "an exception or a status of 500 and up", "all other requests", lambda sample: sample.failed
    )


def by_error(name: str) -> Division:
    """One type of exception, by its qualified name or the end of it, against requests that did not fail."""

    def decide(sample: Sample) -> bool | None:
        error = sample.error or ""
        if error == name or error.endswith("." + name):
            return True
        return None if sample.failed else False

    return Division(f"the exception {name}", HEALTHY, decide)


def by_status(status: int) -> Division:
    """One status against requests that did not fail."""

    def decide(sample: Sample) -> bool | None:
        if sample.status == status:
            return True
        return None if sample.failed else False

    return Division(f"status {status}", HEALTHY, decide)


def by_label(key: str, value: str) -> Division:
    """A label that the app gave, against all others."""
    return Division(
        f"the label {key}={value}", "all other requests", lambda sample: sample.labels.get(key) == value
    )


def suspects(traffic: Traffic, division: Division, formula: str = "ochiai") -> Suspects:
    """Rank what the failing requests of an endpoint ran, and what they did not.

    Args:
        traffic: the endpoint's requests.
        division: which of them fail.
        formula: a key of ``ranking.FORMULAS``.
    """
    groups = divide(traffic.samples, division.decide)
    found = contrast(traffic, groups, endings=True)
    few = too_few(found)
    absent = [
        Tie(ef=found.failing - tie.ef, ep=found.healthy - tie.ep, size=tie.size, parts=tie.parts)
        # That the failing did not end where others did says nothing.
        for tie in contrast(traffic, groups).ties
    ]
    ran = () if few else ranked(found.ties, found, formula)
    return Suspects(
        endpoint=traffic.endpoint,
        failing_means=division.failing,
        healthy_means=division.healthy,
        failing=found.failing,
        healthy=found.healthy,
        apart=found.apart,
        formula=formula,
        ran=ran,
        missing=() if few else ranked(absent, found, formula),
        functions=by_function(ran),
        ranked=sum(tie.size for tie in found.ties),
        left_out=found.left_out,
        too_few=few,
    )
