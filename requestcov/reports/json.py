"""Coverage of endpoints or files as one JSON object (docs/cli.md describes it).

Laws: ASCII only, so every stored text survives; keys are never removed and
never change their meaning within one ``v``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, TextIO

from requestcov.analysis.coverage import EndpointCoverage, FileCoverage
from requestcov.analysis.evidence import Footing, Selection
from requestcov.record import format_time

VERSION = 1


def write_endpoints(
    results: Sequence[EndpointCoverage], footing: Footing, selection: Selection, stream: TextIO
) -> None:
    """The report by endpoint.

    Raises:
        OSError: the stream cannot be written.
    """
    rows = [
        {**asdict(result), "method": method, "route": route, "coverage": result.coverage}
        for result in results
        for method, _, route in [result.endpoint.partition(" ")]
    ]
    _write("endpoints", rows, footing, selection, stream)


def write_files(
    results: Sequence[FileCoverage], footing: Footing, selection: Selection, stream: TextIO
) -> None:
    """The report by file.

    Raises:
        OSError: the stream cannot be written.
    """
    rows = [{**asdict(result), "coverage": result.coverage} for result in results]
    _write("files", rows, footing, selection, stream)


def _write(
    kind: str, rows: Sequence[Mapping[str, Any]], footing: Footing, selection: Selection, stream: TextIO
) -> None:
    data = {"v": VERSION, "selection": asdict(selection), "footing": asdict(footing), kind: rows}
    json.dump(data, stream, indent=1, default=_plain)
    stream.write("\n")
    stream.flush()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
