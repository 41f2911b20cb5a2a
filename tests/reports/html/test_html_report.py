"""What the HTML report says, and where the command writes it."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from difflib import unified_diff
from pathlib import Path

import pytest
from lxml import html

from requestcov.cli import main
from requestcov.reports.html.overview import MOST_BARS, traffic
from requestcov.reports.html.page import SECTIONS
from requestcov.storage.results import Outcome
from tests.cli.suite import run_suite
from tests.reports.shop_store import MISSING, SHOWN, VIEWS, record, shop, write_store

ALWAYS = [name for name in SECTIONS if name not in ("gap", "impact")]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REQUESTCOV_SINKS", raising=False)
    shop(tmp_path / "requestcov.db")


def read(*arguments: str) -> html.HtmlElement:
    assert main(["html", "r.html", *arguments]) == 0
    return html.fromstring(Path("r.html").read_bytes())


def rows(page: html.HtmlElement, section: str) -> list[list[str]]:
    """The cells of a section's first table."""
    table = page.xpath(f"//section[@id='{section}']//table[contains(@class, 'fold')]")[0]
    return [
        [" ".join(cell.text_content().split()) for cell in row.xpath("th|td")]
        for row in table.xpath("tbody/tr")
    ]


def test_an_endpoint_has_a_row_the_most_used_first():
    assert rows(read(), "endpoints") == [
        ["1 GET /orders/{id}", ">99%", "1,200", "4", "0", "3/3", "100%"],
        ["2 POST /orders", "<1%", "30", "1", "1", "3/3", "100%"],
        ["3 GET /quiet", "-", "7", "0", "0", "-", "-"],
    ]


def test_a_file_has_a_row():
    assert rows(read(), "files") == [["shop/views.py", "2", "2/2", "6/6", "100%"]]


def test_a_line_has_its_requests_share_and_endpoints_and_its_text_once():
    page = read()
    lines = [[part.text_content() for part in row] for row in page.xpath("//div[@class='lines']/div")]
    assert lines[6] == ["7", "4", ">99%", "1", "    if order is None:"]
    assert lines[7] == ["8", "1", "<1%", "1", "        return 404"]
    assert lines[14] == ["15", "1", "<1%", "2", "    order.sent = True"]
    assert lines[0] == ["1", "", "", "", "import os"]
    source = page.xpath("//section[@id='source']")[0].text_content()
    assert source.count("order.sent = True") == 1


def test_what_no_request_ran_is_listed_with_its_bound():
    page = read("--release", "r2")
    assert page.xpath("//section[@id='dead']//tr[1]/th/a/bdi/text()")[0] == "ship"
    assert "95%" in rows(page, "dead")[0][-1]  # one request that did not: 1 - 0.05 ** (1 / 1)
    assert page.xpath("//div[@class='lines']/div[@class='missed']")


def test_what_most_requests_run_is_ranked_with_its_share():
    assert [(row[0], row[-1]) for row in rows(read(), "hot")] == [
        ("show shop/views.py:6", ">99%"),
        ("ship shop/views.py:14", "<1%"),
    ]


def test_the_paths_of_an_endpoint_are_told_apart_by_their_lines():
    page = read()
    assert [row[:3] for row in rows(page, "paths")] == [["path 1", "3", ">99%"], ["path 2", "1", "<1%"]]
    lines = page.xpath("//section[@id='paths']//div[contains(@class, 'diff')]/div")
    assert [line.text_content() for line in lines] == ["+8    return 404", "-9return render("]


def test_a_function_run_in_part_is_thin():
    page = read("--release", "r2")
    assert [row[0] for row in rows(page, "thin")] == ["show shop/views.py:6"]
    assert rows(page, "thin")[0][2:] == ["2/3", "8", "0.33"]


def test_what_goes_with_failing_is_ranked():
    good = [record("GET /a", SHOWN) for _ in range(20)]
    bad = [record("GET /a", MISSING, status=500) for _ in range(20)]
    Path("requestcov.db").unlink()
    write_store(Path("requestcov.db"), [*good, *bad])
    page = read()
    assert rows(page, "suspects") == [
        ["show shop/views.py:8", "1", "20", "0", "1.00", "1.00", "∞", "1.00", "<0.001"]
    ]


