"""How many requests ran each function, and each line of a function's body?

Laws: a request runs one set of lines at most of a version of a file, so the
requests that ran a line, or any line of a function, are the sum over the sets
that hold it: no request is counted twice, and none is looked at alone. Lines of
an older version are carried over to the newest one for functions that have not
changed, and for no others. Weights make shares of a sample shares of the
traffic (Horvitz and Thompson, 1952): each request counts as often as it stands for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from requestcov._source import Function, Source
from requestcov.analysis.evidence import Evidence, Run
from requestcov.analysis.statistics import effective_size, fraction_of


@dataclass
class Tally:
    """Who ran something, and how often.

    Attributes:
        requests: recorded ones.
        weight: how many those stand for.
        endpoints: names.
    """

    requests: int = 0
    weight: float = 0.0
    endpoints: set[str] = field(default_factory=set)

    def add(self, run: Run) -> None:
        """Count the requests of a run."""
        self.requests += run.requests
        self.weight += run.weight
        self.endpoints.add(run.endpoint)


@dataclass(frozen=True)
class FunctionTally:
    """One function of a file's newest version that requests ran.

    Attributes:
        source: the file.
        tally: requests that ran any line of the body as it is now.
        lines: body line -> requests that ran it; of the lines that any request ran.
        earlier: weight of the requests that ran a function of this name whose body was another.
    """

    source: Source
    function: Function
    tally: Tally
    lines: dict[int, Tally]
    earlier: float


@dataclass(frozen=True)
class Tallies:
    """All functions that requests ran, by path and line.

    Attributes:
        unread: distinct (file, version, line) recorded that could not be judged.
    """

    functions: tuple[FunctionTally, ...]
    unread: int


def tally(evidence: Evidence) -> Tallies:
    """Count the requests of every function and line that ran."""
    whole: dict[tuple[str, int], list[Run]] = defaultdict(list)
    lines: dict[tuple[str, int], dict[int, list[Run]]] = defaultdict(lambda: defaultdict(list))
    earlier: dict[tuple[str, int], float] = defaultdict(float)
    unread: dict[tuple[str, str], set[int]] = defaultdict(set)
    # Equal weights in the same order make equal sums, in whatever order the runs came.
    for run in sorted(evidence.runs, key=lambda run: run.weight):
        place = evidence.placement(run.path, run.digest)
        source = evidence.source(run.path, evidence.newest[run.path])
        if place is None or source is None:
            unread[run.path, run.digest] |= run.lines
            continue
        by_function: dict[int, list[int]] = defaultdict(list)
        for line in {place[line] for line in run.lines if line in place}:
            by_function[source.owner[line].line].append(line)
        for start, reached in by_function.items():
            key = (run.path, start)
            whole[key].append(run)
            own = lines[key]
            for line in reached:
                own[line].append(run)
        for start in _changed(run, evidence) - by_function.keys():
            earlier[run.path, start] += run.weight
    found = []
    functions = {
        (path, function.line): (source, function)
        for path in {path for path, _ in (*whole, *earlier)}
        if (source := evidence.source(path, evidence.newest[path])) is not None
        # The first of several on one line is the one.
        for function in reversed(source.functions)
    }
    added = _Sums()
    for key in sorted({*whole, *earlier}):
        source, function = functions[key]
        ran = {line: added(runs) for line, runs in lines.get(key, {}).items()}
        found.append(FunctionTally(source, function, added(whole.get(key, ())), ran, earlier.get(key, 0.0)))
    return Tallies(tuple(found), sum(map(len, unread.values())))


class _Sums:
    """What runs add up to; the lines of a function are mostly run by the same ones, which are added once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], Tally] = {}

    def __call__(self, runs: Sequence[Run]) -> Tally:
        key = tuple(map(id, runs))
        if key not in self._known:
            found = self._known[key] = Tally()
            for run in runs:
                found.add(run)
        return self._known[key]


def share_of(weight: float, evidence: Evidence) -> float:
    """A part of the weight of all recorded requests of the selection, 0 to 1."""
    return fraction_of(weight, evidence.footing.weight)


def effective(evidence: Evidence) -> float:
    """How many requests of equal weight would tell as much as the recorded ones."""
    outcomes = evidence.outcomes
    return effective_size(
        sum(outcome.weight for outcome in outcomes), sum(outcome.squares for outcome in outcomes)
    )


def _changed(run: Run, evidence: Evidence) -> frozenset[int]:
    """The ``def`` lines, in the newest version, of functions that the run ran with another body.

    Functions of a file that share a name are the same one by their order.
    """
    newest = evidence.newest[run.path]
    old, new = evidence.source(run.path, run.digest), evidence.source(run.path, newest)
    lost = evidence.lost_functions(run)
    if not lost or old is None or new is None:
        return frozenset()
    now = {key: function.line for function, key in _named(new)}
    return frozenset(now[key] for function, key in _named(old) if function in lost and key in now)


def _named(source: Source) -> list[tuple[Function, tuple[str, int]]]:
    """Functions with their name and which of that name in the file they are."""
    counts: dict[str, int] = defaultdict(int)
    named = []
    for function in source.functions:
        named.append((function, (function.name, counts[function.name])))
        counts[function.name] += 1
    return named
