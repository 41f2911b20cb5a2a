"""The wire format: one batch as one JSON document, version 1.

Laws: a batch is self-contained, whatever was sent before it; what several of its
requests have in common (a version of a file, a block, an execution path) stands in it
once; ASCII only, so that a path that is not UTF-8 survives as an escape; what
cannot be understood is refused with a sentence, never guessed. The format is
described in docs/wire-format.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from requestcov.record import VERSION, Batch, Block, RequestRecord, block_from_json
from requestcov.storage.lines import ledger_from_json, ledger_to_json, source_from_json, source_to_json

PATH = "/v1/batches"
"""Where a collector takes batches, by POST."""

CONTENT_TYPE = "application/json"


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
    try:
        data = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    if data.get("v") != VERSION:
        raise ValueError(f"batch version is {data.get('v')!r}, this reads {VERSION}")
    try:
        blocks = _blocks(data["files"], data["blocks"])
        spectra = [tuple(sorted((blocks[n] for n in numbers), key=_path)) for numbers in data["spectra"]]
        return Batch(
            id=str(data["id"]),
            records=tuple(_record(fields, spectra) for fields in data["records"]),
            ledger=ledger_from_json(data["ledger"]),
            sources=tuple(source_from_json(source) for source in data["sources"]),
        )
    except KeyError as missing:
        raise ValueError(f"no field {missing.args[0]!r}") from None
    except IndexError:
        raise ValueError("a number points past the end of its table") from None
    except (TypeError, AttributeError, binascii.Error) as error:
        raise ValueError(f"a field of the wrong type: {error}") from None


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


def _blocks(files: Sequence[Sequence[str]], rows: Sequence[Sequence[Any]]) -> list[Block]:
    found = []
    for row in rows:
        path, digest = files[row[0]]
        branches = ",".join(row[2]) if len(row) > 2 else None
        found.append(block_from_json(path, digest, row[1], branches))
    return found


def _record(fields: Mapping[str, Any], spectra: Sequence[tuple[Block, ...]]) -> RequestRecord:
    background = fields["background"]
    later = () if background is None else spectra[background]
    return RequestRecord.from_facts(fields, spectra[fields["spectrum"]], later)


def _path(block: Block) -> str:
    return block.path
