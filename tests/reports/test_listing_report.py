"""The source listings of ``requestcov show``."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from requestcov.analysis.evidence import Selection
from requestcov.analysis.gather import gather
from requestcov.analysis.listing import of_endpoint, of_file
from requestcov.reports.text import listing
from tests.reports.shop_store import SHIPPED, SHOWN, VIEWS, record, shop, write_store


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def endpoint(url: str, name: str, whole: bool = False, stream: io.StringIO | None = None) -> str:
    evidence, stream = gather(url, Selection(), None), stream or io.StringIO()
    listing.write_endpoint(name, of_endpoint(evidence, name), evidence, whole, stream)
    return stream.getvalue()


def file(url: str, path: str) -> str:
    evidence, stream = gather(url, Selection(), None), io.StringIO()
    listing.write_file(of_file(evidence, path), evidence, stream)
    return stream.getvalue()


def test_an_endpoint_shows_the_functions_it_reached(tmp_path: Path):
    assert endpoint(shop(tmp_path / "s.db"), "GET /orders/{id}") == (
        "GET /orders/{id}\n"
        "4 recorded requests, standing for 200; 0 failed\n"
        "\n"
        "shop/views.py\n"
        "               .  6  def show(order):\n"
        "       4  100%    7      if order is None:\n"
        "       1   <1%    8          return 404\n"
        "       3  >99%    9      return render(\n"
        "                 10          order,\n"
        "                 11      )\n"
        "\n"
        "requests  share  ! did not run   . runs at import, not counted\n"
    )


def test_whole_files_are_shown_on_request(tmp_path: Path):
    report = endpoint(shop(tmp_path / "s.db"), "POST /orders", whole=True)
    assert "               .  1  import os\n" in report
    assert "               !  8          return 404\n" in report
    assert "       1  100%   17          pack(item)\n" in report


def test_a_file_shows_a_letter_for_each_endpoint(tmp_path: Path):
    records = [record("GET /a", SHOWN, weight=3.0), record("GET /b", {"shop/views.py": {7, 8}})]
    report = file(write_store(tmp_path / "s.db", records), "shop/views.py")
    assert "       2  100% a b    7      if order is None:\n" in report
    assert "       1   25% b      8          return 404\n" in report
    assert "   a  GET /a\n   b  GET /b\n" in report
    assert "                   ! 15      order.sent = True\n" in report


def test_many_endpoints_on_one_line_stay_compact(tmp_path: Path):
    records = [record(f"GET /{i:02}", SHOWN) for i in range(30)]
    report = file(write_store(tmp_path / "s.db", records), "shop/views.py")
    assert "      30  100% a b c d e f +24    7      if order is None:\n" in report
    assert "  ad  GET /29\n" in report


def test_without_a_source_the_lines_are_named(tmp_path: Path):
    report = endpoint(write_store(tmp_path / "s.db", [record("GET /a", {"x.py": {3, 4, 9}})]), "GET /a")
    assert "x.py\nsource not available\nlines that ran: 3-4,9\n" in report


def test_a_module_only_imported_is_mentioned(tmp_path: Path):
    report = endpoint(write_store(tmp_path / "s.db", [record("GET /a", {"shop/views.py": {1, 3}})]), "GET /a")
    assert "1 further file ran only at import; --all shows them." in report


def test_the_version_is_told_when_there_are_several(tmp_path: Path):
    from datetime import timedelta

    changed = {"shop/views.py": VIEWS.replace("sent", "gone")}
    records = [record("GET /a", SHIPPED), record("GET /a", SHIPPED, texts=changed, at=timedelta(hours=1))]
    url = write_store(tmp_path / "s.db", records)
    report = file(write_store(tmp_path / "t.db", records, texts=changed), "shop/views.py")
    assert "the newest of 2; others:" in report
    assert "3 lines of other versions left out: the code there has changed" in report
    assert "source not available" in file(url, "shop/views.py")


def test_hostile_source_and_names_do_nothing(tmp_path: Path):
    text = "def f():\n    x = '\x1b[2J\u202e[red]'\n"
    records = [record("GET /\x1b[0m", {"\x1b.py": {2}}, texts={"\x1b.py": text})]
    url = write_store(tmp_path / "s.db", records, texts={"\x1b.py": text})
    for report in (endpoint(url, "GET /\x1b[0m"), file(url, "\x1b.py")):
        assert "\x1b" not in report
        assert "    x = '\\x1b[2J\\u202e[red]'" in report


def test_long_lines_are_folded_on_a_terminal_and_left_whole_elsewhere(tmp_path: Path, monkeypatch):
    code = "    x = '" + "abcdefghij" * 12 + "'"
    texts = {"a.py": f"def f():\n{code}\n"}
    url = write_store(tmp_path / "s.db", [record("GET /a", {"a.py": {2}}, texts=texts)], texts=texts)
    assert code in endpoint(url, "GET /a")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    lines = [
        line
        for line in endpoint(url, "GET /a", stream=Terminal()).splitlines()
        if "abc" in line or "hij" in line
    ]
    assert len(lines) > 1
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_is_for_terminals_without_no_color(tmp_path: Path, monkeypatch, no_color, coloured):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", no_color)
    report = endpoint(shop(tmp_path / "s.db"), "GET /orders/{id}", stream=Terminal())
    assert ("\x1b[32m" in report) is coloured
