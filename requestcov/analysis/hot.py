"""Which functions and lines do most requests run?

Laws: pure functions of the evidence, frozen results. A share is by weight, over
all requests of the selection, so that it speaks of the traffic and not of what
was sampled; the count beside it is of recorded requests. A share of 1 means
every request, not often within one: a loop counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from requestcov.analysis.evidence import Evidence
from requestcov.analysis.statistics import margin
from requestcov.analysis.tally import Tally, effective, share_of, tally


@dataclass(frozen=True, kw_only=True)
class HotFunction:
    """One function of a file's newest version.

    Attributes:
        path: relative to the project root.
        name: qualified name.
        line: of the ``def``.
        requests: recorded requests that ran any line of its body.
        weight: how many those stand for.
        share: their part of the weight of all requests asked about, 0 to 1.
        earlier: the share of requests that ran a function of this name when its body was another.
        endpoints: those that ran it as it is, sorted.
    """

    path: str
    name: str
    line: int
    requests: int
    weight: float
    share: float
    earlier: float
    endpoints: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class HotLine:
    """One line of a function's body, in the file's newest version.

    Attributes:
        path: relative to the project root.
        function: qualified name of the one it belongs to.
        line: its number.
        text: as written, without the space around it.
        requests: recorded requests that ran it.
        weight: how many those stand for.
        share: their part of the weight of all requests asked about, 0 to 1.
        endpoints: those that ran it, sorted.
    """

    path: str
    function: str
    line: int
    text: str
    requests: int
    weight: float
    share: float
    endpoints: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Hot:
    """What runs most, the greatest share first (earlier texts included); equal ones by path and line.

    Attributes:
        functions, lines: the one that was asked for; the other is empty.
        total: how many there are, shown or not.
        effective: recorded requests, as if all weighed the same.
        margin: how far off a share may be, either way, in 95 of 100 samples of that size, 0 to 1.
        unread: distinct (file, version, line) recorded that could not be judged.
    """

    functions: tuple[HotFunction, ...]
    lines: tuple[HotLine, ...]
    total: int
    effective: float
    margin: float
    unread: int


def hot_functions(evidence: Evidence, most: int | None = None) -> Hot:
    """Functions by share of requests; at most so many, None: all that ran."""
    tallies = tally(evidence)
    found = [
        HotFunction(
            path=item.source.path,
            name=item.function.name,
            line=item.function.line,
            earlier=share_of(item.earlier, evidence),
            **_counts(item.tally, evidence),
        )
        for item in tallies.functions
    ]
    found.sort(key=lambda item: (-item.share - item.earlier, item.path, item.line))
    return _hot(evidence, tallies.unread, len(found), functions=found[:most])


def hot_lines(evidence: Evidence, most: int | None = None) -> Hot:
    """Lines of function bodies by share of requests; at most so many, None: all that ran."""
    tallies = tally(evidence)
    ranked = sorted(
        (
            (-share_of(tally.weight, evidence), item.source.path, line, item, tally)
            for item in tallies.functions
            for line, tally in item.lines.items()
        ),
        key=lambda entry: entry[:3],
    )
    found = [
        HotLine(
            path=path,
            function=item.function.name,
            line=line,
            text=item.source.lines[line - 1].strip(),
            **_counts(tally, evidence),
        )
        for _, path, line, item, tally in ranked[:most]
    ]
    return _hot(evidence, tallies.unread, len(ranked), lines=found)


class _Counts(TypedDict):
    requests: int
    weight: float
    share: float
    endpoints: tuple[str, ...]


def _counts(tally: Tally, evidence: Evidence) -> _Counts:
    return {
        "requests": tally.requests,
        "weight": tally.weight,
        "share": share_of(tally.weight, evidence),
        "endpoints": tuple(sorted(tally.endpoints)),
    }


def _hot(
    evidence: Evidence,
    unread: int,
    total: int,
    functions: Sequence[HotFunction] = (),
    lines: Sequence[HotLine] = (),
) -> Hot:
    sample = effective(evidence)
    return Hot(
        functions=tuple(functions),
        lines=tuple(lines),
        total=total,
        effective=sample,
        margin=margin(sample),
        unread=unread,
    )
