"""What type checkers see of the public names, in the ways apps use them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from requestcov.config import OPTIONS
from requestcov.options import Options
from tests.project.package import PACKAGE

WRAPPED = """
from typing import Any

from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware

from requestcov import ASGIMiddleware, Config, WSGIMiddleware, annotate, current, flush

api = FastAPI()
api.add_middleware(ASGIMiddleware, source=["shop"], sample_rate=0.05)
site = Starlette(middleware=[Middleware(ASGIMiddleware, sample_rate="0.5")])
site.add_middleware(ASGIMiddleware, Config(sample_rate=0.5))
outer = ASGIMiddleware(ASGIMiddleware(site), labels={"region": "eu"}, exclude=("/health",))
flask = Flask("shop")
wsgi = WSGIMiddleware(WSGIMiddleware(flask.wsgi_app), source="shop,admin")
settings: dict[str, Any] = {"first": 5}
django = WSGIMiddleware(flask, **settings)
annotate(plan="free", items=3)
recording: str | None = current()
kept: bool = flush(timeout=2.0)
"""


def checked(code: str, directory: Path) -> tuple[int, str]:
    """mypy's exit code and what it says of a file with this code."""
    (directory / "app.py").write_text(code)
    # mypy finds an installed package by itself, and a checkout only when it is told.
    path = {} if "site-packages" in PACKAGE.parts else {"MYPYPATH": str(PACKAGE.parent)}
    command = [
        sys.executable,
        "-P",
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--cache-dir=cache",
        "app.py",
    ]
    env = os.environ | {"PYTHONPATH": ""} | path
    done = subprocess.run(
        command, cwd=directory, env=env, capture_output=True, text=True, timeout=110, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared, for mypy's cache."""
    return tmp_path_factory.mktemp("typing")


def test_apps_are_wrapped_without_a_complaint_of_a_strict_type_checker(directory: Path):
    assert checked(WRAPPED, directory) == (0, "Success: no issues found in 1 source file\n")


def test_a_misspelt_option_is_found_by_a_type_checker(directory: Path):
    code, said = checked(WRAPPED + "WSGIMiddleware(flask, sampel_rate=1)\n", directory)
    assert code == 1
    assert 'Unexpected keyword argument "sampel_rate"' in said


def test_the_typed_keywords_are_the_table_of_options():
    assert list(Options.__annotations__) == [option.name for option in OPTIONS]
