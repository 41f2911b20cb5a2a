"""A batch on the wire: what comes out is what went in, and what is none is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from coverage.numbits import nums_to_numbits
from hypothesis import given
from hypothesis import strategies as st

from requestcov.reading import Blocks, read_block
from requestcov.record import Batch, Block, SourceFile, format_lines
from requestcov.wire import decode, encode, part_of
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
        ({"v": 2}, "version is 2, this reads 1"),
        ({"v": True}, "version is true"),
        ({"v": 1.0}, "version is 1.0"),
        ({"id": "a\nb"}, "id: it is not"),
        ({"records": None}, "records: it is not a list"),
        ({"records": [5]}, r"records\[0\]: it is not an object"),
        ({"spectra": []}, r"records\[0\]: it does not point into spectra"),
        ({"files": []}, r"blocks\[0\]: it does not point into files"),
        ({"blocks": [[0, "0"]]}, r"blocks\[0\]: lines: '0' is not a line"),
        ({"blocks": [[0]]}, r"blocks\[0\]: it is not a list of"),
        ({"blocks": [[-1, "1"]]}, r"blocks\[0\]: it does not point into files"),
        ({"blocks": [[True, "1"]]}, r"blocks\[0\]: it does not point into files"),
        ({"files": [["a.py"]]}, r"files\[0\]: it is not a list of"),
        ({"sources": [{"path": "a.py", "digest": "aa"}]}, r"sources\[0\]: no field 'text'"),
        ({"sources": [{"path": "a.py", "digest": "aa", "base64": "*"}]}, r"sources\[0\]: base64: "),
        ({"sources": [{"path": "a.py", "digest": "aa", "text": "\ud800"}]}, "lone surrogates; send base64"),
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


def test_a_field_that_is_not_known_is_passed_over():
    """A later sender may tell more."""
    data = json.loads(encode(BATCH)) | {"more": [1]}
    data["records"][0]["more"] = data["ledger"]["more"] = data["sources"][0]["more"] = {}
    assert decode(json.dumps(data).encode()) == BATCH


def changed(where, name, value):
    """A good batch, but for one field of its first record, ledger or block."""
    data = json.loads(encode(BATCH))
    if where == "ledger":
        data["ledger"][name] = value
    elif where == "path":
        data["files"][0][0] = value
    elif where == "lines":
        data["blocks"][0][1] = value
    elif where == "branches":
        data["blocks"][0][2:] = [value]
    else:
        data["records"][0][name] = value
    return json.dumps(data).encode()


BAD = {
    "record": {
        "id": ["", 5, None, "x" * 101, True],
        "time": ["1969-12-31T23:59:59Z", "9999-12-31T23:59:59-01:00", "2026-01-01", "yesterday", 0, "+" * 99],
        "service": [5, None, "x" * 1001],
        "seq": [-1, 2**63, True, 1.5, "1", 10**4000],
        "status": [-1, 65_536, True, 200.0, "200"],
        "duration_ms": [-1, float("inf"), float("nan"), True, "1", 10**400],
        "weight": [0, -1, 0.5, float("inf"), False, None],
        "labels": [{"a": 5}, [], None, {"a": "x" * 1001}, {str(n): "" for n in range(1001)}],
        "trace_id": [5, "", "A" * 32, "0" * 31],
        "spectrum": [-1, 99, None, True, "0"],
        "background": [-1, 99, "0", 0.0],
        "error": [5, ["x"]],
        "partial": [{}, False],
    },
    "ledger": {
        "seen": [{"GET /": -1}, {"GET /": True}, {"GET /": 2**63}, [], None],
        "dropped": [{"x": 0.5}, {"x": 2**60}],
        "pending": [-1, None],
        "stored": ["1", 2**53 + 1],
        "started": ["1960-01-01T00:00:00Z", 5],
    },
    "path": {
        "": ["", "/etc/passwd", "../a.py", "a/../../b.py", "C:\\a.py", "c:/a.py", "a\0b.py", "x" * 5000, 5],
        "surrogate": ["a\ud800.py", "a\udfff.py"],
    },
    "lines": {
        "": ["0", "-1", "1000000000", "1000001", "5-4", "1,1", "2,1", "1-5,3", "01", "1,", "٣", 5, None]
    },
    "branches": {"": [None, "1-2", [5], [""], ["1-2,3-4"], ["1"], [["1-2"]]]},
}


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [(where, name, value) for where, names in BAD.items() for name in names for value in names[name]],
    ids=lambda value: ascii(value)[:30],
)
def test_a_value_that_we_never_write_is_refused(where, name, value):
    with pytest.raises(ValueError, match=r"not JSON|\w+(\[\d+\])?: "):
        decode(changed(where, name, value))


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        ("record", "time", "1970-01-01T00:00:00Z"),
        ("record", "time", "9999-12-31T23:59:59.999999Z"),
        ("record", "status", None),
        ("record", "service", "caf\udce9"),
        ("record", "labels", {"\ud800": "\udfff"}),
        ("record", "weight", 1),
        ("record", "seq", 2**53),
        ("path", "", "a b/caf\udce9 ü/..x.py"),
        ("lines", "", ""),
        ("lines", "", "1-1000000"),
        ("branches", "", []),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_a_value_at_the_edge_is_taken(where, name, value):
    batch = decode(changed(where, name, value))
    assert decode(encode(batch)) == batch


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b'{"v":1,"v":1}', "a name twice"),
        (b'{"v":NaN}', "NaN is no number of JSON"),
        (b'{"v":-Infinity}', "-Infinity is no number of JSON"),
        (b'{"v":' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"v":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b"[" * 6_000_001, "more than 6,000,000 brackets"),
        ('{"v":1,"id":"ü"}'.encode("utf-16"), "not JSON"),
        (b'\xef\xbb\xbf{"v":1}', "not JSON"),
        (b'{"v":1}{"v":1}', "not JSON"),
        (b'{"v":1,"id":"\xed\xa0\x80"}', "not JSON"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_is_json_to_some_and_not_to_others_is_refused(document, said):
    with pytest.raises(ValueError, match=said):
        decode(document)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["1-3", "a.py", ""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(st.data())
def test_whatever_a_batch_is_changed_to_it_is_read_or_refused(data):
    """Any value in any place, and no exception but the one that says what is wrong."""
    whole = json.loads(encode(BATCH))
    for _ in range(data.draw(st.integers(1, 3))):
        place = whole
        while True:
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = data.draw(st.sampled_from(keys)) if keys else None
            if key is None:
                break
            if isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
                place = place[key]
                continue
            place[key] = data.draw(JSON)
            break
    try:
        batch = decode(json.dumps(whole).encode())
    except ValueError:
        return
    assert decode(encode(batch)) == batch


@given(st.binary(max_size=200))
def test_whatever_bytes_come_are_refused_with_a_sentence(document):
    with pytest.raises(ValueError, match="JSON"):
        decode(document)


@given(st.sets(st.integers(1, 3000)))
def test_lines_are_packed_as_coverage_packs_them(lines):
    block = read_block("a.py", "", format_lines(lines))
    assert block.numbits == bytes(nums_to_numbits(lines))
    assert block.lines == lines
    assert block == Block("a.py", "", frozenset(lines))


def test_blocks_that_were_read_are_forgotten_before_they_fill_the_memory():
    blocks = Blocks(room=1000)
    first = blocks.read("a.py", "", "1-3")
    assert blocks.read("a.py", "", "1-3") is first
    for line in range(1, 1000):
        blocks.read("b.py", "", str(line))
    assert sum(len(key[2]) for key in blocks._known) < 1000
    assert blocks.read("a.py", "", "1-3") is not first


def test_a_part_of_a_document_has_its_records_and_what_they_need_alone():
    whole = json.loads(encode(BATCH))
    for chosen in ((0,), (2,), (1, 2), (4,), ()):
        part = part_of(
            whole,
            id="ef" * 16,
            ledger=whole["ledger"],
            records=[whole["records"][n] for n in chosen],
            sources=whole["sources"][:1],
        )
        records = tuple(BATCH.records[n] for n in chosen)
        alike = replace(BATCH, id="ef" * 16, records=records, sources=BATCH.sources[:1])
        assert part == encode(alike)
