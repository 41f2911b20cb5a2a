"""The tables of ``requestcov report``: what they say, how wide they are."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from requestcov.analysis.coverage import by_endpoint, by_file, by_function, by_release, union
from requestcov.analysis.evidence import Selection
from requestcov.analysis.gather import gather
from requestcov.reports.text import coverage as text
from tests.reports.shop_store import MISSING, SHOWN, VIEWS, record, shop, write_store


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def endpoints(url: str, selection: Selection | None = None) -> str:
    selection = selection or Selection()
    evidence, stream = gather(url, selection, None), io.StringIO()
    text.write_endpoints(by_endpoint(evidence), union(evidence), evidence, selection, stream)
    return stream.getvalue()


def files(url: str) -> str:
    evidence, stream = gather(url, Selection(), None), io.StringIO()
    text.write_files(by_file(evidence), evidence, Selection(), stream)
    return stream.getvalue()


def rows(report: str) -> list[list[str]]:
    """The table's cells, which are two spaces apart at least."""
    table = report.partition("\n\n")[0]
    return [re.split(r" {2,}", line) for line in table.splitlines() if "\u2500" not in line]


def test_an_endpoint_has_a_row_with_what_was_seen_recorded_and_run(tmp_path: Path):
    assert rows(endpoints(shop(tmp_path / "s.db"))) == [
        ["endpoint", "seen", "recorded", "failed", "lines run", "coverage"],
        ["POST /orders", "30", "1", "1", "3/3", "100%"],
        ["GET /orders/{id}", "1,200", "4", "0", "3/3", "100%"],
        ["GET /quiet", "7", "0", "0", "-", "-"],
        ["all", "1,237", "5", "1", "6/6", "100%"],
    ]


def test_a_file_has_a_row_with_its_functions(tmp_path: Path):
    url = write_store(
        tmp_path / "s.db", [record("GET /a", MISSING), record("GET /b", {"gone.py": {1}})], texts=None
    )
    assert rows(files(url)) == [
        ["file", "endpoints", "functions", "lines run", "coverage"],
        ["gone.py", "1", "-", "-", "-"],
        ["shop/views.py", "1", "1/2", "2/6", "33%"],
    ]
    assert "gone.py: source not available." in files(url)


def test_a_function_that_was_reached_has_a_row_and_the_others_are_counted(tmp_path: Path):
    url = write_store(tmp_path / "s.db", [record("GET /a", MISSING)])
    evidence, stream = gather(url, Selection(), None), io.StringIO()
    text.write_functions(by_function(evidence), union(evidence), evidence, Selection(), stream)
    assert rows(stream.getvalue()) == [
        ["function", "endpoints", "lines run", "coverage"],
        ["shop/views.py:6 show", "1", "2/3", "67%"],
    ]
    assert "No recorded request reached 1 further function" in re.sub(r"\s+", " ", stream.getvalue())


def test_a_release_has_a_row_and_all_together_one(tmp_path: Path):
    evidence, stream = gather(shop(tmp_path / "s.db"), Selection(), None, by_release=True), io.StringIO()
    text.write_releases(by_release(evidence), union(evidence), evidence, Selection(), stream)
    assert rows(stream.getvalue()) == [
        ["release", "endpoints", "recorded", "failed", "functions", "lines run", "coverage"],
        ["r1", "2", "4", "1", "2", "6/6", "100%"],
        ["r2", "1", "1", "0", "1", "2/3", "67%"],
        ["all", "2", "5", "1", "2", "6/6", "100%"],
    ]


def test_branches_have_columns_when_they_were_recorded(tmp_path: Path):
    """Of show's two ways on from its if, one was taken; ship's for has two more."""
    plain = record("GET /a", SHOWN)
    measured = replace(plain, blocks=(replace(plain.blocks[0], branches=frozenset({(7, 9)})),))
    url = write_store(tmp_path / "s.db", [measured])
    assert rows(endpoints(url)) == [
        ["endpoint", "seen", "recorded", "failed", "lines run", "coverage", "branches", "taken"],
        ["GET /a", "-", "1", "0", "2/3", "67%", "1/2", "50%"],
    ]
    assert rows(files(url))[1] == ["shop/views.py", "1", "1/2", "2/6", "33%", "1/4", "25%"]
    assert "Branches: ways on" in files(url)


