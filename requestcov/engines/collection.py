"""What an engine fills while one request runs.

Laws: a closed collection receives nothing more. Work that outlives its request
keeps the collection in its context for ever, so closing swaps the containers
that engines write to for ones that nobody reads. Sorting what came in is the
drainer's work.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

Step = tuple[Callable[[], object], object]
"""What halts the collecting of a step, by one C call that never fails; and what ``leave`` needs."""

NOTHING: Step = (bool, None)
"""The Step of an engine that has nothing to do for it; bool() has no effect."""

Lines = dict[str, set[int]]
"""``co_filename`` to line numbers; from the trace engine with arcs, to packed pairs."""

Log = list[Any]
"""Code objects and line numbers in turn, as the monitoring engine notes them: ``[code, 12, code, 13]``."""

Found = tuple[Lines, Log]
"""What an engine hands over; :func:`merge` makes Lines of it."""

MAX_LOG = 40_000
"""Longest log that is left to the drainer: a quarter of a megabyte, twenty thousand lines."""

LIMBO: defaultdict[str, set[int]] = defaultdict(set)
"""Where lines of closed collections go: bounded by the size of the measured code."""


class Collection:
    """The lines of one request as they come in.

    Attributes:
        lines: what engines write to, and
        log: what they write to where a line comes once only, which is cheaper.
        before: what had run when the response was complete, or None.
        open: False from the moment the request has ended or was cut.
    """

    __slots__ = ("before", "lines", "log", "open")

    def __init__(self) -> None:
        self.lines: Lines = defaultdict(set)
        self.log: Log = []
        self.before: Found | None = None
        self.open = True


def merge(found: Found) -> Lines:
    """All the lines in what an engine has handed over, in sets of their own."""
    lines, log = found
    # list() and set() of built-in containers are one step each under the GIL.
    merged = {name: set(numbers) for name, numbers in list(lines.items())}
    add_log(merged, log)
    return merged


def add_log(lines: Lines, log: Log) -> None:
    """Sort a log into sets."""
    last, numbers = None, set[int]()
    turns = iter(log)
    for code, line in zip(turns, turns, strict=True):
        if code is not last:
            numbers, last = lines.setdefault(code.co_filename, set()), code
        numbers.add(line)
