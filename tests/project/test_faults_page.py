"""docs/faults.md names a test for every fault, and each of these tests is there."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.project.package import ROOT

PAGE = (ROOT / "docs" / "faults.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| [^|]+ \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE)
NAMED = re.findall(r"`(tests/[^`]+)`", PAGE)


@cache
def names_in(path: str) -> set[str]:
    """``test_it`` and ``TestThem::test_it``, as pytest names them."""
    found = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        methods = node.body if isinstance(node, ast.ClassDef) else []
        found |= {f"{node.name}::{method.name}" for method in methods if hasattr(method, "name")}
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return found


def test_faults_are_numbered_and_none_comes_twice():
    assert [int(number) for number, _ in ROWS] == list(range(1, 48))


@pytest.mark.parametrize("proof", [row[1] for row in ROWS], ids=[row[0] for row in ROWS])
def test_every_fault_has_a_test_and_nothing_else_for_proof(proof: str) -> None:
    assert re.fullmatch(r"`tests/[^` ]+`( `tests/[^` ]+`)*", proof)


@pytest.mark.parametrize("named", NAMED)
def test_every_test_that_is_named_exists(named: str) -> None:
    path, _, name = named.partition("::")
    assert re.match(r"(Test\w+::)?test_", name)
    assert (ROOT / path).is_file()
    assert name in names_in(path)
