"""``requestcov dead`` end to end: the store, the working tree, each format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from requestcov.cli import main
from tests.analysis.traffic_by_hand import traffic
from tests.reports.shop_store import VIEWS, shop, write_store


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("REQUESTCOV_SINKS", raising=False)
    Path("shop").mkdir()
    Path("shop/views.py").write_text(VIEWS)
    Path("shop/cold.py").write_text("def cold(order):\n    return 1\n")


@pytest.fixture
def ten_days() -> None:
    write_store(Path("requestcov.db"), traffic(range(10)))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = main(arguments)
    except SystemExit as left:
        code = int(left.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_dead_functions_lines_and_files_each_have_their_table(capsys, ten_days):
    code, out, err = run(capsys, "dead")
    assert (code, err) == (0, "")
    assert "at most 0.30% of all requests could run" in out
    functions, rest = out.split("Lines that did not run")
    assert "shop/views.py:14-17 ship" in functions
    lines, rest = rest.split("Files that no request ran")
    assert "shop/views.py:8 show" in lines
    assert "shop/cold.py" in rest
    assert "GET /orders/{id}" in rest
    assert "records   1,000 here" in rest


def test_with_too_little_data_it_says_so(capsys):
    shop(Path("requestcov.db"))
    code, out, _ = run(capsys, "dead")
    assert code == 0
    assert out.startswith("Too little data to call anything dead.")
    assert "Functions that no request ran" not in out


def test_stricter_thresholds_call_less_dead(capsys, ten_days):
    assert run(capsys, "dead", "--bound", "0.001")[1].startswith("Too little data")
    assert run(capsys, "dead", "--min-days", "11")[1].startswith("Too little data")
    assert not run(capsys, "dead", "--min-days", "10")[1].startswith("Too little data")


@pytest.mark.parametrize(
    "wrong", [("--bound", "0"), ("--bound", "nan"), ("--min-days", "0"), ("--root", "no")]
)
def test_wrong_arguments_are_refused(capsys, ten_days, wrong):
    code, _, err = run(capsys, "dead", *wrong)
    assert code == 2
    assert wrong[0] in err


def test_long_tables_end_with_how_much_more_there_is(capsys, ten_days):
    """The largest first; the other formats are whole."""
    text = VIEWS + "\n\ndef small(order):\n    return order\n"
    Path("shop/views.py").write_text(text)
    write_store(
        Path("new.db"), traffic(range(10), texts={"shop/views.py": text}), texts={"shop/views.py": text}
    )
    code, out, _ = run(capsys, "dead", "--store", "new.db", "--limit", "1")
    assert code == 0
    assert "ship" in out
    assert " small " not in out
    assert "and 1 more" in out
    assert "small" in run(capsys, "dead", "--store", "new.db", "--limit", "1", "--format", "markdown")[1]


def test_markdown_is_a_checklist_by_file(capsys, ten_days):
    code, out, err = run(capsys, "dead", "--format", "markdown")
    assert (code, err) == (0, "")
    assert "\n## `shop/views.py`\n" in out
    assert (
        "- [ ] `ship` lines 14-17 (3 lines): watched since 2026-11-20, 10 days, at most 0.30% of requests\n"
        in out
    )
    assert "- [ ] `show` lines 8 (1 line): watched since 2026-11-20, 10 days, at most 0.30% of the" in out
    assert "- [ ] `shop/cold.py`" in out


def test_json_has_the_same_and_nothing_internal(capsys, ten_days):
    code, out, _ = run(capsys, "dead", "--format", "json")
    data = json.loads(out)
    assert code == 0
    assert list(data) == ["v", "selection", "footing", "dead"]
    ship = next(item for item in data["dead"]["functions"] if item["name"] == "ship")
    assert (ship["line"], ship["end"], ship["kind"], ship["verdict"]) == (14, 17, "unrun", "dead")
    assert data["dead"]["overall"]["novelty"] == 0


def test_one_endpoint_is_judged_within_what_it_reached(capsys, ten_days):
    code, out, _ = run(capsys, "dead", "orders", "--format", "json")
    data = json.loads(out)
    assert (code, data["selection"]["endpoint"]) == (0, "GET /orders/{id}")
    assert data["dead"]["functions"] == []
    assert [item["name"] for item in data["dead"]["lines"]] == ["show"]


def test_another_directory_can_be_judged(capsys, ten_days, tmp_path):
    Path("elsewhere/shop").mkdir(parents=True)
    Path("elsewhere/shop/views.py").write_text("\n\n" + VIEWS)
    out = run(capsys, "dead", "--root", "elsewhere")[1]
    assert "shop/views.py:16-19 ship" in out
    assert Path.cwd() == tmp_path


def test_an_empty_selection_is_nothing_found(capsys, ten_days):
    assert run(capsys, "dead", "--release", "r9")[0] == 1


def test_hostile_names_are_harmless(capsys):
    path = "shop/`x`\x1b[31m.py"
    text = "def f(order):\n    if order:\n        return 1\n    return 2\n"
    records = traffic(range(10), ran={path: {2, 4}}, texts={path: text})
    write_store(Path("requestcov.db"), records, texts={path: text})
    for form in ("text", "markdown", "json"):
        code, out, _ = run(capsys, "dead", "--format", form)
        assert code == 0
        assert "\x1b" not in out
    out = run(capsys, "dead", "--format", "markdown")[1]
    assert "## ``shop/`x`\\x1b[31m.py``" in out
