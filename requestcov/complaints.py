"""What the live half says in the log: little, and never twice in a row.

Laws: every message goes to the logger ``requestcov``, and says so itself, as
the app's log may not; one kind of message is
said once, then at most every ten minutes with the number of times it was
held back; control characters are escaped, so that no path or reply of a
server can forge a log line; a log handler that fails, or that leads back to
us, stops here.
"""

from __future__ import annotations

import logging

from requestcov.errors import RequestcovError

logger = logging.getLogger("requestcov")

QUIET = 600.0
"""Seconds for which a kind of message that was said is not said again."""

LENGTH = 500
"""Characters of a message at most."""


def printable(text: str) -> str:
    """The text on one line: escaped where not printable, cut at LENGTH characters."""
    text = text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def describe(error: BaseException) -> str:
    """``OSError: [Errno 28] No space left on device``; copes with a broken ``__str__``.

    Our own errors are sentences, of which their class tells nobody anything.
    """
    try:
        text = str(error)
    except Exception:
        text = "(no message)"
    if text and isinstance(error, RequestcovError):
        return printable(text.removesuffix("."))
    return printable(f"{type(error).__name__}: {text}" if text else type(error).__name__)


class Complaints:
    """Says things to the log, each kind rarely. One per process."""

    def __init__(self) -> None:
        self._quiet_until: dict[str, float] = {}
        self._held_back: dict[str, int] = {}

    def say(self, kind: str, text: str, now: float) -> bool:
        """Log a warning unless one of its kind was logged within QUIET seconds.

        Args:
            kind: what the message is about; a small fixed set.
            text: any text; escaped here.
            now: monotonic seconds.

        Returns:
            Whether it was said.
        """
        if now < self._quiet_until.get(kind, now):
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return False
        # Before logging: a handler that leads back here finds the kind quiet.
        self._quiet_until[kind] = now + QUIET
        count = self._held_back.pop(kind, 0)
        more = f" (and {count} more like it)" if count else ""
        try:
            logger.warning("requestcov: %s%s", printable(text), more)
        except (Exception, SystemExit):
            return False
        return True
