"""Who ran a line: one entry for all lines that the same requests of the same endpoints ran.

Law: an answer is in a report once, and says which lines it is of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from requestcov.analysis.who_lines import LineAnswer
from requestcov.record import format_lines
from requestcov.reports.html.material import Material

TITLE = "Who"

MOST_RUNNERS = 12
"""Endpoints of an entry that are named."""

MOST_FILES = 3
"""Files of an entry whose lines are told."""


@dataclass(frozen=True)
class Lines:
    """The lines of one file that an answer is of; the link to the first."""

    path: str
    lines: str
    href: str | None


@dataclass(frozen=True)
class Entry:
    """One answer.

    Attributes:
        number: from 1; of its anchor.
        answer: at most MOST_RUNNERS endpoints; ``more`` are left out.
        places: at most MOST_FILES; ``elsewhere`` files are left out.
    """

    number: int
    answer: LineAnswer
    more: int
    places: tuple[Lines, ...]
    elsewhere: int


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with."""
    return {"entries": _entries(material)}


def _entries(material: Material) -> Iterator[Entry]:
    lines: defaultdict[LineAnswer, dict[str, list[int]]] = defaultdict(dict)
    for path, ran in material.who.items():
        for line, answer in ran.items():
            lines[answer].setdefault(path, []).append(line)
    for answer, number in material.answers.items():
        files = lines[answer]
        places = tuple(
            Lines(path, format_lines(numbers), material.place(path, min(numbers)))
            for path, numbers in list(files.items())[:MOST_FILES]
        )
        shown = answer[:MOST_RUNNERS]
        yield Entry(number, shown, len(answer) - len(shown), places, len(files) - len(places))
