"""The faults that the localisation bench seeds."""

from __future__ import annotations

import ast

import pytest

from tests.bench.mutation import faults, seeded

TEXT = """LIMIT = 3


def price(cents, count):
    if count < 1:
        raise ValueError("none")
    total = cents * count
    if not total:
        return 0
    row = {"a": total}
    return row["a"]
"""


def made(kind):
    return {(fault.line, fault.after.strip()) for fault in faults(TEXT) if fault.kind == kind}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("comparison", {(5, "if count <= 1:")}),
        ("constant", {(5, "if count < 2:"), (9, "return 1")}),
        ("arithmetic", {(7, "total = cents // count")}),
        ("negation", {(5, "if not (count < 1):"), (8, "if total:")}),
        ("guard", {(6, "pass")}),
        ("result", {(9, "return None"), (11, "return None")}),
        ("key", {(11, "return row['a_id']")}),
        ("variable", {(5, "if cents < 1:"), (7, "total = count * count"), (7, "total = cents * cents")}),
    ],
)
def test_each_kind_of_fault_is_seeded_where_it_can_be_and_nowhere_else(kind, expected):
    assert made(kind) == expected


def test_a_fault_changes_one_line_and_leaves_a_text_that_compiles():
    before = TEXT.split("\n")
    for fault in faults(TEXT):
        text = seeded(TEXT, fault)
        ast.parse(text)
        changed = [
            n for n, (old, new) in enumerate(zip(before, text.split("\n"), strict=True), 1) if old != new
        ]
        assert changed == [fault.line]


def test_what_runs_at_import_is_left_alone():
    assert all(fault.line > 4 for fault in faults(TEXT))


def test_the_same_text_gives_the_same_faults_in_the_same_order():
    assert faults(TEXT) == faults(TEXT)
    assert len({(fault.line, fault.after) for fault in faults(TEXT)}) == len(faults(TEXT))
