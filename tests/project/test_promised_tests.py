"""docs/faults.md and docs/security.md name a test for all they say, and each of these tests is there."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.project.package import ROOT

PAGE = (ROOT / "docs" / "faults.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| [^|]+ \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE)
PROMISES = (ROOT / "docs" / "security.md").read_text()
PROMISED = re.findall(r"^\| [A-Z][^|]+ \| [^|]+ \| ([^|]+) \|$", PROMISES, re.MULTILINE)
NAMED = re.findall(r"`(tests/[^`]+)`", PAGE + PROMISES)


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
    assert len(PROMISED) == PROMISES.count("\n| ") - 2  # less the head of the table


@pytest.mark.parametrize("proof", [*(row[1] for row in ROWS), *PROMISED])
def test_every_fault_and_every_promise_has_a_test_and_nothing_else_for_proof(proof: str) -> None:
    assert re.fullmatch(r"`tests/[^` ]+`( `tests/[^` ]+`)*", proof)


@pytest.mark.parametrize("named", NAMED)
def test_every_test_that_is_named_exists(named: str) -> None:
    path, _, name = named.partition("::")
    assert re.match(r"(Test\w+::)?test_", name)
    assert (ROOT / path).is_file()
    assert name in names_in(path)
