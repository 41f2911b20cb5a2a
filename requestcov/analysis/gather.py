"""From a store to the evidence that every analysis stands on.

Laws: one pass over the store, read-only; counts come from its aggregates, and
rows of requests are read only when a selection or two versions of one day
cannot be told apart without them.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any

from requestcov._coverage import read_settings
from requestcov.analysis.evidence import Counts, Evidence, Footing, Run, Selection, Sources, Version
from requestcov.errors import RequestcovError, StoreError
from requestcov.storage import open_store
from requestcov.storage.results import FileVersion, Request
from requestcov.storage.sqlite import Store

MOST_ASKED = 10_000
"""Requests looked at, at most, to find which of a day's versions of a file is the newest."""


def gather(place: str, selection: Selection, root: str | None) -> Evidence:
    """Ask a store for everything about a selection.

    Args:
        place: the store's path or URL.
        selection: which requests.
        root: working tree for source texts that the store lacks; None: none.

    Raises:
        StoreError: the store cannot be opened or read.
        ConfigError: coverage.py's configuration, which excludes lines, cannot be parsed.
    """
    exclude_lines = read_settings().exclude_lines

    def stored(path: str, digest: str) -> str | None:
        # Opened for each text: evidence that holds nothing open needs no closing.
        with _intact(place), open_store(place) as store:
            return store.source(path, digest)

    with _intact(place), open_store(place) as store:
        return _gather(store, place, selection, Sources(stored, root, exclude_lines))


@contextmanager
def _intact(place: str) -> Iterator[None]:
    """A database can be sound to SQLite and still hold values that we never wrote."""
    try:
        yield
    except RequestcovError:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, zlib.error) as error:
        raise StoreError(
            f"The store {place!a} is damaged ({type(error).__name__}: {error}): name another file, "
            "or try to save what it holds with sqlite3's .recover."
        ) from error


def _gather(store: Store, place: str, selection: Selection, source: Sources) -> Evidence:
    asked = _Asked(store, selection)
    ledgers = [
        ledger
        for ledger in store.ledgers()
        if selection.service in (None, ledger.service) and selection.release in (None, ledger.release)
    ]
    seen: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for ledger in ledgers:
        seen.update(ledger.seen)
        dropped.update(ledger.dropped)
    counts = asked.counts()
    known: dict[int, frozenset[int]] = {}  # Endpoints share blocks: decode each once.
    runs = tuple(
        Run(
            name,
            block.path,
            block.digest,
            known.get(block.id) or known.setdefault(block.id, block.lines),
            block.requests,
            block.weight,
        )
        for name in sorted(counts)
        for block in store.endpoint_blocks(name, **asked.days)
    )
    footing = Footing(
        store=place,
        seen=seen.total(),
        excluded=sum(ledger.excluded for ledger in ledgers),
        sampled=sum(ledger.sampled for ledger in ledgers),
        stored=sum(ledger.stored for ledger in ledgers),
        dropped=dict(dropped),
        pending=sum(ledger.pending for ledger in ledgers),
        workers=len({(ledger.worker, ledger.boot) for ledger in ledgers}),
        records=sum(count.requests for count in counts.values()),
        weight=sum(count.weight for count in counts.values()),
        failed=sum(count.failed for count in counts.values()),
        **asked.names(),
    )
    return Evidence(
        footing=footing,
        counts=counts,
        seen=dict(seen),
        runs=runs,
        newest=asked.newest({(run.path, run.digest) for run in runs}),
        source=source,
    )


class _Asked:
    """A store's answers for one selection."""

    def __init__(self, store: Store, selection: Selection) -> None:
        self.store = store
        self.days: dict[str, Any] = {
            "service": selection.service,
            "release": selection.release,
            "since": selection.since,
            "until": selection.until,
        }
        self.everything = not any(self.days.values())
        # Rows of requests are selected by exact times, lines by days: make them mean the same.
        end = None if selection.until is None else selection.until + timedelta(days=1, microseconds=-1)
        self.times = {**self.days, "until": end}

    @cached_property
    def requests(self) -> Sequence[Request]:
        """Every recorded request of the selection, newest first."""
        return tuple(self.store.requests(**self.times))

    def counts(self) -> dict[str, Counts]:
        """Recorded requests by endpoint."""
        if self.everything:
            return {
                stats.endpoint: Counts(stats.requests, stats.weight, stats.failed)
                for stats in self.store.endpoints()
                if stats.requests
            }
        found: dict[str, list[Request]] = defaultdict(list)
        for request in self.requests:
            found[request.endpoint].append(request)
        return {
            name: Counts(len(rows), sum(row.weight for row in rows), sum(row.failed for row in rows))
            for name, rows in sorted(found.items())
        }

    def names(self) -> dict[str, Any]:
        """The fields of Footing that name things and times."""
        if self.everything:
            summary = self.store.summary()
            return {
                "first": summary.first,
                "last": summary.last,
                "releases": summary.releases,
                "services": summary.services,
                "engines": summary.engines,
                "partial": summary.partial,
            }
        rows = sorted(self.requests, key=lambda row: row.time)
        return {
            "first": rows[0].time if rows else None,
            "last": rows[-1].time if rows else None,
            "releases": tuple(dict.fromkeys(row.release for row in rows if row.release)),
            "services": tuple(dict.fromkeys(row.service for row in rows if row.service)),
            "engines": tuple(dict.fromkeys(row.engine for row in rows if row.engine)),
            "partial": dict(Counter(row.partial for row in rows if row.partial)),
        }

    def newest(self, versions: Set[Version]) -> dict[str, str]:
        """Path -> digest of the version that ran last, a known one if there is any."""
        rivals: dict[str, list[FileVersion]] = defaultdict(list)
        for version in self.store.files():
            if (version.path, version.digest) in versions:
                rivals[version.path].append(version)
        found: dict[str, str] = {}
        open_: dict[str, set[str]] = {}
        for path, several in rivals.items():
            known = [version for version in several if version.digest] or several
            day = max(version.last.date() for version in known)
            last = [version for version in known if version.last.date() == day]
            found[path] = last[-1].digest
            if len(last) > 1:
                open_[path] = {version.digest for version in last}
        # A version's times are those of its day: within one, only the requests themselves tell.
        told: set[int] = set()
        latest = self.store.requests(**{**self.times, "limit": MOST_ASKED}) if open_ else ()
        for request in latest:
            if request.spectrum in told:
                continue
            told.add(request.spectrum)
            for block in self.store.spectrum(request.spectrum):
                if block.digest in open_.get(block.path, ()):
                    found[block.path] = block.digest
                    del open_[block.path]
            if not open_:
                break
        return found
