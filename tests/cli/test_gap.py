"""``requestcov gap`` as a person meets it: a real store, a data file of a real run of coverage.py."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from requestcov.cli import main
from tests.cli.suite import run_suite
from tests.reports.shop_store import MISSING, VIEWS, record, shop, write_store

MODELS = "def load():\n    return 1\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REQUESTCOV_SINKS", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)


def ask(capsys, *arguments):
    """Exit code, the answer, errors."""
    code = main(["gap", "--format", "json", *arguments])
    captured = capsys.readouterr()
    return code, json.loads(captured.out)["gap"] if captured.out else None, captured.err


def functions(found):
    return [(one["path"], one["name"], one.get("untested"), one["unrun"]) for one in found]


def test_hot_and_untested_by_function_and_endpoint(capsys):
    """The suite runs 7, 8, 15, 16; requests run all of 7, 8, 9 and 15, 16, 17."""
    shop(Path("requestcov.db"))
    run_suite()
    code, answer, err = ask(capsys, ".coverage")
    assert (code, err) == (0, "")
    show, ship = answer["untested"]
    assert (show["name"], show["untested"], show["requests"], show["executable"]) == ("show", [9], 3, 3)
    assert show["hot"] == pytest.approx(199 / 201)
    assert show["share"] == pytest.approx(200 / 201)
    assert (ship["name"], ship["untested"], ship["requests"]) == ("ship", [17], 1)
    orders, post = answer["endpoints"]
    assert (orders["endpoint"], orders["lines"], orders["untested"]) == ("GET /orders/{id}", 3, 1)
    assert orders["exposure"] == pytest.approx(199 / 400)  # 200 requests ran two lines each
    assert (post["endpoint"], post["untested"], post["exposure"]) == ("POST /orders", 1, pytest.approx(1 / 3))
    assert answer["not_compared"] == []


def test_tested_and_never_run_also_in_files_that_no_request_ran(capsys):
    write_store(Path("requestcov.db"), [record("GET /", MISSING)])
    suite = {"shop/models.py": MODELS, "suite.py": "import sys\nsys.path.insert(0, '.')\n"}
    suite["suite.py"] += (
        "from shop import models, views\nmodels.load()\nviews.render = views.show\nviews.ship.__call__\n"
    )
    suite["suite.py"] += "class O(list):\n    pass\nviews.ship(O())\nviews.show(None)\n"
    run_suite(files=suite)
    _, answer, _ = ask(capsys, ".coverage")
    assert answer["untested"] == []
    found = functions(answer["unrun"])
    assert ("shop/views.py", "ship", [], [15, 16]) in found
    assert ("shop/models.py", "load", [], [2]) in found


def test_requests_of_a_text_that_moved_are_placed_in_the_tests_text(capsys):
    shop(Path("requestcov.db"))
    run_suite(text="#\n" + VIEWS)
    _, answer, _ = ask(capsys, ".coverage")
    assert [one["untested"] for one in answer["untested"]] == [[10], [18]]
    assert answer["unplaced"] == 0


def test_a_changed_function_is_told_not_guessed(capsys):
    shop(Path("requestcov.db"))
    run_suite(text=VIEWS.replace("if order is None", "if not order"))
    _, answer, _ = ask(capsys, ".coverage")
    assert answer["unplaced"] == 4
    assert [one["name"] for one in answer["untested"]] == ["ship"]


def test_another_text_than_the_tests_ran_is_not_compared(capsys):
    shop(Path("requestcov.db"))
    run_suite()
    Path("shop/views.py").write_text("# nothing\n")
    _, answer, _ = ask(capsys, ".coverage")
    assert [one["problem"] for one in answer["not_compared"]] == [
        "the tests ran another text than the file here"
    ]
    assert answer["untested"] == []
    assert {one["path"] for one in answer["unrun"]} == {"suite.py"}


def test_the_tests_own_functions_are_not_missed_in_production(capsys):
    shop(Path("requestcov.db"))
    helper = "def help():\n    return 1\n"
    suite = "import sys\nsys.path.insert(0, '.')\n"
    suite += "from shop import views\nfrom tests import test_it\ntest_it.help()\n"
    run_suite(files={"suite.py": suite, "tests/test_it.py": helper})
    assert ask(capsys, ".coverage")[1]["unrun"] == []


def test_two_files_that_could_be_one_are_not_guessed(capsys, monkeypatch):
    """The data was made where two folders hold a shop; the store's names begin at either."""
    copy = "for at in 'one/shop/views.py', 'two/shop/views.py':\n"
    copy += "    exec(compile(open(at).read(), at, 'exec'))\n"
    run_suite(files={"one/shop/views.py": VIEWS, "two/shop/views.py": VIEWS, "suite.py": copy})
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    shop(Path("requestcov.db"))
    _, answer, _ = ask(capsys, "../.coverage")
    assert [one["problem"] for one in answer["not_compared"]] == [
        "several files of the data could be this one"
    ]


