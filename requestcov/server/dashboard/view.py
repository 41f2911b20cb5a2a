"""One request for a page: what its address asks for, and what can be said about that now.

Laws: a page asks for everything within one deadline, so that no click waits
longer; what is not known by then is shown as being worked on. Every link keeps
what the address narrows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import quote

from requestcov.analysis.evidence import Evidence, Selection
from requestcov.analysis.gather import Names, all_names
from requestcov.server.dashboard import controls
from requestcov.server.dashboard import filters as f
from requestcov.server.dashboard.answers import Answer, Question
from requestcov.server.dashboard.desk import Desk, evidence
from requestcov.server.dashboard.pages import BY_NAME

T = TypeVar("T")

PATIENCE = 0.35
"""Seconds that a page waits for answers."""

TAGGED = {"endpoint", "path", "service", "release", "before", "after"}
"""Fields whose values are names from the store."""


class Pending(Exception):
    """A page cannot be made yet, because an answer it stands on is being worked on."""


class View:
    """What a page is made from.

    Args:
        desk: the store.
        filters: the address.
        root: the address of the dashboard's first page, without the last slash; quoted.
        page: the page's name.

    Attributes:
        ground: the evidence that the page's numbers stand on, once it was asked for.
        pending: whether anything was asked for that is not known yet.
    """

    pages = frozenset(BY_NAME)
    """Names of the pages there are."""

    def __init__(self, desk: Desk, filters: f.Filters, root: str, page: str) -> None:
        self.desk = desk
        self.filters = filters
        self.root = root
        self.page = page
        self.ground: Evidence | None = None
        self.pending = False
        self.waiting = 0.0
        self.answers: list[Answer[Any]] = []
        self.stale = False
        self._deadline = time.monotonic() + PATIENCE

    def may(self, question: Question[T]) -> T | None:
        """The answer, or None when it is not known yet: the page then shows that it is worked on.

        Raises:
            StoreError: the store cannot be read.
        """
        found = self.desk.answers.ask(question, self._deadline - time.monotonic())
        if found.answer is None:
            self.pending = True
            self.waiting = max(self.waiting, found.waiting)
            return None
        self.stale |= not found.current
        self.answers.append(found.answer)
        return found.answer.value

    def need(self, question: Question[T]) -> T:
        """The answer, without which there is no page.

        Raises:
            Pending: it is not known yet.
            StoreError: the store cannot be read.
        """
        answer = self.may(question)
        if self.pending and answer is None:
            raise Pending
        return answer  # type: ignore[return-value]  # a question may be answered with None

    def begin(self, *questions: Question[Any]) -> None:
        """Have these worked on while others are asked for."""
        for question in questions:
            self.desk.answers.begin(question)

    def evidence(self, *, by_release: bool = False, by_failed: bool = False) -> Evidence:
        """What the store says about the requests asked for; the page's footing tells of it.

        Raises:
            Pending, StoreError: see :meth:`need`.
        """
        found = self.need(evidence(self.selection, by_release=by_release, by_failed=by_failed))
        self.ground = found
        return found

    @cached_property
    def names(self) -> Names:
        """Everything in the store that has a name."""
        return self.need(Question("names", None, lambda desk: all_names(desk.place)))

    @cached_property
    def selection(self) -> Selection:
        """Which requests the address asks for.

        Raises:
            Unknown: the store has none of that name.
        """
        found = f.selection(self.filters, self.names.services, self.names.releases, self.endpoint)
        # Of the only service there is, all has been answered that has been answered of everything.
        return replace(found, service=None) if self.names.services == (found.service,) else found

    @cached_property
    def endpoint(self) -> str | None:
        """The endpoint that the address names, on pages that take one.

        Raises:
            Unknown: there is none of that name.
        """
        return self._named("endpoint", self.names.endpoints, "endpoint")

    @cached_property
    def path(self) -> str | None:
        """The file that the address names, on pages that take one.

        Raises:
            Unknown: there is none of that name.
        """
        return self._named("path", self.names.paths, "file")

    def _named(self, field: str, names: tuple[str, ...], kind: str) -> str | None:
        given = self.filters.values.get(field)
        if given is None:
            return None
        name = f.named(str(given), names, kind)
        if name not in names:
            raise f.Unknown(f"No {kind} here is called {name}.")
        return name

    def link(self, page: str, **values: object) -> str:
        """The address of a page, with what is kept of this one's.

        Args:
            page: its name.
            values: its fields; those that are None are left out.
        """
        tagged = {
            name: f.tag(value) if name in TAGGED and isinstance(value, str) else value
            for name, value in values.items()
        }
        return self._address(page, {**self.filters.kept, **tagged})

    def here(self, **values: object) -> str:
        """The address of this page with some fields changed; None leaves one out."""
        return self._address(self.page, {**self.filters.given, **values})

    @cached_property
    def form(self) -> controls.Form:
        """The filters above the page."""
        return controls.form(self)

    @cached_property
    def search(self) -> controls.Search:
        """The search field above the page."""
        return controls.search(self)

    @property
    def elsewhere(self) -> str | None:
        """Where everything is searched for what this page's table is; None where nothing is searched."""
        asked = self.filters.text("q") if "q" in self.filters.values and self.page != "search" else None
        return None if asked is None else self.link("search", q=asked)

    @property
    def endpoint_choices(self) -> list[tuple[str, str]]:
        """The endpoints to choose from, as an address holds them and as they are called."""
        names = sorted(self.names.endpoints, key=lambda name: (name.partition(" ")[2], name))
        return [(f.tag(name), name) for name in names]

    @property
    def kept_query(self) -> str:
        """What every link goes on with, to be put after an address."""
        query = f.written(self.filters.kept)
        return f"?{query}" if query else ""

    def place(self, path: str, line: int) -> str | None:
        """The link to a line's source."""
        if path not in self.names.path_set:
            return None
        return f"{self.link('source', path=path, line=line)}#L{line}"

    @property
    def age(self) -> float | None:
        """Seconds since the oldest answer on the page was begun, if the store has changed since."""
        if not self.stale:
            return None
        return max((time.monotonic() - answer.at for answer in self.answers), default=None)

    @property
    def state(self) -> str:
        """Of the store, when the oldest answer on the page was begun."""
        oldest = min(self.answers, key=lambda answer: answer.at, default=None)
        return "" if oldest is None else oldest.state

    def _address(self, page: str, values: Mapping[str, object]) -> str:
        query = f.written({name: value for name, value in values.items() if value not in (None, "")})
        return f"{self.root}{BY_NAME[page].path}{f'?{query}' if query else ''}"


def prefix(root_path: str) -> str:
    """Where the dashboard is mounted, as links begin."""
    return quote(root_path.rstrip("/"), safe="/:@!$&'()*+,;=~")
