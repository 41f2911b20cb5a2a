"""Putting what one SQLite database holds into another.

Laws: a request counts once, whatever is merged how often in which order; what
cannot be known is refused with a sentence, before anything is written.

A request of a day that neither database has pruned is known by its id. The
days before either's horizon are only sums, and are taken as sums: once, which
``merged`` (store, day, requests) remembers. Such a day is

- done, if it was taken when it had as many requests as now (they only grow);
- taken, if nothing of it was, and no process that both databases know of can
  have put the same requests into both;
- refused otherwise.

The horizon becomes the later of the two, for the same reason that pruning
moves it: a request of a day that was taken as a sum could not be known again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from requestcov.errors import StoreError
from requestcov.record import Block, RequestRecord
from requestcov.storage import sqlite_schema as schema
from requestcov.storage.results import Selection
from requestcov.storage.sqlite import Store
from requestcov.storage.sqlite_sums import Sums
from requestcov.storage.sqlite_writer import Added, Writer

AT_ONCE = 500
"""Records in one transaction."""


class Merged(NamedTuple):
    """What became of the source's requests.

    Attributes:
        new: taken one by one.
        known: were there already.
        summed: taken as the sums of days that one of the two has pruned.
    """

    new: int
    known: int
    summed: int


def merge(writer: Writer, source: Store, advance: Callable[[int], None] = lambda done: None) -> Merged:
    """Put all that a database holds into another one; the source is only read.

    Args:
        writer: of the database that grows.
        source: another one.
        advance: told how many more requests are done.

    Raises:
        StoreError: the two are one, or it cannot be known which requests are in both.
        sqlite3.Error: it cannot be written; merging again goes on from there.
    """
    with source.snapshot():
        identity, theirs = source.row("SELECT id, horizon FROM store")
        (ours,) = writer.connection.execute("SELECT id FROM store").fetchone()
        days = dict(source.rows("SELECT day, sum(requests) FROM cohort GROUP BY day ORDER BY day"))
        with writer.transaction() as connection:
            (here,) = connection.execute("SELECT horizon FROM store").fetchone()
            horizon = max(here, theirs)
            closed = [day for day in days if day < horizon]
            if identity == ours and closed:
                raise StoreError(
                    f"the store {source.path!a} is a copy of the one it would be merged into, and days are"
                    " pruned: which requests are in both cannot be known"
                )
            wanted = _wanted(writer, source, identity, days, closed)
            summed = _take_sums(writer, source, wanted)
            for ledger in source.ledgers():
                writer.write_ledger(ledger)
            writer.write_sources(source.sources())
            connection.execute("UPDATE store SET horizon = ?", (horizon,))
            _remember(writer, source, identity, {day: days[day] for day in closed})
        advance(sum(days[day] for day in closed))
        new = known = 0
        for some in _parts(source, horizon):
            added: Added = writer.add(some)
            new += added.new
            known += added.known
            advance(len(some))
        with writer.transaction() as connection:
            (now,) = connection.execute("SELECT horizon FROM store").fetchone()
            if now != horizon:
                raise StoreError("the store was pruned while it was merged into: merge again")
            if identity != ours:
                _remember(writer, source, identity, {day: days[day] for day in days if day >= horizon})
    return Merged(new, known, summed)


def _parts(source: Store, horizon: int) -> Iterator[list[RequestRecord]]:
    """The requests of the days that are open in both, in parts."""
    since = Selection(since=schema.unpack_time(horizon * schema.DAY))
    records = source.records(since)
    while some := list(islice(records, AT_ONCE)):
        yield some


def _wanted(
    writer: Writer, source: Store, identity: bytes, days: dict[int, int], closed: list[int]
) -> list[int]:
    """Those of the closed days whose sums are to be taken.

    Raises:
        StoreError: of one of them it cannot be known.
    """
    taken = dict(writer.connection.execute("SELECT day, requests FROM merged WHERE store = ?", (identity,)))
    wanted = [day for day in closed if days[day] != taken.get(day)]
    for day in wanted:
        date = schema.unpack_time(day * schema.DAY).date()
        if day in taken:
            raise StoreError(
                f"of {date} the store {source.path!a} has {days[day]:,} requests, of which {taken[day]:,}"
                " were merged before that day was pruned: which are missing cannot be known;"
                " merge a day whole before either store prunes it"
            )
    if not wanted:
        return wanted
    # Whatever way a request came here, its process's ledger came with it, updated after it began.
    told = {
        (boot, worker): updated
        for boot, worker, updated in writer.connection.execute("SELECT boot, worker, updated FROM ledger")
    }
    for boot, worker, started in source.rows("SELECT boot, worker, started FROM ledger"):
        updated = told.get((boot, worker))
        if updated is None:
            continue
        for day in wanted:
            if started < (day + 1) * schema.DAY and updated >= day * schema.DAY:
                date = schema.unpack_time(day * schema.DAY).date()
                raise StoreError(
                    f"of {date} one of the two stores has kept only sums, and both know of the process"
                    f" {schema.unpack_text(worker)} that ran then: which of its requests {source.path!a}"
                    " would bring a second time cannot be known"
                )
    return wanted


def _take_sums(writer: Writer, source: Store, days: list[int]) -> int:
    """Add the sums of whole days; returns how many requests those are of."""
    summed = 0
    for day in days:
        sums = Sums()
        cohorts: dict[int, int] = {}
        for number, service, release, endpoint, failed, requests, weight, first, last in source.rows(
            "SELECT n, service, release, endpoint, failed, requests, weight, first, last"
            " FROM cohort WHERE day = ? AND requests",
            (day,),
        ):
            cohort = cohorts[number] = writer.cohort_number(
                source.name(service), source.name(release), source.name(endpoint), bool(failed), day
            )
            sums.totals[cohort] = [requests, weight, first, last]
            summed += requests
        hits = list(
            source.rows(
                "SELECT h.cohort, h.block, h.requests, h.weight FROM cohort c"
                " JOIN hit h ON h.cohort = c.n WHERE c.day = ?",
                (day,),
            )
        )
        blocks = {
            number: writer.block_number(Block(block.path, block.digest, block.lines, block.branches))
            for number, block in source.blocks({hit[1] for hit in hits}).items()
        }
        for number, block, *counts in hits:
            sums.hits[cohorts[number], blocks[block]] = counts
        for number, status, error, sampled_by, partial, engine, *counts in source.rows(
            "SELECT o.* FROM cohort c JOIN outcome o ON o.cohort = c.n WHERE c.day = ?", (day,)
        ):
            key = (
                cohorts[number],
                status,
                writer.text_number(source.name(error)) if error else 0,
                writer.text_number(source.name(sampled_by)),
                writer.text_number(source.name(partial)) if partial else 0,
                writer.text_number(source.name(engine)),
            )
            sums.outcomes[key] = counts
        for number, bucket, *counts in source.rows(
            "SELECT d.* FROM cohort c JOIN duration d ON d.cohort = c.n WHERE c.day = ?", (day,)
        ):
            sums.durations[cohorts[number], bucket] = counts
        sums.write(writer.connection)
    return summed


def _remember(writer: Writer, source: Store, identity: bytes, days: dict[int, int]) -> None:
    """Note what was counted here of the source's days; and, of the days that are open here, what the
    source had counted of others': it is here now too."""
    rows = [(identity, day, requests) for day, requests in days.items()]
    for store, day, requests in source.rows("SELECT store, day, requests FROM merged"):
        if day in days:
            rows.append((store, day, requests))
    writer.connection.executemany(
        "INSERT INTO merged VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET requests = max(requests, excluded.requests)",
        rows,
    )
