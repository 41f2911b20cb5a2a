"""Files of JSON Lines from anywhere: plain or compressed, whole or torn, read line by line.

Laws: what is wrong with one line or one file is an answer that names it, and
the lines and files after it are read all the same; no line, however long, and
no compressed file, however it swells, is held in memory beyond MAX_LINE bytes.
"""

from __future__ import annotations

import io
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from gzip import BadGzipFile, GzipFile
from typing import BinaryIO, cast

from requestcov.record import Ledger, RequestRecord, SourceFile
from requestcov.storage.lines import read_line

MAX_LINE = 64_000_000
"""Bytes of the longest line that is read: a record of 2,000 files has under one million."""

STDIN = "-"

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Line:
    """A line that was understood.

    Attributes:
        place: ``file:12``.
        size: bytes.
    """

    place: str
    item: RequestRecord | Ledger | SourceFile
    size: int


@dataclass(frozen=True)
class Unread:
    """A line, or the rest of a file, that was not understood.

    Attributes:
        place: ``file:12``, or the file alone.
        problem: why.
        expected: whether a process that was killed, or is still writing, leaves such a thing:
            an empty file, a torn last line.
    """

    place: str
    problem: str
    expected: bool = False


def read_files(
    names: Iterable[str], advance: Callable[[int], None] = lambda read: None
) -> Iterator[Line | Unread]:
    """Every line of every file, in order.

    Args:
        names: paths; ``-`` is standard input. A file is decompressed if it begins as gzip does.
        advance: told how many more bytes, as they are on the disk, were read.
    """
    for name in names:
        shown = "standard input" if name == STDIN else name
        try:
            if name == STDIN:
                yield from _read(shown, cast(BinaryIO, sys.stdin.buffer), advance)
            else:
                with open(name, "rb") as file:
                    yield from _read(shown, file, advance)
        except OSError as error:
            yield Unread(shown, f"it cannot be read: {error.strerror or error}")


def total_size(names: Iterable[str]) -> int | None:
    """Bytes of all the files on the disk; None when that cannot be told."""
    try:
        return sum(os.stat(name).st_size for name in names if name != STDIN or _refuse())
    except OSError:
        return None


def _refuse() -> bool:
    raise OSError("standard input has no size")


class _Counted(io.RawIOBase):
    """A file that tells how much of it was read."""

    def __init__(self, file: BinaryIO, advance: Callable[[int], None]) -> None:
        self._file = file
        self._advance = advance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._advance(len(data))
        return len(data)


def _read(shown: str, file: BinaryIO, advance: Callable[[int], None]) -> Iterator[Line | Unread]:
    buffered = io.BufferedReader(_Counted(file, advance), 1 << 20)
    packed = buffered.peek(2)[:2] == _GZIP
    stream = cast(BinaryIO, GzipFile(fileobj=buffered)) if packed else cast(BinaryIO, buffered)
    number = 0
    try:
        while line := stream.readline(MAX_LINE):
            number += 1
            place = f"{shown}:{number}"
            whole = line.endswith(b"\n")
            if not whole and len(line) == MAX_LINE:
                yield Unread(place, f"a line of more than {MAX_LINE:,} bytes")
                while line and not line.endswith(b"\n"):
                    line = stream.readline(MAX_LINE)
                continue
            try:
                yield Line(place, read_line(line), len(line))
            except ValueError as error:
                # A power cut may leave zeros where the data had not reached the disk.
                torn = not whole or not line.strip(b"\0\n")
                yield Unread(place, "a torn last line" if torn else str(error), expected=torn)
        if not number:
            yield Unread(shown, "an empty file", expected=True)
    except EOFError:
        yield Unread(f"{shown}:{number + 1}", "the compressed file ends early", expected=True)
    except (BadGzipFile, zlib.error) as error:
        yield Unread(f"{shown}:{number + 1}", f"the compressed file is damaged from here on: {error}")
