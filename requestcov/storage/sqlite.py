"""Reads of the SQLite database: what reports ask.

Laws: opened read-only; every count of lines comes from the cohorts' counts
(service, release, endpoint, failed, UTC day), never from the rows of
requests; a period given as ``since`` and ``until`` therefore means whole UTC
days, both included, except where rows of requests are listed.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from requestcov.errors import StoreError
from requestcov.record import Block, Ledger, RequestRecord, parse_arcs
from requestcov.storage import sqlite_schema as schema
from requestcov.storage.results import BlockHits, EndpointStats, FileVersion, Request, Summary, lines_of


class Store:
    """One database, open for reading; a context manager.

    Not to be carried across a fork, nor kept open in a process that forks and
    then writes to the same database.

    Args:
        place: a path, or ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

    Raises:
        StoreError: it is missing, empty, corrupt, newer, or not a store; says what to do.
    """

    def __init__(self, place: str | os.PathLike[str]) -> None:
        place = os.fspath(place)
        if place.startswith("sqlite:///"):
            raw = place.removeprefix("sqlite:///").partition("?")[0]
            place = os.fsdecode(unquote_to_bytes(raw.encode("utf-8", "surrogateescape")))
        elif "://" in place:
            raise StoreError(f"{place!a} cannot be read: give the path of a SQLite store.")
        self.path = place
        self._connection = self._open()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def summary(self) -> Summary:
        """What the store holds, in a few numbers."""
        first, last, requests, weight = self._row(
            "SELECT min(first), max(last), coalesce(sum(requests), 0), coalesce(sum(weight), 0)"
            " FROM cohort WHERE requests"
        )
        partial = self._rows(
            "SELECT t.value, count(*) FROM request JOIN text t ON t.n = partial"
            " WHERE partial IS NOT NULL GROUP BY partial"
        )
        return Summary(
            first=None if first is None else schema.unpack_time(first),
            last=None if last is None else schema.unpack_time(last),
            requests=requests,
            weight=weight,
            services=self._texts("SELECT DISTINCT service FROM cohort WHERE requests"),
            releases=self._texts(
                "SELECT release FROM cohort WHERE requests GROUP BY release ORDER BY min(first)"
            ),
            engines=self._texts("SELECT DISTINCT engine FROM origin"),
            partial={schema.unpack_text(reason): count for reason, count in partial},
        )

    def ledgers(self) -> list[Ledger]:
        """What every process counted, in the order they started."""
        seen: defaultdict[int, dict[str, int]] = defaultdict(dict)
        for number, name, count in self._rows(
            "SELECT s.ledger, t.value, s.requests FROM seen s JOIN text t ON t.n = s.endpoint"
        ):
            seen[number][schema.unpack_text(name)] = count
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
            for number, boot, worker, service, release, started, updated, *counts, dropped in self._rows(
                "SELECT n, boot, worker, service, release, started, updated,"
                " excluded, sampled, stored, pending, dropped FROM ledger ORDER BY started, n"
            )
            for excluded, sampled, stored, pending in [counts]
        ]

    def endpoints(self) -> list[EndpointStats]:
        """Every endpoint that was recorded or seen, by name.

        Durations are those of the recorded requests, not weighted.
        """
        seen: dict[str, int] = defaultdict(int)
        for ledger in self.ledgers():
            for name, count in ledger.seen.items():
                seen[name] += count
        durations: defaultdict[int, list[int]] = defaultdict(list)
        for number, duration in self._rows(
            "SELECT c.endpoint, r.duration FROM request r JOIN cohort c ON c.n = r.cohort ORDER BY r.duration"
        ):
            durations[number].append(duration)
        found = {}
        for number, value, requests, weight, failed, failed_weight, first, last in self._rows(
            "SELECT endpoint, t.value, sum(requests), sum(weight), sum(requests * failed),"
            " sum(weight * failed), min(first), max(last)"
            " FROM cohort JOIN text t ON t.n = endpoint WHERE requests GROUP BY endpoint"
        ):
            name = schema.unpack_text(value)
            found[name] = EndpointStats(
                endpoint=name,
                requests=requests,
                weight=weight,
                failed=failed,
                failed_weight=failed_weight,
                seen=seen.get(name, 0),
                first=schema.unpack_time(first),
                last=schema.unpack_time(last),
                median_ms=_percentile(durations[number], 50),
                p95_ms=_percentile(durations[number], 95),
            )
        for name, count in seen.items():
            found.setdefault(name, EndpointStats(endpoint=name, seen=count))
        return [found[name] for name in sorted(found)]

    def endpoint_blocks(
        self,
        endpoint: str | None = None,
        *,
        service: str | None = None,
        release: str | None = None,
        failed: bool | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        path: str | None = None,
    ) -> Iterator[BlockHits]:
        """How many requests ran which block; None: any.

        Args:
            endpoint: method and route, ``GET /orders/{id}``.
            since, until: UTC days, both included.
            path: of the file.
        """
        where, values = _where(endpoint, service, release, failed)
        if since is not None:
            where += " AND day >= ?"
            values.append(schema.pack_time(since) // schema.DAY)
        if until is not None:
            where += " AND day <= ?"
            values.append(schema.pack_time(until) // schema.DAY)
        narrow = ""
        if path is not None:
            narrow = "WHERE f.path = ?"
            values.append(schema.pack_text(path))
        for block, path_, digest, requests, weight, numbits, branches in self._rows(
            "SELECT b.id, f.path, f.digest, h.requests, h.weight, b.lines, b.branches FROM ("
            " SELECT block, sum(hit.requests) AS requests, sum(hit.weight) AS weight"
            f" FROM hit JOIN cohort ON cohort.n = hit.cohort WHERE {where} GROUP BY block"
            ") h JOIN block b ON b.n = h.block JOIN file f ON f.n = b.file"
            f" {narrow} ORDER BY f.path, f.digest, b.id",
            values,
        ):
            yield BlockHits(
                id=block,
                path=schema.unpack_text(path_),
                digest=digest,
                requests=requests,
                weight=weight,
                numbits=numbits,
                branches=None if branches is None else parse_arcs(branches),
            )

    def line_hits(
        self, endpoint: str | None = None, path: str | None = None, **filters: Any
    ) -> dict[tuple[str, str], dict[int, tuple[int, float]]]:
        """(path, digest) -> line -> (requests, weight); takes endpoint_blocks's filters."""
        found: defaultdict[tuple[str, str], dict[int, tuple[int, float]]] = defaultdict(dict)
        for block in self.endpoint_blocks(endpoint, path=path, **filters):
            lines = found[block.path, block.digest]
            for line in block.lines:
                requests, weight = lines.get(line, (0, 0.0))
                lines[line] = requests + block.requests, weight + block.weight
        return {version: dict(sorted(lines.items())) for version, lines in found.items()}

    def files(self) -> list[FileVersion]:
        """Every version of every file that ran, with the time of the first and last request that ran it."""
        return [
            FileVersion(
                path=schema.unpack_text(path),
                digest=digest,
                first=schema.unpack_time(first),
                last=schema.unpack_time(last),
            )
            for path, digest, first, last in self._rows(
                "SELECT f.path, f.digest, min(c.first), max(c.last) FROM hit h"
                " JOIN cohort c ON c.n = h.cohort JOIN block b ON b.n = h.block"
                " JOIN file f ON f.n = b.file GROUP BY f.n ORDER BY f.path, min(c.first)"
            )
        ]

    def source(self, path: str, digest: str) -> str | None:
        """The text of one version of a file; None when it was not sent."""
        row = self._row(
            "SELECT (SELECT text FROM source WHERE file = f.n) FROM file f WHERE path = ? AND digest = ?"
            " UNION ALL SELECT NULL",
            (schema.pack_text(path), digest),
        )
        return None if row[0] is None else zlib.decompress(row[0]).decode("utf-8", "replace")

    def requests(
        self,
        endpoint: str | None = None,
        *,
        service: str | None = None,
        release: str | None = None,
        failed: bool | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        id: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Request]:
        """Recorded requests, the newest id first; None: any.

        Args:
            since, until: exact times, both included.
            id: only this one.
            limit: at most so many.
        """
        where, values = _where(endpoint, service, release, failed)
        for clause, value in (
            ("r.time >= ?", None if since is None else schema.pack_time(since)),
            ("r.time <= ?", None if until is None else schema.pack_time(until)),
            ("r.id = ?", None if id is None else schema.pack_id(id)),
        ):
            if value is not None:
                where += f" AND {clause}"
                values.append(value)
        values.append(-1 if limit is None else limit)
        # CROSS JOIN fixes the order of the loops: newest first without sorting.
        for (
            number, time, status, duration, weight, seq, trace, spectrum, background, is_failed, *texts
        ) in self._rows(
            "SELECT r.id, r.time, r.status, r.duration, r.weight, r.seq, r.trace_id, r.spectrum,"
            " r.background, c.failed, c.endpoint, c.service, c.release, o.worker, o.engine, r.sampled_by,"
            " r.error, r.partial, r.labels FROM request r"
            " CROSS JOIN cohort c ON c.n = r.cohort CROSS JOIN origin o ON o.n = r.origin"
            f" WHERE {where} ORDER BY r.id DESC LIMIT ?",
            values,
        ):  # fmt: skip
            name, service_, release_, worker, engine, sampled_by, error, partial, labels = map(
                self._text, texts
            )
            yield Request(
                id=schema.unpack_id(number),
                time=schema.unpack_time(time),
                service=service_ or "",
                release=release_ or "",
                worker=worker or "",
                seq=seq,
                endpoint=name or "",
                status=status,
                duration_ms=duration / 1000,
                error=error,
                failed=bool(is_failed),
                sampled_by=sampled_by or "",
                weight=weight,
                partial=partial,
                engine=engine or "",
                labels=json.loads(labels) if labels else {},
                trace_id=schema.unpack_trace(trace),
                spectrum=spectrum,
                background=background,
            )

    def records(self, **filters: Any) -> Iterator[RequestRecord]:
        """Whole records, the newest first; takes the filters of requests."""
        known: dict[int, tuple[Block, ...]] = {}
        for row in self.requests(**filters):
            for spectrum in (row.spectrum, row.background):
                if spectrum is not None and spectrum not in known:
                    known[spectrum] = self.spectrum(spectrum)
            method, _, route = row.endpoint.partition(" ")
            yield RequestRecord(
                id=row.id,
                time=row.time,
                service=row.service,
                release=row.release,
                worker=row.worker,
                seq=row.seq,
                method=method,
                route=route,
                status=row.status,
                duration_ms=row.duration_ms,
                error=row.error,
                sampled_by=row.sampled_by,
                weight=row.weight,
                partial=row.partial,
                engine=row.engine,
                labels=row.labels,
                trace_id=row.trace_id,
                blocks=known[row.spectrum],
                background=() if row.background is None else known[row.background],
            )

    def spectrum(self, spectrum: int) -> tuple[Block, ...]:
        """The blocks of an execution path, ascending by path.

        Raises:
            KeyError: the store has no such spectrum.
        """
        blocks = [
            Block(
                schema.unpack_text(path),
                digest,
                lines_of(numbits),
                None if branches is None else parse_arcs(branches),
            )
            for number in self._numbers(spectrum)
            for path, digest, numbits, branches in self._rows(
                "SELECT f.path, f.digest, b.lines, b.branches FROM block b JOIN file f ON f.n = b.file"
                " WHERE b.n = ?",
                (number,),
            )
        ]
        return tuple(sorted(blocks, key=lambda block: block.path))

    def _numbers(self, spectrum: int) -> frozenset[int]:
        rows = list(self._rows("SELECT base, blocks FROM spectrum WHERE id = ?", (spectrum,)))
        if not rows:
            raise KeyError(spectrum)
        base, packed = rows[0]
        return schema.unpack_blocks(packed, frozenset() if base is None else self._numbers(base))

    def _texts(self, numbers: str) -> tuple[str, ...]:
        return tuple(filter(None, (self._text(number) for (number,) in self._rows(numbers))))

    def _text(self, number: int | None) -> str | None:
        if number is None:
            return None
        text = self._known_texts.get(number)
        if text is None:
            text = schema.unpack_text(self._row("SELECT value FROM text WHERE n = ?", (number,))[0])
            if len(self._known_texts) < 100_000:
                self._known_texts[number] = text
        return text

    def _row(self, sql: str, values: Iterable[Any] = ()) -> Any:
        return next(iter(self._rows(sql, values)))

    def _rows(self, sql: str, values: Iterable[Any] = ()) -> Iterator[Any]:
        try:
            cursor = self._connection.execute(sql, tuple(values))
            try:
                # Left half-way, as after an error, this may outlive the connection, on which
                # "yield from" would close the cursor in vain, and loudly.
                for row in cursor:  # noqa: UP028
                    yield row
            finally:
                with suppress(sqlite3.ProgrammingError):
                    cursor.close()
        except sqlite3.DatabaseError as error:
            raise self._explain(error) from error

    def _open(self) -> sqlite3.Connection:
        self._known_texts: dict[int, str] = {}
        shown = ascii(self.path)
        try:
            info = os.stat(self.path)
        except FileNotFoundError:
            raise StoreError(
                f"There is no store {shown}: name the file that the app's sink writes "
                "(REQUESTCOV_SINKS), or send the app some requests first."
            ) from None
        except (OSError, ValueError) as error:
            raise StoreError(f"The store {shown} cannot be read: {error}.") from error
        if not stat.S_ISREG(info.st_mode):
            raise StoreError(f"{shown} is not a file: name the database inside it.")
        try:
            connection = self._connect("mode=ro")
        except sqlite3.OperationalError as error:
            # In a directory that cannot be written, SQLite cannot share a WAL database;
            # without a WAL beside it nobody is writing, and it can be read as it is.
            if os.path.exists(f"{self.path}-wal") or not os.access(self.path, os.R_OK):
                raise self._explain(error) from error
            try:
                connection = self._connect("immutable=1")
            except sqlite3.DatabaseError as second:
                raise self._explain(second) from second
        except sqlite3.DatabaseError as error:
            raise self._explain(error) from error
        return connection

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = f"file:{quote_from_bytes(os.path.abspath(os.fsencode(self.path)))}?{mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=5, isolation_level=None, check_same_thread=False)
        try:
            version = schema.check(connection)
            if version != schema.VERSION:
                raise StoreError(
                    "it is empty: send the app some requests first"
                    if not version
                    else f"it has schema version {version}: let the app write to it once with this requestcov"
                )
        except StoreError as error:
            connection.close()
            raise StoreError(f"The store {self.path!a} cannot be read: {error}.") from None
        except BaseException:
            connection.close()
            raise
        return connection

    def _explain(self, error: sqlite3.Error) -> StoreError:
        shown = ascii(self.path)
        if not schema.is_corrupt(error):
            return StoreError(f"The store {shown} cannot be read: SQLite says {error}.")
        return StoreError(
            f"{shown} is not a SQLite database, or is corrupt ({error}): name another file, or try"
            " to save what it holds with sqlite3's .recover."
        )


def _where(
    endpoint: str | None, service: str | None, release: str | None, failed: bool | None
) -> tuple[str, list[Any]]:
    """SQL on the columns of cohort, and its values."""
    clauses, values = ["1"], []
    for column, text in (("endpoint", endpoint), ("service", service), ("release", release)):
        if text is not None:
            clauses.append(f"{column} = (SELECT n FROM text WHERE value = ?)")
            values.append(schema.pack_text(text))
    if failed is not None:
        clauses.append(f"failed = {int(failed)}")
    return " AND ".join(clauses), list[Any](values)


def _percentile(ascending: list[int], percent: int) -> float | None:
    """Nearest rank, in ms, of µs; None of nothing."""
    if not ascending:
        return None
    return ascending[max(0, -(-len(ascending) * percent // 100) - 1)] / 1000
