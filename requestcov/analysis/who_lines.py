"""Who ran each line of a file: endpoints, requests, and the first and the last day?

Laws: pure functions. A line that runs of the same requests executed has the same answer, which is
made once. Only lines of function bodies are asked about, in the newest version of the file; runs
of others come to it through the functions that are the same in both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from requestcov.analysis.evidence import Evidence, Run
from requestcov.analysis.statistics import fraction_of


@dataclass(frozen=True)
class LineRunner:
    """An endpoint whose requests ran a line.

    Attributes:
        endpoint: ``GET /orders/{id}``.
        requests: recorded ones that ran the line.
        share: their part of the weight of all requests, 0 to 1.
        first, last: UTC days on which they did; None in evidence that does not tell.
    """

    endpoint: str
    requests: int
    share: float
    first: date | None
    last: date | None


LineAnswer = tuple[LineRunner, ...]
"""The endpoints, by falling share."""


def who_ran_lines(evidence: Evidence, path: str) -> Mapping[int, LineAnswer]:
    """Line -> who ran it, for every line of the newest version of a file that requests ran."""
    runs = [run for run in evidence.runs if run.path == path]
    by_line: defaultdict[int, list[int]] = defaultdict(list)
    for number, run in enumerate(runs):
        for line in evidence.placed(run):
            by_line[line].append(number)
    answers: dict[tuple[int, ...], LineAnswer] = {}
    found: dict[int, LineAnswer] = {}
    for line, numbers in sorted(by_line.items()):
        key = tuple(numbers)
        if key not in answers:
            answers[key] = _answer((runs[number] for number in numbers), evidence.footing.weight)
        found[line] = answers[key]
    return found


def _answer(runs: Iterable[Run], whole: float) -> LineAnswer:
    groups: defaultdict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.endpoint].append(run)
    made = [
        LineRunner(
            endpoint,
            sum(run.requests for run in group),
            # Equal weights in the same order make equal sums, in whatever order the runs came.
            fraction_of(sum(sorted(run.weight for run in group)), whole),
            min((run.first.date() for run in group if run.first), default=None),
            max((run.last.date() for run in group if run.last), default=None),
        )
        for endpoint, group in groups.items()
    ]
    return tuple(sorted(made, key=lambda one: (-one.share, one.endpoint)))
