"""Two releases side by side, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from requestcov.analysis.evidence import Evidence, Selection
from requestcov.analysis.releases import Begun, Change, Releases, Silent
from requestcov.reports.terminal import Name, clean, counted, number, share, write
from requestcov.reports.text.footing import footing, table


def write_releases(
    result: Releases, before: Evidence, after: Evidence, selection: Selection, stream: TextIO
) -> None:
    """What began, what went silent, and the traffic of both; the footing is the later release's.

    Raises:
        OSError: the stream cannot be written.
    """
    earlier, later = clean(result.earlier), clean(result.later)
    parts: list[RenderableType] = []
    for head, rows in (
        (f"Newly run in {later}", _begun(result)),
        (f"Gone silent in {later}: the code is there", _silent(result, Change.SAME)),
        (f"Edited or removed in {later}", _silent(result, Change.GONE)),
    ):
        parts += [Text(head, style="bold"), rows if rows.row_count else Text("nothing"), ""]
    traffic = table("endpoint", f"recorded in {earlier}", f"in {later}", "standing for", "and for")
    for row in result.traffic:
        traffic.add_row(
            Name(row.endpoint),
            number(row.before),
            number(row.after),
            number(row.weight_before),
            number(row.weight_after),
        )
    parts.append(traffic)
    write(stream, [*parts, *footing(after, selection, _notes(result, before))])


def _where(item: Begun | Silent) -> Name:
    return Name(f"{item.path}:{item.line if item.whole else item.lines} {item.name}")


def _begun(result: Releases) -> Table:
    rows = table("where", "ran", "of", "code", "endpoints")
    for item in result.begun:
        code = "new or edited" if item.change is Change.NEW else "as before"
        rows.add_row(_where(item), number(item.ran), number(item.after), code, _endpoints(item))
    return rows


def _silent(result: Releases, change: Change) -> Table:
    rows = table("where", "ran", "of", "now none of", "could be", "chance", "q", "significant", "endpoints")
    for item in result.silent:
        if item.change is change:
            rows.add_row(
                _where(item),
                number(item.ran),
                number(item.before),
                number(item.after),
                "-" if item.bound is None else f"< {share(item.bound)}",
                _chance(item),
                "-" if item.adjusted is None else share(item.adjusted),
                "yes" if item.significant else "no",
                _endpoints(item),
            )
    return rows


def _chance(item: Silent) -> str:
    chance = share(item.probability)
    return chance if item.exact else f"< {chance.removeprefix('<')}"


def _endpoints(item: Begun | Silent) -> str:
    return clean(item.endpoints[0]) + (f" and {len(item.endpoints) - 1} more" if item.endpoints[1:] else "")


def _notes(result: Releases, before: Evidence) -> Iterator[str]:
    footing = before.footing
    yield (
        f"The figures above are of {clean(result.later)}; of {clean(result.earlier)} there are "
        f"{counted(footing.records, 'record')}, standing for {counted(footing.weight, 'request')}, "
        f"{counted(sum(footing.dropped.values()), 'recording')} lost."
    )
    yield (
        "Of: requests of the endpoints that ran it. Could be: at most this share could have run it "
        "unseen (95 %). Chance: that all miss it, running it as often as before; <: at most, as they were "
        "sampled unlike. q: corrected for how many lines were tested; significant at 5 %."
    )
    if result.unread:
        yield f"{counted(len(result.unread), 'file')} could not be read or parsed."
