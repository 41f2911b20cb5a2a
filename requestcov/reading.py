"""What another process told, read strictly: records, ledgers, sources and blocks.

Laws: a value is taken as it is, or refused with a sentence that names it and what would be
right; nothing is turned into another type. A field that is not known is passed over, so that
a later sender may tell more. A text may hold lone surrogates, as labels of an app may; in a path
they stand only for bytes that are not UTF-8, as Python's surrogateescape writes them. What is
remembered between calls is bounded by the text it was read from, and what a line's number makes
is bounded by MAX_LINE.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from coverage.numbits import numbits_to_nums

from requestcov.record import (
    MAX_LINE,
    VERSION,
    Arc,
    Block,
    Ledger,
    RequestRecord,
    SourceFile,
    parse_arcs,
    parse_time,
)

MAX_TEXT = 1000
"""Characters of a name, a release, a label: ours have at most 253."""
MAX_PATH = 4096
"""Characters of a path."""
MAX_COUNT = 1 << 53
"""The largest count: the integers that every JSON reader has, and whose sums fit SQLite's."""
MAX_LABELS = 1000

Check = Callable[[object], Any]
"""Gives the value, or raises a ValueError that says what it is and what would be right."""


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
    return RequestRecord(**_read(data, _RECORD), blocks=blocks, background=background)


def ledger_from_json(data: object) -> Ledger:
    """Read a ledger.

    Raises:
        ValueError: a field is missing, or holds what we do not write; says which.
    """
    return Ledger(**_read(data, _LEDGER))


def source_from_json(data: object) -> SourceFile:
    """Read the text of a version of a file: ``text``, or ``base64`` when it is not UTF-8.

    Raises:
        ValueError: a field is missing, or holds what we do not write; says which.
    """
    found = _read(data, _SOURCE)
    assert isinstance(data, Mapping)
    name = "base64" if "base64" in data and "text" not in data else "text"
    given = data.get(name)
    if not isinstance(given, str):
        raise ValueError(f"{name}: {_shown(given)} is not a text" if name in data else f"no field {name!r}")
    try:
        text = given.encode() if name == "text" else base64.b64decode(given, validate=True)
    except UnicodeEncodeError:
        raise ValueError("text: it has lone surrogates; send base64") from None
    except binascii.Error as error:
        raise ValueError(f"base64: {error}") from None
    return SourceFile(found["path"], found["digest"], text)


MAX_VALUES = 6_000_000
"""Brackets, braces and quotes of a document: what it becomes in memory is bounded by these."""


def read_json(document: bytes) -> dict[str, Any]:
    """A JSON object (RFC 8259) in UTF-8.

    Raises:
        ValueError: it is none; or it has a name twice, a number that is none of JSON's, is nested
            too deeply, or holds too many values.
    """
    try:
        if sum(map(document.count, (b"[", b"{", b'"'))) > MAX_VALUES:
            raise ValueError(f"it has more than {MAX_VALUES:,} brackets and quotes")
        data = json.loads(document.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ValueError(f"not JSON: {why}") from None
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a name twice")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number of JSON")


def check_version(data: Mapping[str, Any]) -> None:
    """The version a document says it has.

    Raises:
        ValueError: it is another one than this reads.
    """
    version = data.get("v")
    if type(version) is not int or version != VERSION:
        raise ValueError(f"version is {_shown(version)}, this reads {VERSION}")


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
            raise ValueError(f"lines: {_shown(lines)} is not a text")
        arcs = None
        if branches is not None:
            if not isinstance(branches, list) or not all(isinstance(arc, str) for arc in branches):
                raise ValueError(f"branches: {_shown(branches)} is not a list of texts")
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
        found = _read({"path": path, "digest": digest, "lines": lines, "branches": arcs}, _BLOCK)
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
            raise ValueError(f"{_shown(part)} is not a line or a range of lines")
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


_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Surrogates that Python's surrogateescape never writes."""


