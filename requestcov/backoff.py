"""When to try again what failed, and how often that was.

Law: the pause doubles from FIRST to LONGEST, spread by chance; a destination
that asks for a longer one is obeyed, up to LONGEST_ASKED.
"""

from __future__ import annotations

import math
import random

from requestcov.complaints import describe

FIRST = 0.1
"""Seconds before the first retry; each further one waits twice as long."""

LONGEST = 60.0
"""Seconds between retries at most."""

LONGEST_ASKED = 300.0
"""The same, where the destination says how long it wants to be left alone."""

# Not the shared generator: an app that seeds it must see its own sequence, and a forked child
# must not back off in step with its siblings.
_jitter = random.SystemRandom().uniform


class Backoff:
    """The failures of one thing that is tried.

    Attributes:
        failures: attempts that failed since the last success.
        since: monotonic seconds of the first of them.
        error: the last in words; None after a success.
        until: monotonic seconds before which nothing is tried.
    """

    def __init__(self) -> None:
        self.failures = 0
        self.since = 0.0
        self.error: str | None = None
        self.until = -math.inf
        self._asked = -math.inf

    def failed(self, error: BaseException, now: float) -> None:
        """An attempt failed."""
        if not self.failures:
            self.since = now
        self.failures += 1
        self.error = describe(error)
        delay = min(LONGEST, FIRST * 2 ** min(self.failures - 1, 30))
        asked = getattr(error, "retry_after", 0.0)
        if not isinstance(asked, (int, float)) or math.isnan(asked):
            asked = 0.0
        self._asked = now + min(LONGEST_ASKED, max(0.0, asked))
        self.until = max(now + delay * _jitter(0.5, 1.0), self._asked)

    def worked(self) -> None:
        """An attempt worked."""
        self.failures = 0
        self.error = None
        self.until = self._asked = -math.inf

    def hasten(self) -> None:
        """Do not wait any longer than the destination asked for."""
        self.until = self._asked
