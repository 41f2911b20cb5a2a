"""The JSON Lines form of what a batch holds: records, ledgers and sources, version 1.

Laws: one object a line, ASCII only, so that every text (also a path that is
not UTF-8) survives as an escape; every line begins with ``{"v":1,``; what
cannot be understood is refused with a sentence, never guessed. The format is
described in docs/data-format.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from requestcov.checks import read_json
from requestcov.reading import check_version, ledger_from_json, record_from_json, source_from_json
from requestcov.record import VERSION, Ledger, RequestRecord, SourceFile, format_time

HEAD = b'{"v":%d,' % VERSION
"""How every line begins: tells our files from others'."""


def record_line(record: RequestRecord) -> bytes:
    """A record as one line."""
    return _line(record.to_json())


def ledger_line(ledger: Ledger, seen: Mapping[str, int]) -> bytes:
    """A ledger as one line; ``seen``: the endpoints whose count this line tells."""
    return _line({"v": VERSION, "ledger": ledger_to_json(ledger, seen)})


def source_line(source: SourceFile) -> bytes:
    """A file version's text as one line."""
    return _line({"v": VERSION, "source": source_to_json(source)})


def ledger_to_json(ledger: Ledger, seen: Mapping[str, int]) -> dict[str, Any]:
    """A ledger as an object; ``seen``: the endpoints whose count it tells."""
    return {
        "worker": ledger.worker,
        "boot": ledger.boot,
        "service": ledger.service,
        "release": ledger.release,
        "started": format_time(ledger.started),
        "updated": format_time(ledger.updated),
        "seen": dict(seen),
        "excluded": ledger.excluded,
        "sampled": ledger.sampled,
        "stored": ledger.stored,
        "dropped": dict(ledger.dropped),
        "pending": ledger.pending,
    }


def source_to_json(source: SourceFile) -> dict[str, str]:
    """A file version's text as an object: ``text``, or ``base64`` when it is not UTF-8."""
    data = {"path": source.path, "digest": source.digest}
    try:
        data["text"] = source.text.decode()
    except UnicodeDecodeError:
        data["base64"] = base64.b64encode(source.text).decode()
    return data


def read_line(line: bytes) -> RequestRecord | Ledger | SourceFile:
    """Read what one of the functions above wrote.

    A ledger's ``seen`` holds what its line tells: merge it into that of the
    same worker's earlier lines.

    Raises:
        ValueError: the line is not one of ours; says why.
    """
    data = read_json(line)
    check_version(data)
    if "ledger" in data:
        return ledger_from_json(data["ledger"])
    return source_from_json(data["source"]) if "source" in data else record_from_json(data)


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
