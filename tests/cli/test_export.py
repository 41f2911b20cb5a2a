"""Exports read back by the tools they are for: coverage.py, lcov, genhtml, a validating XML parser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from coverage import CoverageData
from lxml import etree

from requestcov._source import digest_of
from requestcov.record import Arc, RequestRecord
from requestcov.storage import open_store
from tests.cli.asked import ask
from tests.reports.shop_store import SHIPPED, SHOWN, VIEWS, record, shop, write_store

DTD = Path(__file__).parent / "cobertura.dtd"
TAKEN: dict[str, set[Arc]] = {
    "GET /orders/{id}": {(7, 9)},
    "POST /orders": {(16, 17), (16, -14)},
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REQUESTCOV_SINKS", raising=False)
    Path("shop").mkdir()
    Path("shop/views.py").write_text(VIEWS)


def branching() -> None:
    """A store whose requests were recorded with branches."""
    records: list[RequestRecord] = []
    for endpoint, ran in (("GET /orders/{id}", SHOWN), ("POST /orders", SHIPPED)):
        made = record(endpoint, ran, weight=40.0)
        blocks = tuple(replace(block, branches=frozenset(TAKEN[endpoint])) for block in made.blocks)
        records.append(replace(made, blocks=blocks))
    write_store(Path("requestcov.db"), records)


def coverage(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "coverage", *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_coverage_py_reports_what_ran_of_each_endpoint(capsys):
    shop(Path("requestcov.db"))
    code, out, err = ask(capsys, "export", "--to", "coverage", ".coverage")
    assert (code, err) == (0, "")
    assert out == ".coverage: lines of 1 files and 2 endpoints; 6 of 10 lines ran.\n"
    total = json.loads((Path(coverage("json", "-q", "-o", "c.json") or "") / "c.json").read_text())
    assert total["files"]["shop/views.py"]["executed_lines"] == [7, 8, 9, 15, 16, 17]
    assert total["files"]["shop/views.py"]["missing_lines"] == [1, 3, 6, 14]
    assert re.search(r"shop/views.py +10 +4 +60%", coverage("report"))
    assert re.search(r"shop/views.py +10 +7 +30%", coverage("report", "--contexts=POST /orders"))
    coverage("html", "--show-contexts", "-d", "html")
    (page,) = Path("html").glob("*views_py.html")
    assert "GET /orders/{id}" in page.read_text()


def test_coverage_py_combines_it_with_that_of_the_tests(capsys):
    shop(Path("requestcov.db"))
    assert ask(capsys, "export", "--to", "coverage", ".coverage.production")[0] == 0
    tests = CoverageData(basename=".coverage.tests")
    tests.set_context("test_import")
    tests.add_lines({str(Path.cwd() / "shop/views.py"): {1, 3, 6, 14}})
    tests.write()
    tests.close()
    coverage("combine", ".coverage.production", ".coverage.tests")
    assert re.search(r"shop/views.py +10 +0 +100%", coverage("report"))
    combined = CoverageData()
    combined.read()
    assert combined.measured_contexts() == {"GET /orders/{id}", "POST /orders", "test_import"}
    combined.close()


@pytest.mark.parametrize("relative", [False, True])
def test_coverage_py_finds_the_files_as_its_configuration_wants_them(capsys, relative):
    Path(".coveragerc").write_text(f"[run]\nrelative_files = {relative}\n")
    shop(Path("requestcov.db"))
    assert ask(capsys, "export", "--to", "coverage", "data")[0] == 0
    data = CoverageData(basename="data")
    data.read()
    assert data.measured_files() == {"shop/views.py" if relative else str(Path.cwd() / "shop/views.py")}
    data.close()
    assert "60%" in coverage("report", "--data-file=data")


def test_coverage_py_counts_branches(capsys):
    branching()
    code, out, _ = ask(capsys, "export", "--to", "coverage", ".coverage")
    assert (code, out.startswith(".coverage: lines and branches of")) == (0, True)
    # Of 4 branches 3 were taken: the one to line 8 is missing. Lines 1, 3, 6, 8 and 14 did not run.
    assert re.search(r"shop/views.py +10 +5 +4 +1 +57%", coverage("report"))
    coverage("json", "-q", "-o", "c.json")
    file = json.loads(Path("c.json").read_text())["files"]["shop/views.py"]
    assert file["executed_branches"] == [[7, 9], [16, -14], [16, 17]]
    assert file["missing_branches"] == [[7, 8]]
    ask(capsys, "export", "--to", "coverage", "lines", "--lines")
    data = CoverageData(basename="lines")
    data.read()
    assert not data.has_arcs()
    data.close()


def lcov_totals(text: str) -> dict[str, tuple[int, int]]:
    found = re.findall(r"(lines|functions|branches)\.*: [0-9.]+% \((\d+) of (\d+)", text)
    return {name: (int(hit), int(all_)) for name, hit, all_ in found}


@pytest.mark.skipif(shutil.which("genhtml") is None, reason="needs lcov: .ci/run installs it")
def test_lcov_and_genhtml_show_the_same_totals(capsys):
    branching()
    assert ask(capsys, "export", "--to", "lcov", "lcov.info")[0] == 0
    wanted = {"lines": (5, 10), "functions": (2, 2), "branches": (3, 4)}
    for command in (
        ["lcov", "--summary", "lcov.info", "--rc", "lcov_branch_coverage=1"],
        ["genhtml", "lcov.info", "--branch-coverage", "-o", "html"],
    ):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=os.environ | {"LC_ALL": "C"}
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert lcov_totals(done.stdout + done.stderr) == wanted


def test_lcov_has_a_record_for_each_file(capsys):
    shop(Path("requestcov.db"))
    ask(capsys, "export", "--to", "lcov", "lcov.info")
    assert Path("lcov.info").read_text().split("\n") == [
        "TN:", "SF:shop/views.py",
        "FN:6,show", "FN:14,ship", "FNDA:4,show", "FNDA:1,ship", "FNF:2", "FNH:2",
        "DA:1,0", "DA:3,0", "DA:6,0", "DA:7,4", "DA:8,1", "DA:9,3",
        "DA:14,0", "DA:15,1", "DA:16,1", "DA:17,1",
        "LF:10", "LH:6", "end_of_record", "",
    ]  # fmt: skip
    ask(capsys, "export", "--to", "lcov", "weighted.info", "--weights")
    assert "\nDA:7,200\n" in Path("weighted.info").read_text()


@pytest.mark.parametrize("made", [branching, lambda: shop(Path("requestcov.db"))])
def test_cobertura_is_valid_and_counts_the_same(capsys, made):
    made()
    assert ask(capsys, "export", "--to", "cobertura", "c.xml")[0] == 0
    root = etree.parse("c.xml", etree.XMLParser(no_network=True)).getroot()
    dtd = etree.DTD(str(DTD))
    assert dtd.validate(root), dtd.error_log
    (file,) = root.iter("class")
    hits = {int(line.get("number")): int(line.get("hits")) for line in file.iter("line")}
    with_branches = made is branching
    assert sum(map(bool, hits.values())) == int(root.get("lines-covered")) == (5 if with_branches else 6)
    assert len(hits) == int(root.get("lines-valid")) == 10
    assert float(root.get("line-rate")) == (0.5 if with_branches else 0.6)
    assert root.get("branches-covered") == ("3" if with_branches else "0")
    conditions = [
        line.get("condition-coverage") for line in file.iter("line") if line.get("branch") == "true"
    ]
    assert conditions == (["50% (1/2)", "100% (2/2)"] if with_branches else [])
    assert (file.get("filename"), root.findtext("sources/source")) == ("shop/views.py", str(Path.cwd()))


def test_hostile_names_end_no_line_and_no_element(capsys):
    name = 'a"<b>&\n\x1b]0;\x07\udcff.py'
    Path(name).write_text("def f():\n    return 1\n")
    text = {name: "def f():\n    return 1\n"}
    write_store(Path("requestcov.db"), [record('GET /<x>"\n', {name: {2}}, texts=text)], texts=text)
    for form in ("lcov", "cobertura", "json"):
        assert ask(capsys, "export", "--to", form, f"out.{form}")[0] == 0
    code, _, err = ask(capsys, "export", "--to", "coverage", "out.coverage")
    assert code == 1
    assert "1 line left out: its name is not UTF-8, and coverage.py's file has no other" in err
    assert Path("out.lcov").read_text().count("\nSF:") == 1
    root = etree.parse("out.cobertura").getroot()
    assert etree.DTD(str(DTD)).validate(root)
    assert json.loads(Path("out.json").read_text())["export"]["files"][0]["path"] == name


def test_json_has_the_endpoints_of_each_line(capsys):
    shop(Path("requestcov.db"))
    assert ask(capsys, "export", "--to", "json", "out.json", "--endpoint", "post")[0] == 0
    data = json.loads(Path("out.json").read_text())
    assert (data["v"], data["selection"]["endpoint"], data["footing"]["records"]) == (1, "POST /orders", 1)
    (file,) = data["export"]["files"]
    assert file["digest"] == digest_of(VIEWS.encode())
    ran = [line for line in file["lines"] if line["requests"]]
    assert ran[0] == {"line": 15, "requests": 1, "weight": 1.0, "endpoints": {"POST /orders": 1}}
    assert data["export"]["left_out"] == []


def test_a_working_tree_that_went_on_gets_the_lines_of_unchanged_functions(capsys):
    shop(Path("requestcov.db"))
    Path("tree/shop").mkdir(parents=True)
    Path("tree/shop/views.py").write_text("# new\n" + VIEWS.replace("order.sent", "order.gone"))
    code, _, err = ask(capsys, "export", "--to", "coverage", "tree/.coverage", "--root", "tree")
    assert code == 0
    assert err.startswith("requestcov: shop/views.py (")
    assert err.endswith(
        "): 3 lines left out: changed since, or outside of functions in a file that changed\n"
    )
    data = CoverageData(basename="tree/.coverage")
    data.read()
    assert data.lines(str(Path("tree/shop/views.py").absolute())) == [8, 9, 10]
    data.close()


def test_a_tree_without_the_files_is_nothing_to_show(capsys):
    shop(Path("requestcov.db"))
    Path("empty").mkdir()
    code, _, err = ask(capsys, "export", "--to", "lcov", "out", "--root", "empty")
    assert code == 1
    assert "shop/views.py" in err
    assert not Path("out").exists()


def test_what_is_there_is_overwritten_only_by_force_and_whole(capsys, monkeypatch):
    shop(Path("requestcov.db"))
    Path("out").write_text("precious")
    code, _, err = ask(capsys, "export", "--to", "lcov", "out")
    assert (code, "overwrite it with --force" in err) == (2, True)
    assert Path("out").read_text() == "precious"
    with monkeypatch.context() as patch:
        patch.setattr("requestcov.commands.export.lcov", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ask(capsys, "export", "--to", "lcov", "out", "--force")
    assert Path("out").read_text() == "precious"
    assert ask(capsys, "export", "--to", "lcov", "out", "--force")[0] == 0
    assert Path("out").read_text().startswith("TN:")
    Path("out").write_text("")
    assert ask(capsys, "export", "--to", "coverage", "out")[0] == 0
    assert not list(Path().glob(".requestcov*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "lcov", "nowhere/out"], "there is no directory"),
        (["--to", "lcov", "shop"], "is not a file"),
        (["--to", "json", "out", "--weights"], "--weights changes hits"),
        (["--to", "lcov", "out", "--root", "none"], "is not a directory"),
        (["--to", "xml", "out"], "invalid choice"),
    ],
)
def test_wrong_usage_is_one_sentence(capsys, arguments, said):
    shop(Path("requestcov.db"))
    code, out, err = ask(capsys, "export", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_a_pruned_store_exports_the_same(capsys):
    shop(Path("requestcov.db"))
    ask(capsys, "export", "--to", "lcov", "before")
    assert ask(capsys, "prune", "--older-than", "1d")[0] == 0
    with open_store("requestcov.db") as store:
        left = list(store.requests())
    ask(capsys, "export", "--to", "lcov", "after")
    assert Path("before").read_bytes() == Path("after").read_bytes()
    assert len(left) < 5
