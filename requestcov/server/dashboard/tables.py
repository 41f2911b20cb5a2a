"""Tables that are sorted, searched and shown a part at a time, by the address alone.

Laws: rows that compare equal keep the order they came in; a column that is
unknown for a row stands at the end, whichever way it is sorted; a search
finds every row that holds all of its words, in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from requestcov.server.dashboard.view import View

T = TypeVar("T")

ROWS = 100
"""Rows of a part."""


@dataclass(frozen=True)
class Table(Generic[T]):
    """A part of some rows.

    Attributes:
        rows: those of the part.
        total: how many there are in all parts.
        first: number of the part's first row, from 1.
        before, after: links to the neighbouring parts, or None.
    """

    rows: Sequence[T]
    total: int
    first: int
    before: str | None
    after: str | None

    @property
    def last(self) -> int:
        """Number of the part's last row."""
        return self.first + len(self.rows) - 1


def table(
    view: View,
    rows: Iterable[T],
    columns: Mapping[str, Callable[[T], Any]],
    searched: Callable[[T], str] | None = None,
) -> Table[T]:
    """The rows that the address asks for; it has ``sort`` and ``at``, and ``q`` if it is searched.

    Args:
        rows: all of them.
        columns: name in ``sort`` -> a row's value, or None when it is unknown.
        searched: the text of a row that is searched.
    """
    found = list(rows)
    if searched is not None:
        found = matching(found, view.filters.text("q"), searched)
    sort = str(view.filters["sort"])
    value, backwards = columns[sort.removeprefix("-")], sort.startswith("-")
    known = [row for row in found if value(row) is not None]
    known.sort(key=value, reverse=backwards)
    found = known + [row for row in found if value(row) is None]
    at = view.filters.number("at") or 1
    start = (at - 1) * ROWS
    return Table(
        rows=found[start : start + ROWS],
        total=len(found),
        first=start + 1,
        before=view.here(at=at - 1 if at > 2 else None) if at > 1 else None,
        after=view.here(at=at + 1) if start + ROWS < len(found) else None,
    )


def matching(rows: Iterable[T], asked: str | None, searched: Callable[[T], str]) -> list[T]:
    """The rows whose text holds every word that is asked for."""
    words = (asked or "").casefold().split()
    return [row for row in rows if all(word in searched(row).casefold() for word in words)]
