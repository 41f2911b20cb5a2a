"""From what a person writes to an option's value.

Law: each reader takes a text from the environment or a value from code, and
gives the value or a ValueError that says in a few words what is allowed.
Nothing is looked at but the value: no file, no environment.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


def boolean(value: object) -> bool:
    """One of the words for yes and no, or a bool."""
    if isinstance(value, bool):
        return value
    text = value.lower() if isinstance(value, str) else ""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"one of {', '.join(_TRUE)} or {', '.join(_FALSE)}")


_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


def number(low: float, high: float, unit: str = "") -> Callable[[object], float]:
    """A reader of numbers from low to high."""
    allowed = f"a number from {low:g} to {high:g}{unit}"

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError(allowed)
        # float() also reads "1_000" and other scripts' digits: nobody who writes those means them.
        if isinstance(value, str) and not _DECIMAL.fullmatch(value):
            raise ValueError(allowed)
        try:
            given = float(value)
        except OverflowError:
            raise ValueError(allowed) from None
        if math.isnan(given) or not low <= given <= high:
            raise ValueError(allowed)
        return given

    return parse


def integer(low: int, high: int, unit: str = "") -> Callable[[object], int]:
    """A reader of whole numbers from low to high."""
    allowed = f"a whole number from {low} to {high}{unit}"

    def parse(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(allowed)
        return value

    return parse


def words(value: object) -> tuple[str, ...]:
    """A comma-separated text, or any iterable of texts; ``\\,`` is a comma itself."""
    allowed = "a comma-separated list (write \\, for a comma inside an item)"
    if isinstance(value, str):
        parts = re.split(r"(?<!\\),", value)
        items = [part.replace("\\,", ",").strip() for part in parts]
    elif isinstance(value, Iterable):
        items = list(value)
        if not all(isinstance(item, str) for item in items):
            raise ValueError(allowed)
    else:
        raise ValueError(allowed)
    if any(has_controls(item) for item in items):
        raise ValueError(f"{allowed} without control characters")
    return tuple(item for item in items if item)


def patterns(value: object) -> tuple[str, ...]:
    """Patterns for a whole path."""
    items = words(value)
    if not all(item.startswith(("/", "*", "?")) for item in items):
        raise ValueError("a comma-separated list of patterns for the whole path, each from its first /")
    return items


def has_controls(text: str) -> bool:
    """Whether a text has characters that could break a log line, a header or a path."""
    return any(ord(char) < 32 or ord(char) == 127 for char in text)


def methods(value: object) -> tuple[str, ...]:
    """HTTP methods, in upper case."""
    items = words(value)
    for item in items:
        if not re.fullmatch(r"[A-Za-z]{1,20}", item):
            raise ValueError("a comma-separated list of HTTP methods, such as HEAD,OPTIONS")
    return tuple(item.upper() for item in items)


def text(value: object) -> str:
    """A label: UTF-8, no control characters, at most 200 characters."""
    if not isinstance(value, str) or not _is_label(value):
        raise ValueError("a UTF-8 text of at most 200 characters without control characters")
    return value


def _is_label(text: str) -> bool:
    # A variable that is not UTF-8 arrives with lone surrogates, which no JSON or database takes.
    return len(text) <= 200 and not has_controls(text) and not re.search(r"[\ud800-\udfff]", text)


def secret(value: object) -> str:
    """What may stand in a header: printable ASCII; empty: none."""
    allowed = "16 to 200 printable ASCII characters without spaces"
    if not isinstance(value, str):
        raise ValueError(allowed)
    if value and not re.fullmatch(r"[!-~]{16,200}", value):
        raise ValueError(allowed)
    return value


def labels(value: object) -> dict[str, str]:
    """Labels by key."""
    allowed = "a comma-separated list of key=value"
    if isinstance(value, Mapping):
        pairs = [(key, item) for key, item in value.items()]
    else:
        pairs = []
        for item in words(value):
            key, equals, label = item.partition("=")
            if not equals:
                raise ValueError(allowed)
            pairs.append((key.strip(), label.strip()))
    for key, item in pairs:
        if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", key):
            raise ValueError(f"{allowed}; a key is a letter and up to 63 letters, digits, _ . -")
        if not isinstance(item, str) or not _is_label(item):
            raise ValueError(
                f"{allowed}; a value is a UTF-8 text of at most 200 characters without control characters"
            )
    return dict(pairs)


def path(value: object) -> str:
    """A path of a file or directory; empty: none."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or has_controls(value) or len(os.fsencode(value)) > 3800:
        raise ValueError("a path of at most 3800 bytes without control characters")
    return value


def proxy(value: object) -> str:
    """The URL of a proxy: scheme, host, port, perhaps a user and a password; empty: none."""
    allowed = "http://host:port or https://host:port, perhaps with user:password@ before the host"
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]{0,500}", value):
        raise ValueError(allowed)
    if not value:
        return value
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(allowed) from None
    rest = (parts.path.strip("/"), parts.query, parts.fragment)
    if parts.scheme not in ("http", "https") or not parts.hostname or not port or any(rest):
        raise ValueError(allowed)
    return value
