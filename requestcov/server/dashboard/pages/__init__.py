"""The dashboard's pages: a module and a template each.

A page's module holds ``FIELDS``, what its address takes beyond what every page
does, and ``page(view)``, which asks for answers and gives what the template of
the same name is filled with. A row below makes it known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from requestcov.server.dashboard.filters import Field
    from requestcov.server.dashboard.view import View


@dataclass(frozen=True)
class Entry:
    """A page.

    Attributes:
        name: of its module and its template.
        path: where it is, below the dashboard's own address.
        title: in the navigation, and the heading of a page that gives no other.
        key: typed after ``g`` it leads there; ``""``: the page is reached from others only.
    """

    name: str
    path: str
    title: str
    key: str = ""


PAGES: tuple[Entry, ...] = (
    Entry("endpoints", "/", "Endpoints", "e"),
    Entry("endpoint", "/endpoint", "Endpoint"),
    Entry("files", "/files", "Files", "f"),
    Entry("source", "/source", "Source"),
    Entry("suspects", "/suspects", "Suspects", "s"),
    Entry("slow", "/slow", "Slow", "l"),
    Entry("dead", "/dead", "Dead code", "d"),
    Entry("releases", "/releases", "Releases", "r"),
    Entry("hot", "/hot", "Hot", "h"),
    Entry("thin", "/thin", "Thin", "t"),
    Entry("pipeline", "/pipeline", "Pipeline", "p"),
    Entry("search", "/search", "Search", "w"),
    Entry("who", "/who", "Who ran a line"),
)
"""In the order of the navigation; the first is the dashboard's first page."""

BY_NAME: Mapping[str, Entry] = {entry.name: entry for entry in PAGES}


class Page(Protocol):
    """What a page's module holds.

    Attributes:
        FIELDS: what its address takes.
    """

    FIELDS: Sequence[Field]

    def page(self, view: View) -> Mapping[str, object]:
        """What its template is filled with.

        ``title`` replaces the heading, ``notes`` are sentences at the end, and ``unread`` is how many
        recorded lines could not be judged.

        Raises:
            Pending: what it stands on is being worked on.
            Unknown: the address names what the store does not have.
            StoreError: the store cannot be read.
        """


def load(name: str) -> Page:
    """The module of a page of the table."""
    return cast(Page, import_module(f"requestcov.server.dashboard.pages.{name}"))
