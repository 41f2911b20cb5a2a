"""Which functions run in many requests, though few of their lines ever do?

Law: pure function of the evidence, frozen results. The rank is

    thinness = share of requests that run the function · unrun lines / lines of its body

so 0 for a function that is run whole or by nobody, and near 1 for one that every
request enters and that leaves at once. The product is our own; both factors are
those of the questions hot and coverage, counted over the same body as it is now.
"""

from __future__ import annotations

from dataclasses import dataclass

from requestcov.analysis.evidence import Evidence
from requestcov.analysis.tally import FunctionTally, effective, share_of, tally


@dataclass(frozen=True, kw_only=True)
class ThinFunction:
    """One function of a file's newest version.

    Attributes:
        path: relative to the project root.
        name: qualified name.
        line: of the ``def``.
        requests: recorded requests that ran any line of its body.
        share: their part of the weight of all requests asked about, 0 to 1.
        executed, executable: numbers of body lines.
        unrun: the body lines that none of them ran, ascending.
        endpoints: those that ran it, sorted.
    """

    path: str
    name: str
    line: int
    requests: int
    share: float
    executed: int
    executable: int
    unrun: tuple[int, ...]
    endpoints: tuple[str, ...]

    @property
    def thinness(self) -> float:
        """share · unrun / executable, 0 to 1."""
        return self.share * len(self.unrun) / self.executable


@dataclass(frozen=True, kw_only=True)
class Thin:
    """Functions run in part, the thinnest first; equal ones by path and line.

    Attributes:
        functions: as many as were asked for.
        total: how many were run in part, shown or not.
        whole: how many were run whole.
        effective: recorded requests, as if all weighed the same.
        unread: distinct (file, version, line) recorded that could not be judged.
    """

    functions: tuple[ThinFunction, ...]
    total: int
    whole: int
    effective: float
    unread: int


def thin_functions(evidence: Evidence, most: int | None = None) -> Thin:
    """Functions that requests run in part; at most so many, None: all."""
    tallies = tally(evidence)
    reached = [_function(item, evidence) for item in tallies.functions if item.tally.requests]
    found = sorted(
        (item for item in reached if item.unrun), key=lambda item: (-item.thinness, item.path, item.line)
    )
    return Thin(
        functions=tuple(found[:most]),
        total=len(found),
        whole=len(reached) - len(found),
        effective=effective(evidence),
        unread=tallies.unread,
    )


def _function(item: FunctionTally, evidence: Evidence) -> ThinFunction:
    body = item.function.body
    return ThinFunction(
        path=item.source.path,
        name=item.function.name,
        line=item.function.line,
        requests=item.tally.requests,
        share=share_of(item.tally.weight, evidence),
        executed=len(body & item.lines.keys()),
        executable=len(body),
        unrun=tuple(sorted(body - item.lines.keys())),
        endpoints=tuple(sorted(item.tally.endpoints)),
    )
