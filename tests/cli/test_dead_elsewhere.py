"""What commands and jobs ran is told apart from dead code: by real data of coverage.py, and by looks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import html

from requestcov.cli import main
from tests.analysis.traffic_by_hand import traffic
from tests.reports.shop_store import VIEWS, write_store

JOBS = """\
import sys

sys.path.insert(0, ".")
from shop import views

views.pack = lambda item: None


class Order(list):
    pass


def nightly():
    views.ship(Order())
    views.show(None)


nightly()
"""
COLD = """\
from celery import shared_task


@shared_task
def sync():
    return 1


def cold():
    return 2
"""


@pytest.fixture(autouse=True)
def _ten_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("REQUESTCOV_SINKS", raising=False)
    for name, text in {"shop/views.py": VIEWS, "shop/cold.py": COLD, "jobs.py": JOBS}.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    write_store(Path("requestcov.db"), traffic(range(10)))


def measure(*options: str) -> None:
    """Run the job under coverage.py: it runs 15 and 16 of VIEWS, and 7 and 8."""
    subprocess.run(
        [sys.executable, "-m", "coverage", "run", "--data-file=jobs.data", *options, "jobs.py"],
        check=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")},
    )


def judged(capsys: pytest.CaptureFixture[str], *arguments: str):
    assert main(["dead", "--format", "json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)["dead"]


def test_what_a_job_ran_is_not_dead_but_run_elsewhere(capsys):
    measure("--context=nightly")
    found = judged(capsys, "--elsewhere", "jobs.data")
    ship = next(item for item in found["functions"] if item["name"] == "ship")
    assert ship["verdict"] == "elsewhere"
    assert ship["elsewhere"] == [{"data": "jobs.data", "lines": "15-16", "contexts": ["nightly"]}]
    [lines] = found["lines"]
    assert (lines["name"], lines["lines"], lines["verdict"]) == ("show", "8", "elsewhere")
    [data] = found["elsewhere"]
    # The job's own file is in the data too, for it is in scope.
    assert (data["compared"], data["not_compared"]) == (2, [])


def test_lines_of_a_function_come_apart_where_a_job_ran_some(capsys):
    text = VIEWS.replace(
        "        return 404\n", "        order = 0\n        return order if order else 404\n"
    )
    text = text.replace("    return render(", "    if order == 5:\n        return 5\n    return render(")
    Path("shop/views.py").write_text(text)
    measure()
    ran = {"shop/views.py": {7, 10, 12}}
    texts = {"shop/views.py": text}
    write_store(Path("new.db"), traffic(range(10), ran=ran, texts=texts), texts=texts)
    found = judged(capsys, "--store", "new.db", "--elsewhere", "jobs.data")
    assert [(one["lines"], one["verdict"]) for one in found["lines"]] == [
        ("11", "dead"),
        ("8-9", "elsewhere"),
    ]


def test_without_the_data_it_looks_dead(capsys):
    found = judged(capsys)
    verdicts = {item["name"]: item["verdict"] for item in found["functions"]}
    assert verdicts["ship"] == "dead"
    assert found["elsewhere"] == []


def test_the_text_and_the_ticket_tell_it_apart(capsys):
    measure()
    assert main(["dead", "--elsewhere", "jobs.data"]) == 0
    before, after = capsys.readouterr().out.split("Run elsewhere, by no request")
    assert "ship" not in before
    assert "shop/views.py:14-17 ship" in after
    assert "jobs.data" in after.split("Files that no request ran")[0]
    assert main(["dead", "--elsewhere", "jobs.data", "--format", "markdown"]) == 0
    before, after = capsys.readouterr().out.split("## Run elsewhere: to be kept")
    assert "ship" not in before
    assert "- `shop/views.py:14 ship`: run by `jobs.data`" in after
    assert "- `shop/views.py:6 show` lines 8: run by `jobs.data`" in after


def test_what_looks_like_a_job_is_listed_apart_with_the_reason(capsys):
    found = judged(capsys)
    hints = {item["name"]: (item["hint"], item["verdict"]) for item in found["functions"]}
    assert hints["sync"] == ("decorated with @shared_task", "unwatched")
    assert hints["cold"] == (None, "unwatched")
    assert main(["dead"]) == 0
    out = capsys.readouterr().out
    listed = out.split("Look like a command or a job")[1].split("Files that no request ran")[0]
    assert "shop/cold.py:5-6 sync" in listed
    assert "decorated with @shared_task" in listed
    assert main(["dead", "--format", "markdown"]) == 0
    ticket = capsys.readouterr().out
    assert "- [ ] `shop/cold.py:5 sync`: `decorated with @shared_task`" in ticket


def test_a_script_of_the_project_is_known_by_its_declaration(capsys):
    Path("pyproject.toml").write_text(
        '[project]\nname = "shop"\n[project.scripts]\nship = "shop.views:ship"\n'
    )
    ship = next(item for item in judged(capsys)["functions"] if item["name"] == "ship")
    assert (ship["hint"], ship["verdict"]) == ("called by the script ship", "dead")


def test_the_html_report_tells_it_apart(capsys):
    measure()
    Path("pyproject.toml").write_text(
        '[project]\nname = "shop"\n[project.scripts]\nship = "shop.views:ship"\n'
    )

    def section(*arguments: str) -> str:
        assert main(["html", "r.html", *arguments]) == 0
        page = html.fromstring(Path("r.html").read_bytes())
        return " ".join(page.xpath("//section[@id='dead']")[0].text_content().split())

    assert "Look like a command or a job" in section()
    assert "called by the script ship" in section()
    told = section("--elsewhere", "jobs.data").split("Run elsewhere, by no request")[1]
    assert "ship shop/views.py:14 15-16 3 jobs.data show shop/views.py:6 8 1 jobs.data" in told


def test_data_of_another_text_is_told_not_guessed(capsys):
    measure()
    Path("shop/views.py").write_text("# nothing here\n" * 20)
    [data] = judged(capsys, "--elsewhere", "jobs.data")["elsewhere"]
    assert data["not_compared"] == [
        {"path": "shop/views.py", "problem": "the commands ran another text than the file here"}
    ]


def test_mistakes_are_one_sentence(capsys):
    assert main(["dead", "--elsewhere", "missing.data"]) == 2
    assert "there is no data file 'missing.data'" in capsys.readouterr().err
    Path("other.py").write_text("print(1)\n")
    measure("--include=nothing/*")
    assert main(["dead", "--elsewhere", "jobs.data"]) != 0
    assert "jobs.data" in capsys.readouterr().err
