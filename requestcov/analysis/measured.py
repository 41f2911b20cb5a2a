"""What something else than requests ran, as a coverage.py data file says it: tests, commands, jobs.

Law: its lines are of a text, and a file whose text is not known is named with the reason, never
guessed at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from requestcov._source import Source


@dataclass(frozen=True)
class Measured:
    """One file as it was run.

    Attributes:
        path: as in the store.
        source: the text that was run; None: it is not at hand.
        lines: those that ran, as recorded.
        problem: why the lines cannot be placed, or None.
    """

    path: str
    source: Source | None
    lines: frozenset[int]
    problem: str | None = None


@dataclass(frozen=True)
class NotCompared:
    """A file of a data file or of the store, and why it is left out."""

    path: str
    problem: str


@dataclass(frozen=True)
class Elsewhere:
    """One data file of what ran elsewhere than in requests.

    Attributes:
        data: its name.
        files: those of the project.
        contexts: a path and lines as recorded to the names of the contexts that ran any of them;
            of none where they were not kept.
    """

    data: str
    files: tuple[Measured, ...]
    contexts: Callable[[str, Collection[int]], Collection[str]]
