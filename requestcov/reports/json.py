"""Any answer as one JSON object (docs/json.md describes each).

Laws: ASCII only, so every stored text survives; keys are never removed and
never change their meaning within one ``v``. A frozen result is an object of
its fields and of its public properties, whatever the question was, so that
what the text reports can show is in the JSON too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any, TextIO

from requestcov.analysis.evidence import Footing, Selection
from requestcov.record import format_time

VERSION = 1


def write(answer: Mapping[str, object], footing: Footing, selection: Selection, stream: TextIO) -> None:
    """An answer, with what was asked for and what it stands on.

    Args:
        answer: results by the key they stand under, such as ``{"endpoints": [...]}``.

    Raises:
        OSError: the stream cannot be written.
    """
    data = {"v": VERSION, "selection": selection, "footing": footing, **answer}
    json.dump(plain(data), stream, indent=1)
    stream.write("\n")
    stream.flush()


def plain(value: object) -> Any:
    """What JSON has for a result: objects, lists (sets ascending), texts, numbers, null.

    Raises:
        TypeError: a type that no result has.
    """
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in names(type(value))}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: plain(getattr(value, name)) for name in value._fields}
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return [plain(item) for item in sorted(value)]
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


def names(kind: type) -> tuple[str, ...]:
    """The keys of a result: its shown fields, then its public properties.

    A field declared with ``repr=False`` is the analysis's own and is left out.
    """
    own = [field.name for field in fields(kind) if field.repr and not field.name.startswith("_")]
    properties = [
        name
        for base in reversed(kind.__mro__)
        for name, value in vars(base).items()
        if isinstance(value, property) and not name.startswith("_")
    ]
    return tuple(dict.fromkeys([*own, *properties]))


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, (int, float)):
        return str(key)
    raise TypeError(f"{type(key).__name__} has no form as a JSON key")
