"""Writes to the SQLite database: one batch, one transaction.

Laws: a batch is in the database whole or not at all; a record is known by its
id, so a batch that comes again adds nothing; reports need no row of a
request, because what they count is counted here, by cohort (service, release,
endpoint, failed, day), by block, by outcome and by duration. Numbers remembered between batches are
forgotten when a transaction fails: they may have been rolled back with it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from requestcov.errors import StoreError
from requestcov.record import Batch, Block, Ledger, RequestRecord, SourceFile, format_arcs, spectrum_id
from requestcov.storage import sqlite_schema as schema

K = TypeVar("K")
V = TypeVar("V")

BUSY_SECONDS = 0.9
"""How long one attempt waits for another process's transaction."""

MOST_REMEMBERED = 50_000
"""Entries in each memory of row numbers, so that a long-lived process stays small."""


class Writer:
    """One connection that writes; used by one thread at a time, never across a fork.

    Args:
        path: the database, created if it is not there (in a directory that is).

    Raises:
        StoreError: not a database of ours, newer than this code, or SQLite is too old.
        sqlite3.Error: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        if sqlite3.sqlite_version_info < schema.OLDEST_SQLITE:
            needed = ".".join(map(str, schema.OLDEST_SQLITE))
            raise StoreError(f"this Python has SQLite {sqlite3.sqlite_version}, and {needed} is needed")
        self._connection = sqlite3.connect(
            os.fsencode(path), timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            schema.check(self._connection)  # Before the journal mode: that already writes.
            self._connection.execute("PRAGMA journal_mode = WAL")
            # FULL: COMMIT returns once the disk has it, also if the power goes.
            self._connection.execute("PRAGMA synchronous = FULL")
            schema.migrate(self._connection)
        except BaseException:
            self._connection.close()
            raise
        self._forget()

    def write(self, batch: Batch) -> None:
        """Keep a batch; a record that is already there counts once.

        Raises:
            sqlite3.Error: nothing of it is kept.
        """
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._write_records(batch.records)
            self._write_ledger(batch.ledger)
            self._write_sources(batch.sources)
            connection.execute("COMMIT")
        except BaseException:
            self._forget()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _forget(self) -> None:
        self._texts: dict[str, int] = {}
        self._files: dict[tuple[str, str], int] = {}
        self._blocks: dict[int, int] = {}
        self._spectra: set[int] = set()
        self._origins: dict[tuple[str, str], int] = {}
        self._cohorts: dict[tuple[str, str, str, bool, int], int] = {}
        self._bases: dict[int, tuple[int, frozenset[int]]] = {}

    def _write_records(self, records: Iterable[RequestRecord]) -> None:
        ran: dict[tuple[int, int], list[Any]] = {}
        totals: dict[int, list[Any]] = {}
        outcomes: dict[tuple[int, ...], list[Any]] = {}
        durations: dict[tuple[int, int], list[Any]] = {}
        for record in sorted(records, key=lambda record: record.id):
            time = schema.pack_time(record.time)
            cohort = self._cohort(record, time // schema.DAY)
            if not self._insert_request(record, cohort, time):
                continue
            weight = record.weight
            group = ran.get((cohort, record.spectrum))
            if group is None:
                ran[cohort, record.spectrum] = [record.blocks, 1, weight]
            else:
                group[1] += 1
                group[2] += weight
            total = totals.get(cohort)
            if total is None:
                totals[cohort] = [1, weight, time, time]
            else:
                total[0] += 1
                total[1] += weight
                total[2] = min(total[2], time)
                total[3] = max(total[3], time)
            outcome = outcomes.setdefault(self._outcome(record, cohort), [0, 0.0, 0.0])
            outcome[0] += 1
            outcome[1] += weight
            outcome[2] += weight * weight
            bucket = schema.pack_duration(round(record.duration_ms * 1000))
            duration = durations.setdefault((cohort, bucket), [0, 0.0])
            duration[0] += 1
            duration[1] += weight
        hits: dict[tuple[int, int], list[Any]] = {}
        for (cohort, _), (blocks, count, weight) in ran.items():
            for block in blocks:
                key = (cohort, self._block(block))
                hit = hits.get(key)
                if hit is None:
                    hits[key] = [count, weight]
                else:
                    hit[0] += count
                    hit[1] += weight
        self._connection.executemany(
            "INSERT INTO hit (cohort, block, requests, weight) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET"
            " requests = requests + excluded.requests, weight = weight + excluded.weight",
            [(*key, *hits[key]) for key in sorted(hits)],
        )
        self._connection.executemany(
            "UPDATE cohort SET requests = requests + ?, weight = weight + ?,"
            " first = min(first, ?), last = max(last, ?) WHERE n = ?",
            [(*totals[cohort], cohort) for cohort in sorted(totals)],
        )
        self._connection.executemany(
            "INSERT INTO outcome VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " requests = requests + excluded.requests, weight = weight + excluded.weight,"
            " squares = squares + excluded.squares",
            [(*key, *outcomes[key]) for key in sorted(outcomes)],
        )
        self._connection.executemany(
            "INSERT INTO duration VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " requests = requests + excluded.requests, weight = weight + excluded.weight",
            [(*key, *durations[key]) for key in sorted(durations)],
        )

    def _insert_request(self, record: RequestRecord, cohort: int, time: int) -> bool:
        """Whether the record is new."""
        background = record.background
        cursor = self._connection.execute(
            "INSERT INTO request VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                schema.pack_id(record.id),
                cohort,
                self._origin(record),
                record.seq,
                time,
                record.status,
                round(record.duration_ms * 1000),
                None if record.error is None else self._text(record.error),
                self._text(record.sampled_by),
                record.weight,
                None if record.partial is None else self._text(record.partial),
                self._text(_json(record.labels)) if record.labels else None,
                schema.pack_trace(record.trace_id),
                self._spectrum(record.spectrum, record.blocks, cohort),
                self._spectrum(spectrum_id(background), background, cohort) if background else None,
            ),
        )
        return cursor.rowcount == 1

    def _outcome(self, record: RequestRecord, cohort: int) -> tuple[int, ...]:
        return (
            cohort,
            record.status or 0,
            0 if record.error is None else self._text(record.error),
            self._text(record.sampled_by),
            0 if record.partial is None else self._text(record.partial),
            self._text(record.engine),
        )

    def _write_ledger(self, ledger: Ledger) -> None:
        """Keep a process's counts, unless later ones are there: a batch may come again late.

        Later is what has counted further, whatever the clock says: it may have been set back.
        """
        row = self._connection.execute(
            "INSERT INTO ledger (boot, worker, service, release, started, updated,"
            " excluded, sampled, stored, pending, dropped) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (boot, worker) DO UPDATE SET service = excluded.service,"
            " release = excluded.release, started = excluded.started, updated = excluded.updated,"
            " excluded = excluded.excluded, sampled = excluded.sampled, stored = excluded.stored,"
            " pending = excluded.pending, dropped = excluded.dropped"
            " WHERE excluded.sampled >= ledger.sampled AND excluded.excluded >= ledger.excluded"
            " AND excluded.sampled - excluded.pending >= ledger.sampled - ledger.pending RETURNING n",
            (
                schema.pack_text(ledger.boot),
                schema.pack_text(ledger.worker),
                schema.pack_text(ledger.service),
                schema.pack_text(ledger.release),
                schema.pack_time(ledger.started),
                schema.pack_time(ledger.updated),
                ledger.excluded,
                ledger.sampled,
                ledger.stored,
                ledger.pending,
                _json(ledger.dropped),
            ),
        ).fetchone()
        if row is not None:
            self._connection.executemany(
                "INSERT INTO seen (ledger, endpoint, requests) VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET requests = excluded.requests"
                " WHERE excluded.requests > requests",
                sorted((row[0], self._text(name), count) for name, count in ledger.seen.items()),
            )

    def _write_sources(self, sources: Iterable[SourceFile]) -> None:
        for source in sources:
            self._connection.execute(
                "INSERT INTO source (file, text) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (self._file(source.path, source.digest), zlib.compress(source.text, 6)),
            )

    def _cohort(self, record: RequestRecord, day: int) -> int:
        key = (record.service, record.release, record.endpoint, record.failed, day)
        number = self._cohorts.get(key)
        if number is None:
            columns = {
                "service": self._text(record.service),
                "release": self._text(record.release),
                "endpoint": self._text(record.endpoint),
                "failed": int(record.failed),
                "day": day,
            }
            number = _remember(self._cohorts, key, self._number("cohort", columns))
        return number

    def _origin(self, record: RequestRecord) -> int:
        key = (record.worker, record.engine)
        number = self._origins.get(key)
        if number is None:
            columns = {"worker": self._text(record.worker), "engine": self._text(record.engine)}
            number = _remember(self._origins, key, self._number("origin", columns))
        return number

    def _spectrum(self, spectrum: int, blocks: tuple[Block, ...], cohort: int) -> int:
        """Keep a set of blocks, as the difference to an earlier one of its cohort where that is shorter."""
        if spectrum in self._spectra:
            return spectrum
        numbers = frozenset([self._block(block) for block in blocks])
        base, common = self._bases.get(cohort, (None, frozenset()))
        if len(numbers ^ common) > len(numbers) // 2:
            base, common = None, frozenset()
        cursor = self._connection.execute(
            "INSERT INTO spectrum (id, base, blocks) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (spectrum, base, schema.pack_blocks(numbers, common)),
        )
        if base is None and cursor.rowcount == 1:
            _remember(self._bases, cohort, (spectrum, numbers))
        if len(self._spectra) >= MOST_REMEMBERED:
            self._spectra.clear()
        self._spectra.add(spectrum)
        return spectrum

    def _block(self, block: Block) -> int:
        number = self._blocks.get(block.id)
        if number is None:
            row = self._connection.execute("SELECT n FROM block WHERE id = ?", (block.id,)).fetchone()
            if row is None:
                columns = {
                    "id": block.id,
                    "file": self._file(block.path, block.digest),
                    "lines": block.numbits,
                    "branches": None if block.branches is None else format_arcs(block.branches),
                }
                row = (self._insert("block", columns),)
            number = _remember(self._blocks, block.id, int(row[0]))
        return number

    def _file(self, path: str, digest: str) -> int:
        number = self._files.get((path, digest))
        if number is None:
            columns = {"path": schema.pack_text(path), "digest": digest}
            number = _remember(self._files, (path, digest), self._number("file", columns))
        return number

    def _text(self, text: str) -> int:
        number = self._texts.get(text)
        if number is None:
            number = _remember(self._texts, text, self._number("text", {"value": schema.pack_text(text)}))
        return number

    def _number(self, table: str, columns: Mapping[str, Any]) -> int:
        """The number of the row with these values, which is made if it is not there."""
        where = " AND ".join(f"{name} = :{name}" for name in columns)
        row = self._connection.execute(f"SELECT n FROM {table} WHERE {where}", columns).fetchone()
        return self._insert(table, columns) if row is None else int(row[0])

    def _insert(self, table: str, columns: Mapping[str, Any]) -> int:
        names = ", ".join(columns)
        values = ", ".join(f":{name}" for name in columns)
        cursor = self._connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", columns)
        assert cursor.lastrowid is not None
        return cursor.lastrowid


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(dict(data), sort_keys=True, separators=(",", ":"))


def _remember(memory: dict[K, V], key: K, value: V) -> V:
    if len(memory) >= MOST_REMEMBERED:
        memory.clear()
    memory[key] = value
    return value
