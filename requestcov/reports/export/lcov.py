"""LCOV's tracefile, as ``man geninfo`` describes it.

Law: what ``lcov --summary`` counts in it is what the export holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from requestcov.analysis.export import Export, ExportedFile
from requestcov.reports.export import count, legible


def lcov(export: Export, weights: bool) -> bytes:
    """The text of the file; paths are relative to the project root.

    Args:
        weights: whether hits are what the requests stand for, and not the requests.
    """
    lines = [line for file in export.files for line in _file(file, weights)]
    return "".join(f"{line}\n" for line in lines).encode()


def _file(file: ExportedFile, weights: bool) -> Iterator[str]:
    yield "TN:"
    yield f"SF:{legible(file.path)}"
    # A function is known by its name there, and two may share one: a property and its setter.
    often = Counter(function.name for function in file.functions)
    hits = []
    for function in file.functions:
        name = function.name if often[function.name] == 1 else f"{function.name} (line {function.line})"
        yield f"FN:{function.line},{name}"
        hits.append((count(function.requests, function.weight, weights), name))
    for requests, name in hits:
        yield f"FNDA:{requests},{name}"
    yield f"FNF:{len(hits)}"
    yield f"FNH:{sum(requests > 0 for requests, _ in hits)}"
    if file.branches is not None:
        reached = {line.line for line in file.lines if line.requests}
        ways: Counter[int] = Counter()
        for branch in file.branches:
            # "-": the line never ran, so none of its ways could be taken.
            times = str(count(branch.requests, branch.weight, weights)) if branch.line in reached else "-"
            yield f"BRDA:{branch.line},0,{ways[branch.line]},{times}"
            ways[branch.line] += 1
        yield f"BRF:{len(file.branches)}"
        yield f"BRH:{sum(branch.requests > 0 for branch in file.branches)}"
    for line in file.lines:
        yield f"DA:{line.line},{count(line.requests, line.weight, weights)}"
    yield f"LF:{len(file.lines)}"
    yield f"LH:{sum(line.requests > 0 for line in file.lines)}"
    yield "end_of_record"
