"""Batches on disk until they are acknowledged: this process's, and those of dead ones.

Laws: what ``put`` has taken survives the process. A spool has a size; when more
comes, the oldest batches go and their records are counted, those of dead
processes first. A batch that may have arrived is never dropped: the collector
would have stored what the ledger calls lost. The last batch of a dead process
loses its records but not its ledger, which tells what became of them. A
directory belongs to one live process at a time, by a lock.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress

from requestcov import native
from requestcov.errors import SinkError
from requestcov.record import Batch
from requestcov.sinks import path as place
from requestcov.sinks.http_box import (
    BOOT,
    NAME,
    Box,
    Parcel,
    adopt_box,
    forget_inherited,
    make_box,
    open_directory,
    write_file,
)
from requestcov.sinks.http_losses import FULL, Losses

QUARANTINE = "quarantine"
"""Directory, beside the boxes, of records that the collector refuses."""

MOST_QUARANTINED = 100
"""Files in quarantine at most; the oldest goes."""

ADOPT_EVERY = 60.0
"""Seconds between two looks for what dead processes left."""


class Spool:
    """The batches for one destination.

    Safe for one thread that puts and one that sends; the counts may be read by any.

    Args:
        path: directory of all spools, absolute.
        destination: of this one; told apart in that directory.
        size: bytes it may take in this process.

    Attributes:
        delivered: records of this process that were acknowledged.
        taken: batches of this process that were put.
        resend_sources: texts were lost with a dropped batch, and have to come again.
    """

    def __init__(self, path: str, destination: str, size: int) -> None:
        self.path = path
        self.delivered = 0
        self.taken = 0
        self.resend_sources = False
        self._destination = re.sub(r"[^a-z0-9.-]", "_", destination)
        self._size = size
        self._own: Box | None = None
        self._losses = Losses()
        self._adopted: list[Box] = []
        self._adopt_at = 0.0
        self._lock = native.new_reentrant_lock()

    @property
    def directory(self) -> str:
        """Where the boxes are."""
        return os.path.join(self.path, self._destination)

    @property
    def lost(self) -> Mapping[str, int]:
        """Records of this process that were lost, by reason."""
        with self._lock:
            return self._losses.upto(self.taken)

    @property
    def through(self) -> int:
        """Batches of this process before which none is kept any more, that one included."""
        with self._lock:
            if self._own is None or not self._own.parcels:
                return self.taken
            return self._own.parcels[0].number - 1

    def put(self, batch: Batch, body: bytes, tried: bool = False) -> None:
        """Keep a batch of this process.

        Args:
            tried: it may have arrived already.

        Raises:
            SinkError: it is larger than the spool, or the directory cannot be trusted.
            OSError: it cannot be written.
        """
        if len(body) > self._size:
            raise SinkError(f"a batch of {len(body)} bytes is larger than spool_size")
        with self._lock:
            box = self._box(batch.ledger.boot)
            number = self.taken + 1
            try:
                parcel = box.put(number, len(batch.records), len(batch.sources), batch.id, body, tried)
            except FileNotFoundError:
                # The directory was taken away while we had it open.
                box = self._box(batch.ledger.boot, again=True)
                parcel = box.put(number, len(batch.records), len(batch.sources), batch.id, body, tried)
            before = box.parcels[-1] if box.parcels else None
            box.parcels.append(parcel)
            self.taken = number
            if before is not None and not (before.records or before.sources or before.tried):
                box.remove(before)  # only counts, and these are newer
            self._make_room()

    def deliver_unkept(self, records: int) -> None:
        """So many records of a batch of this process that was not put are acknowledged."""
        with self._lock:
            self.delivered += records

    def oldest(self) -> Parcel | None:
        """The oldest batch of this process."""
        with self._lock:
            return self._own.parcels[0] if self._own is not None and self._own.parcels else None

    def next(self) -> Parcel | None:
        """The batch to send now: the oldest of this process, else of a dead one."""
        with self._lock:
            own = self.oldest()
            if own is not None:
                return own
            if not self._adopted and time.monotonic() >= self._adopt_at:
                self._adopt_at = time.monotonic() + ADOPT_EVERY
                self._adopt()
            while self._adopted:
                if self._adopted[0].parcels:
                    return self._adopted[0].parcels[0]
                self._adopted.pop(0).close()
            return None

    def mark(self, parcel: Parcel, tried: bool) -> bool:
        """Note whether a batch may have arrived; False: it was dropped meanwhile."""
        with self._lock:
            if parcel not in parcel.box.parcels:
                return False
            parcel.box.mark(parcel, tried)
            return True

    def deliver(self, parcel: Parcel, records: int) -> None:
        """So many records of a batch are acknowledged."""
        with self._lock:
            if parcel.box is self._own:
                self.delivered += records

    def lose(self, parcel: Parcel, reason: str, records: int, part: str = "") -> None:
        """Count records of a batch as lost; a part of it once only."""
        with self._lock:
            if part in parcel.box.counted:
                return
            if part:
                parcel.box.counted.add(part)
            self._add(parcel.box, parcel.number, reason, records)
            parcel.box.save_losses([] if part else [parcel.name])

    def lost_upto(self, parcel: Parcel) -> Mapping[str, int]:
        """What was lost of the batches of a box up to one of them, by reason."""
        with self._lock:
            return parcel.box.losses.upto(parcel.number)

    def lose_unkept(self, reason: str, records: int) -> None:
        """Count records of a batch of this process that was not put."""
        with self._lock:
            self._losses.add(self.taken, reason, records)

    def finish(self, parcel: Parcel) -> None:
        """A batch is done with."""
        with self._lock:
            parcel.box.remove(parcel)

    def quarantine(self, name: str, body: bytes) -> bool:
        """Put a refused record aside, for somebody to look at; False: that could not be done."""
        try:
            with self._opened() as directory:
                fd = open_directory(directory, QUARANTINE, os.path.join(self.directory, QUARANTINE))
                try:
                    there = sorted(os.scandir(fd), key=lambda entry: entry.stat().st_mtime)
                    for entry in there[: max(0, len(there) + 1 - MOST_QUARANTINED)]:
                        os.unlink(entry.name, dir_fd=fd)
                    write_file(fd, f"{name}.json.gz", body)
                finally:
                    os.close(fd)
        except (OSError, SinkError):
            return False
        return True

    def held_on_disk(self) -> tuple[int, int]:
        """Batches and records that lie there, of all processes; nothing is touched."""
        names = [name for _, _, found in os.walk(self.directory) for name in found]
        records = [int(match[2]) for name in names if (match := NAME.fullmatch(name)) is not None]
        return len(records), sum(records)

    def close(self) -> None:
        """Give back what is open; what is kept stays for the next process."""
        with self._lock:
            for box in [*self._adopted, *([self._own] if self._own else [])]:
                box.close()
            self._adopted.clear()
            self._own = None
            self._adopt_at = 0.0

    def _box(self, boot: str, again: bool = False) -> Box:
        if self._own is not None and self._own.boot == boot and not again:
            return self._own
        if not BOOT.fullmatch(boot):
            raise SinkError(f"{boot!a} is no id of a process's incarnation")
        forget_inherited()  # where a fork ran no hooks
        with self._opened() as directory:
            box = make_box(directory, self.directory, boot)
        if again and self._own is not None:
            # What the directory held is gone: it will be found missing, and counted.
            for parcel in self._own.parcels:
                parcel.box = box
            box.parcels.extend(self._own.parcels)
            self._own.forget()
        box.losses = self._losses
        self.taken = max([self.taken, *(parcel.number for parcel in box.parcels)])
        self._own = box
        return box

    def _opened(self) -> _Directory:
        place.make_directory(os.path.join(self.path, self._destination))
        return _Directory(self.path, self._destination)

    def _adopt(self) -> None:
        if not os.path.isdir(self.directory):
            return
        with suppress(OSError, SinkError), self._opened() as directory:
            for boot in sorted(os.listdir(directory)):
                if BOOT.fullmatch(boot) and (self._own is None or boot != self._own.boot):
                    box = adopt_box(directory, self.directory, boot)
                    if box is not None:
                        self._adopted.append(box)
        self._adopted.sort(key=lambda box: os.fstat(box.fd).st_mtime)
        self._make_room()

    def _make_room(self) -> None:
        """Drop the oldest batches until the spool has its size again."""
        boxes = [*self._adopted, *([self._own] if self._own else [])]
        total = sum(parcel.size for box in boxes for parcel in box.parcels)
        if total <= self._size:
            return
        for parcel in list(_droppable(boxes, self._own)):
            if total <= self._size:
                return
            total -= parcel.size - self._drop(parcel)

    def _drop(self, parcel: Parcel) -> int:
        """Drop a batch; bytes of what stays of it."""
        box = parcel.box
        stays = None
        if parcel is box.parcels[-1] and box is not self._own and parcel.records:
            with suppress(OSError, ValueError, KeyError):
                stays = box.put(parcel.number, 0, 0, _id(parcel, "ledger"), counts_only(parcel))
        if parcel.sources:
            self.resend_sources = True
        self._add(box, parcel.number, FULL, parcel.records)
        saved = box.save_losses([parcel.name])
        if stays is not None:
            box.parcels.append(stays)
        box.remove(parcel, unsaved=True)
        if not saved:
            box.save_losses()  # now there may be room for it
        return stays.size if stays is not None else 0

    def _add(self, box: Box, number: int, reason: str, count: int) -> None:
        if count:
            box.losses.add(number, reason, count)


class _Directory:
    """The directory of a destination, open while it is needed."""

    def __init__(self, path: str, destination: str) -> None:
        self._path = path
        self._destination = destination

    def __enter__(self) -> int:
        try:
            above = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except NotADirectoryError:
            raise SinkError(f"{self._path!a} is a symbolic link, or no directory.") from None
        try:
            self._fd = open_directory(above, self._destination, os.path.join(self._path, self._destination))
        finally:
            os.close(above)
        return self._fd

    def __exit__(self, *error: object) -> None:
        os.close(self._fd)


def counts_only(parcel: Parcel) -> bytes:
    """A batch without its records and sources, as one of its own."""
    data = json.loads(gzip.decompress(parcel.body()))
    data |= {
        "id": _id(parcel, "ledger"),
        "records": [],
        "sources": [],
        "files": [],
        "blocks": [],
        "spectra": [],
    }
    return gzip.compress(json.dumps(data, separators=(",", ":")).encode("ascii"), mtime=0)


def _id(parcel: Parcel, part: str) -> str:
    return uuid.uuid5(uuid.UUID(parcel.id), part).hex


def _droppable(boxes: list[Box], own: Box | None) -> Iterator[Parcel]:
    """What may be dropped, in that order: batches with records, oldest first, then bare ledgers."""
    # The newest of this process's stays: it is the one that room is made for.
    free = [
        parcel
        for box in boxes
        for parcel in box.parcels
        if not parcel.tried and not (box is own and parcel is box.parcels[-1])
    ]
    yield from (parcel for parcel in free if parcel.records or parcel.sources)
    yield from (parcel for parcel in free if not (parcel.records or parcel.sources))
