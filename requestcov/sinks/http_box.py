"""The directory in which one incarnation of a process keeps its batches, a file each.

Laws: whoever works in it holds its lock, and a lock ends with its process; a
file appears whole and fsynced or not at all; every path is one name below an
open directory, and no link is followed. A loss is on disk before the file of
the lost batch is gone, together with that file's name, so that a crash in
between neither counts it twice nor sends it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import stat
import weakref
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

from requestcov.errors import SinkError
from requestcov.sinks import path as place
from requestcov.sinks.http_losses import Losses

BOOT = re.compile(r"[0-9a-f]{1,64}")
"""What a box is called: the hex id of an incarnation."""

BLOCK = 4096
"""Bytes that disks deal in: a smaller file takes as much."""

LOSSES = "losses.json"

NAME = re.compile(r"([0-9]{12})-([0-9]{1,7})-([0-9]{1,7})-([0-9a-f-]{32,36})\.(batch|tried)")
"""A batch's file: its number, records, sources, id, and whether it may have arrived."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Parcel:
    """One batch on disk.

    Attributes:
        number: its place in its box.
        records, sources: how many it has.
        id: the batch's.
        size: bytes on disk, in whole blocks.
        tried: it may have arrived, so it is neither dropped nor changed any more.
    """

    __slots__ = ("box", "id", "number", "records", "size", "sources", "tried")

    def __init__(self, box: Box, number: int, records: int, sources: int, batch: str, size: int) -> None:
        self.box = box
        self.number = number
        self.records = records
        self.sources = sources
        self.id = batch
        self.size = -(-size // BLOCK) * BLOCK
        self.tried = False

    @property
    def name(self) -> str:
        """Of its file."""
        kind = "tried" if self.tried else "batch"
        return f"{self.number:012}-{self.records}-{self.sources}-{self.id}.{kind}"

    def body(self) -> bytes:
        """The batch as it was put.

        Raises:
            OSError: it cannot be read.
        """
        return read_file(self.box.fd, self.name)


class Box:
    """An open, locked directory of batches.

    Attributes:
        boot: whose they are.
        fd: the directory.
        parcels: what it holds, oldest first.
        losses: what was lost out of it.
        counted: ids of the parts of the batch being sent that are counted as lost already.
    """

    def __init__(self, boot: str, path: str, fd: int) -> None:
        self.boot = boot
        self.fd = fd
        self.pid = os.getpid()
        self.parcels: deque[Parcel] = deque()
        self.losses = Losses()
        self.counted: set[str] = set()
        self._path = path
        self._done: list[str] = []
        self._saved = True
        self._load()
        _open.add(self)

    def put(
        self, number: int, records: int, sources: int, batch: str, body: bytes, tried: bool = False
    ) -> Parcel:
        """Keep a batch.

        Raises:
            SinkError: its id cannot be the name of a file.
            OSError: it is not kept.
        """
        parcel = Parcel(self, number, records, sources, batch, len(body))
        parcel.tried = tried
        if not NAME.fullmatch(parcel.name):
            raise SinkError(f"{batch!a} is no batch's id")
        write_file(self.fd, parcel.name, body)
        return parcel

    def mark(self, parcel: Parcel, tried: bool) -> None:
        """Note that a batch may have arrived, or that it certainly has not."""
        before = parcel.name
        parcel.tried = tried
        if before != parcel.name:
            # Kept in memory at least: the disk may be full, or the file gone.
            with suppress(OSError):
                os.rename(before, parcel.name, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def remove(self, parcel: Parcel, unsaved: bool = False) -> None:
        """A batch is acknowledged or lost: never send it again.

        Its file stays for now when what was lost is not written down, unless told otherwise:
        after a crash the batch comes again, and so does the loss.
        """
        self.parcels.remove(parcel)
        if parcel.tried:
            self.counted.clear()
        self.losses.forget_before(self.parcels[0].number if self.parcels else parcel.number + 1)
        self._done.append(parcel.name)
        if self._saved or unsaved or self.save_losses():
            self._unlink()

    def save_losses(self, gone: Iterable[str] = ()) -> bool:
        """Write down what was lost, and which files with it; False: the disk does not take it."""
        data = {
            "v": 1,
            "losses": self.losses.entries(),
            "counted": sorted(self.counted),
            "gone": [*gone, *self._done],
        }
        try:
            write_file(self.fd, LOSSES, json.dumps(data).encode())
        except OSError:
            self._saved = False
        else:
            self._saved = True
        return self._saved

    def close(self) -> None:
        """Give the lock back, and the directory if nothing is left in it."""
        if self.fd < 0:
            return
        if not self.parcels and not self._done:
            with suppress(OSError):
                os.unlink(LOSSES, dir_fd=self.fd)
            with suppress(OSError):
                os.rmdir(self._path)
        # Unlocked by hand: a child forked meanwhile shares the lock and keeps it past our close.
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        self.forget()

    def forget(self) -> None:
        """Close the directory and leave its lock to the process that has it."""
        os.close(self.fd)
        self.fd = -1
        _open.discard(self)

    def _load(self) -> None:
        self.losses, self.counted, gone = _read_losses(self.fd)
        found = []
        for name in os.listdir(self.fd):
            match = NAME.fullmatch(name)
            if name in gone or name.endswith(".new"):
                self._done.append(name)
            elif match is not None:
                number, records, sources, batch, kind = match.groups()
                size = os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_size
                parcel = Parcel(self, int(number), int(records), int(sources), batch, size)
                parcel.tried = kind == "tried"
                found.append(parcel)
        self._unlink()
        self.parcels.extend(sorted(found, key=lambda parcel: parcel.number))

    def _unlink(self) -> None:
        """Remove the files that are done with; what cannot be removed now is tried again at the next."""
        left = []
        for name in self._done:
            try:
                os.unlink(name, dir_fd=self.fd)
            except FileNotFoundError:
                continue
            except OSError:
                left.append(name)
        self._done = left


def make_box(directory: int, path: str, boot: str) -> Box:
    """A box of that name, made if need be, and locked.

    Args:
        directory: the directory it is in, open.
        path: that directory's.

    Raises:
        SinkError: another process holds it, or it is somebody else's.
        OSError: it cannot be made.
    """
    while True:
        fd = open_directory(directory, boot, os.path.join(path, boot))
        try:
            place.lock(fd, os.path.join(path, boot))
            if _names(directory, boot, fd):
                return Box(boot, os.path.join(path, boot), fd)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # taken for a dead process's and removed, while it was new


def adopt_box(directory: int, path: str, boot: str) -> Box | None:
    """The box of a process that has ended; None: it is in use, gone, or not ours."""
    try:
        fd = os.open(boot, _DIRECTORY, dir_fd=directory)
    except OSError:
        return None
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            raise PermissionError
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _names(directory, boot, fd):
            return Box(boot, os.path.join(path, boot), fd)
    except OSError:
        pass
    os.close(fd)
    return None


def open_directory(within: int, name: str, path: str) -> int:
    """Open a directory of ours, made 0700 if need be.

    Args:
        within: the directory it is in, open.
        name: what it is called there.
        path: the same for people.

    Raises:
        SinkError: a link, not a directory, or another user's.
        OSError: it cannot be made or opened.
    """
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=within)
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=within)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise SinkError(f"{path!a} is a symbolic link, or no directory.") from None
        raise
    info = os.fstat(fd)
    if info.st_uid != os.geteuid():
        os.close(fd)
        raise SinkError(
            f"The directory {path!a} belongs to user {info.st_uid}, and this process runs as user "
            f"{os.geteuid()}: change its owner, or choose a directory of your own."
        )
    if stat.S_IMODE(info.st_mode) != 0o700:
        os.fchmod(fd, 0o700)
    return fd


