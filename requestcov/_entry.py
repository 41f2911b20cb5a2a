"""What the sampler knows of one endpoint, or of one name made from paths.

Laws: a request that is not sampled is counted by one subtraction, which a
wrapper makes itself; counting is exact without a lock, for no method here
calls anything between reading a number and writing it, and threads change
only at calls and at backward jumps.
"""

from __future__ import annotations

MAX_PROBES = 20
"""Names behind one endpoint's template that are tried as endpoints of their own: a route
not met yet, such as ``/pages/about``, can hide behind ``/pages/{slug}``."""


class Entry:
    """What is known of one endpoint, or of one name made from paths.

    Attributes:
        left: how many requests go by before one must be asked about. Whoever finds more than 0
            takes 1 off, and with that the request is counted and is not recorded. There is no
            call between reading and writing it, so no other thread comes in between.
    """

    __slots__ = (
        "_until",
        "again",
        "boost",
        "boost_end",
        "endpoint",
        "first",
        "forms",
        "into",
        "left",
        "named",
        "probes",
        "quiet",
        "routed",
        "shape",
    )

    def __init__(self, method: str, shape: str, first: int) -> None:
        self.endpoint = f"{method} {shape}"
        self.shape = shape
        self.left = 0
        self._until = 0  # what `seen` will be when none is left
        self.first = first
        self.boost = 0
        self.boost_end = 0.0
        self.again = float("-inf")
        self.probes = MAX_PROBES
        self.forms = 0
        self.quiet = False  # only the rate decides: the request after the last that is left is recorded
        self.into: Entry | None = None  # the endpoint that this name has turned out to be
        self.routed = False  # it is an endpoint: its shape is a route's template
        self.named = False  # a record carries this name, having no other

    @property
    def seen(self) -> int:
        """Requests counted."""
        return self._until - self.left

    def count(self) -> None:
        """One more request."""
        self._until += 1

    def leave(self, left: int) -> None:
        """So many go by from here on."""
        self._until += left - self.left
        self.left = left

    def clear(self) -> None:
        """Begin to count anew."""
        self._until = self.left = self.boost = 0
        self.quiet = False
