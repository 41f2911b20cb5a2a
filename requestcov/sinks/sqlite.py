"""The SQLite sink: ``sqlite:///path.db``, one database for any number of processes.

Laws: SQLite's locks belong to a process and its memory of them is copied by
fork, so a connection is never carried across one: it is closed before a fork,
and the child opens its own; a child of a fork in the middle of a write
refuses to write rather than harm the database. A database that was taken away
is made anew; a corrupt one is set aside, never overwritten; a newer one or
another program's is left alone.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from requestcov import native
from requestcov.errors import SinkError, StoreError
from requestcov.record import Batch
from requestcov.sinks import path as place
from requestcov.storage.sqlite_schema import is_corrupt
from requestcov.storage.sqlite_writer import BUSY_SECONDS, Added, Writer

T = TypeVar("T")

_log = logging.getLogger("requestcov")

FORK_SECONDS = 0.5
"""How long a fork waits, at most, for the writes going on."""

_MAGIC = b"SQLite format 3\0"
_SUFFIXES = (".db", ".sqlite", ".sqlite3")


def open_sqlite(url: str) -> SqliteSink:
    """A sink for a ``sqlite:`` URL.

    Raises:
        ConfigError: the URL cannot be used.
    """
    path, _ = place.parse_file_url(url, {})
    return SqliteSink(path, name=url)


class SqliteSink:
    """Writes batches to one database.

    Args:
        busy_seconds: how long one attempt waits for another process's transaction.

    Attributes:
        name: the URL.
        path: absolute path of the database.
    """

    def __init__(self, path: str, *, name: str, busy_seconds: float = BUSY_SECONDS) -> None:
        self.name = name
        self.path = path
        self._busy_seconds = busy_seconds
        self._writer: Writer | None = None
        self._file: tuple[int, int] | None = None
        self._pid = 0
        # Native: a lock of gevent's would let requests run, and fork, in the middle of a fork.
        self._lock = native.new_lock()
        # Now, not when a connection is opened: a fork must find no sink in the middle of that.
        _sinks.add(self)
        _close_before_forks()

    def write(self, batch: Batch) -> None:
        """Commit a batch.

        Raises:
            SinkError: it is not kept; says why.
            OSError: the directory or the file cannot be made.
        """
        self._use(lambda writer: writer.write(batch))

    def write_all(self, batches: Sequence[Batch]) -> list[Added]:
        """Commit batches in one transaction; what became of the records of each.

        Raises:
            SinkError: none of them is kept; says why.
            OSError: the directory or the file cannot be made.
        """
        return self._use(lambda writer: writer.add_batches(batches))

    def touch(self) -> None:
        """Find out whether something could be committed now.

        Raises:
            SinkError: no; says why.
            OSError: the directory or the file cannot be made.
        """
        self._use(Writer.touch)

    def _use(self, use: Callable[[Writer], T]) -> T:
        with self._lock:
            try:
                try:
                    return use(self._opened())
                except sqlite3.Error as error:
                    if not is_corrupt(error):
                        raise
                    self._set_aside(error)
                    return use(self._opened())
            except sqlite3.Error as error:
                if not _is_busy(error):
                    self._let_go()  # A failed disk may leave a connection in a state of its own.
                raise SinkError(f"SQLite cannot write {self.path!a}: {error}.") from error
            except StoreError as error:
                raise SinkError(f"{self.path!a} is left as it is: {error}.") from error

    def close(self) -> None:
        """Close the connection; the next write opens one again."""
        with self._lock:
            if self._pid == os.getpid():
                self._let_go()

    def _opened(self) -> Writer:
        """The connection to the database that the path names now, in this process."""
        if self._writer is not None and self._pid != os.getpid():  # Forked without Python's hooks.
            self._abandon()
        if self._writer is not None:
            if self._file == _identity(self.path):
                return self._writer
            self._let_go()
        place.make_directory(self.path)
        with place.directory_lock(self.path):
            with suppress(FileNotFoundError):
                place.check_file(self.path, os.lstat(self.path))
            if _identity(self.path) in _unsafe:
                raise SinkError(
                    f"This process was forked while its parent was writing to {self.path!a}; "
                    "SQLite cannot be used on that file here."
                )
            if _identity(self.path) is None:
                # Only a file that is new may be closed again: closing one that this
                # process also has open elsewhere would drop the locks it holds on it.
                fd, _ = place.open_private(self.path, os.O_RDWR)
                os.close(fd)
                place.sync_directory(self.path)
            self._file = _identity(self.path)
            self._pid = os.getpid()
            self._writer = Writer(self.path, self._busy_seconds)
        return self._writer

    def _let_go(self) -> None:
        if self._writer is not None:
            with suppress(sqlite3.Error):
                self._writer.close()
        self._writer = None

    def _abandon(self) -> None:
        """In a child: never use, nor close, a connection that its parent was using."""
        _leaked.append(self._writer)
        if self._file is not None:
            _unsafe.add(self._file)
        self._writer = None

    def _set_aside(self, error: sqlite3.Error) -> None:
        """Rename a corrupt database, so that a fresh one takes its place.

        Raises:
            StoreError: the file does not look like a database of ours.
            OSError: it cannot be renamed.
        """
        self._let_go()
        with place.directory_lock(self.path):
            if self._file is None or self._file != _identity(self.path):
                return  # Another process has done it.
            if not self.path.endswith(_SUFFIXES) and not _has_magic(self.path):
                raise StoreError("it is not a SQLite database; name another file") from error
            aside = f"{self.path}.corrupt-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}"
            for suffix in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    os.rename(self.path + suffix, aside + suffix)
        _log.error(
            "requestcov: %s is corrupt (%s); set aside as %s, a new database is begun",
            ascii(self.path),
            error,
            ascii(aside),
        )

    def _before_fork(self, deadline: float) -> bool:
        """Close the connection and keep others from opening one; False: a write does not end."""
        if not self._lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return False
        self._let_go()
        return True

    def _after_fork_in_parent(self) -> None:
        self._lock.release()

    def _after_fork_in_child(self, closed: bool) -> None:
        self._lock = native.new_lock()
        if not closed:
            self._abandon()


_sinks: weakref.WeakSet[SqliteSink] = weakref.WeakSet()
_held: list[SqliteSink] = []
_leaked: list[Writer | None] = []
_unsafe: set[tuple[int, int]] = set()
"""Files that an abandoned connection has open: SQLite, in this process, would
take the parent's locks on them for its own."""
_registered = False


def _close_before_forks() -> None:
    """Register the fork hooks, once, with the first sink."""
    global _registered
    if not _registered:
        _registered = True
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


def _before() -> None:
    deadline = time.monotonic() + FORK_SECONDS
    _held.extend(sink for sink in list(_sinks) if sink._before_fork(deadline))


def _in_parent() -> None:
    while _held:
        _held.pop()._after_fork_in_parent()


def _in_child() -> None:
    for sink in list(_sinks):
        sink._after_fork_in_child(closed=sink in _held)
    _held.clear()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        info = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return info.st_dev, info.st_ino


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _has_magic(path: str) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.read(fd, len(_MAGIC)) == _MAGIC
    finally:
        os.close(fd)
