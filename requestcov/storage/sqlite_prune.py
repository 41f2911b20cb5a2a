"""Taking old requests out of a SQLite database, and keeping what they add up to.

Laws: what reports count (cohort, hit, outcome, duration) is never touched; a
day is closed, by moving the horizon past it, before the first of its requests
goes, so none of them can be counted again; interrupted anywhere, the database
is whole and pruning again goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from requestcov.storage import sqlite_schema as schema
from requestcov.storage.sqlite_writer import Writer

REQUESTS_AT_ONCE = 50_000
"""About how many rows go in one transaction: an app that writes meanwhile waits for no longer."""


class Pruned(NamedTuple):
    """What went."""

    requests: int
    spectra: int


def prune(writer: Writer, before: datetime, advance: Callable[[int], None] = lambda gone: None) -> Pruned:
    """Delete the requests of the UTC days before this one, and the paths that only they took.

    Args:
        before: any time of the first day that stays.
        advance: told of each part how many requests went.

    Raises:
        sqlite3.Error: it cannot be written; what was done so far stays done.
    """
    day = schema.pack_time(before) // schema.DAY
    with writer.transaction() as connection:
        connection.execute("UPDATE store SET horizon = max(horizon, ?)", (day,))
        cohorts = connection.execute(
            "SELECT n, requests FROM cohort WHERE day < ? AND EXISTS"
            " (SELECT 1 FROM request WHERE cohort = n) ORDER BY n",
            (day,),
        ).fetchall()
    gone = 0
    while cohorts:
        some: list[tuple[int]] = []
        rows = 0
        while cohorts and rows < REQUESTS_AT_ONCE:
            number, requests = cohorts.pop()
            some.append((number,))
            rows += requests
        with writer.transaction() as connection:
            deleted = connection.executemany("DELETE FROM request WHERE cohort = ?", some).rowcount
        gone += deleted
        advance(deleted)
    with writer.transaction() as connection:
        # Other processes remember which spectra are there: the count tells them to forget.
        connection.execute("UPDATE store SET prunings = prunings + 1")
        connection.execute(
            "CREATE TEMP TABLE used AS SELECT spectrum AS id FROM request"
            " UNION SELECT background FROM request WHERE background IS NOT NULL"
        )
        spectra = connection.execute(
            "DELETE FROM spectrum WHERE id NOT IN (SELECT id FROM used) AND id NOT IN"
            " (SELECT base FROM spectrum WHERE base IS NOT NULL AND id IN (SELECT id FROM used))"
        ).rowcount
        connection.execute("DROP TABLE used")
    return Pruned(gone, spectra)


def vacuum(writer: Writer) -> None:
    """Give the space of what was deleted back to the file system.

    Raises:
        sqlite3.Error: somebody else has the database open in a transaction, or the disk is full.
    """
    writer.connection.execute("VACUUM")
    writer.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
