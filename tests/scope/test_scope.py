"""Which files are measured, held against coverage.py's own decisions, and how they are named."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import pytest
from coverage import Coverage

from requestcov import Config
from requestcov.errors import ConfigError
from requestcov.scope import Scope

FILES = [
    "app.py",
    "script.pyw",
    "shop/__init__.py",
    "shop/views.py",
    "shop/migrations/0001.py",
    "shop/deep/er/models.py",
    "shopping/views.py",
    "tests/test_views.py",
    "other/mod.py",
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with files in it, as the working directory."""
    root = tmp_path / "project"
    for name in FILES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    for package in ("shop/migrations", "shop/deep", "shop/deep/er"):
        (root / package / "__init__.py").touch()
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(str(root))
    return root


def theirs(name: str) -> bool:
    """coverage.py's own decision by the configuration file in the working directory."""
    coverage = Coverage(data_file=None)
    coverage._init()
    coverage._init_for_start()
    assert coverage._inorout is not None
    disposition = coverage._inorout.should_trace(name, sys._getframe())
    if not disposition.trace:
        return False
    return coverage._inorout.check_include_omit_etc(disposition.source_filename, sys._getframe()) is None


SETTINGS = {
    "directory": "[run]\nsource = .\n",
    "one directory": "[run]\nsource = shop\n",
    "two directories": "[run]\nsource =\n    shop\n    other\n",
    "omit": "[run]\nsource = .\nomit = */migrations/*\n",
    "omit relative": "[run]\nsource = .\nomit =\n    tests/*\n    app.py\n",
    "omit all of a name": "[run]\nsource = .\nomit = **/views.py\n",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_decisions_equal_coveragepys(project: Path, name: str) -> None:
    """By the same configuration file, for every file of the project and some outside."""
    (project / ".coveragerc").write_text(SETTINGS[name])
    scope = Scope(Config())
    outside = [project.parent / "elsewhere.py", Path(os.__file__)]
    # pyw is ours alone: coverage.py measures whatever is executed, whatever its name.
    files = [*(project / file for file in FILES), *outside]
    assert {str(file): scope.measures(str(file)) for file in files} == {
        str(file): theirs(str(file)) for file in files
    }


def test_settings_are_read_from_pyproject_too(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.coverage.run]\nsource = ["shop"]\nomit = ["*/deep/*"]\n')
    scope = Scope(Config())
    assert scope.measures(str(project / "shop/views.py"))
    assert not scope.measures(str(project / "shop/deep/er/models.py"))
    assert not scope.measures(str(project / "app.py"))


def test_options_win_over_the_configuration_file(project: Path) -> None:
    (project / ".coveragerc").write_text("[run]\nsource = other\nomit = *\n")
    scope = Scope(Config(source=("shop",), omit=("*/deep/*",)))
    assert scope.measures(str(project / "shop/views.py"))
    assert not scope.measures(str(project / "shop/deep/er/models.py"))
    assert not scope.measures(str(project / "other/mod.py"))


def test_include_leaves_only_what_matches(project: Path) -> None:
    scope = Scope(Config(include=("shop/*",)))
    measured = [name for name in FILES if scope.measures(str(project / name))]
    assert measured == [name for name in FILES if name.startswith("shop/")]
    assert scope.why(str(project / "app.py")) == "matches no include pattern"


@pytest.mark.parametrize("source", ["shop", "shop.deep"])
def test_a_source_may_be_a_package(project: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.parent)
    scope = Scope(Config(source=(source,)))
    assert scope.measures(str(project / "shop/deep/er/models.py"))
    assert scope.measures(str(project / "shop/views.py")) is (source == "shop")
    assert not scope.measures(str(project / "shopping/views.py"))


def test_relative_file_names_are_relative_to_the_root(project: Path) -> None:
    """A script that was started by a relative path has such code."""
    scope = Scope(Config(source=("shop",)))
    assert scope.measures("shop/views.py")
    assert scope.measures("./shop/../shop/views.py")
    assert not scope.measures("app.py")
    assert scope.path("./shop/../shop/views.py") == "shop/views.py"


def test_a_symbolic_link_as_source_measures_the_directory_by_both_names(project: Path) -> None:
    (project / "current").symlink_to(project.parent / "releases")
    (project.parent / "releases").mkdir()
    (project.parent / "releases" / "a.py").write_text("x = 1\n")
    scope = Scope(Config(source=("current",)))
    assert scope.measures(str(project / "current/a.py"))
    assert scope.measures(str(project.parent / "releases/a.py"))
    assert scope.path(str(project.parent / "releases/a.py")) == scope.path("current/a.py") == "current/a.py"


def test_outside_the_root_paths_begin_with_the_sources_name(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.parent / "run").mkdir()
    monkeypatch.chdir(project.parent / "run")
    scope = Scope(Config(source=(str(project / "shop"),)))
    assert scope.path(str(project / "shop/views.py")) == "shop/views.py"


@pytest.mark.parametrize("name", ["<string>", "<frozen os>", "templates/page.html", "shop/views.pyc", ""])
def test_what_is_no_python_file_is_not_measured(project: Path, name: str) -> None:
    assert Scope(Config()).why(name) == "not a Python file"


def test_installed_packages_inside_the_source_are_not_measured(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual environment in the project's directory, with its packages importable."""
    site = project / ".venv" / "lib" / "python3" / "site-packages"
    (site / "parcels").mkdir(parents=True)
    (project / ".venv" / "pyvenv.cfg").touch()
    (site / "parcels" / "app.py").write_text("x = 1\n")
    (site / "parcels" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(site))
    (project / ".coveragerc").write_text("[run]\nsource = .\n")
    file = str(site / "parcels" / "app.py")
    assert Scope(Config()).why(file) == "a third-party package inside the sources"
    assert theirs(file) is False
    assert Scope(Config(source=("parcels",))).measures(file)


def test_requestcov_and_coverage_never_measure_themselves(project: Path) -> None:
    import coverage

    import requestcov

    for package in (requestcov, coverage):
        file = str(package.__file__)
        scope = Scope(Config(source=(os.path.dirname(file),)))
        assert scope.why(file) == "part of requestcov or coverage.py"


def test_deciding_and_naming_touch_no_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They happen inside requests, on event loops."""
    scope = Scope(Config(source=("shop",), omit=("*/deep/*",), include=("shop/*",)))

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the file system was asked")

    for name in ("stat", "lstat", "getcwd", "listdir", "scandir", "open", "readlink", "access"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr("builtins.open", refuse)
    verdicts = [scope.measures(f) for f in ("shop/new.py", "/srv/x.py", "shop/deep/y.py", "../z.py", "<s>")]
    paths = [scope.path(f) for f in ("shop/new.py", "/srv/x.py")]
    monkeypatch.undo()
    assert verdicts == [True, False, False, False, False]
    assert paths == ["shop/new.py", "/srv/x.py"]


# Identity


@pytest.fixture
def aged(project: Path) -> Callable[[str, bytes], str]:
    """Write a file as if it had been there before the process."""

    def write(name: str, text: bytes) -> str:
        path = project / name
        path.write_bytes(text)
        os.utime(path, (time.time() - 100,) * 2)
        return str(path)

    return write


def test_a_file_is_its_path_and_the_digest_of_its_text(aged: Callable[[str, bytes], str]) -> None:
    text = "# coding: latin-1\nname = 'é'\n".encode("latin-1")
    file = aged("shop/latin.py", text)
    scope = Scope(Config())
    digest = blake2b(text, digest_size=16).hexdigest()
    assert scope.identify(file) == ("shop/latin.py", digest)
    assert scope.text("shop/latin.py", digest) == text
    assert scope.text("shop/latin.py", "") is None


def test_a_file_that_changed_since_the_start_has_no_digest(aged: Callable[[str, bytes], str]) -> None:
    """What is on disk may not be what runs."""
    file = aged("shop/late.py", b"x = 1\n")
    scope = Scope(Config())
    os.utime(file, (time.time() + 100,) * 2)
    assert scope.identify(file) == ("shop/late.py", "")


def test_a_file_is_read_once(aged: Callable[[str, bytes], str]) -> None:
    file = aged("shop/once.py", b"x = 1\n")
    scope = Scope(Config())
    before = scope.identify(file)
    os.remove(file)
    assert scope.identify(file) == before


def test_a_file_that_is_gone_has_no_digest(project: Path) -> None:
    assert Scope(Config()).identify(str(project / "shop/gone.py")) == ("shop/gone.py", "")


@pytest.mark.parametrize("name", ["shop", "shop/views.py/x.py"])
def test_what_cannot_be_read_has_no_digest(project: Path, name: str) -> None:
    assert Scope(Config()).identify(str(project / name))[1] == ""


def test_a_name_with_a_null_character_has_no_digest(project: Path) -> None:
    assert Scope(Config()).identify(str(project / "a\0.py"))[1] == ""


def test_names_that_are_not_utf8_are_identified(project: Path) -> None:
    """They arrive with lone surrogates, as os.fsdecode makes them."""
    name = os.fsdecode(bytes(project) + b"/shop/caf\xe9.py")
    Path(name).write_text("x = 1\n")
    os.utime(name, (time.time() - 100,) * 2)
    path, digest = Scope(Config()).identify(name)
    assert path.startswith("shop/caf")
    assert digest


# Refusals


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("no/such/dir", "source='no/such/dir' cannot be used: there is no such directory"),
        ("no_such_package", "source='no_such_package' cannot be used: nothing of that name is found"),
        ("missing.py", "source='missing.py' cannot be used"),
        ("/", "source='/' cannot be used: a file system's root is not a source"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused_by_name(project: Path, source: str, said: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        Scope(Config(source=(source,)))
    assert said in str(refusal.value)


def test_a_source_of_the_configuration_file_is_refused_as_such(project: Path) -> None:
    (project / ".coveragerc").write_text("[run]\nsource = nowhere\n")
    with pytest.raises(ConfigError, match=r"coverage\.py's run:source='nowhere' cannot be used"):
        Scope(Config())
