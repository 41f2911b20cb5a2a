"""Reads of the SQLite database: what is counted of requests, by whom, and in which files.

Laws: opened read-only; counts come from the cohorts' aggregates (service,
release, endpoint, failed, UTC day), never from the rows of requests; a period
therefore means whole UTC days, both included.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

from requestcov.record import Ledger, SourceFile
from requestcov.storage import sqlite_schema as schema
from requestcov.storage.results import (
    EVERYTHING,
    Cohort,
    Hit,
    Outcome,
    Selection,
)
from requestcov.storage.sqlite_database import among, where_of
from requestcov.storage.sqlite_requests import Requests


def unpack_source(packed: bytes) -> str:
    """A text as it is stored."""
    return zlib.decompress(packed).decode("utf-8", "replace")


class Store(Requests):
    """One database, open for reading; a context manager. See Database."""

    def changes(self) -> int:
        """A number that differs from an earlier one of this connection when anybody has written since.

        SQLite's ``PRAGMA data_version``: no page of the database is read for it.
        """
        return int(self.row("PRAGMA data_version")[0])

    def state(self) -> str:
        """A short text that differs when what the store can be asked differs, the same in every process."""
        requests, cohorts = self.row("SELECT total(requests), count(*) FROM cohort")
        counted, ledgers, updated = self.row(
            "SELECT total(stored) + total(sampled) + total(excluded), count(*), ifnull(max(updated), 0)"
            " FROM ledger"
        )
        files, sources, (prunings,) = (
            self.row("SELECT count(*) FROM file")[0],
            self.row("SELECT count(*) FROM source")[0],
            self.row("SELECT prunings FROM store"),
        )
        return f"{requests:.0f}.{cohorts}.{counted:.0f}.{ledgers}.{updated:x}.{files}.{sources}.{prunings}"

    def ledgers(self) -> list[Ledger]:
        """What every process counted, in the order they started."""
        seen: defaultdict[int, dict[str, int]] = defaultdict(dict)
        for number, name, count in self.rows("SELECT ledger, endpoint, requests FROM seen"):
            seen[number][self.name(name)] = count
        return [
            Ledger(
                boot=schema.unpack_text(boot),
                worker=schema.unpack_text(worker),
                service=schema.unpack_text(service),
                release=schema.unpack_text(release),
                started=schema.unpack_time(started),
                updated=schema.unpack_time(updated),
                seen=seen[number],
                excluded=excluded,
                sampled=sampled,
                stored=stored,
                dropped=json.loads(dropped),
                pending=pending,
            )
            for number, boot, worker, service, release, started, updated, *counts, dropped in self.rows(
                "SELECT n, boot, worker, service, release, started, updated,"
                " excluded, sampled, stored, pending, dropped FROM ledger ORDER BY started, n"
            )
            for excluded, sampled, stored, pending in [counts]
        ]

    def cohorts(self, selection: Selection = EVERYTHING) -> list[Cohort]:
        """Recorded requests by endpoint, service, release, day and whether they failed, oldest first."""
        where, values = where_of(selection)
        return [
            Cohort(
                service=self.name(service),
                release=self.name(release),
                endpoint=self.name(endpoint),
                failed=bool(failed),
                day=schema.unpack_time(day * schema.DAY),
                requests=requests,
                weight=weight,
                first=schema.unpack_time(first),
                last=schema.unpack_time(last),
            )
            for service, release, endpoint, failed, day, requests, weight, first, last in self.rows(
                "SELECT service, release, endpoint, failed, day, requests, weight, first, last"
                f" FROM cohort WHERE requests AND {where} ORDER BY first",
                values,
            )
        ]

    def endpoints(self, selection: Selection = EVERYTHING) -> list[str]:
        """Those of which a request is recorded, sorted."""
        where, values = where_of(selection)
        rows = self.all(f"SELECT DISTINCT endpoint FROM cohort WHERE requests AND {where}", values)
        return sorted(self.name(endpoint) for (endpoint,) in rows)

    def outcomes(self, selection: Selection = EVERYTHING) -> list[Outcome]:
        """How recorded requests ended and why they were recorded, by cohort."""
        where, values = where_of(selection)
        return [
            Outcome(
                service=self.name(service),
                release=self.name(release),
                endpoint=self.name(endpoint),
                day=schema.unpack_time(day * schema.DAY),
                failed=bool(failed),
                status=status or None,
                error=self.text(error),
                sampled_by=self.name(sampled_by),
                partial=self.text(partial),
                engine=self.name(engine),
                requests=requests,
                weight=weight,
                squares=squares,
            )
            for (
                service, release, endpoint, day, failed,
                status, error, sampled_by, partial, engine, requests, weight, squares,
            ) in self.rows(
                "SELECT c.service, c.release, c.endpoint, c.day, c.failed, o.status, o.error, o.sampled_by,"
                " o.partial, o.engine, o.requests, o.weight, o.squares"
                f" FROM cohort c JOIN outcome o ON o.cohort = c.n WHERE {where} ORDER BY c.first",
                values,
            )
        ]  # fmt: skip

    def durations(self, selection: Selection = EVERYTHING) -> dict[str, dict[float, tuple[int, float]]]:
        """Endpoint -> ms, ascending -> (requests, weight); a duration is within 2 % of its key."""
        where, values = where_of(selection)
        found: defaultdict[str, dict[float, tuple[int, float]]] = defaultdict(dict)
        for endpoint, bucket, requests, weight in self.rows(
            "SELECT c.endpoint, d.bucket, sum(d.requests), sum(d.weight) FROM cohort c"
            f" JOIN duration d ON d.cohort = c.n WHERE {where} GROUP BY 1, 2 ORDER BY 1, 2",
            values,
        ):
            found[self.name(endpoint)][schema.unpack_duration(bucket) / 1000] = requests, weight
        return dict(found)

    def hits(
        self,
        selection: Selection = EVERYTHING,
        *,
        path: str | None = None,
        by_release: bool = False,
        by_failed: bool = False,
    ) -> Iterator[Hit]:
        """How many requests of each endpoint ran which block.

        Args:
            selection: which requests.
            path: only blocks of this file.
            by_release, by_failed: whether to count these apart.
        """
        where, values = where_of(selection)
        if path is not None:
            where += " AND h.block IN (SELECT b.n FROM file f JOIN block b ON b.file = f.n WHERE f.path = ?)"
            values.append(schema.pack_text(path))
        release = "c.release" if by_release else "0"
        failed = "c.failed" if by_failed else "0"
        times: dict[int, datetime] = {}  # few, for they are those of cohorts

        def time(packed: int) -> datetime:
            found = times.get(packed)
            if found is None:
                found = times[packed] = schema.unpack_time(packed)
            return found

        for endpoint, release_, failed_, block, requests, weight, first, last in self.rows(
            f"SELECT c.endpoint, {release}, {failed}, h.block, sum(h.requests), sum(h.weight),"
            " min(c.first), max(c.last) FROM cohort c JOIN hit h ON h.cohort = c.n"
            f" WHERE {where} GROUP BY 1, 2, 3, 4",
            values,
        ):
            yield Hit(
                self.name(endpoint),
                self.name(release_) if by_release else None,
                bool(failed_) if by_failed else None,
                block,
                requests,
                weight,
                time(first),
                time(last),
            )

    def paths(self) -> list[str]:
        """Every file that ran, sorted."""
        return sorted(schema.unpack_text(path) for (path,) in self.rows("SELECT DISTINCT path FROM file"))

    def source(self, path: str, digest: str) -> str | None:
        """The text of one version of a file; None when it was not sent."""
        row = self.row(
            "SELECT s.text FROM file f JOIN source s ON s.file = f.n WHERE f.path = ? AND f.digest = ?",
            (schema.pack_text(path), digest),
        )
        return None if row is None else unpack_source(row[0])

    def packed_sources(self, blocks: Iterable[int]) -> dict[tuple[str, str], bytes]:
        """(path, digest) -> text, for :func:`unpack_source`, of the files of some blocks, as far as sent."""
        where, values = among("b.n", blocks)
        return {
            (schema.unpack_text(path), digest): text
            for path, digest, text in self.rows(
                "SELECT f.path, f.digest, s.text FROM source s JOIN file f ON f.n = s.file"
                f" WHERE s.file IN (SELECT b.file FROM block b WHERE {where})",
                values,
            )
        }

    def sources(self) -> Iterator[SourceFile]:
        """Every text that was sent, as its bytes."""
        for path, digest, text in self.rows(
            "SELECT f.path, f.digest, s.text FROM source s JOIN file f ON f.n = s.file ORDER BY f.n"
        ):
            yield SourceFile(schema.unpack_text(path), digest, zlib.decompress(text))
