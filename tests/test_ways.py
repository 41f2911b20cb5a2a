"""Where a line can go next, understood once, and never believed further than it can be checked."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest

from requestcov import _coverage
from requestcov._source import parse
from requestcov._source_cache import SourceCache
from requestcov._ways import ways

TEXT = """\
def pay(card):
    if card.old:
        card = renew(card)
    for item in card:
        item.pay(
            1,
        )
    return card
"""
# Out of the function is minus its first line.
NEXT = {2: {3, 4}, 3: {4}, 4: {5, 8}, 5: {4}, 8: {-1}}


def test_every_line_of_a_body_has_what_can_follow_it(tmp_path: Path):
    found = ways(parse("a.py", "d", TEXT), SourceCache(tmp_path / "parsed"))
    assert found == {line: frozenset(after) for line, after in NEXT.items()}


def test_it_is_worked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = parse("a.py", "d", TEXT)
    first = ways(source, SourceCache(tmp_path / "parsed"))
    monkeypatch.setattr(_coverage, "arcs", None)  # whoever asks again fails
    assert ways(source, SourceCache(tmp_path / "parsed")) == first


@pytest.mark.parametrize("entry", [{"x": 1}, [[1]], [["1", [2]]], [[1, ["2"]]], [[1, 2]], 7, None])
def test_a_damaged_entry_is_worked_out_anew(tmp_path: Path, entry: object):
    source = parse("a.py", "d", TEXT)
    sound = ways(source, SourceCache(tmp_path / "parsed"))
    (file,) = (tmp_path / "parsed").iterdir()
    file.write_bytes(zlib.compress(json.dumps(entry).encode()))
    assert ways(source, SourceCache(tmp_path / "parsed")) == sound


def test_a_text_that_cannot_be_parsed_has_none(tmp_path: Path):
    assert ways(parse("a.py", "d", "def (:\n"), SourceCache(tmp_path / "parsed")) == {}
