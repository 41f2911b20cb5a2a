"""What can be said of code that no recorded request ran."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from requestcov.analysis.measured import Doubtful, NotCompared


class Verdict(Enum):
    """What the sample allows to say."""

    DEAD = "dead"
    """The bound is as low, and the time watched as long, as was asked for."""
    UNSURE = "unsure"
    """Too few requests, or too few days."""
    UNWATCHED = "unwatched"
    """No request ran any line of the file, so nobody knows since when this text is deployed."""
    ELSEWHERE = "elsewhere"
    """A command, a job or the like ran it, as a data file that was given says."""


class Kind(Enum):
    """What became of the function."""

    UNRUN = "unrun"
    """Requests run others of its file, not this."""
    CHANGED = "changed"
    """Requests ran its file before it was as it is now; only later ones could show it."""
    IMPORTED = "imported"
    """Requests only imported its file: they ran none of its functions."""
    FILE = "file"
    """No request ran any line of its file."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What a claim stands on: the requests that would have shown it, those forced by a person apart.

    Attributes:
        since, until: first and last UTC day on which the code was as it is now; None: on no day.
        days: UTC days among these with recorded requests and no other version of the code.
        requests, weight: recorded on these days, and what they stand for.
        effective: equally weighted requests that would as surely meet what only the least sampled run.
        kish: equally weighted requests that tell as much of what has nothing to do with sampling.
        bound: largest share of all requests that could run it, at the confidence asked for.
    """

    since: datetime | None
    until: datetime | None
    days: int
    requests: int
    weight: float
    effective: float
    kish: float
    bound: float


@dataclass(frozen=True, kw_only=True)
class RanElsewhere:
    """What one data file says of code that no recorded request ran.

    Attributes:
        data: name of the data file.
        lines: those that ran, as ranges: ``"14-17,20"``.
        contexts: names of the contexts that ran any of them; empty where they were not kept.
    """

    data: str
    lines: str
    contexts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ElsewhereData:
    """A data file of what commands, jobs and the like ran.

    Attributes:
        data: its name.
        compared: how many of the judged files it has lines for.
        not_compared: files whose lines could not be placed, and why.
        doubtful: files compared though another text may have been run.
    """

    data: str
    compared: int
    not_compared: tuple[NotCompared, ...]
    doubtful: tuple[Doubtful, ...]


@dataclass(frozen=True, kw_only=True)
class DeadFunction:
    """A function none of whose body lines a recorded request ran.

    Attributes:
        path, name: where; the name is qualified.
        line, end: of the ``def`` and of the last line of the body.
        size: executable lines of its body.
        kind: see Kind.
        watch: by the requests of the days on which it was as it is now; of a file that never ran, by all.
        verdict: see Verdict.
        reason: why it is not surer, in words; None for a dead one.
        elsewhere: who else ran it, by data file.
        hint: why it looks like a command or a job, by its text alone; None: it does not. The verdict
            does not depend on it.
    """

    path: str
    name: str
    line: int
    end: int
    size: int
    kind: Kind
    watch: Watch
    verdict: Verdict
    reason: str | None
    elsewhere: tuple[RanElsewhere, ...]
    hint: str | None


@dataclass(frozen=True, kw_only=True)
class DeadLines:
    """Lines of a function that requests run, which no recorded request ran.

    Attributes:
        path, name, line: the function.
        lines: compact ranges: ``"14-17,20"``.
        size: how many.
        since, days: of the function, as in Watch.
        requests: recorded requests that ran the function.
        effective: as in Watch, of these.
        bound: largest share of the function's requests that could run one of these lines.
        verdict: DEAD, UNSURE or ELSEWHERE; lines of one function that differ in it come apart.
        elsewhere: who else ran the lines, by data file.
    """

    path: str
    name: str
    line: int
    lines: str
    size: int
    since: datetime | None
    days: int
    requests: int
    effective: float
    bound: float
    verdict: Verdict
    elsewhere: tuple[RanElsewhere, ...]


@dataclass(frozen=True, kw_only=True)
class Excluded:
    """A function that coverage.py's exclusions (a pragma) leave out, and that so was not judged."""

    path: str
    name: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Saturation:
    """How much of what requests run has been seen.

    Attributes:
        endpoint: ``GET /orders/{id}``; None: all of them together.
        requests: recorded.
        lines: body lines that they ran.
        once, twice: lines that exactly one, exactly two of them ran.
        pioneers: requests that ran a line which no other of them ran.
        novelty: chance that the next recorded request runs a line that none has run (Good and Turing);
            None when nothing was recorded.
        unseen: estimate, from below, of lines that requests run and none has run yet (Chao).
    """

    endpoint: str | None
    requests: int
    lines: int
    once: int
    twice: int
    pioneers: int
    novelty: float | None
    unseen: float


@dataclass(frozen=True, kw_only=True)
class Dead:
    """The answer.

    Attributes:
        confidence: of every bound.
        bound: the share that a dead function's must not exceed.
        min_days: the days that it must have been watched.
        needed: requests without a hit that bring a bound down to ``bound``.
        watch: by all requests of the selection.
        functions: those that no recorded request ran, by path and line.
        lines: lines not run of functions that were, by path and line.
        excluded: functions not judged.
        overall: of all endpoints together.
        endpoints: by endpoint.
        unread: paths whose text is not at hand or cannot be parsed.
        gone: paths that ran and that the working tree has no more.
        tree: whether what is judged is the working tree; else it is what ran last.
        live: functions that were run.
        elsewhere: the data files that were given.
    """

    confidence: float
    bound: float
    min_days: int
    needed: int
    watch: Watch
    functions: tuple[DeadFunction, ...]
    lines: tuple[DeadLines, ...]
    excluded: tuple[Excluded, ...]
    overall: Saturation
    endpoints: tuple[Saturation, ...]
    unread: tuple[str, ...]
    gone: tuple[str, ...]
    tree: bool
    live: int
    elsewhere: tuple[ElsewhereData, ...]

    @property
    def enough(self) -> bool:
        """Whether anything that is watched by all the requests could be called dead."""
        return self.watch.bound <= self.bound and self.watch.days >= self.min_days
