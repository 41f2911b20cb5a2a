"""The search field and the filters above a page.

Law: both are forms that a browser sends by itself; what they do not ask for,
they keep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from requestcov.server.dashboard.filters import COMMON, KEPT, tag
from requestcov.server.dashboard.pages import BY_NAME

if TYPE_CHECKING:
    from requestcov.server.dashboard.view import View

_DROPPED = {"at"}
"""Where the reader is in a table: of no use in another one."""

EVERYWHERE = "Search everything"


@dataclass(frozen=True)
class Search:
    """The search field.

    Attributes:
        address: of the page that answers.
        kept: fields that go along.
        asked: what is searched for now.
        placeholder: what can be searched for.
        live: whether this page itself answers, as somebody types.
    """

    address: str
    kept: Mapping[str, str]
    asked: str
    placeholder: str
    live: bool


@dataclass(frozen=True)
class Form:
    """The filters.

    Attributes:
        address: of this page.
        given: what the address says.
        others: fields of the page that are no filters, and go along.
        choices: (field, label, [(value, name, whether it is chosen)]).
        all: the address of this page without filters.
    """

    address: str
    given: Mapping[str, str]
    others: Mapping[str, str]
    choices: Sequence[tuple[str, str, Sequence[tuple[str, str, bool]]]]
    all: str


def search(view: View) -> Search:
    """The one of a page that can be searched, else the one that searches everything."""
    live = "q" in view.filters.values
    entry = BY_NAME[view.page if live else "search"]
    given = view.filters.given
    return Search(
        address=f"{view.root}{entry.path}",
        kept={name: text for name, text in given.items() if name not in {"q", *_DROPPED}}
        if live
        else view.filters.kept,
        asked=given.get("q", "") if live else "",
        placeholder=EVERYWHERE if entry.name == "search" else f"Search {entry.title.lower()}",
        live=live,
    )


def form(view: View) -> Form:
    """The filters of a page."""
    given = view.filters.given
    names = (("service", view.names.services), ("release", view.names.releases))
    return Form(
        address=f"{view.root}{BY_NAME[view.page].path}",
        given=given,
        others={name: text for name, text in given.items() if name not in KEPT | _DROPPED},
        choices=[
            (field, field, [(tag(name), name, tag(name) == given.get(field)) for name in known])
            for field, known in names
        ],
        all=view.here(**dict.fromkeys((field.name for field in COMMON), None), at=None),
    )
