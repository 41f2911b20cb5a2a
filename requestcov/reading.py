"""What another process told, read strictly: records, ledgers, sources and blocks.

Laws: as of the checks, which say what is right of each field. What is remembered between calls
is bounded by the text it was read from, and what a line's number makes is bounded by MAX_LINE.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from coverage.numbits import numbits_to_nums

from requestcov.checks import (
    MAX_LABELS,
    Check,
    by_name,
    fields,
    file_path,
    moment,
    number,
    optional,
    shown,
    source_digest,
    text,
    typed,
    whole,
)
from requestcov.record import (
    MAX_LINE,
    VERSION,
    Arc,
    Block,
    Ledger,
    RequestRecord,
    SourceFile,
    parse_arcs,
)


def record_from_json(data: Mapping[str, Any]) -> RequestRecord:
    """Read what :meth:`RequestRecord.to_json` wrote.

    Raises:
        ValueError: the object is not a version 1 record; says which field.
    """
    check_version(data)
    if "files" not in data:
        raise ValueError("no field 'files'")
    return record_from_facts(data, _blocks(data, "files"), _blocks(data, "background"))


def record_from_facts(
    data: object, blocks: tuple[Block, ...], background: tuple[Block, ...]
) -> RequestRecord:
    """Read what :meth:`RequestRecord.facts` wrote; what ran is given.

    Raises:
        ValueError: a field is missing, or holds what we do not write; says which.
    """
    return RequestRecord(**fields(data, _RECORD), blocks=blocks, background=background)


def ledger_from_json(data: object) -> Ledger:
    """Read a ledger.

    Raises:
        ValueError: a field is missing, or holds what we do not write; says which.
    """
    return Ledger(**fields(data, _LEDGER))


def source_from_json(data: object) -> SourceFile:
    """Read the text of a version of a file: ``text``, or ``base64`` when it is not UTF-8.

    Raises:
        ValueError: a field is missing, or holds what we do not write; says which.
    """
    found = fields(data, _SOURCE)
    assert isinstance(data, Mapping)
    name = "base64" if "base64" in data and "text" not in data else "text"
    given = data.get(name)
    if not isinstance(given, str):
        raise ValueError(f"{name}: {shown(given)} is not a text" if name in data else f"no field {name!r}")
    try:
        text = given.encode() if name == "text" else base64.b64decode(given, validate=True)
    except UnicodeEncodeError:
        raise ValueError("text: it has lone surrogates; send base64") from None
    except binascii.Error as error:
        raise ValueError(f"base64: {error}") from None
    return SourceFile(found["path"], found["digest"], text)


def check_version(data: Mapping[str, Any]) -> None:
    """The version a document says it has.

    Raises:
        ValueError: it is another one than this reads.
    """
    version = data.get("v")
    if type(version) is not int or version != VERSION:
        raise ValueError(f"version is {shown(version)}, this reads {VERSION}")


class PackedBlock(Block):
    """A block as it was read: its lines are a set only for those who ask."""

    def __init__(self, path: str, digest: str, numbits: bytes, branches: frozenset[Arc] | None) -> None:
        for name, value in (("path", path), ("digest", digest), ("branches", branches)):
            object.__setattr__(self, name, value)
        self.__dict__["numbits"] = numbits

    @cached_property
    def lines(self) -> frozenset[int]:
        """The line numbers."""
        return frozenset(numbits_to_nums(self.numbits))


class Blocks:
    """Blocks that were read, so that equal ones are one object, whose id is worked out once.

    Args:
        room: characters of all the texts that they were read from; beyond it all are forgotten.
    """

    def __init__(self, room: int = 16_000_000) -> None:
        self._room = room
        self._used = 0
        self._known: dict[tuple[str, str, str, str | None], Block] = {}

    def read(self, path: object, digest: object, lines: object, branches: object = None) -> Block:
        """The block of its parts.

        Args:
            branches: a list of ``"from-to"``, or None when they were not measured.

        Raises:
            ValueError: not a path, not a digest, not lines, or not branches; says which.
        """
        if not isinstance(lines, str):
            raise ValueError(f"lines: {shown(lines)} is not a text")
        arcs = None
        if branches is not None:
            if not isinstance(branches, list) or not all(isinstance(arc, str) for arc in branches):
                raise ValueError(f"branches: {shown(branches)} is not a list of texts")
            arcs = ",".join(branches)
            if branches and (not arcs or arcs.count(",") != len(branches) - 1):
                raise ValueError("branches: one of them is not a branch")
        key = (path, digest, lines, arcs)
        try:
            block = self._known.get(key)  # type: ignore[arg-type]
        except TypeError:  # a path or a digest that is a list
            block = None
        return self._new(*key) if block is None else block

    def _new(self, path: object, digest: object, lines: str, arcs: str | None) -> Block:
        found = fields({"path": path, "digest": digest, "lines": lines, "branches": arcs}, _BLOCK)
        block = PackedBlock(found["path"], found["digest"], found["lines"], found["branches"])
        used = len(block.path) + len(lines) + len(arcs or "") + len(block.numbits)
        if self._used + used > self._room:
            self._known.clear()
            self._used = 0
        self._used += used
        self._known[block.path, block.digest, lines, arcs] = block
        return block


_RANGE = re.compile(r"([1-9][0-9]{0,8})(?:-([1-9][0-9]{0,8}))?")


def pack_lines(text: str) -> bytes:
    """Ascending ranges of lines, as :func:`format_lines` writes them, as coverage.py's numbits.

    Raises:
        ValueError: not ascending ranges of lines from 1 to MAX_LINE.
    """
    if not text:
        return b""
    spans: list[tuple[int, int]] = []
    before = 0
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ValueError(f"{shown(part)} is not a line or a range of lines")
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if not before < first <= last <= MAX_LINE:
            raise ValueError(f"{part!r} is not an ascending range of lines up to {MAX_LINE}")
        spans.append((first, last))
        before = last
    packed = bytearray(before // 8 + 1)
    for first, last in spans:
        low, high = first >> 3, last >> 3
        if low == high:
            packed[low] |= (1 << (last - first + 1)) - 1 << (first & 7)
        else:
            packed[low] |= 0xFF << (first & 7) & 0xFF
            packed[low + 1 : high] = b"\xff" * (high - low - 1)
            packed[high] |= (2 << (last & 7)) - 1
    return bytes(packed)


def _trace(value: object) -> str | None:
    if value is not None and not (type(value) is str and re.fullmatch(r"[0-9a-f]{32}", value)):
        raise ValueError(f"{shown(value)} is not 32 hexadecimal digits")
    return value


_RECORD: Mapping[str, Check] = {
    "id": text(100, 1),
    "time": moment,
    "service": text(),
    "release": text(),
    "worker": text(),
    "seq": whole(0),
    "method": text(),
    "route": text(),
    "status": optional(whole(0, 65_535)),
    "duration_ms": number(0, 1e12),
    "error": optional(text()),
    "sampled_by": text(),
    "weight": number(1, 1e18),
    "partial": optional(text()),
    "engine": text(),
    "labels": by_name(text(), MAX_LABELS),
    "trace_id": _trace,
}
_LEDGER: Mapping[str, Check] = {
    "worker": text(),
    "boot": text(),
    "service": text(),
    "release": text(),
    "started": moment,
    "updated": moment,
    "seen": by_name(whole(0)),
    "excluded": whole(0),
    "sampled": whole(0),
    "stored": whole(0),
    "dropped": by_name(whole(0)),
    "pending": whole(0),
}
_SOURCE: Mapping[str, Check] = {"path": file_path, "digest": source_digest}
_BLOCK: Mapping[str, Check] = {
    **_SOURCE,
    "lines": typed(pack_lines),
    "branches": optional(typed(parse_arcs)),
}


def _blocks(data: Mapping[str, Any], name: str) -> tuple[Block, ...]:
    files = data.get(name, {})
    if not isinstance(files, dict):
        raise ValueError(f"{name}: {shown(files)} is not an object")
    found = []
    for path, part in sorted(files.items()):
        if not isinstance(part, dict):
            raise ValueError(f"{name}: {shown(part)} is not an object")
        for needed in ("digest", "lines"):
            if needed not in part:
                raise ValueError(f"{name}: {shown(path)} has no field {needed!r}")
        found.append(_known.read(path, part["digest"], part["lines"], part.get("branches")))
    return tuple(found)


# Requests run much the same: most blocks of a file of records, or of many batches, were met before.
_known = Blocks()
read_block = _known.read