def test_where_too_little_is_recorded_it_says_so():
    page = read()
    for name in ("suspects", "slow"):
        assert "Too little to compare" in page.xpath(f"//section[@id='{name}']")[0].text_content()
    assert "too few for a share" in page.xpath("//section[@id='hot']")[0].text_content()


def test_a_release_has_a_row():
    assert [[row[0], row[3], row[-1]] for row in rows(read(), "releases")] == [
        ["r1", "4", "100%"],
        ["r2", "1", "67%"],
    ]


def test_what_went_silent_with_the_latest_release_is_listed():
    text = " ".join(read().xpath("//section[@id='releases']")[0].text_content().split())
    assert "Newly run in r2 Nothing that r1 had not run." in text
    assert "Gone silent, though the code is there" in text
    assert "shop/views.py:8" in text


def texts(elements: list[html.HtmlElement]) -> list[str]:
    return [" ".join(element.text_content().split()) for element in elements]


def test_the_number_of_a_line_leads_to_who_ran_it():
    page = read()
    lines = page.xpath("//section[@id='source']//div[@class='lines']/div")
    hrefs = {
        number: line.xpath("span[1]/a/@href") for number, line in enumerate(lines, 1) if line.xpath(".//a")
    }
    assert hrefs == {7: ["#w1"], 8: ["#w2"], 9: ["#w3"], 15: ["#w4"], 16: ["#w4"], 17: ["#w4"]}
    assert texts(page.xpath("//div[@class='who']/div")) == [
        "shop/views.py 7 1 GET /orders/{id} 4 requests, >99% of all, 2026-11-20 to 2026-11-21",
        "shop/views.py 8 1 GET /orders/{id} 1 request, <1% of all, 2026-11-20",
        "shop/views.py 9 1 GET /orders/{id} 3 requests, >99% of all, 2026-11-20 to 2026-11-21",
        "shop/views.py 15-17 2 POST /orders 1 request, <1% of all, 2026-11-20",
    ]


def test_a_change_has_a_section_when_it_is_named():
    assert read().xpath("//section/@id") == ALWAYS
    change = VIEWS.replace("return 404", "return 410").replace("LIMIT = 3", "LIMIT = 4")
    Path("shop").mkdir()
    Path("shop/views.py").write_text(change)
    Path("a.diff").write_text("".join(unified_diff(
        VIEWS.splitlines(True), change.splitlines(True), "a/shop/views.py", "b/shop/views.py"
    )))  # fmt: skip
    page = read("--diff", "a.diff")
    assert [row[:3] for row in rows(page, "impact")] == [["1 GET /orders/{id}", "1", "1"]]
    lines = page.xpath("//section[@id='impact']//div[contains(@class, 'change')]/div")
    assert [[part.text_content() for part in line] for line in lines] == [
        ["-", "3", "", "", "LIMIT = 3", "runs at import"],
        ["-", "8", "1", "<1%", "        return 404"],
    ]
    assert "return 404" not in texts(read("--diff", "a.diff", "--no-source").xpath("//main"))[0]


def test_a_change_that_cannot_be_read_writes_nothing(capsys: pytest.CaptureFixture[str]):
    assert main(["html", "r.html", "--diff", "missing.diff"]) == 2
    assert "the diff 'missing.diff' cannot be read" in capsys.readouterr().err
    assert not Path("r.html").exists()


def test_what_no_test_runs_has_a_section_when_their_data_is_named():
    run_suite()
    page = read("--tests", ".coverage")
    assert rows(page, "gap") == [
        ["1 GET /orders/{id}", ">99%", "3", "1", "50%"],
        ["2 POST /orders", "<1%", "3", "1", "33%"],
    ]
    functions = page.xpath("//section[@id='gap']//table[2]/tbody/tr")
    assert texts(functions) == ["show shop/views.py:6 9 3 >99%", "ship shop/views.py:14 17 1 <1%"]
    assert functions[0].xpath(".//a/@href") == ["#f1-6"]


def test_the_footing_is_that_of_the_other_reports():
    text = read("--release", "r1").xpath("//dl[@class='facts']")[0].text_content()
    assert "1,237 seen, 4 excluded, 7 sampled = 5 stored + 2 (queue_full 2) dropped + 0 pending" in text
    assert "release r1" in text


