"""How did the lines that requests run grow with the days?

Laws: pure function, evidence in, frozen results out. What ran on a day counts
from that day on, so the numbers never fall; the lines are those of function
bodies as the files are now, and the whole is that of the functions reached by
the last day, so that days compare with each other.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime

from requestcov.analysis.evidence import Evidence
from requestcov.analysis.statistics import fraction_of


@dataclass(frozen=True)
class Grown:
    """What requests had run by the end of a day.

    Attributes:
        day: midnight, UTC.
        lines: distinct body lines run so far.
        new: those of them that ran on this day first.
        whole: body lines of all functions reached by the last day.
    """

    day: datetime
    lines: int
    new: int
    whole: int

    @property
    def coverage(self) -> float:
        """lines / whole, 0 to 1."""
        return fraction_of(self.lines, self.whole)


def growth(evidence: Evidence) -> tuple[Grown, ...]:
    """One result for each day on which something ran first, ascending."""
    first: dict[tuple[str, int], datetime] = {}
    for run in evidence.runs:
        if run.first is None:
            continue
        day = run.first.replace(hour=0, minute=0, second=0, microsecond=0)
        for line in evidence.placed(run):
            key = (run.path, line)
            if day < first.get(key, _LATE):
                first[key] = day
    reached: dict[str, set[int]] = defaultdict(set)
    for path, line in first:
        reached[path].add(line)
    whole = 0
    for path, lines in reached.items():
        source = evidence.source(path, evidence.newest[path])
        if source is not None:
            whole += sum(len(f.body) for f in source.functions if not f.body.isdisjoint(lines))
    new: dict[datetime, int] = defaultdict(int)
    for day in first.values():
        new[day] += 1
    found, lines_so_far = [], 0
    for day in sorted(new):
        lines_so_far += new[day]
        found.append(Grown(day, lines_so_far, new[day], whole))
    return tuple(found)


_LATE = datetime.max.replace(tzinfo=UTC)
