"""Cobertura's XML, valid against its DTD coverage-04.

Law: no stored text can end an attribute or add an element.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape, quoteattr

from requestcov.analysis.export import Export, ExportedBranch, ExportedFile
from requestcov.reports.export import count, legible

DTD = "http://cobertura.sourceforge.net/xml/coverage-04.dtd"


def cobertura(export: Export, root: str, weights: bool, version: str) -> bytes:
    """The text of the file; a package is a directory, a class a file.

    Args:
        root: the directory that paths are relative to.
        weights: whether hits are what the requests stand for, and not the requests.
        version: requestcov's.
    """
    return "".join(f"{line}\n" for line in _coverage(export, root, weights, version)).encode()


def _coverage(export: Export, root: str, weights: bool, version: str) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<!DOCTYPE coverage SYSTEM "{DTD}">'
    run, valid, taken, ways = _sums(export.files)
    yield (
        f'<coverage {_rates(export.files)} lines-covered="{run}" lines-valid="{valid}"'
        f' branches-covered="{taken}" branches-valid="{ways}" complexity="0"'
        f' version={_quoted("requestcov " + version)} timestamp="{int(time.time() * 1000)}">'
    )
    yield f"<sources><source>{escape(legible(root))}</source></sources>"
    yield "<packages>"
    packages: dict[str, list[ExportedFile]] = {}
    for file in export.files:
        packages.setdefault(file.path.rpartition("/")[0].replace("/", "."), []).append(file)
    for package, files in sorted(packages.items()):
        yield f'<package name={_quoted(package or ".")} {_rates(files)} complexity="0"><classes>'
        for file in files:
            yield from _class(file, weights)
        yield "</classes></package>"
    yield "</packages>"
    yield "</coverage>"


def _class(file: ExportedFile, weights: bool) -> Iterator[str]:
    name = file.path.rpartition("/")[2]
    yield (
        f"<class name={_quoted(name)} filename={_quoted(file.path)} {_rates([file])}"
        ' complexity="0"><methods/><lines>'
    )
    branches: dict[int, list[ExportedBranch]] = {}
    for branch in file.branches or ():
        branches.setdefault(branch.line, []).append(branch)
    for line in file.lines:
        hits = count(line.requests, line.weight, weights)
        ways = branches.get(line.line)
        if ways is None:
            yield f'<line number="{line.line}" hits="{hits}"/>'
        else:
            taken = sum(branch.requests > 0 for branch in ways)
            share = f"{100 * taken // len(ways)}% ({taken}/{len(ways)})"
            yield f'<line number="{line.line}" hits="{hits}" branch="true" condition-coverage="{share}"/>'
    yield "</lines></class>"


def _sums(files: Iterable[ExportedFile]) -> tuple[int, int, int, int]:
    """Lines run and all lines, branches taken and all branches."""
    lines = [line.requests for file in files for line in file.lines]
    branches = [branch.requests for file in files for branch in file.branches or ()]
    return sum(map(bool, lines)), len(lines), sum(map(bool, branches)), len(branches)


def _rates(files: Iterable[ExportedFile]) -> str:
    run, valid, taken, ways = _sums(list(files))
    return f'line-rate="{_rate(run, valid)}" branch-rate="{_rate(taken, ways)}"'


def _rate(part: int, whole: int) -> str:
    return f"{part / whole:.4g}" if whole else "0"


def _quoted(text: str) -> str:
    return quoteattr(legible(text))
