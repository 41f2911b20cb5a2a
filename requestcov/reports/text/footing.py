"""What every table for a terminal is made of and ends with.

Law: no table without its footing: how many requests it stands on, and what
was lost on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from requestcov.analysis.evidence import Evidence, Footing, Selection
from requestcov.analysis.measured import Doubtful
from requestcov.reports.terminal import Rows, clean, counted, number

NAMES_SHOWN = 6
"""How many releases, services or engines a footing spells out."""


def table(first: str, *numbers: str) -> Rows:
    """An empty table: a column of names that may fold, and columns of numbers."""
    made = Rows()
    made.add_column(first)
    for name in numbers:
        made.add_column(name, justify="right", no_wrap=True)
    return made


def footing(
    evidence: Evidence, selection: Selection, notes: Iterable[str], unread: int = 0
) -> Iterator[RenderableType]:
    """What every table ends with.

    Args:
        evidence, selection: what was asked, and what there was.
        notes: a sentence each, on what the table's numbers mean.
        unread: recorded lines that could not be judged.
    """
    yield ""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, value in facts(evidence.footing, selection):
        grid.add_row(name, Text(clean(value)))
    yield grid
    yield ""
    for note in (*notes, *caveats(evidence, selection, unread)):
        yield Text(clean(note), style="dim")


def facts(footing: Footing, selection: Selection) -> Iterator[tuple[str, str]]:
    """What numbers stand on, as (name, value), uncleaned."""
    kept = f"{number(footing.stored)} stored + {_by_reason(footing.dropped)} dropped"
    yield (
        "requests",
        f"{number(footing.seen)} seen, {number(footing.excluded)} excluded, "
        f"{number(footing.sampled)} sampled = {kept} + {number(footing.pending)} pending",
    )
    records = (
        f"{number(footing.records)} here, standing for {counted(footing.weight, 'request')}; "
        f"{number(footing.failed)} failed"
    )
    if footing.partial:
        records += f", {_by_reason(footing.partial)} cut short"
    yield "records", records
    if footing.first is not None and footing.last is not None:
        yield "period", f"{footing.first:%Y-%m-%d %H:%M} to {footing.last:%Y-%m-%d %H:%M} UTC"
    asked = [
        f"{name} {value}"
        for name, value in (
            ("endpoint", selection.endpoint),
            ("service", selection.service),
            ("release", selection.release),
        )
        if value
    ]
    asked += [
        f"{name} {value:%Y-%m-%d}"
        for name, value in (("since", selection.since), ("until", selection.until))
        if value
    ]
    if asked:
        yield "asked for", ", ".join(asked)
    yield "services", _names(footing.services)
    yield "releases", _names(footing.releases)
    yield "engines", _names(footing.engines)
    yield "workers", number(footing.workers)
    yield "store", footing.store


def _by_reason(counts: Mapping[str, int]) -> str:
    """``3 (queue_full 2, assemble 1)``."""
    reasons = ", ".join(f"{reason} {number(count)}" for reason, count in sorted(counts.items()) if count)
    return number(sum(counts.values())) + (f" ({reasons})" if reasons else "")


def _names(names: Sequence[str]) -> str:
    shown = [name or "(no name)" for name in names[:NAMES_SHOWN]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "") if shown else "-"


def caveats(evidence: Evidence, selection: Selection, unread: int) -> Iterator[str]:
    """What must be known to read numbers rightly, a sentence each."""
    if selection.since or selection.until:
        yield (
            "Seen, excluded, sampled, stored, dropped and pending count whole lives of processes, "
            "not the period asked for."
        )
    if (services := len(evidence.footing.services)) > 1:
        yield (
            f"{services} services are counted together: their endpoints and files of one name are taken for "
            "one. Ask about one service to tell them apart."
        )
    changed = sum(1 for digests in evidence.versions.values() if len(digests) > 1)
    if changed:
        yield (
            f"{counted(changed, 'file')} ran in several versions: of older ones, only functions that "
            "have not changed since count."
        )
    if unread:
        yield f"{counted(unread, 'recorded line')} could not be judged: the source is not available."


MOST_NAMED = 3
"""Files with one and the same doubt that are named."""


def doubts(files: Iterable[Doubtful]) -> Iterator[str]:
    """A sentence for each doubt about the text of files: ``shop/a.py and 4 files more: why``."""
    by_doubt: dict[str, list[str]] = {}
    for file in files:
        by_doubt.setdefault(file.doubt, []).append(file.path)
    for doubt, paths in by_doubt.items():
        more = len(paths) - MOST_NAMED
        others = f" and {counted(more, 'file')} more" if more > 0 else ""
        yield f"{', '.join(map(clean, paths[:MOST_NAMED]))}{others}: {clean(doubt)}"
