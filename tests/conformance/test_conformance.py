"""What requestcov records of a request equals what the references saw of it, line by line.

Each app is served its requests three times in processes of their own: under a
plain trace function, under coverage.py, and under requestcov.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.measure import ROOT, known_app

APPS = ["shop-fastapi", "shop-flask", "django-wsgi", "django-asgi", "starlette"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("conformance")


@cache
def measured(app: str, how: str, directory: Path) -> list[dict[str, Any]]:
    """What each request ran by one measure; see the module ``measure``."""
    out = directory / f"{app}-{how}.json"
    command = [sys.executable, "-m", "tests.conformance.measure", app, how, str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(out.read_text())


def differences(app: str, kind: str, ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[str]:
    """Request by request, what is missing and what is too much."""
    with known_app(app) as (_, _, _, requests):
        names = [str(request) for request in requests]
    found = []
    for name, our, their in zip(names, ours, theirs, strict=True):
        for file in sorted({*our[kind], *their[kind]}):
            mine = {json.dumps(x) for x in our[kind].get(file, [])}
            other = {json.dumps(x) for x in their[kind].get(file, [])}
            if mine != other:
                found.append(f"{name}: {file} lost {sorted(other - mine)} borrowed {sorted(mine - other)}")
    return found


@pytest.mark.parametrize("how", ["requestcov", "requestcov-branch"])
@pytest.mark.parametrize("app", APPS)
def test_lines_equal_the_oracles(app: str, how: str, directory: Path) -> None:
    """On both engines where there are two: branches always take the trace engine."""
    ours, oracle = measured(app, how, directory), measured(app, "oracle", directory)
    assert sum(len(lines) for ran in oracle for lines in ran["lines"].values()) > 100
    assert differences(app, "lines", ours, oracle) == []


@pytest.mark.parametrize("app", APPS)
def test_lines_equal_coveragepys(app: str, directory: Path) -> None:
    """coverage.py alone in the process, with a context a request."""
    ours, theirs = measured(app, "requestcov", directory), measured(app, "coverage", directory)
    assert differences(app, "lines", ours, theirs) == []


@pytest.mark.parametrize("app", APPS)
def test_branches_equal_coveragepys(app: str, directory: Path) -> None:
    """The executed branch arcs, by coverage.py's own analysis of its own data."""
    ours = measured(app, "requestcov-branch", directory)
    theirs = measured(app, "coverage-branch", directory)
    assert sum(len(arcs) for ran in theirs for arcs in ran["branches"].values()) > 20
    assert differences(app, "branches", ours, theirs) == []
