"""``requestcov who`` as a person meets it: a real store, a data file of a real run of coverage.py."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from requestcov._source import digest_of
from requestcov.cli import main
from tests.cli.suite import run_suite
from tests.reports.shop_store import MISSING, SHIPPED, SHOWN, VIEWS, record, shop, write_store

HOUR = timedelta(hours=1)
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REQUESTCOV_SINKS", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)


def ask(capsys, *arguments):
    """Exit code, the answer, errors."""
    code = main(["who", "--format", "json", *arguments])
    captured = capsys.readouterr()
    return code, json.loads(captured.out)["who"] if captured.out else None, captured.err


def test_counts_releases_and_times_are_those_of_the_requests_that_ran_it(capsys):
    """Line 9 was run at 10:00, 11:00 and the next day at 12:00, not by the request at 12:00."""
    shop(Path("requestcov.db"))
    code, answer, err = ask(capsys, "views.py:9")
    assert (code, err) == (0, "")
    assert (answer["path"], answer["function"], answer["text"]) == (
        "shop/views.py",
        "show",
        "    return render(",
    )
    assert (answer["requests"], answer["weight"]) == (3, 199.0)
    assert answer["share"] == pytest.approx(199 / 201)
    assert [one["name"] for one in answer["endpoints"]] == ["GET /orders/{id}"]
    assert [(one["name"], one["requests"], one["weight"]) for one in answer["releases"]] == [
        ("r1", 2, 198.0),
        ("r2", 1, 1.0),
    ]
    assert answer["releases"][0]["last"].startswith("2026-11-20T11:00")
    assert answer["first"].startswith("2026-11-20T10:00")
    assert answer["last"].startswith("2026-11-21T12:00")
    assert answer["exact"]
    assert answer["tests"] is None


def test_an_inner_line_of_a_statement_is_the_statement(capsys):
    shop(Path("requestcov.db"))
    _, answer, _ = ask(capsys, "views.py:10")
    assert (answer["line"], answer["statement"], answer["requests"]) == (10, 9, 3)


def test_the_latest_requests_with_their_traces(capsys):
    records = [
        replace(record("GET /", SHOWN, at=HOUR * n), trace_id=TRACE if n == 30 else None) for n in range(40)
    ]
    records.append(record("GET /", MISSING, at=HOUR * 41))
    write_store(Path("requestcov.db"), records)
    _, answer, _ = ask(capsys, "shop/views.py:9")
    assert [one["id"] for one in answer["recent"]] == [one.id for one in reversed(records[30:40])]
    assert [one["trace_id"] for one in answer["recent"]] == [None] * 9 + [TRACE]
    _, answer, _ = ask(capsys, "shop/views.py:9", "--requests", "25")
    assert [one["id"] for one in answer["recent"]] == [one.id for one in reversed(records[15:40])]


def test_without_rows_of_requests_the_days_tell(capsys):
    shop(Path("requestcov.db"))
    with closing(sqlite3.connect("requestcov.db")) as database, database:
        database.execute("DELETE FROM request")
    _, answer, _ = ask(capsys, "views.py:8")
    assert (answer["requests"], answer["exact"], answer["recent"]) == (1, False, [])
    assert answer["first"].startswith("2026-11-20T10:00")
    assert answer["last"].startswith("2026-11-20T12:00")


def test_a_line_is_of_the_file_here(capsys):
    """The file has moved down by two lines since requests ran it."""
    shop(Path("requestcov.db"))
    Path("shop").mkdir()
    Path("shop/views.py").write_text("#\n#\n" + VIEWS)
    assert ask(capsys, "shop/views.py:10")[1]["requests"] == 1
    digest = digest_of(VIEWS.encode())
    assert ask(capsys, "shop/views.py:8", "--digest", digest[:8])[1]["requests"] == 1


def test_a_function_that_has_changed_is_told_not_guessed(capsys):
    shop(Path("requestcov.db"))
    Path("shop").mkdir()
    Path("shop/views.py").write_text(VIEWS.replace("return 404", "return 410"))
    code, answer, _ = ask(capsys, "shop/views.py:7")
    assert code == 0
    assert (answer["requests"], answer["unplaced"]) == (0, 4)
    assert ask(capsys, "shop/views.py:15")[1]["requests"] == 1


def test_a_line_that_nobody_ran_is_an_answer(capsys):
    write_store(Path("requestcov.db"), [record("GET /", SHOWN)])
    code, answer, _ = ask(capsys, "views.py:8")
    assert code == 0
    assert (answer["requests"], answer["first"], answer["last"]) == (0, None, None)
    assert main(["who", "views.py:8"]) == 0
    assert "None of 1 recorded request ran it." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "ran", "tests"), [(8, True, ["test_none"]), (9, False, []), (15, True, ["test_ship"])]
)
def test_the_tests_that_ran_it(capsys, line, ran, tests):
    shop(Path("requestcov.db"))
    run_suite()
    _, answer, _ = ask(capsys, f"views.py:{line}", "--tests", ".coverage")
    assert (answer["tests"]["ran"], answer["tests"]["problem"]) == (ran, None)
    assert [name.rpartition(".")[2] for name in answer["tests"]["contexts"]] == tests


def test_data_without_contexts_says_so(capsys):
    shop(Path("requestcov.db"))
    run_suite(contexts=False)
    _, answer, _ = ask(capsys, "views.py:8", "--tests", ".coverage")
    assert (answer["tests"]["ran"], answer["tests"]["contexts"]) == (True, [])
    assert "no contexts" in answer["tests"]["problem"]


def test_tests_of_another_text_cannot_be_told(capsys):
    """The last line that the tests ran is below the end of the file that is here now."""
    shop(Path("requestcov.db"))
    run_suite()
    Path("shop/views.py").write_text("\n".join(VIEWS.split("\n")[:10]) + "\n    )\n")
    _, answer, _ = ask(capsys, "views.py:8", "--tests", ".coverage")
    assert answer["tests"]["ran"] is None
    assert answer["tests"]["problem"] == "the tests ran another text than the file here"


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["views.py"], 2, "names no line"),
        (["views.py:x"], 2, "names no line"),
        (["nothing.py:3"], 1, "no file here is called"),
        (["views.py:3"], 1, "when the module is imported"),
        (["views.py:12"], 1, "holds no statement; the next that requests can run is 15"),
        (["views.py:99"], 1, "has 17 lines"),
        (["views.py:8", "--digest", "zz"], 1, "no version begins"),
        (["views.py:8", "--tests", "missing"], 2, "no data file 'missing'"),
        (["views.py:8", "--tests", "text"], 2, "cannot be read"),
        (["views.py:8", "--requests", "-1"], 2, "0 or more"),
    ],
)
def test_mistakes_are_one_sentence(capsys, arguments, code, why):
    shop(Path("requestcov.db"))
    Path("text").write_text("no database")
    found, answer, err = ask(capsys, *arguments)
    assert (found, answer) == (code, None)
    assert why in err


def test_the_text(capsys):
    texts = {"shop/views.py": VIEWS}
    write_store(
        Path("requestcov.db"), [replace(record("POST /\x1b[1m", SHIPPED, texts=texts), trace_id=TRACE)]
    )
    run_suite()
    assert main(["who", "views.py:16", "--tests", ".coverage"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "1 recorded request ran it, 100% of the traffic" in out
    assert TRACE in out
    assert ".coverage: tests ran it." in out
    assert "test_ship" in out
    assert "records   1 here" in out


def test_the_text_of_the_tests_can_be_named_and_what_speaks_against_it_is_told(capsys):
    shop(Path("requestcov.db"))
    run_suite()
    Path("old/shop").mkdir(parents=True)
    Path("old/shop/views.py").write_text(VIEWS)
    Path("shop/views.py").write_text("\n\n\n" + VIEWS)
    for name, hours in (("shop/views.py", 1), ("old/shop/views.py", -1)):
        os.utime(name, (Path(".coverage").stat().st_mtime + 3600 * hours,) * 2)
    # Three lines further down the tests seem to have run another line, and on blank ones.
    _, answer, _ = ask(capsys, "views.py:11", "--tests", ".coverage")
    assert answer["tests"]["ran"] is None
    _, answer, _ = ask(capsys, "views.py:11", "--tests", ".coverage", "--tests-root", "old")
    assert (answer["tests"]["ran"], answer["tests"]["doubt"]) == (True, None)
    Path("shop/views.py").write_text(VIEWS)
    _, answer, _ = ask(capsys, "views.py:8", "--tests", ".coverage")
    assert (answer["tests"]["ran"], answer["tests"]["doubt"]) == (True, "the file was written after the data")
    code, _, err = ask(capsys, "views.py:8", "--tests-root", "old")
    assert (code, "name their data too, with --tests" in err) == (2, True)
