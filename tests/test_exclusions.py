"""What coverage.py's configuration excludes is remembered only while nothing it depends on has changed."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from requestcov import _coverage
from requestcov._exclusions import exclude_lines
from requestcov.errors import ConfigError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one's own, and a cache that nothing is in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A mark for each time that coverage.py is asked."""
    marks: list[str] = []
    real = _coverage.read_settings

    def read() -> _coverage.Settings:
        marks.append("asked")
        return real()

    monkeypatch.setattr(_coverage, "read_settings", read)
    return marks


def test_coverage_is_asked_once(asked: list[str]):
    default = exclude_lines()
    assert default == _coverage.read_settings().exclude_lines
    asked.clear()
    assert exclude_lines() == default
    assert not asked


@pytest.mark.parametrize("name", [".coveragerc", "setup.cfg", "tox.ini", "pyproject.toml"])
def test_a_file_that_appears_changes_or_goes_is_seen(here: Path, name: str):
    default = exclude_lines()
    section, key = {
        ".coveragerc": ("report", "exclude_also = {}"),
        "pyproject.toml": ("tool.coverage.report", 'exclude_also = ["{}"]'),
    }.get(name, ("coverage:report", "exclude_also = {}"))
    for pattern in ("debug", "trace"):
        (here / name).write_text(f"[{section}]\n{key.format(pattern)}\n")
        assert exclude_lines() == exclude_lines() == _coverage.read_settings().exclude_lines
        assert pattern in exclude_lines()
    (here / name).unlink()
    assert exclude_lines() == default


def test_a_file_named_by_a_variable_is_seen(here: Path, monkeypatch: pytest.MonkeyPatch):
    default = exclude_lines()
    (here / "other.rc").write_text("[report]\nexclude_also = debug\n")
    monkeypatch.setenv("COVERAGE_RCFILE", "other.rc")
    assert "debug" in exclude_lines()
    (here / "other.rc").write_text("[report]\nexclude_also = trace\n")
    assert "trace" in exclude_lines()
    monkeypatch.delenv("COVERAGE_RCFILE")
    assert exclude_lines() == default


def test_another_directory_is_another_configuration(here: Path, monkeypatch: pytest.MonkeyPatch):
    (here / ".coveragerc").write_text("[report]\nexclude_also = debug\n")
    assert "debug" in exclude_lines()
    (here / "inner").mkdir()
    monkeypatch.chdir(here / "inner")
    assert "debug" not in exclude_lines()


def test_what_takes_values_from_the_environment_is_read_each_time(
    here: Path, monkeypatch: pytest.MonkeyPatch
):
    (here / ".coveragerc").write_text("[report]\nexclude_also = ${LEFT_OUT}\n")
    for pattern in ("debug", "trace"):
        monkeypatch.setenv("LEFT_OUT", pattern)
        assert pattern in exclude_lines()


def test_a_configuration_that_cannot_be_parsed_is_refused_each_time(here: Path):
    (here / ".coveragerc").write_text("[report]\nexclude_also\n  = [\n[[\n")
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"configuration cannot be used"):
            exclude_lines()


@pytest.mark.parametrize("entry", [b"", b"{}", b'{"files": 3}', b'{"files": {}, "exclude_lines": 3}'])
def test_a_damaged_entry_is_not_believed(here: Path, entry: bytes):
    default = exclude_lines()
    (remembered,) = (here.parent / "cache" / "requestcov" / "parsed").iterdir()
    remembered.write_bytes(zlib.compress(entry))
    assert exclude_lines() == default
