"""``requestcov hot`` and ``requestcov thin`` of a store that the sink wrote."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.cli.asked import ask, ask_json, rows
from tests.reports.shop_store import MISSING, SHIPPED, SHOWN, VIEWS, record, shop, write_store


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("REQUESTCOV_SINKS", raising=False)


def test_functions_are_ranked_by_their_share_of_the_traffic(capsys):
    """199 of the 201 requests that the records stand for ran line 9, one line 8, and one shipped."""
    shop(Path("requestcov.db"))
    code, out, err = ask(capsys, "hot")
    assert (code, err) == (0, "")
    assert rows(out) == [
        ["function", "endpoints", "recorded", "share"],
        ["shop/views.py:6 show", "1", "4", ">99%"],
        ["shop/views.py:14 ship", "1", "1", "<1%"],
    ]
    assert "5 here, standing for 201 requests" in out
    assert "too few for a share to be more than a hint" in out


def test_lines_are_ranked_with_their_text(capsys):
    shop(Path("requestcov.db"))
    code, out, _ = ask(capsys, "hot", "--by", "line", "--top", "3")
    assert code == 0
    assert rows(out)[1:] == [
        ["shop/views.py:7 show", "1", "4", ">99%", "if order is None:"],
        ["shop/views.py:9 show", "1", "3", ">99%", "return render("],
        ["shop/views.py:8 show", "1", "1", "<1%", "return 404"],
    ]
    assert "3 further lines ran; --top shows more." in out


def test_json_holds_what_the_table_says(capsys):
    shop(Path("requestcov.db"))
    hot = ask_json(capsys, "hot", "--top", "1")["hot"]
    (function,) = hot["functions"]
    assert (function["name"], function["requests"], function["weight"]) == ("show", 4, 200.0)
    assert function["share"] == pytest.approx(200 / 201)
    assert (hot["total"], hot["lines"], function["endpoints"]) == (2, [], ["GET /orders/{id}"])
    # 201 squared over 2 * 99 squared + 3.
    assert hot["effective"] == pytest.approx(201**2 / (2 * 99**2 + 3))
    lines = ask_json(capsys, "hot", "--by", "line", "--top", "0")["hot"]["lines"]
    assert [line["line"] for line in lines] == [7, 9, 8, 15, 16, 17]


def test_of_one_endpoint_and_period(capsys):
    shop(Path("requestcov.db"))
    data = ask_json(capsys, "hot", "--endpoint", "/orders/{id}", "--until", "2026-11-20")
    assert data["selection"]["endpoint"] == "GET /orders/{id}"
    assert [(f["name"], f["requests"], f["share"]) for f in data["hot"]["functions"]] == [("show", 3, 1.0)]


def test_with_many_records_the_margin_is_told(capsys):
    write_store(Path("requestcov.db"), [record("GET /a", SHOWN) for _ in range(100)])
    _, out, _ = ask(capsys, "hot")
    assert "as much as 100 requests of equal weight: about 95 times in 100 a share is off by 9.8" in out


def test_a_changed_function_shows_what_ran_before(capsys):
    texts = {"shop/views.py": VIEWS.replace("404", "410")}
    records = [
        *[record("GET /a", SHOWN) for _ in range(3)],
        record("GET /a", SHOWN, texts=texts, at=timedelta(days=1)),
    ]
    write_store(Path("old.db"), records, texts={"shop/views.py": VIEWS})
    Path("shop").mkdir()
    Path("shop/views.py").write_text(texts["shop/views.py"])
    _, out, _ = ask(capsys, "hot", "--store", "old.db")
    assert rows(out) == [
        ["function", "endpoints", "recorded", "share", "earlier text"],
        ["shop/views.py:6 show", "1", "1", "25%", "75%"],
    ]


def test_thin_functions_are_ranked_by_share_and_what_never_ran(capsys):
    """show: every request, line 8 of three never; ship: one of four requests, two lines of three never."""
    records = [*[record("GET /a", SHOWN) for _ in range(3)], record("GET /a", {"shop/views.py": {7, 9, 15}})]
    write_store(Path("requestcov.db"), records)
    code, out, _ = ask(capsys, "thin")
    assert code == 0
    assert rows(out) == [
        ["function", "recorded", "share", "lines run", "thinness", "did not run"],
        ["shop/views.py:6 show", "4", "100%", "2/3", "0.33", "8"],
        ["shop/views.py:14 ship", "1", "25%", "1/3", "0.17", "16-17"],
    ]
    assert "too few to say that a line does not run" in out
    thin = ask_json(capsys, "thin", "--top", "1")["thin"]
    assert [(f["name"], f["unrun"], f["thinness"]) for f in thin["functions"]] == [
        ("show", [8], pytest.approx(1 / 3))
    ]
    assert (thin["total"], thin["whole"]) == (2, 0)
    assert "1 further function ran in part" in ask(capsys, "thin", "--top", "1")[1]


def test_what_runs_whole_is_not_thin(capsys):
    write_store(Path("requestcov.db"), [record("GET /a", SHOWN), record("POST /a", MISSING)])
    assert "1 function ran whole" in ask(capsys, "thin")[1]
    thin = ask_json(capsys, "thin", "--endpoint", "POST /a")["thin"]
    assert [(f["name"], f["unrun"]) for f in thin["functions"]] == [("show", [9])]


@pytest.mark.parametrize("command", ["hot", "thin"])
def test_nothing_recorded_is_exit_code_1_and_wrong_usage_2(capsys, command):
    shop(Path("requestcov.db"))
    code, out, err = ask(capsys, command, "--release", "none")
    assert code == 1
    assert "0 here" in out
    assert "no request is recorded here" in err
    assert ask(capsys, command, "--endpoint", "nowhere")[0] == 1
    code, out, err = ask(capsys, command, "--top", "-1")
    assert (code, out) == (2, "")
    assert "'-1' is not a number like 20, or 0 for all" in err
    assert ask(capsys, command, "--by", "request")[0] == 2


def test_hostile_names_and_source_do_nothing(capsys):
    path, text = "\x1b]0;title\x07.py", "def f():\n    return '[red]\u202e'\n"
    write_store(
        Path("requestcov.db"), [record("GET /a", {path: {2}}, texts={path: text})], texts={path: text}
    )
    for arguments in (["hot"], ["hot", "--by", "line"], ["thin"]):
        code, out, _ = ask(capsys, *arguments)
        assert code == 0
        assert not set(out) & {"\x1b", "\x07", "\u202e"}
    assert "[red]\\u202e" in ask(capsys, "hot", "--by", "line")[1]


def test_shipped_is_told_at_eighty_columns(capsys, monkeypatch):
    """Rows are folded, not cut."""
    monkeypatch.setenv("COLUMNS", "80")
    write_store(Path("requestcov.db"), [record("GET /" + "long/" * 40, SHIPPED)])
    for arguments in (["hot"], ["hot", "--by", "line"], ["thin"], ["paths", "GET /"]):
        _, out, _ = ask(capsys, *arguments)
        table = out.partition("\nrequests ")[0].splitlines()
        assert max(len(line) for line in table if "long/" not in line) <= 80
