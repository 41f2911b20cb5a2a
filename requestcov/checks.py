"""Checks of what another process told: a value is taken as it is, or refused.

Laws: a refusal is a sentence that names the value, short and in ASCII, and what would be right;
nothing is turned into another type. A field that is not known is passed over, so that a later
sender may tell more. A text may hold lone surrogates, as labels of an app may; in a path they
stand only for bytes that are not UTF-8, as Python's surrogateescape writes them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from requestcov.record import parse_time

MAX_TEXT = 1000
"""Characters of a name, a release, a label: ours have at most 253."""
MAX_PATH = 4096
"""Characters of a path."""
MAX_COUNT = 1 << 53
"""The largest count: the integers that every JSON reader has, and whose sums fit SQLite's."""
MAX_LABELS = 1000

Check = Callable[[object], Any]
"""Gives the value, or raises a ValueError that says what it is and what would be right."""


_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Surrogates that Python's surrogateescape never writes."""


def file_path(value: object) -> str:
    """A file's path in the project."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_PATH:
        raise ValueError(f"{shown(value)} is not a text of 1 to {MAX_PATH} characters")
    if value.startswith("/") or _DRIVE.match(value) or ".." in value.split("/"):
        raise ValueError(f"{shown(value)} is not relative to a project's root")
    if "\0" in value or _NO_BYTE.search(value):
        raise ValueError(f"{shown(value)} has a character that no path has")
    return value


def source_digest(value: object) -> str:
    """The digest of a source; empty when it could not be read."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{0,128}", value):
        raise ValueError(f"{shown(value)} is not lower-case hexadecimal")
    return value


def text(longest: int = MAX_TEXT, shortest: int = 0) -> Check:
    """Texts of so many characters."""

    def check(value: object) -> str:
        if type(value) is not str:
            raise ValueError(f"{shown(value)} is not a text")
        if not shortest <= len(value) <= longest:
            raise ValueError(f"{shown(value)} has {len(value)} characters, not {shortest} to {longest}")
        return value

    return check


def whole(low: int, high: int = MAX_COUNT) -> Check:
    """Whole numbers."""

    def check(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"{shown(value)} is not a whole number from {low} to {high}")
        return value

    return check


def number(low: float, high: float) -> Check:
    """Numbers, whole or not."""

    def check(value: object) -> float:
        if type(value) not in (int, float) or not low <= value <= high:  # type: ignore[operator]
            raise ValueError(f"{shown(value)} is not a number from {low:g} to {high:g}")
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
                f"{shown(value)} is not an object" + f" of at most {most} names" * (most < math.inf)
            )
        return {name(key): inner(item) for key, item in value.items()}

    return check


def moment(value: object) -> datetime:
    """A time, of the years 1970 to 9999 in UTC."""
    if type(value) is not str or len(value) > 40:
        raise ValueError(f"{shown(value)} is not an RFC 3339 time")
    try:
        found = parse_time(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{shown(value)} is not an RFC 3339 time with an offset") from None
    if found.year < 1970:
        raise ValueError(f"{shown(value)} is before 1970")
    return found


def typed(read: Callable[[str], Any]) -> Check:
    """What a text is read as."""

    def check(value: object) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"{shown(value)} is not a text")
        return read(value)

    return check


def fields(data: object, checks: Mapping[str, Check]) -> dict[str, Any]:
    """The fields of an object, each checked; others are passed over.

    Raises:
        ValueError: it is no object, a field is missing, or its check refuses it; says which.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{shown(data)} is not an object")
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


def shown(value: object) -> str:
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
