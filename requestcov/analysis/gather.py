"""From a store to the evidence that every analysis stands on.

Laws: one pass over the store, read-only; counts come from its aggregates, and
rows of requests are read only for the requests of one endpoint, or where two
versions of one day cannot be told apart without them.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from requestcov._exclusions import exclude_lines
from requestcov._source import Source
from requestcov.analysis.evidence import (
    Counts,
    Evidence,
    Footing,
    Run,
    Selection,
    Sources,
    Timings,
    Traffic,
    Version,
    counted,
)
from requestcov.errors import RequestcovError, StoreError
from requestcov.record import Ledger
from requestcov.storage import open_store
from requestcov.storage.results import FileVersion, Outcome, Ran, Request, StoredBlock, versions_of
from requestcov.storage.sqlite import Store, unpack_source

MOST_ASKED = 10_000
"""Requests looked at, at most, to find which of a day's versions of a file is the newest."""


def names(place: str, selection: Selection) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What can be asked for: endpoints recorded or seen, and the paths of files that ran, both sorted.

    Raises:
        StoreError: the store cannot be opened or read.
    """
    with _intact(place), open_store(place) as store:
        found = set(store.endpoints(selection))
        found.update(name for ledger in _ledgers(store, selection) for name in ledger.seen)
        return tuple(sorted(found)), tuple(store.paths())


@dataclass(frozen=True)
class Names:
    """Everything in a store that has a name, sorted.

    Attributes:
        endpoints: recorded or seen.
        paths: of files that ran.
        services, releases: of recorded requests and of processes; ``""``: one without a name.
    """

    endpoints: tuple[str, ...]
    paths: tuple[str, ...]
    services: tuple[str, ...]
    releases: tuple[str, ...]

    @cached_property
    def path_set(self) -> frozenset[str]:
        """The paths, to be looked up."""
        return frozenset(self.paths)


def all_names(place: str) -> Names:
    """What a whole store can be asked for.

    Raises:
        StoreError: the store cannot be opened or read.
    """
    with _intact(place), open_store(place) as store:
        cohorts, ledgers = store.cohorts(), store.ledgers()
        endpoints = {cohort.endpoint for cohort in cohorts}
        endpoints.update(name for ledger in ledgers for name in ledger.seen)
        return Names(
            endpoints=tuple(sorted(endpoints)),
            paths=tuple(store.paths()),
            services=tuple(sorted({one.service for one in cohorts} | {one.service for one in ledgers})),
            releases=tuple(sorted({one.release for one in cohorts} | {one.release for one in ledgers})),
        )


def ledgers(place: str, selection: Selection) -> tuple[Ledger, ...]:
    """What every process concerned counted, in the order they started.

    Raises:
        StoreError: the store cannot be opened or read.
    """
    with _intact(place), open_store(place) as store:
        return tuple(_ledgers(store, selection))


def counts(place: str, selection: Selection) -> dict[str, Counts]:
    """Recorded requests by endpoint.

    Raises:
        StoreError: the store cannot be opened or read.
    """
    with _intact(place), open_store(place) as store:
        return counted(store.outcomes(selection), lambda outcome: outcome.endpoint)


def gather(
    place: str,
    selection: Selection,
    root: str | None,
    *,
    path: str | None = None,
    by_release: bool = False,
    by_failed: bool = False,
    texts: Texts | None = None,
) -> Evidence:
    """Ask a store for everything about a selection.

    Args:
        place: the store's path or URL.
        selection: which requests.
        root: working tree for source texts that the store lacks; None: none.
        path: only what ran in this file; None: in any.
        by_release, by_failed: whether runs tell these apart.
        texts: from which sources are to be had; None: from the store and ``root``, for this evidence alone.

    Raises:
        StoreError: the store cannot be opened or read.
        ConfigError: coverage.py's configuration, which excludes lines, cannot be parsed.
    """
    texts = texts or _Texts(place, root)
    with _intact(place), open_store(place) as store:
        return _gather(store, place, selection, texts, path, by_release, by_failed)


def gather_traffic(
    place: str, selection: Selection, root: str | None, *, texts: Texts | None = None
) -> Traffic:
    """Ask a store how the requests of one endpoint ended, and by which paths.

    Args:
        place, root, texts: as for :func:`gather`.
        selection: which requests; names an endpoint.

    Raises:
        ValueError: the selection names no endpoint.
        StoreError, ConfigError: as for :func:`gather`.
    """
    endpoint, texts = _endpoint(selection), texts or _Texts(place, root)
    with _intact(place), open_store(place) as store:
        samples = store.samples(selection)
        paths = store.spectra({sample.spectrum for sample in samples})
        return Traffic(
            endpoint=endpoint,
            evidence=_gather(store, place, selection, texts, None, False, True),
            samples=tuple(samples),
            paths=paths,
            blocks=store.blocks(frozenset().union(*paths.values())),
        )


def gather_timings(
    place: str, selection: Selection, root: str | None, *, texts: Texts | None = None
) -> Timings:
    """Ask a store how long the requests of one endpoint took, and by which paths.

    Args, raises: as :func:`gather_traffic`.
    """
    endpoint, texts = _endpoint(selection), texts or _Texts(place, root)
    with _intact(place), open_store(place) as store:
        timed = store.timings(selection)
        paths = store.spectra({some.spectrum for some in timed})
        later = store.spectra({some.background for some in timed if some.background is not None})
        return Timings(
            endpoint=endpoint,
            evidence=_gather(store, place, selection, texts, None, False, True),
            timed=tuple(timed),
            paths=paths,
            blocks=store.blocks(frozenset().union(*paths.values(), *later.values())),
            later=later,
        )


def _endpoint(selection: Selection) -> str:
    if selection.endpoint is None:
        raise ValueError("the selection names no endpoint")
    return selection.endpoint


def holders(place: str, selection: Selection) -> Callable[[str, Set[int]], int]:
    """A function of an endpoint and numbers of blocks that few of its requests ran.

    It tells how many of the recorded requests ran at least one of them.

    Raises (when called):
        StoreError: the store cannot be opened or read.
    """

    def count(endpoint: str, blocks: Set[int]) -> int:
        with _intact(place), open_store(place) as store:
            return store.holders(blocks, replace(selection, endpoint=endpoint))

    return count


def runners(place: str, selection: Selection) -> Callable[[str | None, Set[int]], list[Ran]]:
    """A function of an endpoint (None: any) and numbers of blocks: who ran at least one of them.

    Raises (when called):
        StoreError: the store cannot be opened or read.
    """

    def ran(endpoint: str | None, blocks: Set[int]) -> list[Ran]:
        with _intact(place), open_store(place) as store:
            asked = selection if endpoint is None else replace(selection, endpoint=endpoint)
            return store.ran(blocks, asked)

    return ran


def latest(place: str, selection: Selection, ran: Sequence[Ran], limit: int) -> tuple[Request, ...]:
    """The newest of the requests of these cohorts that ran what they were asked for, newest first.

    Raises:
        StoreError: the store cannot be opened or read.
    """
    spectra = frozenset[int]().union(*(part.spectra for part in ran))
    if not spectra or limit < 1:
        return ()
    # The newest days alone are enough for most: rows of requests are many.
    enough, since = 0, None
    for part in sorted(ran, key=lambda part: part.day, reverse=True):
        if enough >= limit and part.day != since:
            break
        enough, since = enough + part.requests * part.exact, part.day
    with _intact(place), open_store(place) as store:
        return tuple(store.requests(replace(selection, since=since), spectra=spectra, limit=limit))


def latest_failures(place: str, selection: Selection, limit: int) -> tuple[Request, ...]:
    """The newest failing requests of a selection whose rows are kept, newest first.

    Raises:
        StoreError: the store cannot be opened or read.
    """
    with _intact(place), open_store(place) as store:
        return tuple(store.requests(selection, failed=True, limit=limit))


class Texts(Protocol):
    """Sources by version, as :class:`Evidence` asks for them."""

    def __call__(self, path: str, digest: str, /) -> Source | None:
        """The source of a version, or None when no text with that digest is at hand."""

    def read(self, store: Store, blocks: Mapping[int, StoredBlock]) -> None:
        """Take the texts of some blocks while the store is open: for each to be opened costs more."""


class _Texts:
    """Of a store and a working tree. Evidence holds nothing open, so that it needs no closing."""

    def __init__(self, place: str, root: str | None) -> None:
        self._place = place
        self._packed: dict[Version, bytes] = {}
        self._sources = Sources(self._stored, root, exclude_lines())

    def __call__(self, path: str, digest: str) -> Source | None:
        return self._sources(path, digest)

    def read(self, store: Store, blocks: Mapping[int, StoredBlock]) -> None:
        self._packed |= store.packed_sources(blocks)

    def _stored(self, path: str, digest: str) -> str | None:
        packed = self._packed.get((path, digest))
        with _intact(self._place):
            if packed is not None:
                return unpack_source(packed)
            with open_store(self._place) as store:
                return store.source(path, digest)


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


def _ledgers(store: Store, selection: Selection) -> list[Ledger]:
    """Of the processes concerned."""
    return [
        ledger
        for ledger in store.ledgers()
        if selection.service in (None, ledger.service) and selection.release in (None, ledger.release)
    ]


def _gather(
    store: Store,
    place: str,
    selection: Selection,
    texts: Texts,
    path: str | None,
    by_release: bool,
    by_failed: bool,
) -> Evidence:
    outcomes = store.outcomes(selection)
    ledgers = _ledgers(store, selection)
    seen: Counter[str] = Counter()
    for ledger in ledgers:
        seen.update(ledger.seen)
    if selection.endpoint is not None:
        seen = Counter({selection.endpoint: seen[selection.endpoint]})
    hits = list(store.hits(selection, path=path, by_release=by_release, by_failed=by_failed))
    blocks = store.blocks({hit.block for hit in hits})
    texts.read(store, blocks)
    runs = tuple(
        Run(
            hit.endpoint,
            (block := blocks[hit.block]).path,
            block.digest,
            block.lines,
            hit.requests,
            hit.weight,
            block.branches,
            hit.first,
            hit.last,
            hit.release,
            hit.failed,
            hit.block,
        )
        for hit in hits
    )
    return Evidence(
        footing=_footing(store, place, selection, ledgers, outcomes),
        counts=counted(outcomes, lambda outcome: outcome.endpoint),
        seen=dict(seen),
        runs=runs,
        newest=_newest(store, selection, versions_of(hits, blocks)),
        source=texts,
        outcomes=tuple(outcomes),
    )


def _footing(
    store: Store, place: str, selection: Selection, ledgers: Sequence[Ledger], outcomes: Sequence[Outcome]
) -> Footing:
    dropped: Counter[str] = Counter()
    for ledger in ledgers:
        dropped.update(ledger.dropped)
    partial: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.partial:
            partial[outcome.partial] += outcome.requests
    cohorts = store.cohorts(selection)
    return Footing(
        store=place,
        seen=sum(sum(ledger.seen.values()) for ledger in ledgers),
        excluded=sum(ledger.excluded for ledger in ledgers),
        sampled=sum(ledger.sampled for ledger in ledgers),
        stored=sum(ledger.stored for ledger in ledgers),
        dropped=dict(dropped),
        pending=sum(ledger.pending for ledger in ledgers),
        workers=len({(ledger.worker, ledger.boot) for ledger in ledgers}),
        records=sum(outcome.requests for outcome in outcomes),
        weight=sum(outcome.weight for outcome in outcomes),
        failed=sum(outcome.requests for outcome in outcomes if outcome.failed),
        partial=dict(partial),
        first=min((cohort.first for cohort in cohorts), default=None),
        last=max((cohort.last for cohort in cohorts), default=None),
        releases=tuple(dict.fromkeys(cohort.release for cohort in cohorts if cohort.release)),
        services=tuple(dict.fromkeys(cohort.service for cohort in cohorts if cohort.service)),
        engines=tuple(dict.fromkeys(outcome.engine for outcome in outcomes if outcome.engine)),
    )


def _newest(store: Store, selection: Selection, versions: Iterable[FileVersion]) -> dict[str, str]:
    """Path -> digest of the version that ran last, a known one if there is any."""
    rivals: dict[str, list[FileVersion]] = defaultdict(list)
    for version in versions:
        rivals[version.path].append(version)
    found: dict[str, str] = {}
    open_: dict[str, set[str]] = {}
    earliest = None
    for path, several in rivals.items():
        known = [version for version in several if version.digest] or several
        day = max(version.last.date() for version in known)
        last = [version for version in known if version.last.date() == day]
        found[path] = last[-1].digest
        if len(last) > 1:
            open_[path] = {version.digest for version in last}
            earliest = min(earliest or last[0].last, *(version.last for version in last))
    if earliest is None:
        return found
    # A version's times are those of its day: within one, only the requests themselves tell.
    told: set[int] = set()
    for request in store.requests(replace(selection, since=earliest), limit=MOST_ASKED):
        if request.spectrum in told:
            continue
        told.add(request.spectrum)
        for block in store.spectrum(request.spectrum):
            if block.digest in open_.get(block.path, ()):
                found[block.path] = block.digest
                del open_[block.path]
        if not open_:
            break
    return found
