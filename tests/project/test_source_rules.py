"""What the package's code never does, read off its syntax trees."""

from __future__ import annotations

import ast

import pytest

from tests.project.package import PACKAGE, imports, modules

TREES = modules()
NAMES = set(TREES)

PUBLIC_COVERAGE = {"Coverage", "CoverageData", "CoverageException"}
PUBLIC_COVERAGE_MODULES = {"coverage.numbits", "coverage.exceptions"}


@pytest.mark.parametrize("name", sorted(NAMES - {"requestcov._coverage"}))
def test_only_one_module_touches_names_of_coverage_that_are_not_public(name):
    """A new coverage.py release can break us in one place only, and that place has its own tests."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert alias.name in {"coverage", *PUBLIC_COVERAGE_MODULES} or not alias.name.startswith(
                    "coverage."
                )
        elif isinstance(node, ast.ImportFrom) and node.module == "coverage":
            assert {alias.name for alias in node.names} <= PUBLIC_COVERAGE
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("coverage."):
            assert node.module in PUBLIC_COVERAGE_MODULES
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "coverage":
            assert node.attr in PUBLIC_COVERAGE | {"__file__", "__version__"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_nothing_stored_or_received_is_ever_executed(name):
    """No pickle and no eval: a record file or a batch from elsewhere is data, never code."""
    forbidden = {"pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle"}
    assert not {target.split(".")[0] for target in imports(TREES[name], NAMES)} & forbidden
    called = {
        node.func.id
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"eval", "exec", "compile", "__import__"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_module_opens_with_a_docstring(name):
    assert ast.get_docstring(TREES[name]), f"{name} should say what it is and the laws it obeys"


def test_no_module_has_outgrown_one_purpose():
    """At 500 lines one module is two."""
    long = {
        path.name: lines
        for path in PACKAGE.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 500
    }
    assert not long


def test_the_package_has_no_utils():
    assert not [
        name for name in NAMES if name.split(".")[-1] in {"util", "utils", "helpers", "common", "misc"}
    ]
