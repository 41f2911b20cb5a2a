"""Which functions and lines did no recorded request run, and how sure is it that none does?

Laws: pure functions, evidence in, frozen results out. "No recorded request ran
it" is a fact of the sample; what it says of all requests is a bound at a stated
confidence, never a verdict of its own. A function is watched while it is as it
is now (dead_days): what a deploy has only moved stays watched, what it has changed
is watched anew. What could not be judged is named. Only lines of function bodies
are asked about: what runs at import runs whatever requests do, and says nothing
about them. What something else ran is told apart by its coverage data, which is a fact
(dead_elsewhere), and by its looks, which is a hint (dead_jobs).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from requestcov._source import Function, Source, parse
from requestcov._source_cache import SourceCache
from requestcov.analysis.dead_days import Days
from requestcov.analysis.dead_elsewhere import Others
from requestcov.analysis.dead_jobs import Jobs
from requestcov.analysis.dead_results import (
    Dead,
    DeadFunction,
    DeadLines,
    Excluded,
    Kind,
    RanElsewhere,
    Saturation,
    Verdict,
    Watch,
)
from requestcov.analysis.dead_saturation import Holders, saturation
from requestcov.analysis.evidence import Evidence, Run
from requestcov.analysis.history import History
from requestcov.analysis.measured import Elsewhere
from requestcov.analysis.statistics import CONFIDENCE, requests_needed, upper_bound, worst_size
from requestcov.record import format_lines

__all__ = [
    "Dead",
    "DeadFunction",
    "DeadLines",
    "Excluded",
    "Holders",
    "Kind",
    "RanElsewhere",
    "Saturation",
    "Verdict",
    "Watch",
    "dead",
]

BOUND, MIN_DAYS = 0.01, 7
NOTHING = (r"(?!)",)
"""An exclusion that no line matches."""


def dead(
    evidence: Evidence,
    holders: Holders,
    *,
    tree: Mapping[str, Source] | None = None,
    confidence: float = CONFIDENCE,
    bound: float = BOUND,
    min_days: int = MIN_DAYS,
    reached_only: bool = False,
    elsewhere: Iterable[Elsewhere] = (),
    scripts: Mapping[tuple[str, str], str] | None = None,
) -> Dead:
    """What no recorded request ran.

    Args:
        evidence: of the selection.
        holders: asks the store; see Holders.
        tree: the working tree's files in scope. Where it has none of those that ran it is another
            project's, and as without one the versions that ran last are judged.
        confidence: of the bounds, between 0 and 1.
        bound: share of requests, more than 0 and less than 1.
        min_days: from 0.
        reached_only: leave out functions that no request ran, and what is in files that none ran, as for
            a single endpoint: its requests say nothing of these but that it does not reach them.
        elsewhere: what commands, jobs and the like ran.
        scripts: (module, qualified name) that an entry point of the project calls -> what that is.
    """
    elsewhere = tuple(elsewhere)
    ours = tree is not None and not tree.keys().isdisjoint(evidence.newest)
    last = {path: evidence.source(path, digest) for path, digest in evidence.newest.items()}
    known: Mapping[str, Source | None] = tree if tree is not None and ours else last
    asked = known.keys() & evidence.newest.keys() if reached_only else known.keys()
    # A tree can be large: what no request reached is looked at when it is needed.
    current = _sound(known, known.keys() if elsewhere else asked)
    history = History(current, evidence.texts, evidence.spans)
    if history.vanished and current.keys() < known.keys():
        # What stands no more where it ran may stand in any other file.
        current = _sound(known, known.keys())
        history = History(current, evidence.texts, evidence.spans)
    others, jobs = Others(current, elsewhere), Jobs(current, scripts or {})
    judge = _Judge(evidence, history, confidence, bound, min_days)
    functions: list[DeadFunction] = []
    lines: list[DeadLines] = []
    excluded: list[Excluded] = []
    live = 0
    for _, source in sorted(current.items()):
        alive = not source.bodies.isdisjoint(judge.executed[source.path])
        excluded += _excluded(source) if source.path in asked else ()
        for function in source.functions:
            missed = function.body - judge.executed[source.path]
            if len(missed) < len(function.body):
                live += 1
                ran = others.ran(source.path, missed)
                for part, whose in ((missed - ran, ()), (missed & ran, others.who(source.path, missed))):
                    if part:
                        lines.append(judge.lines(source, function, part, whose))
            elif missed and not reached_only:
                whose = others.who(source.path, missed)
                hint = jobs.hint(source.path, function.line)
                functions.append(judge.function(source, function, alive, whose, hint))
    overall, endpoints = saturation(evidence, judge.placed, holders)
    return Dead(
        confidence=confidence,
        bound=bound,
        min_days=min_days,
        needed=requests_needed(bound, confidence),
        watch=judge.days.watch(judge.days.all),
        functions=tuple(functions),
        lines=tuple(lines),
        excluded=tuple(excluded),
        overall=overall,
        endpoints=endpoints,
        unread=tuple(sorted(asked - current.keys())),
        gone=tuple(sorted(evidence.newest.keys() - known.keys())),
        tree=ours,
        live=live,
        elsewhere=others.data,
    )


def _sound(known: Mapping[str, Source | None], paths: Iterable[str]) -> dict[str, Source]:
    """Those of the texts that could be read and parsed."""
    texts = ((path, known[path]) for path in paths)
    return {path: source for path, source in texts if source is not None and not source.problem}


class _Judge:
    """What ran and when, for one verdict after the other."""

    def __init__(
        self, evidence: Evidence, history: History, confidence: float, bound: float, min_days: int
    ) -> None:
        self.days = Days(evidence, confidence)
        self.placed = [(run, history.placed(run.path, run.digest, run.lines)) for run in evidence.runs]
        self.executed: defaultdict[str, set[int]] = defaultdict(set)
        self._runs: defaultdict[str, list[tuple[Run, frozenset[int]]]] = defaultdict(list)
        for run, spots in self.placed:
            where: defaultdict[str, set[int]] = defaultdict(set)
            for path, line in spots:
                where[path].add(line)
            for path, lines in where.items():
                self.executed[path] |= lines
                self._runs[path].append((run, frozenset(lines)))
        self._newest = evidence.newest
        self._history = history
        self._confidence, self._bound, self._min_days = confidence, bound, min_days

    def function(
        self,
        source: Source,
        function: Function,
        alive: bool,
        elsewhere: tuple[RanElsewhere, ...],
        hint: str | None,
    ) -> DeadFunction:
        """A function that no request ran; ``alive``: they ran another of its file."""
        path = source.path
        held = self._held(path, function)
        if path not in self._newest and not held:
            kind, watch = Kind.FILE, self.days.watch(self.days.all)
        else:
            watch = self.days.watch(self.days.of(held))
            if not held or (held.keys() == {path} and self.days.changed(path, held[path])):
                kind = Kind.CHANGED
            else:
                # A file it moved into need not have run since.
                kind = Kind.UNRUN if alive or held.keys() != {path} else Kind.IMPORTED
        doubts = self._doubts(watch.requests, watch.bound, watch.days)
        if kind is Kind.FILE:
            doubts = ["no request ran any line of the file: since when it is deployed is not known", *doubts]
        verdict = Verdict.UNWATCHED if kind is Kind.FILE else Verdict.UNSURE if doubts else Verdict.DEAD
        return DeadFunction(
            path=path,
            name=function.name,
            line=function.line,
            end=function.end,
            size=len(function.body),
            kind=kind,
            watch=watch,
            verdict=Verdict.ELSEWHERE if elsewhere else verdict,
            reason="; ".join(doubts) or None,
            elsewhere=elsewhere,
            hint=hint,
        )

    def lines(
        self,
        source: Source,
        function: Function,
        missed: frozenset[int],
        elsewhere: tuple[RanElsewhere, ...],
    ) -> DeadLines:
        """Lines of a function that requests ran."""
        # Each request runs one block of a version of a file, so these runs are all its requests. The
        # weights within a run are not known apart; their mean stands for each.
        own = [run for run, lines in self._runs[source.path] if not lines.isdisjoint(function.body)]
        requests = sum(run.requests for run in own)
        groups = [(run.weight, run.weight**2 / run.requests) for run in own if run.requests]
        effective = min(float(requests), worst_size(groups))
        largest = upper_bound(0, effective, self._confidence)
        watch = self.days.watch(self.days.of(self._held(source.path, function)))
        doubts = self._doubts(requests, largest, watch.days)
        return DeadLines(
            path=source.path,
            name=function.name,
            line=function.line,
            lines=format_lines(missed),
            size=len(missed),
            since=watch.since,
            days=watch.days,
            requests=requests,
            effective=effective,
            bound=largest,
            verdict=Verdict.ELSEWHERE if elsewhere else Verdict.UNSURE if doubts else Verdict.DEAD,
            elsewhere=elsewhere,
        )

    def _held(self, path: str, function: Function) -> dict[str, set[str]]:
        held: defaultdict[str, set[str]] = defaultdict(set)
        for past in self._history.past(path, function):
            held[past.path].add(past.digest)
        return dict(held)

    def _doubts(self, requests: int, bound: float, days: int) -> list[str]:
        doubts = []
        if bound > self._bound:
            doubts.append(f"{requests:,} requests are too few: up to {bound:.2%} could run it")
        if days < self._min_days:
            doubts.append(f"watched on {days} of {self._min_days} days")
        return doubts


def _excluded(source: Source) -> Iterable[Excluded]:
    # Of a function on one line no line is its own; of others, a body without a line is a mere
    # docstring, or excluded.
    empty = [f for f in source.functions if not f.body and f.start > f.line]
    if not empty:
        return
    everything = parse(source.path, source.digest, "\n".join(source.lines), NOTHING, SourceCache())
    counted = {function.line for function in everything.functions if function.body}
    for function in empty:
        if function.line in counted:
            yield Excluded(path=source.path, name=function.name, line=function.line)
