"""The choice of engine, with the reasons.

Laws: a line belongs to the request whose context ran it; no engine raises into
the app; both engines give equal line sets. Engines know contexts and code,
nothing of requests.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from requestcov.engines.collection import LIMBO, NOTHING, Collection, Found, Lines, Step, merge
from requestcov.engines.monitoring import MonitoringEngine
from requestcov.engines.trace import TraceEngine

__all__ = ["LIMBO", "NOTHING", "Choice", "Collection", "Engine", "Found", "Lines", "Step", "merge", "select"]


class Engine(Protocol):
    """Collects the lines that run in contexts holding an open Collection."""

    name: str
    arcs: bool
    """Whether collections hold packed arcs instead of lines."""
    steps: bool
    """Whether ``enter`` and ``leave`` have anything to do; if not, they need not be called."""

    def begin(self, collection: Collection) -> str | None:
        """Start to collect; called in the request's context, before enter.

        Returns None, or the reason why nothing can be collected now.
        """

    def enter(self, collection: Collection, alone: bool = True) -> Step:
        """This thread starts a step of the request.

        Alone: until ``leave`` everything that runs on this stack is the request's own.
        Returns what halts the collecting, to be called first when the step has ended, in
        the frame that ran it, so that ``leave`` is not collected; and what ``leave`` needs.
        """

    def leave(self, collection: Collection, entered: object) -> None:
        """The step has ended. As deep in calls as ``enter`` was, on the same thread."""

    def mark(self, collection: Collection) -> None:
        """The response is complete: remember what ran so far in ``before``."""

    def end(self, collection: Collection) -> Found:
        """Close the collection, from any thread, once; returns what ran since ``mark``.

        What ran before it is in ``before``. What is returned changes no more,
        but for a thread of the request that is in the act of adding a line.
        """

    def settle(self) -> None:
        """Bound the memory of collections that stay open; called now and then while there are any."""

    def forget(self) -> None:
        """In a forked child: the parent's collections are not ours."""

    def close(self) -> None:
        """Give back every hook."""


@dataclass(frozen=True)
class Choice:
    """Which engine runs here and why not the other one."""

    name: str
    because: str
    rejected: dict[str, str]


def choose(branch: bool) -> Choice:
    """Decide by interpreter and configuration alone; starts nothing."""
    if sys.version_info < (3, 12):
        version = ".".join(map(str, sys.version_info[:2]))
        return Choice(
            "trace",
            f"Python {version} has no sys.monitoring",
            {"monitoring": "needs Python 3.12 or later"},
        )
    if branch:
        return Choice(
            "trace",
            "branches are recorded, and only line-to-line arcs name them exactly",
            {"monitoring": "its branch events miss the arcs that exceptions and finally take"},
        )
    return Choice(
        "monitoring",
        "sys.monitoring costs nothing between recordings and one event a line in them",
        {"trace": "slower, and its trace function would displace a debugger's"},
    )


def select(measures: Callable[[str], bool], active: ContextVar[Collection | None], *, branch: bool) -> Engine:
    """Make the engine that :func:`choose` names.

    Args:
        measures: whether a ``co_filename`` is in scope; must not block.
        active: the variable whose value in a context owns the lines it runs.
        branch: whether to collect arcs.
    """
    if choose(branch).name == "monitoring":
        return MonitoringEngine(measures, active)
    return TraceEngine(measures, active, arcs=branch)
