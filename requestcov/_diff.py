"""Unified diffs: which lines of the old files they change, and the old texts themselves.

Laws: a file is named as it is on disk, without prefixes and quotes; contents are
bytes, broken into lines at LF only; a diff that cannot be read whole is refused.
The package unidiff reads hunks and headers; names, and undoing, are ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchedFile, PatchSet

from requestcov.errors import RequestcovError

# What git puts before a name by default, with diff.mnemonicPrefix, and with --no-index or -R.
_PREFIXES = {(f"{old}/", f"{new}/") for old, new in ("ab", "iw", "ci", "cw", "ow", "12")}
_PREFIXES |= {(new, old) for old, new in _PREFIXES}
_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


class DiffError(RequestcovError, ValueError):
    """A text is no unified diff, or a broken one."""


@dataclass(frozen=True)
class Change:
    """Lines that stand together and were removed, added, or put in place of others.

    Attributes:
        removed: their numbers in the old file.
        after: number of the old line that precedes the change; 0: it is at the top.
        added: what stands there now, without line ends.
    """

    removed: tuple[int, ...]
    after: int
    added: tuple[str, ...]


@dataclass(frozen=True)
class Hunk:
    """Neighbouring lines of the two files.

    Attributes:
        old, new: number of the first line that it holds, or would hold, of each.
        lines: (" ", "-" or "+", the line with its end); bytes beyond UTF-8 are surrogates.
    """

    old: int
    new: int
    lines: tuple[tuple[str, str], ...]

    def side(self, sign: str) -> list[bytes]:
        """The lines of the old side (``-``) or of the new one (``+``)."""
        return [line.encode("utf-8", "surrogateescape") for mark, line in self.lines if mark in (" ", sign)]


@dataclass(frozen=True)
class FileDiff:
    """What a diff says of one file.

    Attributes:
        old, new: names with ``/``; None where there is no such file.
        binary: whether its content is not told.
        hunks: ascending.
    """

    old: str | None
    new: str | None
    binary: bool
    hunks: tuple[Hunk, ...]

    @property
    def status(self) -> str:
        """``new``, ``deleted``, ``binary``, ``renamed``, ``modified``, or ``mode``: nothing but that."""
        if self.old is None or self.new is None:
            return "new" if self.old is None else "deleted"
        if self.binary:
            return "binary"
        return "renamed" if self.old != self.new else "modified" if self.hunks else "mode"

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every change, ascending."""
        return tuple(change for hunk in self.hunks for change in _changes(hunk))

    def undone(self, content: bytes) -> bytes | None:
        """The old file's content, from the new one's; None when this is not the new one."""
        return self._exchanged(content, "+", "-")

    def begins_with(self, content: bytes) -> bool:
        """Whether this can be the old file's content: all that the diff says of that stands in it."""
        return self._exchanged(content, "-", "+") is not None

    def _exchanged(self, content: bytes, one: str, other: str) -> bytes | None:
        lines = _split(content)
        result: list[bytes] = []
        at = 0
        for hunk in self.hunks:
            start = (hunk.new if one == "+" else hunk.old) - 1
            present = hunk.side(one)
            found = lines[start : start + len(present)]
            if start < at or [_bare(line) for line in found] != [_bare(line) for line in present]:
                return None
            result += lines[at:start]
            result += hunk.side(other)
            at = start + len(present)
        return b"".join([*result, *lines[at:]])


def read_diff(content: bytes) -> tuple[FileDiff, ...]:
    """Understand a unified diff, of git or of diff -u; an empty one changes nothing.

    Raises:
        DiffError: it is something else, or broken.
    """
    text = content.decode("utf-8", "surrogateescape")
    if re.search(r"^(?:diff --(?:cc|combined) |@@@ )", text, re.MULTILINE):
        raise DiffError("a merge's combined diff has no single old side: make one with git diff A..B.")
    try:
        files = tuple(_file(patched) for patched in PatchSet(text))
    except (UnidiffParseError, ValueError) as broken:
        raise DiffError(f"this is not a whole unified diff: {str(broken).strip()}.") from broken
    if not files and text.strip():
        raise DiffError("this is not a unified diff: it names no file. See git diff, or diff -u.")
    return files


