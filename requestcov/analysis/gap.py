"""Production beside a test-suite: what runs and is not tested, what is tested and never runs?

Laws: pure functions; the two are compared in one text, that of the tests, to
which production's lines come by digest or by unchanged function. A file whose
texts cannot be compared is named and left out, never guessed at. Shares are of
the weight of all requests, so that a sample stands for the traffic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from requestcov._source import Source
from requestcov.analysis.evidence import Evidence, Run
from requestcov.analysis.measured import Doubtful, Measured, NotCompared, doubtful
from requestcov.analysis.statistics import fraction_of


@dataclass(frozen=True)
class FunctionGap:
    """A function as production and the tests ran it.

    Attributes:
        path, name, line: of the ``def``, in the text of the tests.
        executable: lines of its body.
        untested: lines that requests ran and no test did.
        unrun: lines that tests ran and no recorded request did.
        requests: recorded ones that ran at least one untested line.
        hot: their part of the weight of all requests, 0 to 1.
        share: the part, by weight, of all requests that ran any line of the function.
    """

    path: str
    name: str
    line: int
    executable: int
    untested: frozenset[int]
    unrun: frozenset[int]
    requests: int
    hot: float
    share: float


@dataclass(frozen=True)
class EndpointGap:
    """How much of what an endpoint runs is tested.

    Attributes:
        share: the endpoint's part of the weight of all requests.
        lines: different lines that its requests ran, in files that can be compared.
        untested: how many of those no test ran.
        exposure: of all the times that its requests ran a line, by weight, the part on untested
            ones; None when it ran none.
    """

    endpoint: str
    share: float
    lines: int
    untested: int
    exposure: float | None


@dataclass(frozen=True)
class Gap:
    """Production beside a test-suite.

    Attributes:
        endpoints: by falling share of traffic times exposure.
        untested: functions with lines that requests ran and no test did, by falling ``hot``.
        unrun: functions with lines that tests ran and no recorded request did, by falling ``share``,
            then by how many.
        not_compared: files left out, by path.
        doubtful: files compared though the tests may have run another text, by path.
        unplaced: recorded requests, summed over files, that ran lines with no place in the tests' text.
        unmatched: how many files of the data file are neither the store's nor measured here.
    """

    endpoints: tuple[EndpointGap, ...]
    untested: tuple[FunctionGap, ...]
    unrun: tuple[FunctionGap, ...]
    not_compared: tuple[NotCompared, ...]
    doubtful: tuple[Doubtful, ...]
    unplaced: int
    unmatched: int


@dataclass
class _Sum:
    """What one endpoint ran."""

    lines: set[tuple[str, int]] = field(default_factory=set)
    untested: set[tuple[str, int]] = field(default_factory=set)
    times: float = 0.0
    on_untested: float = 0.0


def gap(evidence: Evidence, files: Iterable[Measured], unmatched: int = 0) -> Gap:
    """Compare what requests and tests ran.

    Args:
        evidence: of the requests asked about.
        files: every file that either ran.
        unmatched: files of the tests' data that are neither the store's nor measured here.
    """
    runs: dict[str, list[Run]] = defaultdict(list)
    for run in evidence.runs:
        runs[run.path].append(run)
    sums: dict[str, _Sum] = defaultdict(_Sum)
    functions: list[FunctionGap] = []
    left_out: list[NotCompared] = []
    compared: list[Measured] = []
    unplaced = 0
    for file in files:
        source, problem = file.source, file.problem
        if problem is None and source is not None:
            problem = source.problem
        if source is None or problem is not None:
            left_out.append(NotCompared(file.path, problem or "the text that the tests ran is not at hand"))
            continue
        compared.append(file)
        tested = source.statements(file.lines) & source.bodies
        placed = evidence.against(source)
        where = [(run, placed.placed(run)) for run in runs.get(file.path, ())]
        unplaced += sum(run.requests for run, _ in where if _lost(placed, run))
        functions += _functions(evidence, source, tested, where)
        for run, lines in where:
            _add(sums[run.endpoint], file.path, run, lines, tested)
    hot = sorted(
        (one for one in functions if one.untested),
        key=lambda one: (-one.hot, -len(one.untested), one.path, one.line),
    )
    cold = sorted(
        (one for one in functions if one.unrun),
        key=lambda one: (-one.share, -len(one.unrun), one.path, one.line),
    )
    return Gap(
        _endpoints(evidence, sums),
        tuple(hot),
        tuple(cold),
        tuple(sorted(left_out, key=lambda one: one.path)),
        tuple(sorted(doubtful(compared), key=lambda one: one.path)),
        unplaced,
        unmatched,
    )


def _functions(
    evidence: Evidence,
    source: Source,
    tested: frozenset[int],
    where: Sequence[tuple[Run, frozenset[int]]],
) -> Iterable[FunctionGap]:
    ran = frozenset[int]().union(*(lines for _, lines in where))
    for function in source.functions:
        untested, unrun = (ran - tested) & function.body, (tested - ran) & function.body
        if untested or unrun:
            hot = [run for run, lines in where if not lines.isdisjoint(untested)]
            any_ = [run for run, lines in where if not lines.isdisjoint(function.body)]
            yield FunctionGap(
                source.path,
                function.name,
                function.line,
                len(function.body),
                untested,
                unrun,
                sum(run.requests for run in hot),
                fraction_of(sum(run.weight for run in hot), evidence.footing.weight),
                fraction_of(sum(run.weight for run in any_), evidence.footing.weight),
            )


def _add(total: _Sum, path: str, run: Run, lines: frozenset[int], tested: frozenset[int]) -> None:
    untested = lines - tested
    total.lines.update((path, line) for line in lines)
    total.untested.update((path, line) for line in untested)
    total.times += run.weight * len(lines)
    total.on_untested += run.weight * len(untested)


def _endpoints(evidence: Evidence, sums: dict[str, _Sum]) -> tuple[EndpointGap, ...]:
    made = []
    for endpoint, counts in evidence.counts.items():
        total = sums.get(endpoint, _Sum())
        exposure = fraction_of(total.on_untested, total.times) if total.times > 0 else None
        share = fraction_of(counts.weight, evidence.footing.weight)
        made.append(EndpointGap(endpoint, share, len(total.lines), len(total.untested), exposure))
    return tuple(sorted(made, key=lambda one: (-one.share * (one.exposure or 0.0), -one.share, one.endpoint)))


def _lost(placed: Evidence, run: Run) -> bool:
    """Whether lines of a run have no place in the tests' text."""
    lost = placed.lost(run.path, run.digest, run.lines)
    return lost is None or bool(lost)
