"""coverage.py's own report of a program that ran as the oracle of lines and branches by function."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path

import coverage

from requestcov._coverage import parse as parse_source
from requestcov.analysis.coverage import by_file
from tests.analysis.evidence_by_hand import build

TEXT = '''\
from functools import lru_cache


def ship(order, express=False):
    """Everything that can branch."""
    total = 0
    for item in order:
        if item < 0:
            continue
        elif item > 100:
            break
        total += item
    else:
        total += 1
    while total > 50:
        total -= 10
        if express:
            return total
    try:
        assert total
    except AssertionError:
        if order:
            raise
    with open(__file__) as file:
        if file.closed:
            return None
    if express:  # pragma: no cover
        return 1
    kinds = [i for i in order if i]
    match total:
        case 0:
            return kinds
        case 1 if express:
            pass
        case _:
            total = (lambda x: x if x else 0)(
                total
            )
    return total


class Box:
    @lru_cache
    def size(self, deep):
        def inner():
            if deep:
                return 1
            return 2

        if deep:
            return inner()

    def never(self):
        if self:
            return 1


ship([])
ship([1, 200])
ship([-1, 60])
Box().size(True)
'''


def test_lines_and_branches_of_functions_are_coverage_pys(tmp_path: Path):
    """The program is run once under coverage.py; both judge what it collected."""
    file = tmp_path / "program.py"
    file.write_text(TEXT)
    oracle = coverage.Coverage(data_file=None, config_file=False, branch=True, include=[str(file)])
    with oracle.collect():
        runpy.run_path(str(file))
    data, out = oracle.get_data(), tmp_path / "report.json"
    oracle.json_report(morfs=[str(file)], outfile=str(out))
    lines, arcs = set(data.lines(str(file)) or ()), data.arcs(str(file)) or ()
    data.close(force=True)
    (report,) = json.loads(out.read_text())["files"].values()

    evidence = build({"program.py": [TEXT]}, [("GET /a", "program.py", 0, lines, 1, 1.0)])
    # As a record has them: the arcs that are branches.
    taken = parse_source(TEXT, "program.py").taken(arcs)
    evidence = replace(evidence, runs=tuple(replace(run, branches=taken) for run in evidence.runs))
    (judged,) = by_file(evidence)

    expected = {
        name: (s["covered_lines"], s["num_statements"], s["covered_branches"], s["num_branches"])
        for name, s in ((name, region["summary"]) for name, region in report["functions"].items())
        if name
    }
    found = {
        f.name.replace("<locals>.", ""): (f.executed, f.executable, f.taken, f.branches)
        for f in judged.functions
    }
    assert found == expected
    assert found["Box.never"] == (0, 2, 0, 2)
    assert 0 < found["ship"][2] < found["ship"][3]
