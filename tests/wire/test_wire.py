"""A batch on the wire: what comes out is what went in, and what is none is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from requestcov.record import Batch, Block, SourceFile
from requestcov.wire import decode, encode
from tests.storage.samples import MODELS, OTHER, VIEWS, ledger, record

BATCH = Batch(
    id="ab" * 16,
    records=(
        record(1),
        record(2, labels={"plan": "free"}, status=None, error="KeyError", trace_id="0" * 31 + "1"),
        record(3, blocks=(OTHER,), background=(replace(OTHER, lines=frozenset({20})),)),
        record(4, blocks=(Block("caf\udce9.py", "", frozenset({7})),)),
        record(5, blocks=()),
    ),
    ledger=ledger(5, dropped={"queue_full": 0}),
    sources=(SourceFile(VIEWS.path, VIEWS.digest, b"a = 1\n"), SourceFile("b.py", "cc" * 16, b"\xe9")),
)


def test_a_batch_comes_out_as_it_went_in():
    """Durations are told in microseconds, as in the other forms."""
    assert decode(encode(BATCH)) == BATCH


def test_a_batch_without_records_carries_the_counts():
    alone = Batch(id="cd" * 16, records=(), ledger=ledger(3))
    assert decode(encode(alone)) == alone


def test_what_requests_have_in_common_is_sent_once():
    data = json.loads(encode(replace(BATCH, records=tuple(record(seq) for seq in range(1, 50)))))
    assert len(data["blocks"]) == len([MODELS, VIEWS])
    assert len(data["spectra"]) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"v": 2}, "batch version is 2, this reads 1"),
        ({"records": None}, "wrong type"),
        ({"spectra": []}, "past the end"),
        ({"files": []}, "past the end"),
        ({"blocks": [[0, "0"]]}, "'0' is not a line"),
    ],
)
def test_what_is_no_batch_is_refused_with_the_reason(change, said):
    data = json.loads(encode(BATCH)) | change
    with pytest.raises(ValueError, match=said):
        decode(json.dumps(data).encode())


@pytest.mark.parametrize("field", ["id", "ledger", "files", "blocks", "spectra", "records", "sources"])
def test_a_missing_field_is_named(field):
    data = json.loads(encode(BATCH))
    del data[field]
    with pytest.raises(ValueError, match=field):
        decode(json.dumps(data).encode())


@pytest.mark.parametrize("document", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_document_is_refused(document):
    with pytest.raises(ValueError, match="JSON"):
        decode(document)
