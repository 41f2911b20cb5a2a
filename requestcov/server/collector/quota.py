"""How many bytes each token may send a day.

Laws: what is counted is the decompressed documents, by UTC day, in a file beside the store
that all processes of the collector share; it is no record, so it need not survive a power cut.
Used by one thread.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time

from requestcov.server.collector.refusals import later
from requestcov.sinks import path as files

DAY = 86_400


class Quota:
    """Counts in a SQLite file.

    Args:
        path: of the file; made when the first byte is counted.
        most: bytes a day and token.
    """

    def __init__(self, path: str, most: int) -> None:
        self._path = path
        self._most = most
        self._connection: sqlite3.Connection | None = None

    def charge(self, token: str, size: int, now: float | None = None) -> None:
        """Count bytes of a token.

        Args:
            token: its name.
            now: seconds since 1970; None: now.

        Raises:
            Refusal: it would have sent more than it may today.
            sqlite3.Error, OSError, SinkError: the file cannot be written.
        """
        moment = time.time() if now is None else now
        day = int(moment // DAY)
        try:
            connection = self._opened()
            connection.execute("DELETE FROM used WHERE day < ?", (day,))
            counted = (
                size <= self._most
                and connection.execute(
                    "INSERT INTO used (day, token, bytes) VALUES (?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes"
                    " WHERE bytes + excluded.bytes <= ?",
                    (day, token, size, self._most),
                ).rowcount
            )
        except sqlite3.Error:
            self.close()
            raise
        if not counted:
            raise later(
                429,
                f"This token may send {self._most:,} bytes a UTC day, and has.",
                int((day + 1) * DAY - moment) + 1,
            )

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            files.make_directory(self._path)
            fd, _ = files.open_private(self._path, os.O_RDWR)
            os.close(fd)
            connection = sqlite3.connect(
                os.fsencode(self._path), timeout=5, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS used"
                " (day INTEGER, token TEXT, bytes INTEGER, PRIMARY KEY (day, token)) WITHOUT ROWID"
            )
            self._connection = connection
        return self._connection
