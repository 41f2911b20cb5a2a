"""History survives deploys: what each question says of a function over three versions of its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from requestcov.cli import main
from tests.analysis.traffic_by_hand import traffic
from tests.cli.asked import ask_json
from tests.reports.shop_store import VIEWS, write_store

HEAD, SHOW, SHIP = VIEWS.partition("def show")[0], "def show", "def ship" + VIEWS.partition("def ship")[2]
SHOW += VIEWS.partition("def show")[2].partition("def ship")[0]

FIRST = VIEWS
MOVED = "#\n#\n" + VIEWS
AGAIN = HEAD + SHIP + "\n\n" + SHOW
EDITED = VIEWS.replace("if order is None", "if not order")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REQUESTCOV_SINKS", raising=False)


def line_of(text: str, code: str) -> int:
    return next(number for number, line in enumerate(text.split("\n"), 1) if code in line)


def deploy(*versions: str) -> None:
    """Each version for three days, on which ten requests a day run all of show but its first way out."""
    records = []
    for number, text in enumerate(versions):
        ran = {line_of(text, "if "), line_of(text, "return render")}
        days = range(3 * number, 3 * number + 3)
        records += traffic(
            days, 10, {"shop/views.py": ran}, texts={"shop/views.py": text}, release=f"r{number}"
        )
    # Every text is kept, as the sink does at the first request of each.
    for number, text in enumerate(versions):
        own = [record for record in records if record.release == f"r{number}"]
        write_store(Path(f"s{number}.db"), own, texts={"shop/views.py": text})
    Path("shop").mkdir()
    Path("shop/views.py").write_text(versions[-1])
    assert main(["merge", "requestcov.db", *(f"s{number}.db" for number in range(len(versions)))]) == 0


def test_a_function_that_only_moved_keeps_its_counts_its_days_and_when_first_and_last(capsys):
    deploy(FIRST, MOVED, AGAIN)
    capsys.readouterr()
    who = ask_json(capsys, "who", f"shop/views.py:{line_of(AGAIN, 'return render')}")["who"]
    assert (who["requests"], who["unplaced"]) == (90, 0)
    assert who["first"].startswith("2026-11-20T10:00")
    assert who["last"].startswith("2026-11-28T10:00")
    assert [one["name"] for one in who["releases"]] == ["r0", "r1", "r2"]
    [show] = ask_json(capsys, "hot")["hot"]["functions"]
    assert (show["requests"], show["earlier"]) == (90, 0)
    dead = ask_json(capsys, "dead")["dead"]
    [lines] = dead["lines"]
    assert (lines["name"], lines["days"], lines["requests"]) == ("show", 9, 90)
    assert [one["watch"]["days"] for one in dead["functions"] if one["name"] == "ship"] == [9]


def test_one_that_changes_and_changes_back_keeps_both_times_and_not_the_one_between(capsys):
    deploy(FIRST, EDITED, AGAIN)
    capsys.readouterr()
    who = ask_json(capsys, "who", f"shop/views.py:{line_of(AGAIN, 'return render')}")["who"]
    assert (who["requests"], who["unplaced"]) == (60, 30)
    assert who["first"].startswith("2026-11-20T10:00")
    assert who["last"].startswith("2026-11-28T10:00")
    [lines] = ask_json(capsys, "dead")["dead"]["lines"]
    assert (lines["days"], lines["requests"]) == (6, 60)