def test_without_source_no_text_and_no_link_to_it():
    page = read("--no-source")
    assert page.xpath("//section/@id") == [name for name in ALWAYS if name not in ("source", "who")]
    text = Path("r.html").read_text()
    assert "order.sent" not in text
    assert "return 404" not in text
    assert not page.xpath("//main//a")
    assert not page.xpath("//div[@class='who']")


def test_the_same_store_gives_the_same_bytes():
    read()
    first = Path("r.html").read_bytes()
    read()
    assert Path("r.html").read_bytes() == first


def test_another_file_is_not_overwritten_unless_told(capsys: pytest.CaptureFixture[str]):
    Path("r.html").write_text("<!doctype html><title>mine</title>")
    assert main(["html", "r.html"]) == 2
    assert "is no report of requestcov: name another, or add --force" in capsys.readouterr().err
    assert Path("r.html").read_text() == "<!doctype html><title>mine</title>"
    read("--force")


def test_a_report_of_ours_is_replaced_and_a_failed_one_leaves_the_old(monkeypatch: pytest.MonkeyPatch):
    read()
    read("--release", "r2")
    before = Path("r.html").read_bytes()

    def full(old: str, new: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert main(["html", "r.html"]) == 2
    assert Path("r.html").read_bytes() == before
    assert [path.name for path in Path().glob(".requestcov-*")] == []


def test_a_new_file_is_its_owners_and_one_that_was_there_keeps_its_mode_and_its_link():
    """Whatever is written, by whichever command."""
    for command in (["html", "r.html"], ["export", "--to", "json", "r.json"]):
        name = command[-1]
        Path("shop").mkdir(exist_ok=True)
        Path("shop/views.py").write_text(VIEWS)
        assert main(command) == 0
        assert Path(name).stat().st_mode & 0o777 == 0o600
        Path(name).chmod(0o644)
        Path("link").symlink_to(name)
        assert main([*command[:-1], "link", "--force"]) == 0
        assert Path("link").is_symlink()
        assert Path(name).stat().st_mode & 0o777 == 0o644
        Path("link").unlink()


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_place_that_is_no_file_is_refused(capsys: pytest.CaptureFixture[str], force: list[str]):
    Path("folder").mkdir()
    assert main(["html", "folder", *force]) == 2
    assert "'folder'" in capsys.readouterr().err
    assert main(["html", "missing/r.html"]) == 2
    assert "'missing/r.html' cannot be written: No such file or directory." in capsys.readouterr().err


def test_nothing_recorded_writes_nothing(capsys: pytest.CaptureFixture[str]):
    assert main(["html", "r.html", "--release", "r9"]) == 1
    assert "no request is recorded here" in capsys.readouterr().err
    assert not Path("r.html").exists()


def test_without_jinja_one_sentence_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for name in ("page", "environment"):
        monkeypatch.delitem(sys.modules, f"requestcov.reports.html.{name}", raising=False)
    assert main(["html", "r.html"]) == 2
    assert "an HTML report needs the package jinja2: pip install 'requestcov[cli]'" in capsys.readouterr().err


DAY = datetime(2026, 1, 1, tzinfo=UTC)


def outcome(day: int, weight: float = 1.0, failed: bool = False) -> Outcome:
    return Outcome(
        service="s",
        release="r",
        endpoint="GET /",
        day=DAY + timedelta(days=day),
        failed=failed,
        status=200,
        error=None,
        sampled_by="rate",
        partial=None,
        engine="monitoring",
        requests=1,
        weight=weight,
        squares=weight**2,
    )


def test_a_day_without_requests_has_its_place_in_the_drawing():
    bars = traffic([outcome(0, 4.0), outcome(2), outcome(2, failed=True)])
    assert [(bar.weight, bar.height, bar.bad, bar.failed) for bar in bars] == [
        (4.0, 100.0, 0.0, 0),
        (0.0, 0.0, 0.0, 0),
        (2.0, 50.0, 25.0, 1),
    ]
    assert traffic([]) == ()


@pytest.mark.parametrize("days", [1, MOST_BARS, MOST_BARS + 1, 1000])
def test_a_long_time_is_drawn_with_few_bars_that_lose_no_request(days: int):
    bars = traffic([outcome(day) for day in range(days)])
    assert len(bars) <= MOST_BARS
    assert sum(bar.requests for bar in bars) == days
    assert bars[0].first == DAY
    assert all(bar.x >= 0 and bar.x + bar.width <= 100.001 for bar in bars)
