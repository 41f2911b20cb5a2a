"""The commands that a project installs, as pyproject.toml and setup.cfg declare them.

Law: the files are read, never run; one that cannot be parsed declares nothing here, for what it
would say is a hint to a person and nothing that an answer stands on.
"""

from __future__ import annotations

import configparser
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def declared(root: str) -> Mapping[tuple[str, str], str]:
    """(module, qualified name) of what an entry point calls -> what it is, in words.

    Read are ``[project.scripts]``, ``gui-scripts`` and ``entry-points`` (PEP 621),
    ``[tool.poetry.scripts]`` and ``plugins``, and setuptools' ``[options.entry_points]``.

    Args:
        root: the project's folder.
    """
    found: dict[tuple[str, str], str] = {}
    for group, name, reference in (*_pyproject(Path(root)), *_setup_cfg(Path(root))):
        module, colon, attribute = reference.partition("[")[0].strip().partition(":")
        if colon and module and attribute:
            what = "the script" if group == "console_scripts" else f"the entry point of {group},"
            found.setdefault((module.strip(), attribute.strip()), f"{what} {name.strip()}")
    return found


def _pyproject(root: Path) -> Iterator[tuple[str, str, str]]:
    """(group, name, what is called) of each."""
    try:
        data = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return
    project, poetry = _table(data, "project"), _table(_table(data, "tool"), "poetry")
    groups = {
        **_table(poetry, "plugins"),
        **_table(project, "entry-points"),
        "gui_scripts": _table(project, "gui-scripts"),
        "console_scripts": {**_table(poetry, "scripts"), **_table(project, "scripts")},
    }
    for group, names in groups.items():
        for name, reference in (names if isinstance(names, dict) else {}).items():
            if isinstance(reference, str):
                yield group, name, reference


def _setup_cfg(root: Path) -> Iterator[tuple[str, str, str]]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(root / "setup.cfg", "utf-8")
    except (configparser.Error, OSError, ValueError):
        return
    if not parser.has_section("options.entry_points"):
        return
    for group, text in parser.items("options.entry_points"):
        for line in text.splitlines():
            name, equals, reference = line.partition("=")
            if equals:
                yield group, name, reference


def _table(data: Any, key: str) -> dict[str, Any]:
    """A table of a TOML file; empty where there is none."""
    table = data.get(key) if isinstance(data, dict) else None
    return table if isinstance(table, dict) else {}