def _file(patched: PatchedFile) -> FileDiff:
    old, new = _names(patched)
    return FileDiff(old, new, bool(patched.is_binary_file), tuple(_hunks(patched)))


def _hunks(patched: PatchedFile) -> Iterator[Hunk]:
    for hunk in patched:
        lines: list[tuple[str, str]] = []
        for line in hunk:
            if line.line_type == "\\":
                mark, last = lines[-1]
                lines[-1] = mark, last.removesuffix("\n")
            else:
                # Some tools take the blank of an empty context line away.
                lines.append((line.line_type or " ", line.value))
        # A side without lines is numbered by the line before it.
        yield Hunk(
            hunk.source_start + (not hunk.source_length), hunk.target_start + (not hunk.target_length),
            tuple(lines),
        )  # fmt: skip


def _changes(hunk: Hunk) -> Iterator[Change]:
    number, removed, added = hunk.old, list[int](), list[str]()
    first = number
    for mark, line in (*hunk.lines, (" ", "")):
        if mark == " ":
            if removed or added:
                yield Change(tuple(removed), first - 1, tuple(added))
                removed, added = [], []
            number += 1
            first = number
        elif mark == "-":
            removed.append(number)
            number += 1
        else:
            added.append(line.rstrip("\r\n"))


def _names(patched: PatchedFile) -> tuple[str | None, str | None]:
    info = [line.rstrip("\r\n") for line in patched.patch_info or ()]
    told: dict[str, str] = {}
    for line in info:
        moved = re.match(r"(?:rename|copy) (from|to) (.*)", line)
        if moved:
            told[moved[1]] = moved[2]
    if len(told) == 2:  # Names without prefixes, whatever the options were.
        return _unquoted(told["from"]), _unquoted(told["to"])
    header = next((line for line in info if line.startswith("diff --git ")), None)
    old, new = (_unquoted(name.rstrip("\r")) for name in (patched.source_file, patched.target_file))
    if patched.is_added_file or old == "/dev/null":
        return None, _stripped(new, header, new=True)
    if patched.is_removed_file or new == "/dev/null":
        return _stripped(old, header, new=False), None
    if (old[:2], new[:2]) in _PREFIXES:
        return old[2:], new[2:]
    return old, new


def _stripped(name: str, header: str | None, *, new: bool) -> str:
    """A name whose other side is /dev/null: what git's first line says tells prefix from folder."""
    if header is None:
        return name[2:] if name[:2] == ("b/" if new else "a/") else name
    before = header.removeprefix("diff --git ").lstrip('"')[:2]
    if new:
        return name[2:] if (before, name[:2]) in _PREFIXES else name
    others = {after for first, after in _PREFIXES if first == name[:2]}
    rest = name[2:]
    ends = _unquoted(header.rpartition(' "')[2].join(('"', ""))) if header.endswith('"') else header
    return rest if any(ends.endswith(other + rest) for other in others) else name


def _unquoted(name: str) -> str:
    """A name as git writes it, in C's quotes when it holds anything unusual -> the name."""
    if len(name) < 2 or not (name.startswith('"') and name.endswith('"')):
        return name
    result = bytearray()
    for escape, char in re.findall(r'\\([0-7]{3}|[abtnvfr"\\])|([^\\])', name[1:-1]):
        if char:
            result += char.encode("utf-8", "surrogateescape")
        else:
            result.append(_ESCAPES[escape] if escape in _ESCAPES else int(escape, 8) & 255)
    return result.decode("utf-8", "surrogateescape")


def _split(content: bytes) -> list[bytes]:
    """Lines with their ends; str.splitlines would also break at form feeds and lone CRs."""
    lines = content.split(b"\n")
    return [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _bare(line: bytes) -> bytes:
    """A diff that came through a mail or another system may have lost, or got, CRs."""
    return line.removesuffix(b"\n").removesuffix(b"\r")
