"""Writes to the SQLite database: one batch, one transaction.

Laws: a batch is in the database whole or not at all; a record is known by its
id, so a batch that comes again adds nothing; reports need no row of a
request, because what they count is counted here, by cohort (service, release,
endpoint, failed, day), by block, by outcome and by duration; a record from
before the horizon, to which its day was pruned, is turned away and counted.
Numbers remembered between batches are forgotten when a transaction fails
(they may have been rolled back with it), and when another process has pruned.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from requestcov.errors import StoreError
from requestcov.record import Batch, Block, Ledger, RequestRecord, SourceFile, format_arcs, spectrum_id
from requestcov.storage import sqlite_schema as schema
from requestcov.storage.sqlite_sums import Sums

K = TypeVar("K")
V = TypeVar("V")

BUSY_SECONDS = 0.9
"""How long one attempt waits for another process's transaction."""

MOST_REMEMBERED = 50_000
"""Entries in each memory of row numbers, so that a long-lived process stays small."""


class Added(NamedTuple):
    """What became of records: new ones, ones that were there already, and ones from before the horizon."""

    new: int
    known: int
    late: int


class Writer:
    """One connection that writes; used by one thread at a time, never across a fork.

    Args:
        path: the database, created if it is not there (in a directory that is).
        busy_seconds: how long one attempt waits for another process's transaction.

    Raises:
        StoreError: not a database of ours, newer than this code, or SQLite is too old.
        sqlite3.Error: it cannot be opened.
    """

    def __init__(self, path: str, busy_seconds: float = BUSY_SECONDS) -> None:
        if sqlite3.sqlite_version_info < schema.OLDEST_SQLITE:
            needed = ".".join(map(str, schema.OLDEST_SQLITE))
            raise StoreError(f"this Python has SQLite {sqlite3.sqlite_version}, and {needed} is needed")
        self._connection = sqlite3.connect(
            os.fsencode(path), timeout=busy_seconds, isolation_level=None, check_same_thread=False
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
        self._horizon = self._prunings = 0
        self._forget()

    def write(self, batch: Batch) -> None:
        """Keep a batch; a record that is already there counts once.

        Raises:
            sqlite3.Error: nothing of it is kept.
        """
        self.add(batch.records, (batch.ledger,), batch.sources)

    def add(
        self,
        records: Iterable[RequestRecord] = (),
        ledgers: Iterable[Ledger] = (),
        sources: Iterable[SourceFile] = (),
    ) -> Added:
        """Keep what several processes wrote, all or nothing, each thing once.

        Raises:
            sqlite3.Error: nothing of it is kept.
        """
        with self.transaction():
            return self._put(records, ledgers, sources)

    def add_batches(self, batches: Iterable[Batch]) -> list[Added]:
        """Keep batches of several processes in one transaction, all or nothing; what became of each.

        Raises:
            sqlite3.Error: nothing of them is kept.
        """
        with self.transaction():
            return [self._put(batch.records, (batch.ledger,), batch.sources) for batch in batches]

    def touch(self) -> None:
        """Commit a change that changes nothing.

        Raises:
            sqlite3.Error: the database cannot be written.
        """
        with self.transaction() as connection:
            connection.execute("UPDATE store SET late = late")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is written within it is kept, or nothing.

        Raises:
            sqlite3.Error: it cannot begin, or not be committed.
        """
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._horizon, prunings = connection.execute("SELECT horizon, prunings FROM store").fetchone()
            if prunings != self._prunings:
                self._forget()
                self._prunings = prunings
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self._forget()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, in autocommit outside of :meth:`transaction`."""
        return self._connection

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

    def _put(
        self, records: Iterable[RequestRecord], ledgers: Iterable[Ledger], sources: Iterable[SourceFile]
    ) -> Added:
        added = self._write_records(records)
        for ledger in ledgers:
            self.write_ledger(ledger)
        self.write_sources(sources)
        return added

    def _write_records(self, records: Iterable[RequestRecord]) -> Added:
        late = known = 0
        ran: dict[tuple[int, int], list[Any]] = {}
        sums = Sums()
        for record in sorted(records, key=lambda record: record.id):
            time = schema.pack_time(record.time)
            if time // schema.DAY < self._horizon:
                late += 1
                continue
            cohort = self.cohort_number(
                record.service, record.release, record.endpoint, record.failed, time // schema.DAY
            )
            if not self._insert_request(record, cohort, time):
                known += 1
                continue
            weight = record.weight
            group = ran.get((cohort, record.spectrum))
            if group is None:
                ran[cohort, record.spectrum] = [record.blocks, 1, weight]
            else:
                group[1] += 1
                group[2] += weight
            bucket = schema.pack_duration(round(record.duration_ms * 1000))
            sums.add(self._outcome(record, cohort), bucket, time, weight)
        for (cohort, _), (blocks, count, weight) in ran.items():
            for block in blocks:
                sums.add_hit(cohort, self.block_number(block), count, weight)
        sums.write(self._connection)
        if late:
            self._connection.execute("UPDATE store SET late = late + ?", (late,))
        return Added(sum(total[0] for total in sums.totals.values()), known, late)

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
                None if record.error is None else self.text_number(record.error),
                self.text_number(record.sampled_by),
                record.weight,
                None if record.partial is None else self.text_number(record.partial),
                self.text_number(_json(record.labels)) if record.labels else None,
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
            0 if record.error is None else self.text_number(record.error),
            self.text_number(record.sampled_by),
            0 if record.partial is None else self.text_number(record.partial),
            self.text_number(record.engine),
        )

    def write_ledger(self, ledger: Ledger) -> None:
        """Keep a process's counts, within a transaction, unless later ones are there.

        A batch may come again late.

        Later is what has counted further, whatever the clock says: it may have been set back.
        An endpoint's count only grows, so the largest told is the last, in whatever order they come.
        """
        self._connection.execute(
            "INSERT INTO ledger (boot, worker, service, release, started, updated,"
            " excluded, sampled, stored, pending, dropped) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (boot, worker) DO UPDATE SET service = excluded.service,"
            " release = excluded.release, started = excluded.started, updated = excluded.updated,"
            " excluded = excluded.excluded, sampled = excluded.sampled, stored = excluded.stored,"
            " pending = excluded.pending, dropped = excluded.dropped"
            " WHERE excluded.sampled >= ledger.sampled AND excluded.excluded >= ledger.excluded"
            " AND excluded.sampled - excluded.pending >= ledger.sampled - ledger.pending"
            " AND (excluded.updated >= ledger.updated OR excluded.sampled > ledger.sampled"
            " OR excluded.excluded > ledger.excluded OR excluded.pending < ledger.pending)",
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
        )
        number = self._connection.execute(
            "SELECT n FROM ledger WHERE boot = ? AND worker = ?",
            (schema.pack_text(ledger.boot), schema.pack_text(ledger.worker)),
        ).fetchone()[0]
        self._connection.executemany(
            "INSERT INTO seen (ledger, endpoint, requests) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET requests = excluded.requests"
            " WHERE excluded.requests > requests",
            sorted((number, self.text_number(name), count) for name, count in ledger.seen.items()),
        )

    def write_sources(self, sources: Iterable[SourceFile]) -> None:
        """Keep texts of file versions, within a transaction."""
        for source in sources:
            self._connection.execute(
                "INSERT INTO source (file, text) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (self._file(source.path, source.digest), zlib.compress(source.text, 6)),
            )

    def cohort_number(self, service: str, release: str, endpoint: str, failed: bool, day: int) -> int:
        """The number of a cohort, within a transaction; the day counts from 1970."""
        key = (service, release, endpoint, failed, day)
        number = self._cohorts.get(key)
        if number is None:
            columns = {
                "service": self.text_number(service),
                "release": self.text_number(release),
                "endpoint": self.text_number(endpoint),
                "failed": int(failed),
                "day": day,
            }
            number = _remember(self._cohorts, key, self._number("cohort", columns))
        return number

    def _origin(self, record: RequestRecord) -> int:
        key = (record.worker, record.engine)
        number = self._origins.get(key)
        if number is None:
            columns = {"worker": self.text_number(record.worker), "engine": self.text_number(record.engine)}
            number = _remember(self._origins, key, self._number("origin", columns))
        return number

    def _spectrum(self, spectrum: int, blocks: tuple[Block, ...], cohort: int) -> int:
        """Keep a set of blocks, as the difference to an earlier one of its cohort where that is shorter."""
        if spectrum in self._spectra:
            return spectrum
        numbers = frozenset([self.block_number(block) for block in blocks])
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

    def block_number(self, block: Block) -> int:
        """The number of a block, within a transaction."""
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

    def text_number(self, text: str) -> int:
        """The number of a text, within a transaction."""
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
