"""What the questions behind the pages are worked out from.

Law: evidence is gathered once for a state of the store and a selection, whoever
asks; every page and every question shares it.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from requestcov.analysis.evidence import Evidence, Selection, Timings, Traffic
from requestcov.analysis.gather import gather, gather_timings, gather_traffic, holders, runners
from requestcov.server.dashboard.answers import Answers, Question
from requestcov.server.dashboard.sources import Sources
from requestcov.server.dashboard.state import State
from requestcov.storage.results import Ran

T = TypeVar("T")


class Desk:
    """One store, its state, and the answers about it.

    Args:
        place: the store's path or URL.
        root: a directory whose files may be shown where the store lacks a text; None: none.

    Attributes:
        state, answers, source: see there.
    """

    def __init__(self, place: str, root: str | None) -> None:
        self.place = place
        self.state = State(place)
        self.answers = Answers(self.state.now, self)
        self.source = Sources(place, root, self.answers.give_way)

    def answer(self, question: Question[T]) -> T:
        """For a ``compute``: the answer to another question."""
        return self.answers.within(question)

    def evidence(
        self, selection: Selection, *, by_release: bool = False, by_failed: bool = False
    ) -> Evidence:
        """For a ``compute``: what the store says about a selection."""
        return self.answer(evidence(selection, by_release=by_release, by_failed=by_failed))

    def timings(self, selection: Selection) -> Timings:
        """For a ``compute``: how long the requests of the selection's endpoint took, and by which paths."""
        return self.answer(timings(selection))

    def traffic(self, selection: Selection) -> Traffic:
        """For a ``compute``: how the requests of the selection's endpoint ended, and by which paths."""
        return self.answer(traffic(selection))

    def holders(self, selection: Selection) -> Callable[[str, Set[int]], int]:
        """As :func:`requestcov.analysis.gather.holders`."""
        return holders(self.place, selection)

    def runners(self, selection: Selection) -> Callable[[str | None, Set[int]], list[Ran]]:
        """As :func:`requestcov.analysis.gather.runners`."""
        return runners(self.place, selection)

    def close(self) -> None:
        """End the threads and close the store."""
        self.answers.close()
        self.state.close()


@dataclass(frozen=True)
class _Evidence:
    selection: Selection
    by_release: bool
    by_failed: bool

    def __call__(self, desk: Desk) -> Evidence:
        return gather(
            desk.place,
            self.selection,
            None,
            by_release=self.by_release,
            by_failed=self.by_failed,
            texts=desk.source,
        )


def evidence(
    selection: Selection, *, by_release: bool = False, by_failed: bool = False
) -> Question[Evidence]:
    """What the store says about a selection."""
    asked = _Evidence(selection, by_release, by_failed)
    return Question("evidence", asked, asked)


def timings(selection: Selection) -> Question[Timings]:
    """How long the requests of the selection's endpoint took, and by which paths."""
    return Question("timings", selection, partial(_timings, selection))


def _timings(selection: Selection, desk: Desk) -> Timings:
    return gather_timings(desk.place, selection, None, texts=desk.source)


def traffic(selection: Selection) -> Question[Traffic]:
    """How the requests of the selection's endpoint ended, and by which paths."""
    return Question("traffic", selection, partial(_traffic, selection))


def _traffic(selection: Selection, desk: Desk) -> Traffic:
    return gather_traffic(desk.place, selection, None, texts=desk.source)
