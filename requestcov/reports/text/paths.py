"""The execution paths of an endpoint for a terminal: how common each is, and what tells it from the next.

Law: what one path runs and the other does not is marked + and -, so that it can be read without colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

from rich.console import RenderableType
from rich.text import Text

from requestcov.analysis.evidence import Selection, Timings
from requestcov.analysis.paths_results import ExecutionPath, Folded, PathPart, Paths
from requestcov.record import format_lines
from requestcov.reports.terminal import Name, clean, counted, number, percent, write
from requestcov.reports.text.footing import footing, table

PARTS_SHOWN = 12
"""Functions told apart in one path."""

LINES_SHOWN = 12
"""Lines shown of one function."""


def write_paths(paths: Paths, timings: Timings, selection: Selection, stream: TextIO) -> None:
    """A row a path, then what tells each from the one most like it, then what ran after responses.

    Raises:
        OSError: the stream cannot be written.
    """
    parts: list[RenderableType] = [Text(clean(paths.endpoint), style="bold"), ""]
    rows = table("path", "recorded", "share", "failing", "median ms", "functions", "lines")
    for path in paths.paths:
        rows.add_row(
            f"{path.number}",
            *_counts(path),
            f"{path.median_ms:,.1f}",
            number(path.functions),
            number(path.lines),
        )
    if paths.folded is not None:
        rows.add_row(f"{counted(paths.folded.paths, 'rarer one')}", *_counts(paths.folded), "-", "-", "-")
    parts.append(rows)
    for path in paths.paths[1:]:
        parts += ["", *_difference(path)]
    if paths.background:
        parts += ["", Text("after the response", style="bold")]
        after = table("function", "recorded", "share")
        after.add_column("lines", overflow="fold")
        for item in paths.background:
            name = Name(f"{item.path}:{item.line} {item.name}")
            lines = Text(format_lines(item.lines).replace(",", ", "))
            after.add_row(name, number(item.requests), percent(item.share), lines)
        parts.append(after)
    write(stream, [*parts, *footing(timings.evidence, selection, _notes(paths))])


def _counts(path: ExecutionPath | Folded) -> tuple[RenderableType, ...]:
    failing = Text(percent(path.failing), style="red" if path.failed else "")
    return number(path.requests), percent(path.share), failing


def _difference(path: ExecutionPath) -> Iterator[RenderableType]:
    head = Text(f"path {path.number}", style="bold")
    head.append(f", compared with path {path.like}", style="not bold")
    yield head
    functions: dict[tuple[str, int, str], list[tuple[PathPart, str]]] = {}
    for parts, mark in ((path.adds, "+"), (path.lacks, "-")):
        for part in parts:
            functions.setdefault((part.path, part.line, part.name), []).append((part, mark))
    for _, sides in sorted(functions.items())[:PARTS_SHOWN]:
        yield from _function(sides)
    more = len(functions) - PARTS_SHOWN
    if more > 0:
        yield Text(f"  and {counted(more, 'further function')}", style="dim")
    if path.changed_differs:
        yield Text("They differ in code that has changed since, or whose source is missing.", style="dim")


def _function(sides: Sequence[tuple[PathPart, str]]) -> Iterator[RenderableType]:
    part, mark = sides[0]
    name = Text(f"  {clean(part.path)}:{part.line} {clean(part.name)}", no_wrap=True)
    if part.whole:
        name.append(f"  ({'entered only here' if mark == '+' else 'not entered here'})", style="dim")
    yield name
    lines = sorted((line.number, mark, line.text) for part, mark in sides for line in part.lines)
    digits = len(str(lines[-1][0]))
    code = Text(no_wrap=True)
    for number_, mark, text in lines[:LINES_SHOWN]:
        style = "green" if mark == "+" else "red"
        code.append(f"  {mark} {number_:>{digits}}  {clean(text)}\n", style=style)
    code.right_crop(1)
    yield code
    more = len(lines) - LINES_SHOWN
    if more > 0:
        yield Text(f"    and {counted(more, 'further line')} of it", style="dim")


def _notes(paths: Paths) -> Iterator[str]:
    yield (
        "A path is the set of lines of function bodies that a request ran until its response was complete. "
        "Share, failing and median are by weight."
    )
    if len(paths.paths) > 1:
        yield "Each is compared with the more common path that is most like it: + it runs, - that one runs."
    if paths.folded is not None:
        yield "--top shows more."
    if paths.unseen is not None:
        yield (
            f"{counted(paths.once, 'path')} came once: the chance that the next recorded request takes one "
            f"not seen yet is about {percent(paths.unseen)} (Good-Turing)."
        )
    changed = sum(1 for path in paths.paths if path.changed)
    if changed:
        yield (
            f"{counted(changed, 'path')} shown ran code that has changed since, or whose source is missing: "
            "such lines tell paths apart and cannot be shown."
        )
