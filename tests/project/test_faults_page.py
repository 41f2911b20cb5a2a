"""docs/faults.md names a test for every fault, and each of these tests is there."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.project.package import ROOT

ROWS = re.findall(
    r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", (ROOT / "docs" / "faults.md").read_text(), re.MULTILINE
)


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
    numbers = [int(number) for number, *_ in ROWS]
    assert len(numbers) > 30
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(("fault", "proof"), [row[1:4:2] for row in ROWS], ids=[row[0] for row in ROWS])
def test_every_test_that_is_named_for_a_fault_exists(fault: str, proof: str) -> None:
    named = re.findall(r"`([^`]+)`", proof)
    assert named, f"what does {fault!r} to it?"
    assert " ".join(f"`{one}`" for one in named) == proof
    for one in named:
        path, _, name = one.partition("::")
        assert re.match(r"(Test\w+::)?test_", name), one
        assert (ROOT / path).is_file(), one
        assert name in names_in(path), one
