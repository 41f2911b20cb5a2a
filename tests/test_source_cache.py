"""What parsing found is remembered, and never believed further than it can be checked."""

from __future__ import annotations

import json
import os
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from requestcov import _source
from requestcov._source import parse
from requestcov._source_cache import KEPT_SECONDS, SourceCache, directory

TEXT = """\
class Order:
    def total(self, items):
        if not items:  # nothing
            return 0
        return sum(
            item.price
            for item in items
        )

    def size(self): return 3


async def later(order):
    async def inner():
        return order

    return await inner()
"""


class _Forgetful(dict):
    def __setitem__(self, key, value):
        pass


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The entries', of which each call learns as another process would."""
    monkeypatch.setattr(_source, "_alive", _Forgetful())
    return tmp_path / "cache" / "parsed"


def test_a_text_is_understood_once(folder: Path, monkeypatch: pytest.MonkeyPatch):
    first = parse("a.py", "d", TEXT, cache=SourceCache(folder))
    monkeypatch.setattr(_source, "_understand", None)  # whoever parses again fails
    again = parse("a.py", "d", TEXT, cache=SourceCache(folder))
    assert again == first
    assert [(f.name, f.text, f.body) for f in again.functions] == [
        (f.name, f.text, f.body) for f in first.functions
    ]
    assert (again.first, again.executable, again.lines) == (first.first, first.executable, first.lines)
    assert parse("b.py", "e", TEXT, cache=SourceCache(folder)).path == "b.py"


def test_a_text_that_two_ask_for_in_a_process_is_one_source(tmp_path: Path):
    first = parse("a.py", "d", TEXT, cache=SourceCache(tmp_path))
    assert parse("a.py", "d", TEXT, cache=SourceCache(tmp_path)) is first
    assert parse("a.py", "d", TEXT, ["# nothing"], SourceCache(tmp_path)) is not first
    assert parse("b.py", "d", TEXT, cache=SourceCache(tmp_path)).path == "b.py"


def test_another_text_and_other_exclusions_are_another_entry(folder: Path):
    cache = SourceCache(folder)
    parse("a.py", "d", TEXT, cache=cache)
    assert (
        parse("a.py", "d", TEXT + "x = 1\n", cache=cache).executable
        != parse("a.py", "d", TEXT, cache=cache).executable
    )
    assert 4 not in parse("a.py", "d", TEXT, ["# nothing"], cache).executable
    assert 4 in parse("a.py", "d", TEXT, cache=cache).executable


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not compressed",
        zlib.compress(b"not json"),
        zlib.compress(b"null"),
        zlib.compress(b"[1, 2]"),
        zlib.compress(json.dumps({"executable": "9-1", "first": [], "functions": []}).encode()),
        zlib.compress(json.dumps({"executable": "1", "first": [["x"]], "functions": []}).encode()),
        zlib.compress(json.dumps({"executable": "1", "first": [], "functions": [[1]]}).encode()),
        zlib.compress(b"[" * 100_000),
    ],
)
def test_a_damaged_entry_is_parsed_anew(folder: Path, content: bytes):
    sound = parse("a.py", "d", TEXT, cache=SourceCache(folder))
    (entry,) = folder.iterdir()
    entry.write_bytes(content)
    assert parse("a.py", "d", TEXT, cache=SourceCache(folder)) == sound
    assert entry.read_bytes() != content


def test_a_text_that_cannot_be_parsed_is_not_remembered(folder: Path):
    assert parse("a.py", "d", "def (:\n", cache=SourceCache(folder)).problem
    assert not folder.exists() or not list(folder.iterdir())


def test_a_directory_that_others_can_write_is_not_trusted(folder: Path):
    parse("a.py", "d", TEXT, cache=SourceCache(folder))
    folder.chmod(0o777)
    cache = SourceCache(folder)
    (entry,) = folder.iterdir()
    assert cache.get(entry.name) is None
    cache.put("more", {})
    assert [found.name for found in folder.iterdir()] == [entry.name]


def test_a_link_in_the_place_of_the_directory_is_not_followed(folder: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    folder.parent.mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    folder.parent.chmod(0o700)
    SourceCache(folder).put("key", {})
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_without_a_directory_there_is_an_answer_all_the_same(tmp_path: Path):
    (tmp_path / "file").write_text("")
    cache = SourceCache(tmp_path / "file" / "parsed")
    assert parse("a.py", "d", TEXT, cache=cache) == parse("a.py", "d", TEXT)


def test_it_is_the_users_alone_and_forgets_what_nobody_asks_for(folder: Path):
    SourceCache(folder).put("old", {})
    SourceCache(folder).put("new", {})
    assert folder.stat().st_mode & 0o777 == 0o700
    past = time.time() - KEPT_SECONDS - 60
    os.utime(folder / "old", (past, past))
    SourceCache(folder).put("newer", {})
    assert {entry.name for entry in folder.iterdir()} == {"new", "newer"}


def test_it_stands_where_the_desktop_standard_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert directory() == tmp_path / "requestcov" / "parsed"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the standard says to ignore it
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert directory() == tmp_path / "home" / ".cache" / "requestcov" / "parsed"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_an_entry_holds_it_is_a_source_or_nothing(entry: object):
    """An entry is input like any other."""
    assert _source._remembered("a.py", "d", (), entry) is None or isinstance(entry, dict)