def write_file(directory: int, name: str, data: bytes) -> None:
    """Make or replace a file, whole and fsynced, 0600.

    Raises:
        OSError: it is not there, or is what it was before.
    """
    fresh = f"{name}.new"
    with suppress(FileNotFoundError):
        os.unlink(fresh, dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(fresh, flags, 0o600, dir_fd=directory)
    try:
        os.fchmod(fd, 0o600)
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
        os.fsync(fd)
        os.rename(fresh, name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(fresh, dir_fd=directory)
        raise
    finally:
        os.close(fd)


def read_file(directory: int, name: str) -> bytes:
    """A file's content.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return file.read()


def _read_losses(directory: int) -> tuple[Losses, set[str], set[str]]:
    """What was lost, what of it is in parts counted already, and which files went with it."""
    try:
        data = json.loads(read_file(directory, LOSSES))
        losses = Losses((int(number), str(reason), int(count)) for number, reason, count in data["losses"])
        return losses, set(map(str, data["counted"])), set(map(str, data["gone"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Losses(), set(), set()


def _names(directory: int, name: str, fd: int) -> bool:
    try:
        there = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(fd))


_open: weakref.WeakSet[Box] = weakref.WeakSet()


def forget_inherited() -> None:
    """After a fork: close the parent's boxes here, or they would stay locked when it has ended."""
    for box in list(_open):
        if box.pid != os.getpid():
            box.forget()


os.register_at_fork(after_in_child=forget_inherited)
