"""JSON Lines in a file: ``file:///path.jsonl?max_bytes=…&keep=…``.

Laws: the file is open only during a write, under an exclusive lock, so any
number of processes share it and nothing is carried across a fork; a batch is
appended whole and fsynced, or the file is cut back to where it was; a line
that a crash tore is removed before the next one is written; a file that is
not ours is never changed. Only whole lines with ``"v":1`` are written.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os

from requestcov.errors import SinkError
from requestcov.record import Batch, Ledger
from requestcov.sinks import path as place
from requestcov.storage.lines import HEAD, ledger_line, record_line, source_line

_log = logging.getLogger("requestcov")

_OPTIONS = {"max_bytes": (1024, 1 << 50), "keep": (1, 1000)}
_KEEP = 5


def open_file(url: str) -> FileSink:
    """A sink for a ``file:`` URL.

    Raises:
        ConfigError: the URL cannot be used.
    """
    path, options = place.parse_file_url(url, _OPTIONS)
    if "keep" in options and "max_bytes" not in options:
        raise place.refuse(url, "keep says how many rotated files stay, and needs max_bytes")
    return FileSink(path, name=url, **options)


class FileSink:
    """Appends batches to one file.

    Attributes:
        name: the URL.
        path: absolute path of the file being written.
        max_bytes: a batch that would make the file larger goes to a fresh one
            (0: never); a batch larger than that fills a file alone.
        keep: rotated files that stay: ``path.1`` is the newest.
    """

    def __init__(self, path: str, *, name: str, max_bytes: int = 0, keep: int = _KEEP) -> None:
        self.name = name
        self.path = path
        self.max_bytes = max_bytes
        self.keep = keep
        self._told = False
        self._last: tuple[tuple[int, int], int, Ledger] | None = None

    def write(self, batch: Batch) -> None:
        """Append a batch and fsync it.

        Raises:
            SinkError: the file is locked, a link, somebody else's, or not ours.
            OSError: it cannot be opened or written (full disk, size limit, …).
        """
        data = b"".join([*map(record_line, batch.records), *map(source_line, batch.sources)])
        fd = self._open()
        try:
            size = _repair(fd, self.path)
            file, line = self._ledger_line(batch.ledger, fd, size)
            # Again if need be: others may fill the fresh file before we have its lock.
            while self.max_bytes and size > 0 and size + len(data) + len(line) > self.max_bytes:
                if not self._rotate():
                    break
                fresh = self._open()
                _release(fd)
                fd = fresh
                size = _repair(fd, self.path)
                file, line = self._ledger_line(batch.ledger, fd, size)
            if data or line:
                _append(fd, data + line, size)
            self._last = (file, size + len(data) + len(line), batch.ledger)
        finally:
            _release(fd)

    def close(self) -> None:
        """Nothing to do: nothing stays open."""

    def _ledger_line(self, ledger: Ledger, fd: int, size: int) -> tuple[tuple[int, int], bytes]:
        """The identity of an open file, and the ledger as a line for it: none if it says nothing new.

        In a file that has an earlier line of this process, ``seen`` holds only
        the endpoints whose count changed: with hundreds of endpoints the
        repeated rest would outweigh the records.
        """
        info = os.fstat(fd)
        file = (info.st_dev, info.st_ino)
        seen = ledger.seen
        if self._last is not None:
            last, end, before = self._last
            # A file that is shorter now is another one, which was given the old one's inode.
            if last != file or end > size or before.boot != ledger.boot:
                return file, ledger_line(ledger, seen)
            if _counts(before) == _counts(ledger) and before.seen == seen:
                return file, b""
            seen = {name: count for name, count in seen.items() if before.seen.get(name) != count}
        return file, ledger_line(ledger, seen)

    def _open(self) -> int:
        """The locked file that the path names now."""
        while True:
            place.make_directory(self.path)
            fd, made = place.open_private(self.path, os.O_RDWR | os.O_APPEND)
            try:
                if made:
                    place.sync_directory(self.path)
                place.lock(fd, self.path)
                if _names(self.path, fd):
                    return fd
            except BaseException:
                _release(fd)
                raise
            _release(fd)  # Rotated away while we waited for the lock.

    def _rotate(self) -> bool:
        """Shift path -> path.1 -> path.2 …, holding the lock on the file that path names.

        Only up to the first number that is free: a rotation that failed half
        way and is tried again pushes no further file out. False: it failed.
        """
        names = [self.path, *(f"{self.path}.{number}" for number in range(1, self.keep + 1))]
        free = next((at for at, name in enumerate(names) if not os.path.lexists(name)), self.keep)
        try:
            for at in range(free, 0, -1):
                os.rename(names[at - 1], names[at])
            place.sync_directory(self.path)
        except OSError as error:
            if not self._told:
                self._told = True
                _log.warning(
                    "requestcov: %s cannot be rotated (%s); it goes on growing",
                    ascii(self.path),
                    error.strerror,
                )
            return False
        return True


def _names(path: str, fd: int) -> bool:
    """Whether a path still names an open file."""
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(fd))


def _release(fd: int) -> None:
    # Unlocked by hand: a child forked meanwhile shares the lock and would keep it past our close.
    try:
        fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def _repair(fd: int, path: str) -> int:
    """Cut a torn last line off; the file's size then.

    Raises:
        SinkError: the file holds something else than our lines.
    """
    size = os.fstat(fd).st_size
    head = os.pread(fd, len(HEAD), 0)
    if not HEAD.startswith(head):
        raise SinkError(f"{path!a} exists and holds no requestcov records; choose another file.")
    if not size or os.pread(fd, 1, size - 1) == b"\n":
        return size
    start = end = size
    while start:
        start = max(0, end - 65536)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            start += newline + 1
            break
        end = start
    tail = os.pread(fd, len(HEAD), start)
    # A power cut may leave zeros where data had not reached the disk.
    if not HEAD.startswith(tail) and tail.strip(b"\0"):
        raise SinkError(f"{path!a} ends in something requestcov did not write; choose another file.")
    os.ftruncate(fd, start)
    return start


def _append(fd: int, data: bytes, size: int) -> None:
    """Write all of it and fsync, or leave the file as it was.

    Raises:
        OSError: it could not be written.
    """
    try:
        # A full disk or a size limit shows as a short write first.
        if os.write(fd, data) != len(data):
            raise OSError(errno.ENOSPC, "the disk is full, or a size limit reached")
        os.fsync(fd)
    except BaseException:
        os.ftruncate(fd, size)
        raise


def _counts(ledger: Ledger) -> tuple[int, int, int, int, dict[str, int]]:
    return ledger.excluded, ledger.sampled, ledger.stored, ledger.pending, dict(ledger.dropped)
