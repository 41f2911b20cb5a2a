"""Reads of the SQLite database: single requests, and the blocks that their execution paths are made of.

Laws: rows of requests are many, so whoever asks says of which; those of one
cohort lie side by side, and no others are read for it. What was pruned is not
here: how much that is, the cohorts' counts tell.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Set
from typing import Any

from requestcov.record import Block, RequestRecord
from requestcov.storage import sqlite_schema as schema
from requestcov.storage.results import EVERYTHING, Ran, Request, Sample, Selection, StoredBlock, Timed
from requestcov.storage.sqlite_database import Database, among, where_of


class Requests(Database):
    """The requests of a database; see Database."""

    def blocks(self, numbers: Iterable[int] | None = None) -> dict[int, StoredBlock]:
        """Blocks by number; None: all."""
        where, values = among("b.n", numbers)
        return {
            number: StoredBlock(
                number=number,
                id=id,
                path=schema.unpack_text(path),
                digest=digest,
                numbits=numbits,
                arcs=arcs,
            )
            for number, id, path, digest, numbits, arcs in self.rows(
                "SELECT b.n, b.id, f.path, f.digest, b.lines, b.branches"
                f" FROM block b JOIN file f ON f.n = b.file WHERE {where}",
                values,
            )
        }

    def samples(self, selection: Selection = EVERYTHING) -> list[Sample]:
        """Recorded requests, those together that ended alike and took the same path; in no order."""
        found: Counter[tuple[int, int | None, int | None, int | None, int]] = Counter()
        for cohort, _, failed in self._cohorts(selection):
            # A cohort is grouped by itself: many small sorts cost less than a large one.
            for status, error, labels, spectrum, requests in self.rows(
                "SELECT status, error, labels, spectrum, count(*) FROM request WHERE cohort = ?"
                " GROUP BY spectrum, status, error, labels",
                (cohort,),
            ):
                found[failed, status, error, labels, spectrum] += requests
        said = {labels: json.loads(self.name(labels)) if labels else {} for _, _, _, labels, _ in found}
        return [
            Sample(bool(failed), status, self.text(error), said[labels], spectrum, requests)
            for (failed, status, error, labels, spectrum), requests in found.items()
        ]

    def timings(self, selection: Selection = EVERYTHING) -> list[Timed]:
        """How long each recorded request took, those together that took the same path; in no order."""
        found: defaultdict[tuple[int, int, int, int | None, float], list[int]] = defaultdict(list)
        for cohort, release, failed in self._cohorts(selection):
            # Numbers in one text are read sooner than a row for each.
            for spectrum, background, weight, durations in self.rows(
                "SELECT spectrum, background, weight, group_concat(duration) FROM request WHERE cohort = ?"
                " GROUP BY spectrum, background, weight",
                (cohort,),
            ):
                found[release, failed, spectrum, background, weight] += map(int, durations.split(","))
        return [
            Timed(self.name(release), bool(failed), spectrum, background, weight, sorted(durations))
            for (release, failed, spectrum, background, weight), durations in found.items()
        ]

    def _cohorts(self, selection: Selection) -> list[tuple[int, int, int]]:
        """(number, release, failed) of each, the last two as they are stored."""
        where, values = where_of(selection)
        return self.all(f"SELECT n, release, failed FROM cohort WHERE {where} ORDER BY n", values)

    def requests(
        self,
        selection: Selection = EVERYTHING,
        *,
        id: str | None = None,
        spectra: Set[int] | None = None,
        failed: bool | None = None,
        limit: int | None = None,
    ) -> Iterator[Request]:
        """Recorded requests, the newest id first.

        Args:
            selection: which.
            id: only this one.
            spectra: only those of these execution paths.
            failed: only those that failed, or that did not.
            limit: at most so many.
        """
        where, values = where_of(selection)
        if id is not None:
            where += " AND r.id = ?"
            values.append(schema.pack_id(id))
        if spectra is not None:
            one_of, numbers = among("r.spectrum", spectra)
            where += f" AND {one_of}"
            values += numbers
        if failed is not None:
            where += " AND c.failed = ?"
            values.append(int(failed))
        values.append(-1 if limit is None else limit)
        for (
            number, time, status, duration, weight, seq, trace, spectrum, background, failed,
            endpoint, service, release, worker, engine, sampled_by, error, partial, labels,
        ) in self.rows(
            "SELECT r.id, r.time, r.status, r.duration, r.weight, r.seq, r.trace_id, r.spectrum,"
            " r.background, c.failed, c.endpoint, c.service, c.release, o.worker, o.engine, r.sampled_by,"
            " r.error, r.partial, r.labels FROM cohort c"
            " JOIN request r ON r.cohort = c.n JOIN origin o ON o.n = r.origin"
            f" WHERE {where} ORDER BY r.id DESC LIMIT ?",
            values,
        ):  # fmt: skip
            yield Request(
                id=schema.unpack_id(number),
                time=schema.unpack_time(time),
                service=self.name(service),
                release=self.name(release),
                worker=self.name(worker),
                seq=seq,
                endpoint=self.name(endpoint),
                status=status,
                duration_ms=duration / 1000,
                error=self.text(error),
                failed=bool(failed),
                sampled_by=self.name(sampled_by),
                weight=weight,
                partial=self.text(partial),
                engine=self.name(engine),
                labels=json.loads(self.name(labels)) if labels else {},
                trace_id=schema.unpack_trace(trace),
                spectrum=spectrum,
                background=background,
            )

    def records(self, selection: Selection = EVERYTHING, **narrow: Any) -> Iterator[RequestRecord]:
        """Whole records, the newest first; takes what :meth:`requests` takes."""
        paths: dict[int, tuple[Block, ...]] = {}
        blocks: dict[int, Block] = {}
        for row in self.requests(selection, **narrow):
            for spectrum in (row.spectrum, row.background):
                if spectrum is not None and spectrum not in paths:
                    paths[spectrum] = self._path(spectrum, blocks)
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
                blocks=paths[row.spectrum],
                background=() if row.background is None else paths[row.background],
            )

    def spectrum(self, spectrum: int) -> tuple[Block, ...]:
        """The blocks of an execution path, ascending by path.

        Raises:
            KeyError: the store has no such spectrum.
        """
        return self._path(spectrum, {})

    def _path(self, spectrum: int, known: dict[int, Block]) -> tuple[Block, ...]:
        """The same; blocks that are known are shared, the others become known."""
        numbers = self.spectra([spectrum])[spectrum]
        for number, block in self.blocks(numbers - known.keys()).items():
            known[number] = Block(block.path, block.digest, block.lines, block.branches)
        return tuple(sorted((known[number] for number in numbers), key=lambda block: block.path))

    def spectra(self, spectra: Iterable[int]) -> dict[int, frozenset[int]]:
        """Execution paths by id, each as the numbers of its blocks.

        Raises:
            KeyError: the store lacks one of them.
        """
        wanted = set(spectra)
        rows = self._packed(wanted)
        bases = {base for base, _ in rows.values() if base is not None}
        rows |= self._packed(bases - rows.keys())
        whole = {
            spectrum: schema.unpack_blocks(packed)
            for spectrum, (base, packed) in rows.items()
            if base is None
        }
        found = {}
        for spectrum in wanted:
            base, packed = rows[spectrum]
            found[spectrum] = whole[spectrum] if base is None else schema.unpack_blocks(packed, whole[base])
        return found

    def holders(self, blocks: Set[int], selection: Selection = EVERYTHING) -> int:
        """How many recorded requests ran at least one of these blocks, which few requests ran.

        Where the rows of a cohort's requests are gone, it counts as one request.
        """
        where, values = where_of(selection)
        one_of, numbers = among("h.block", blocks)
        cohorts = [
            number
            for (number,) in self.rows(
                f"SELECT DISTINCT c.n FROM cohort c JOIN hit h ON h.cohort = c.n WHERE {where} AND {one_of}",
                [*values, *numbers],
            )
        ]
        found = 0
        for cohort in cohorts:
            counts = dict(
                self.rows("SELECT spectrum, count(*) FROM request WHERE cohort = ? GROUP BY 1", (cohort,))
            )
            paths = self.spectra(counts)
            found += sum(counts[n] for n, path in paths.items() if path & blocks) if counts else 1
        return found

    def ran(self, blocks: Set[int], selection: Selection = EVERYTHING) -> list[Ran]:
        """The recorded requests that ran at least one of these blocks, by cohort, oldest first."""
        where, values = where_of(selection)
        one_of, numbers = among("h.block", blocks)
        sums: dict[tuple[int, ...], list[tuple[int, float]]] = defaultdict(list)
        for *cohort, _, requests, weight in self.rows(
            "SELECT c.n, c.endpoint, c.service, c.release, c.failed, c.day, c.first, c.last,"
            " f.path, sum(h.requests), sum(h.weight) FROM cohort c JOIN hit h ON h.cohort = c.n"
            " JOIN block b ON b.n = h.block JOIN file f ON f.n = b.file"
            f" WHERE {where} AND {one_of} GROUP BY c.n, f.path",
            [*values, *numbers],
        ):
            sums[tuple(cohort)].append((requests, weight))
        found: list[Ran] = []
        known: dict[int, bool] = {}
        for (cohort, endpoint, service, release, failed, day, first, last), by_file in sums.items():
            kept = {
                spectrum: counts
                for spectrum, *counts in self.rows(
                    "SELECT spectrum, count(*), sum(weight), min(time), max(time) FROM request"
                    " WHERE cohort = ? GROUP BY 1",
                    (cohort,),
                )
            }
            known.update(
                (n, bool(path & blocks)) for n, path in self.spectra(kept.keys() - known.keys()).items()
            )
            hold = [spectrum for spectrum in kept if known[spectrum]]
            requests, weight = max(by_file)
            kept_requests = sum(kept[spectrum][0] for spectrum in hold)
            exact = kept_requests >= requests
            if exact:
                requests = kept_requests
                weight = sum(kept[spectrum][1] for spectrum in hold)
                first = min(kept[spectrum][2] for spectrum in hold)
                last = max(kept[spectrum][3] for spectrum in hold)
            found.append(
                Ran(
                    self.name(endpoint), self.name(service), self.name(release), bool(failed),
                    schema.unpack_time(day * schema.DAY), requests, weight,
                    schema.unpack_time(first), schema.unpack_time(last), exact, frozenset(hold),
                )
            )  # fmt: skip
        return sorted(found, key=lambda ran: (ran.first, ran.endpoint))

    def _packed(self, spectra: set[int]) -> dict[int, tuple[int | None, bytes]]:
        where, values = among("id", spectra)
        return {
            spectrum: (base, packed)
            for spectrum, base, packed in self.rows(
                f"SELECT id, base, blocks FROM spectrum WHERE {where}", values
            )
        }
