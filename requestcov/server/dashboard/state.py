"""Has the store changed since it was last looked at?

Laws: the answer costs no more than a question to SQLite's page cache while
nothing was written; two processes that look at the same content say the same.
"""

from __future__ import annotations

import os
import threading

from requestcov.storage import open_store
from requestcov.storage.sqlite import Store


class State:
    """The state of one store; any thread may ask.

    Args:
        place: the store's path or URL.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._file: tuple[int, ...] = ()
        self._changes = -1
        self._said = ""

    def now(self) -> str:
        """What :meth:`Store.state` says, read anew only after a write.

        Raises:
            StoreError: the store cannot be opened or read.
        """
        with self._lock:
            try:
                return self._look()
            except BaseException:
                self._forget()
                raise

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        with self._lock:
            self._forget()

    def _look(self) -> str:
        if self._store is None or self._identity(self._store.path) != self._file:
            self._forget()
            self._store = open_store(self._place)
            self._file = self._identity(self._store.path)
        changes = self._store.changes()
        if changes != self._changes or not self._said:
            self._said = self._store.state()
            self._changes = changes
        return self._said

    def _forget(self) -> None:
        store, self._store, self._said = self._store, None, ""
        if store is not None and self._file[:1] == (os.getpid(),):  # a parent's is not ours to close
            store.close()

    def _identity(self, path: str) -> tuple[int, ...]:
        """By which another file in the place of this one, or another process, is known."""
        try:
            state = os.stat(path)
        except OSError:
            return ()
        # The times change at checkpoints only; where the file is read as immutable, they alone tell.
        return os.getpid(), state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns
