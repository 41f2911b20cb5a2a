"""What an engine fills while one request runs.

Law: a closed collection receives nothing more. Work that outlives its request
keeps the collection in its context for ever, so closing swaps the container
that engines write to for one that nobody reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

Step = tuple[Callable[[], object], object]
"""What halts the collecting of a step, by one C call that never fails; and what ``leave`` needs."""

NOTHING: Step = (bool, None)
"""The Step of an engine that has nothing to do for it; bool() has no effect."""

Lines = dict[str, set[int]]
"""``co_filename`` to line numbers; from the trace engine with arcs, to packed pairs."""

LIMBO: defaultdict[str, set[int]] = defaultdict(set)
"""Where lines of closed collections go: bounded by the size of the measured code."""


class Collection:
    """The lines of one request as they come in.

    Attributes:
        lines: what engines write to.
        before: what had run when the response was complete, or None.
        open: False from the moment the request has ended or was cut.
    """

    __slots__ = ("before", "lines", "open")

    def __init__(self) -> None:
        self.lines: Lines = defaultdict(set)
        self.before: Lines | None = None
        self.open = True
