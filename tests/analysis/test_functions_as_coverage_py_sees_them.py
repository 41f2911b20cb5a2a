"""coverage.py's own JSON report as the oracle of what is a function's body."""

from __future__ import annotations

import json
from pathlib import Path

import coverage
import pytest

from requestcov._source import parse

TEXT = '''
"""Docstring."""
import os

class Outer:
    size = 1

    def plain(self, a, b=os.sep):
        """Docstring
        over lines."""
        if a and (
            b
        ):
            return [
                x for x in a
            ]
        else:
            b = lambda: 1
        try:
            with open(a) as f, open(b) as g:
                pass
        except* OSError:
            raise
        finally:
            print(a,
                  b)

    class Inner:
        async def deep(self):
            async for x in self:
                yield x
            match self:
                case {"a": 1}:
                    return
                case _:
                    pass

            def inside():
                nonlocal_ = """
                text"""
                return nonlocal_
            while True:
                if inside(): break
            for y in (): continue
            else:
                inside()
            del x; x = 1; return

def ignored():  # pragma: no cover
    return 1

if os:
    def either():
        assert os, (
            "so"
        )
'''


@pytest.fixture(params=["made here", "calendar", "shlex", "queue", "sched"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of constructs, and some of the standard library's."""
    if request.param == "made here":
        file = tmp_path / "text.py"
        file.write_text(TEXT)
        return file
    module = __import__(request.param)
    return Path(module.__file__)


def test_bodies_are_what_coverage_py_reports(path: Path, tmp_path: Path):
    """Of a function, executed and missing lines together are its executable body."""
    oracle = coverage.Coverage(data_file=None, config_file=False)
    oracle.set_option("run:disable_warnings", ["no-data-collected"])
    out = tmp_path / "report.json"
    oracle.get_data().add_lines({str(path): [1]})
    oracle.json_report(morfs=[str(path)], outfile=str(out))
    oracle.get_data().close(force=True)
    (report,) = json.loads(out.read_text())["files"].values()
    expected = {
        name.rpartition(".")[2]: (region["executed_lines"] + region["missing_lines"])
        for name, region in report["functions"].items()
        if name
    }
    source = parse(path.name, "", path.read_bytes())
    found = {function.name.rpartition(".")[2]: sorted(function.body) for function in source.functions}
    assert source.problem is None
    assert found
    assert found == {name: sorted(lines) for name, lines in expected.items()}
    assert source.executable == set(report["executed_lines"]) | set(report["missing_lines"])
