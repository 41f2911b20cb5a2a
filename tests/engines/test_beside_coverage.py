"""coverage.py at work in the same process: its numbers are the same with requestcov and without.

Every case is the script ``served`` under ``coverage run``, in processes of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from requestcov.recorder import WHY
from tests.conformance.measure import ROOT
from tests.engines.laboratory import HAS_MONITORING, needs_monitoring
from tests.engines.served_app import PATHS

SYSMON_BRANCHES = sys.version_info >= (3, 14)

CORES = [
    pytest.param("ctrace", id="ctrace"),
    pytest.param("sysmon", id="sysmon", marks=needs_monitoring),
]
MEASURED = [
    pytest.param(
        core.values[0], branch, id=f"{core.id}-{'branches' if branch else 'lines'}", marks=core.marks
    )
    for core in CORES
    for branch in (False, True)
    if not (branch and core.values[0] == "sysmon" and not SYSMON_BRANCHES)
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("beside")


def run(core: str, *command: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "COVERAGE_CORE": core, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@cache
def served(core: str, branch: bool, recorded: str, directory: Path) -> tuple[str, str, dict[str, Any]]:
    """What the script said, what was logged, and coverage.py's numbers for the app's file."""
    stem = directory / f"{core}-{branch}-{recorded}"
    options = ["--rcfile=/dev/null", f"--data-file={stem}.cov"]
    done = run(
        core,
        *("-m", "coverage", "run", *options, *(["--branch"] if branch else [])),
        *("--include=tests/engines/served_app.py", "-m", "tests.engines.served", recorded, f"{stem}.jsonl"),
    )
    run(core, "-m", "coverage", "json", "-q", *options, "-o", f"{stem}.json")
    (numbers,) = json.loads(Path(f"{stem}.json").read_text())["files"].values()
    return done.stdout, done.stderr, numbers


def records(core: str, branch: bool, recorded: str, directory: Path) -> tuple[int, dict[str, int]]:
    """How many requests were recorded, and why others were not."""
    text = (directory / f"{core}-{branch}-{recorded}.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    ledgers = [line["ledger"] for line in lines if "ledger" in line]
    return sum("id" in line for line in lines), ledgers[-1]["dropped"]


@pytest.mark.parametrize("recorded", ["lines", "branches"])
@pytest.mark.parametrize(("core", "branch"), MEASURED)
def test_the_numbers_of_coveragepy_do_not_change(
    core: str, branch: bool, recorded: str, directory: Path
) -> None:
    """Requests are recorded, or each is dropped under one reason, said once."""
    said, _, numbers = served(core, branch, "bare", directory)
    said_too, logged, numbers_too = served(core, branch, recorded, directory)
    assert said_too == said
    assert numbers_too == numbers
    assert len(numbers["executed_lines"]) > 30
    assert bool(numbers.get("executed_branches")) is branch
    count = 2 * len(PATHS)
    if core == "ctrace" and (recorded == "branches" or not HAS_MONITORING):
        reason = "trace_function_taken"
    elif core == "sysmon" and branch and recorded == "lines":
        reason = "coverage_running"
    else:
        reason = ""
    if reason:
        assert records(core, branch, recorded, directory) == (0, {reason: count})
        assert logged.count(WHY[reason]) == 1
    else:
        assert records(core, branch, recorded, directory) == (count, {})
        assert "requests are not recorded" not in logged


@pytest.mark.parametrize("core", CORES)
def test_a_flask_app_can_be_tested_under_pytest_with_coverage(core: str, tmp_path: Path) -> None:
    """In-process, through the app's own test client, as people do."""
    (tmp_path / "shop.py").write_text(
        "from flask import Flask\nimport requestcov\n\napp = Flask(__name__)\n\n"
        "@app.get('/<int:n>')\ndef view(n):\n    if n:\n        return 'yes'\n    return 'no'\n\n"
        "app.wsgi_app = requestcov.WSGIMiddleware(app.wsgi_app)\n"
    )
    (tmp_path / "test_shop.py").write_text(
        "import requestcov, shop\n\ndef test_view():\n    client = shop.app.test_client()\n"
        "    assert client.get('/1').text == 'yes'\n    assert client.get('/0').text == 'no'\n"
        "    assert requestcov.flush(10)\n"
    )
    environ = {
        **os.environ,
        "COVERAGE_CORE": core,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
        "REQUESTCOV_SOURCE": str(tmp_path),
        "REQUESTCOV_FIRST": "100",
        "REQUESTCOV_SINKS": "file:///records.jsonl",
    }
    command = ["-m", "coverage", "run", "--include=shop.py", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    for part in (command, ["-m", "coverage", "json", "-q"]):
        done = subprocess.run(
            [sys.executable, *part],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    numbers = json.loads((tmp_path / "coverage.json").read_text())["files"]["shop.py"]
    assert numbers["missing_lines"] == []
    lines = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    found = [line["files"]["shop.py"]["lines"] for line in lines if "id" in line]
    if not HAS_MONITORING:
        assert found == []
        assert lines[-1]["ledger"]["dropped"] == {"trace_function_taken": 2}
    else:
        assert found == ["8-9", "8,10"]
