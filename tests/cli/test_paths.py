"""``requestcov paths`` of a store that the sink wrote."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from requestcov._source import digest_of
from requestcov.record import Block
from tests.cli.asked import ask, ask_json, rows
from tests.reports.shop_store import MISSING, SHOWN, VIEWS, record, shop, write_store


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("REQUESTCOV_SINKS", raising=False)


def test_the_ways_through_an_endpoint_and_what_tells_them_apart(capsys):
    shop(Path("requestcov.db"))
    code, out, err = ask(capsys, "paths", "/orders/{id}")
    assert (code, err) == (0, "")
    assert out.startswith("GET /orders/{id}\n")
    assert rows(out) == [
        ["path", "recorded", "share", "failing", "median ms", "functions", "lines"],
        ["1", "3", ">99%", "0%", "1.0", "1", "2"],
        ["2", "1", "<1%", "0%", "1.0", "1", "2"],
    ]
    assert (
        "path 2, compared with path 1\n  shop/views.py:6 show\n  + 8      return 404\n  - 9  return render(\n"
    ) in out
    assert "takes one not seen yet is about 25%" in out


def test_json_holds_what_the_text_says(capsys):
    shop(Path("requestcov.db"))
    data = ask_json(capsys, "paths", "GET /ord")
    first, second = data["paths"]["paths"]
    assert (data["paths"]["endpoint"], data["paths"]["total"]) == ("GET /orders/{id}", 2)
    assert (first["requests"], first["share"], first["releases"]) == (3, 199 / 200, ["r1", "r2"])
    assert second["adds"] == [
        {
            "path": "shop/views.py",
            "name": "show",
            "line": 6,
            "whole": False,
            "lines": [{"number": 8, "text": "    return 404"}],
        }
    ]
    assert (data["paths"]["folded"], data["paths"]["unseen"]) == (None, 0.25)


def test_rare_paths_are_folded(capsys):
    shop(Path("requestcov.db"))
    _, out, _ = ask(capsys, "paths", "GET /orders/{id}", "--top", "1")
    assert rows(out)[2] == ["1 rarer one", "1", "<1%", "0%", "-", "-", "-"]
    assert "--top shows more" in out
    assert "compared with" not in out


def test_a_deploy_splits_no_path_and_a_selection_narrows(capsys):
    moved = {"shop/views.py": "# moved\n" + VIEWS}
    later = {"shop/views.py": {line + 1 for line in SHOWN["shop/views.py"]}}
    records = [
        record("GET /a", SHOWN),
        record("GET /a", MISSING),
        record("GET /a", later, texts=moved, at=timedelta(days=1), release="r2"),
    ]
    write_store(Path("requestcov.db"), records, texts={"shop/views.py": VIEWS})
    Path("shop").mkdir()
    Path("shop/views.py").write_text(moved["shop/views.py"])
    paths = ask_json(capsys, "paths", "GET /a")["paths"]["paths"]
    assert [(path["requests"], path["releases"]) for path in paths] == [(2, ["r1", "r2"]), (1, ["r1"])]
    (only,) = ask_json(capsys, "paths", "GET /a", "--release", "r2")["paths"]["paths"]
    assert (only["requests"], only["share"]) == (1, 1.0)


def test_what_runs_after_the_response_has_its_own_table(capsys):
    """A background task ships; the record's blocks hold its lines too."""
    whole = record("GET /a", {"shop/views.py": {7, 9, 15}})
    after = Block("shop/views.py", digest_of(VIEWS.encode()), frozenset({15}))
    write_store(Path("requestcov.db"), [record("GET /a", SHOWN), replace(whole, background=(after,))])
    _, out, _ = ask(capsys, "paths", "GET /a")
    assert rows(out)[1] == ["1", "2", "100%", "0%", "1.0", "1", "2"]
    assert "after the response\n" in out
    assert rows(out.partition("after the response\n")[2]) == [
        ["function", "recorded", "share", "lines"],
        ["shop/views.py:14 ship", "1", "50%", "15"],
    ]
    (background,) = ask_json(capsys, "paths", "GET /a")["paths"]["background"]
    assert (background["lines"], background["share"]) == ([15], 0.5)


def test_long_differences_are_shortened_with_a_count(capsys):
    text = "def f(a):\n" + "    if a:\n" + "        a()\n" * 20 + "    return a\n"
    texts = {"f.py": text}
    whole = {"f.py": set(range(2, 24))}
    records = [record("GET /a", {"f.py": {2, 23}}, texts=texts) for _ in range(2)]
    write_store(Path("requestcov.db"), [*records, record("GET /a", whole, texts=texts)], texts=texts)
    _, out, _ = ask(capsys, "paths", "GET /a")
    assert out.count("  + ") == 12
    assert "and 8 further lines of it" in out


def test_an_endpoint_only_seen_or_unknown_is_exit_code_1(capsys):
    shop(Path("requestcov.db"))
    code, out, err = ask(capsys, "paths", "/quiet")
    assert code == 1
    assert "0 here" in out
    assert "GET /quiet was seen, but no request to it is recorded here" in err
    code, _, err = ask(capsys, "paths", "orders")
    assert (code, err.splitlines()[1:]) == (1, ["  GET /orders/{id}", "  POST /orders"])
    assert ask(capsys, "paths")[0] == 2


def test_hostile_names_and_source_do_nothing(capsys):
    path, text = "\x1b]0;title\x07.py", "def f():\n    a('[red]\u202e')\n    return\n"
    texts, endpoint = {path: text}, "GET /\x1b[31m[bold]"
    records = [record(endpoint, {path: lines}, texts=texts) for lines in ({2}, {2}, {3})]
    write_store(Path("requestcov.db"), records, texts=texts)
    code, out, _ = ask(capsys, "paths", "GET /")
    assert code == 0
    assert not set(out) & {"\x1b", "\x07", "\u202e"}
    assert "GET /\\x1b[31m[bold]" in out
    assert "[red]\\u202e" in out