def test_mistakes_are_one_sentence(capsys):
    shop(Path("requestcov.db"))
    code, _, err = ask(capsys, "missing")
    assert (code, "no data file 'missing'" in err) == (2, True)


def test_an_empty_store_is_nothing_to_show(capsys):
    write_store(Path("requestcov.db"), [])
    run_suite()
    assert ask(capsys, ".coverage")[0] == 1


def test_the_text(capsys):
    shop(Path("requestcov.db"))
    run_suite()
    assert main(["gap", ".coverage"]) == 0
    out = capsys.readouterr().out
    assert "shop/views.py:6 show" in out
    assert "Run by tests, by no recorded request" in out
    assert "records   5 here" in out


def age(name: str, seconds: float) -> None:
    """As if the file had been written so much later than it was."""
    now = Path(name).stat().st_mtime + seconds
    os.utime(name, (now, now))


def test_a_file_written_after_the_data_is_compared_and_told(capsys):
    shop(Path("requestcov.db"))
    run_suite()
    assert ask(capsys, ".coverage")[1]["doubtful"] == []
    age("shop/views.py", 3600)
    _, answer, _ = ask(capsys, ".coverage")
    assert answer["doubtful"] == [{"path": "shop/views.py", "doubt": "the file was written after the data"}]
    assert [one["name"] for one in answer["untested"]] == ["show", "ship"]
    assert main(["gap", ".coverage"]) == 0
    assert (
        "Perhaps not the text that the tests ran: shop/views.py: the file was written"
        in capsys.readouterr().out
    )


def test_what_ran_where_no_code_is_is_told(capsys):
    """A docstring took the place of a line, so that the tests ran on it; nothing runs there now."""
    shop(Path("requestcov.db"))
    run_suite()
    text = VIEWS.replace("    order.sent = True\n", "    'Sent.'\n")
    Path("shop/views.py").write_text(text)
    age("shop/views.py", -3600)
    _, answer, _ = ask(capsys, ".coverage")
    assert answer["doubtful"] == [
        {"path": "shop/views.py", "doubt": "something ran on line 15, where it has no code"}
    ]


def test_the_text_that_the_tests_ran_can_be_named_by_its_folder(capsys):
    shop(Path("requestcov.db"))
    run_suite()
    Path("old/shop").mkdir(parents=True)
    Path("old/shop/views.py").write_text(VIEWS)
    age("old/shop/views.py", -3600)
    Path("shop/views.py").write_text("# all is new\n" * 3)
    assert [one["path"] for one in ask(capsys, ".coverage")[1]["not_compared"]] == ["shop/views.py"]
    _, answer, _ = ask(capsys, ".coverage", "--tests-root", "old")
    assert [one["untested"] for one in answer["untested"]] == [[9], [17]]
    assert answer["doubtful"] == []
    assert ask(capsys, ".coverage", "--tests-root", "nowhere")[0] == 2


def test_the_text_that_the_tests_ran_can_be_named_by_its_commit(capsys, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    shop(Path("requestcov.db"))
    run_suite()
    for arguments in (["init", "-q"], ["add", "shop"], ["commit", "-qm", "tested"]):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments], check=True)
    Path("shop/views.py").write_text("\n\n\n" + VIEWS)
    _, answer, _ = ask(capsys, ".coverage", "--tests-commit", "HEAD")
    assert [one["untested"] for one in answer["untested"]] == [[9], [17]]
    assert answer["doubtful"] == []
    missing = [one for one in answer["not_compared"] if one["path"] == "suite.py"]
    assert [one["problem"] for one in missing] == [
        "the file is not in 'HEAD', so that the text of the tests is unknown"
    ]
    for wrong in ("nowhere", "-x"):
        code, _, err = ask(capsys, ".coverage", f"--tests-commit={wrong}")
        assert (code, wrong in err) == (2, True)
