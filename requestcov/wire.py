"""The wire format: one batch as one JSON document, version 1.

Laws: a batch is self-contained, whatever was sent before it; what several of its
requests have in common (a version of a file, a block, an execution path) stands in it
once; ASCII only, so that a path that is not UTF-8 survives as an escape; a field that is
not known is passed over; what cannot be understood is refused with a sentence, never
guessed. The format is described in docs/wire-format.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from requestcov.checks import file_path, read_json, source_digest
from requestcov.reading import (
    check_version,
    ledger_from_json,
    read_block,
    record_from_facts,
    source_from_json,
)
from requestcov.record import VERSION, Batch, Block, RequestRecord
from requestcov.storage.lines import ledger_to_json, source_to_json

T = TypeVar("T")

PATH = "/v1/batches"
"""Where a collector takes batches, by POST."""

CONTENT_TYPE = "application/json"

MAX_PACKED = 50_000_000
"""Bytes of all blocks' lines as numbits: 27,500 blocks in files of 2,000 lines have 7 million."""

_ID = re.compile("[!-~]{1,100}")


def encode(batch: Batch) -> bytes:
    """A batch as a document; what it has no bytes for does not exist."""
    tables = _Tables()
    records = [
        {
            **record.facts(),
            "spectrum": tables.spectrum(record.blocks),
            "background": tables.spectrum(record.background) if record.background else None,
        }
        for record in batch.records
    ]
    data = {
        "v": VERSION,
        "id": batch.id,
        "ledger": ledger_to_json(batch.ledger, batch.ledger.seen),
        "files": list(tables.files),
        "blocks": tables.rows,
        "spectra": list(tables.spectra),
        "records": records,
        "sources": [source_to_json(source) for source in batch.sources],
    }
    return json.dumps(data, separators=(",", ":"), allow_nan=False).encode("ascii")


def decode(document: bytes) -> Batch:
    """Read what :func:`encode` wrote.

    Raises:
        ValueError: it is no version 1 batch; says what is wrong, and where.
    """
    data = read_json(document)
    check_version(data)
    if not isinstance(data.get("id"), str) or not _ID.fullmatch(data["id"]):
        raise ValueError("id: it is not a text of 1 to 100 printable ASCII characters")
    try:
        ledger = ledger_from_json(data.get("ledger"))
    except ValueError as wrong:
        raise ValueError(f"ledger: {wrong}") from None
    files = _each("files", data, _file)
    room = _Room()
    blocks = _each("blocks", data, lambda row: room.holds(_block(row, files)))
    spectra = _each("spectra", data, lambda numbers: _spectrum(numbers, blocks))
    return Batch(
        id=data["id"],
        records=tuple(_each("records", data, lambda fields: _record(fields, spectra))),
        ledger=ledger,
        sources=tuple(_each("sources", data, source_from_json)),
    )


def part_of(
    document: Mapping[str, Any],
    *,
    id: str,
    ledger: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    sources: Sequence[Mapping[str, Any]],
) -> bytes:
    """Some of the records and sources of a document, as one of its own with what those need.

    They go on as they are: whether they can be understood is for whoever reads them to say.

    Args:
        document: as :func:`encode` made it, as objects.
        id, ledger: those of the part.
        records, sources: of the document's.
    """
    spectra: dict[int, int] = {}
    blocks: dict[int, int] = {}
    files: dict[int, int] = {}
    told = [
        {
            **record,
            "spectrum": spectra.setdefault(record["spectrum"], len(spectra)),
            "background": None
            if record["background"] is None
            else spectra.setdefault(record["background"], len(spectra)),
        }
        for record in records
    ]
    paths = [
        [blocks.setdefault(block, len(blocks)) for block in document["spectra"][number]] for number in spectra
    ]
    rows = []
    for number in blocks:
        file, *rest = document["blocks"][number]
        rows.append([files.setdefault(file, len(files)), *rest])
    part = {
        **document,
        "id": id,
        "ledger": ledger,
        "files": [document["files"][number] for number in files],
        "blocks": rows,
        "spectra": paths,
        "records": told,
        "sources": sources,
    }
    return json.dumps(part, separators=(",", ":"), allow_nan=False).encode("ascii")


class _Tables:
    """What records have in common, numbered in the order of first use."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], int] = {}
        self.rows: list[list[Any]] = []
        self.spectra: dict[tuple[int, ...], int] = {}
        self._blocks: dict[int, int] = {}

    def spectrum(self, blocks: Iterable[Block]) -> int:
        """The number of a set of blocks."""
        numbers = tuple(map(self._block, blocks))
        return self.spectra.setdefault(numbers, len(self.spectra))

    def _block(self, block: Block) -> int:
        number = self._blocks.get(block.id)
        if number is None:
            number = self._blocks[block.id] = len(self.rows)
            file = self.files.setdefault((block.path, block.digest), len(self.files))
            row: list[Any] = [file, block.ranges]
            if block.branches is not None:
                row.append([f"{a}-{b}" for a, b in sorted(block.branches)])
            self.rows.append(row)
        return number


class _Room:
    """What the blocks of one document may take: a few characters stand for a million lines."""

    def __init__(self) -> None:
        self._left = MAX_PACKED

    def holds(self, block: Block) -> Block:
        """The block, if there is room for it."""
        self._left -= len(block.numbits)
        if self._left < 0:
            raise ValueError("the lines of all blocks up to here are too many")
        return block


def _each(name: str, data: Mapping[str, Any], read: Callable[[Any], T]) -> list[T]:
    """What each item of a list is read as."""
    items = data.get(name)
    if not isinstance(items, list):
        raise ValueError(f"{name}: it is not a list" if name in data else f"no field {name!r}")
    found: list[T] = []
    try:
        for item in items:
            found.append(read(item))
    except ValueError as wrong:
        raise ValueError(f"{name}[{len(found)}]: {wrong}") from None
    return found


def _file(row: Any) -> tuple[str, str]:
    if not isinstance(row, list) or len(row) != 2:
        raise ValueError("it is not a list of a path and a digest")
    return file_path(row[0]), source_digest(row[1])


def _block(row: Any, files: Sequence[tuple[str, str]]) -> Block:
    if not isinstance(row, list) or len(row) not in (2, 3):
        raise ValueError("it is not a list of a file's number, lines and, where measured, branches")
    if len(row) == 3 and row[2] is None:
        raise ValueError("its branches are null")
    return read_block(*_at("files", row[0], files), *row[1:])


def _spectrum(numbers: Any, blocks: Sequence[Block]) -> tuple[Block, ...]:
    if not isinstance(numbers, list):
        raise ValueError("it is not a list of blocks' numbers")
    found = sorted([_at("blocks", number, blocks) for number in numbers], key=_path)
    if any(one.path == other.path for one, other in pairwise(found)):
        raise ValueError("two of its blocks are of one file")
    return tuple(found)


def _record(fields: Any, spectra: Sequence[tuple[Block, ...]]) -> RequestRecord:
    if not isinstance(fields, dict):
        raise ValueError("it is not an object")
    ran = _at("spectra", fields.get("spectrum"), spectra)
    later = fields.get("background")
    return record_from_facts(fields, ran, () if later is None else _at("spectra", later, spectra))


def _at(name: str, number: Any, table: Sequence[T]) -> T:
    """The item of a table that a number points to."""
    if type(number) is not int or not 0 <= number < len(table):
        raise ValueError(f"it does not point into {name}")
    return table[number]


def _path(block: Block) -> str:
    return block.path
