"""What the SQLite database counts of requests, gathered for one transaction.

Laws: what reports ask is counted here once for each request, by cohort
(service, release, endpoint, failed, day), by block, by outcome and by duration;
rows are written in the order of their keys, so that a page is met once.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Sums:
    """Counts to add to those in a database; the values are lists, to be added to.

    Attributes:
        hits: (cohort, block) -> requests, weight.
        totals: cohort -> requests, weight, time of the first and of the last.
        outcomes: the columns of outcome's key -> requests, weight, sum of squared weights.
        durations: (cohort, bucket) -> requests, weight.
    """

    hits: dict[tuple[int, int], list[Any]] = field(default_factory=dict)
    totals: dict[int, list[Any]] = field(default_factory=dict)
    outcomes: dict[tuple[int, ...], list[Any]] = field(default_factory=dict)
    durations: dict[tuple[int, int], list[Any]] = field(default_factory=dict)

    def add(self, outcome: tuple[int, ...], bucket: int, time: int, weight: float) -> None:
        """Count one request.

        Args:
            outcome: the columns of outcome's key, of which the cohort is the first.
            bucket: of its duration.
            time: of its start, packed.
        """
        cohort = outcome[0]
        total = self.totals.get(cohort)
        if total is None:
            self.totals[cohort] = [1, weight, time, time]
        else:
            total[0] += 1
            total[1] += weight
            total[2] = min(total[2], time)
            total[3] = max(total[3], time)
        ended = self.outcomes.setdefault(outcome, [0, 0.0, 0.0])
        ended[0] += 1
        ended[1] += weight
        ended[2] += weight * weight
        duration = self.durations.setdefault((cohort, bucket), [0, 0.0])
        duration[0] += 1
        duration[1] += weight

    def add_hit(self, cohort: int, block: int, requests: int, weight: float) -> None:
        """Count requests that ran a block."""
        hit = self.hits.setdefault((cohort, block), [0, 0.0])
        hit[0] += requests
        hit[1] += weight

    def write(self, connection: sqlite3.Connection) -> None:
        """Add all of it to what the database has, within a transaction."""
        connection.executemany(
            "INSERT INTO hit (cohort, block, requests, weight) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET"
            " requests = requests + excluded.requests, weight = weight + excluded.weight",
            [(*key, *self.hits[key]) for key in sorted(self.hits)],
        )
        connection.executemany(
            "UPDATE cohort SET requests = requests + ?, weight = weight + ?,"
            " first = min(first, ?), last = max(last, ?) WHERE n = ?",
            [(*self.totals[cohort], cohort) for cohort in sorted(self.totals)],
        )
        connection.executemany(
            "INSERT INTO outcome VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " requests = requests + excluded.requests, weight = weight + excluded.weight,"
            " squares = squares + excluded.squares",
            [(*key, *self.outcomes[key]) for key in sorted(self.outcomes)],
        )
        connection.executemany(
            "INSERT INTO duration VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " requests = requests + excluded.requests, weight = weight + excluded.weight",
            [(*key, *self.durations[key]) for key in sorted(self.durations)],
        )
