"""What something else than requests ran, as a coverage.py data file says it: tests, commands, jobs.

Law: its lines are of a text, and a file whose text is not known is named with the reason, never
guessed at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
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
        doubt: what speaks against this being the text that was run, or None.
    """

    path: str
    source: Source | None
    lines: frozenset[int]
    problem: str | None = None
    doubt: str | None = None


@dataclass(frozen=True)
class NotCompared:
    """A file of a data file or of the store that is left out.

    Attributes:
        path: as in the store.
        problem: why, in words.
    """

    path: str
    problem: str


@dataclass(frozen=True)
class Doubtful:
    """A file that is compared, though another text of it may have been run.

    Attributes:
        path: as in the store.
        doubt: what speaks for another text, in words.
    """

    path: str
    doubt: str


def doubtful(files: Iterable[Measured]) -> tuple[Doubtful, ...]:
    """Those that are compared and have a doubt."""
    return tuple(
        Doubtful(file.path, file.doubt) for file in files if file.doubt is not None and file.problem is None
    )


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