def test_the_footing_balances_and_names_the_losses(tmp_path: Path):
    report = re.sub(r"\s+", " ", endpoints(shop(tmp_path / "s.db")))
    assert "1,237 seen, 4 excluded, 7 sampled = 5 stored + 2 (queue_full 2) dropped + 0 pending" in report
    assert "5 here, standing for 201 requests; 1 failed, 1 (aborted 1) cut short" in report
    assert "2026-11-20 10:00 to 2026-11-21 12:00 UTC" in report
    assert "releases r1, r2" in report


def test_a_selection_is_repeated_and_its_limits_told(tmp_path: Path):
    from datetime import UTC, datetime

    selection = Selection(release="r1", since=datetime(2026, 11, 20, tzinfo=UTC))
    report = re.sub(r"\s+", " ", endpoints(shop(tmp_path / "s.db"), selection))
    assert "asked for release r1, since 2026-11-20" in report
    assert "count whole lives of processes, not the period" in report


def test_several_versions_and_missing_sources_are_told(tmp_path: Path):
    other = {"shop/views.py": VIEWS + "\n"}
    records = [
        record("GET /a", SHOWN),
        record("GET /a", SHOWN, texts=other),
        record("GET /a", {"gone.py": {1, 2}}),
    ]
    report = re.sub(r"\s+", " ", endpoints(write_store(tmp_path / "s.db", records)))
    assert "1 file ran in several versions" in report
    assert "recorded lines could not be judged" in report


def test_services_that_are_counted_together_are_told(tmp_path: Path):
    """Each may have a main.py and a GET / of its own."""
    url = write_store(tmp_path / "s.db", [record("GET /a", SHOWN), record("GET /a", SHOWN, service="bank")])
    said = "2 services are counted together: their endpoints and files of one name are taken for one"
    assert said in re.sub(r"\s+", " ", endpoints(url))
    assert said not in re.sub(r"\s+", " ", endpoints(url, Selection(service="bank")))


def test_hostile_names_are_shown_as_they_are_and_do_nothing(tmp_path: Path):
    route = "GET /\x1b[31m[red]\u202e"
    records = [record(route, {"\x1b]0;title\x07.py": {1}}, release="[bold]\n")]
    url = write_store(tmp_path / "s.db", records, seen={route: 1})
    for report in (endpoints(url), files(url)):
        assert not set(report) & {"\x1b", "\x07", "\u202e"}
    assert "GET /\\x1b[31m[red]\\u202e" in endpoints(url)
    assert "[bold]\\n" in endpoints(url)
    assert "\\x1b]0;title\\x07.py" in files(url)


def test_eighty_columns_are_kept_and_no_name_is_cut(tmp_path: Path):
    """A long route is folded over lines; numbers stay whole."""
    route = "GET /" + "/".join(f"segment{i}" for i in range(30))
    url = write_store(tmp_path / "s.db", [record(route, SHOWN)], seen={route: 123_456_789})
    report = endpoints(url)
    assert max(map(len, report.splitlines())) <= 80
    assert "123,456,789" in report
    folded = [re.split(r" {2,}", line.strip())[0] for line in report.partition("\n\n")[0].splitlines()[2:]]
    assert "".join(folded).replace(" ", "") == route.replace(" ", "")
    assert all(line.endswith("/") for line in folded[:-1])


def test_a_segment_wider_than_its_column_is_folded_too(tmp_path: Path):
    route = "GET /" + "\u6f22" * 100
    report = endpoints(write_store(tmp_path / "s.db", [record(route, SHOWN)]))
    assert max(map(cell_len, report.splitlines())) <= 80
    assert report.count("\u6f22") == 100


def test_in_a_pipe_a_row_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """For grep and for logs."""
    monkeypatch.delenv("COLUMNS")
    route = "GET /" + "/".join(f"segment{i}" for i in range(30))
    report = endpoints(write_store(tmp_path / "s.db", [record(route, SHOWN)]))
    assert [row[0] for row in rows(report)] == ["endpoint", route]
    assert "\nrequests  " in report


def test_an_empty_store_has_an_empty_table_and_a_footing(tmp_path: Path):
    report = endpoints(write_store(tmp_path / "s.db", [], seen={}))
    assert rows(report) == [["endpoint", "seen", "recorded", "failed", "lines run", "coverage"]]
    assert "0 here, standing for 0 requests" in report
