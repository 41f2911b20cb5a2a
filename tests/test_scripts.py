"""The scripts that a project declares are found, and a broken declaration is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from requestcov._scripts import declared

PYPROJECT = """\
[project.scripts]
shop = "shop.cli:main"
[project.gui-scripts]
till = "shop.till:run"
[project.entry-points."celery.beat"]
nightly = "shop.jobs:Nightly.run [redis]"
[tool.poetry.scripts]
old = "shop.old:main"
table = { reference = "x:y", type = "console" }
"""
SETUP = """\
[options.entry_points]
console_scripts =
    seed = shop.seed:main
    broken
"""


def test_every_way_to_declare_one_is_read(tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "setup.cfg").write_text(SETUP)
    assert declared(str(tmp_path)) == {
        ("shop.cli", "main"): "the script shop",
        ("shop.till", "run"): "the entry point of gui_scripts, till",
        ("shop.jobs", "Nightly.run"): "the entry point of celery.beat, nightly",
        ("shop.old", "main"): "the script old",
        ("shop.seed", "main"): "the script seed",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "[project"),
        ("pyproject.toml", "project = 1\n[tool]\npoetry = []\n"),
        ("pyproject.toml", "[project]\nscripts = ['a']\nentry-points = {x = 1}\n"),
        ("setup.cfg", "no section\n"),
        ("setup.cfg", "[metadata]\nname = shop\n"),
    ],
)
def test_what_cannot_be_read_declares_nothing(tmp_path: Path, name: str, text: str):
    (tmp_path / name).write_text(text)
    assert declared(str(tmp_path)) == {}


def test_no_project_declares_nothing(tmp_path: Path):
    assert declared(str(tmp_path)) == {}