def file_path(value: object) -> str:
    """A file's path in the project."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_PATH:
        raise ValueError(f"{_shown(value)} is not a text of 1 to {MAX_PATH} characters")
    if value.startswith("/") or _DRIVE.match(value) or ".." in value.split("/"):
        raise ValueError(f"{_shown(value)} is not relative to a project's root")
    if "\0" in value or _NO_BYTE.search(value):
        raise ValueError(f"{_shown(value)} has a character that no path has")
    return value


def source_digest(value: object) -> str:
    """The digest of a source; empty when it could not be read."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{0,128}", value):
        raise ValueError(f"{_shown(value)} is not lower-case hexadecimal")
    return value


def text(longest: int = MAX_TEXT, shortest: int = 0) -> Check:
    """Texts of so many characters."""

    def check(value: object) -> str:
        if type(value) is not str:
            raise ValueError(f"{_shown(value)} is not a text")
        if not shortest <= len(value) <= longest:
            raise ValueError(f"{_shown(value)} has {len(value)} characters, not {shortest} to {longest}")
        return value

    return check


def whole(low: int, high: int = MAX_COUNT) -> Check:
    """Whole numbers."""

    def check(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"{_shown(value)} is not a whole number from {low} to {high}")
        return value

    return check


def number(low: float, high: float) -> Check:
    """Numbers, whole or not."""

    def check(value: object) -> float:
        if type(value) not in (int, float) or not low <= value <= high:  # type: ignore[operator]
            raise ValueError(f"{_shown(value)} is not a number from {low:g} to {high:g}")
        return float(value)  # type: ignore[arg-type]

    return check


def optional(inner: Check) -> Check:
    """What another check takes, or null."""

    def check(value: object) -> Any:
        return None if value is None else inner(value)

    return check


def by_name(inner: Check, most: float = math.inf) -> Check:
    """Objects of such values."""
    name = text()

    def check(value: object) -> dict[str, Any]:
        if type(value) is not dict or len(value) > most:
            raise ValueError(
                f"{_shown(value)} is not an object" + f" of at most {most} names" * (most < math.inf)
            )
        return {name(key): inner(item) for key, item in value.items()}

    return check


def moment(value: object) -> datetime:
    """A time, of the years 1970 to 9999 in UTC."""
    if type(value) is not str or len(value) > 40:
        raise ValueError(f"{_shown(value)} is not an RFC 3339 time")
    try:
        found = parse_time(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{_shown(value)} is not an RFC 3339 time with an offset") from None
    if found.year < 1970:
        raise ValueError(f"{_shown(value)} is before 1970")
    return found


def _typed(read: Callable[[str], Any]) -> Check:
    """What a text is read as."""

    def check(value: object) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"{_shown(value)} is not a text")
        return read(value)

    return check


def _trace(value: object) -> str | None:
    if value is not None and not (type(value) is str and re.fullmatch(r"[0-9a-f]{32}", value)):
        raise ValueError(f"{_shown(value)} is not 32 hexadecimal digits")
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
    "lines": _typed(pack_lines),
    "branches": optional(_typed(parse_arcs)),
}


def _read(data: object, checks: Mapping[str, Check]) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError(f"{_shown(data)} is not an object")
    found = {}
    name = ""
    try:
        for name, check in checks.items():
            found[name] = check(data[name])
    except KeyError:
        raise ValueError(f"no field {name!r}") from None
    except ValueError as wrong:
        raise ValueError(f"{name}: {wrong}") from None
    return found


def _blocks(data: Mapping[str, Any], name: str) -> tuple[Block, ...]:
    files = data.get(name, {})
    if not isinstance(files, dict):
        raise ValueError(f"{name}: {_shown(files)} is not an object")
    found = []
    for path, part in sorted(files.items()):
        if not isinstance(part, dict):
            raise ValueError(f"{name}: {_shown(part)} is not an object")
        for needed in ("digest", "lines"):
            if needed not in part:
                raise ValueError(f"{name}: {_shown(path)} has no field {needed!r}")
        found.append(_known.read(path, part["digest"], part["lines"], part.get("branches")))
    return tuple(found)


# Requests run much the same: most blocks of a file of records, or of many batches, were met before.
_known = Blocks()
read_block = _known.read


def _shown(value: object) -> str:
    """A value in a sentence: short, and ASCII."""
    if isinstance(value, str):
        return ascii(value[:60]) + "..." * (len(value) > 60)
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number beyond 64 bits"
    return repr(value)
