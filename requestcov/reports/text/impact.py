"""Whom a change concerns, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from rich.console import RenderableType
from rich.text import Text

from requestcov.analysis.evidence import Evidence, Selection
from requestcov.analysis.impact import ChangedFile, ChangedLine, Impact, Through
from requestcov.reports.terminal import Name, clean, counted, number, percent, write
from requestcov.reports.text.footing import footing, table

MARKS = {Through.IMPORT: ".", Through.NOTHING: " "}
THROUGH = {Through.LINE: "", Through.AROUND: " around", Through.FUNCTION: " function"}
LEGEND = (
    "- a removed or modified line, + added after the line of that number; the numbers are the old file's. "
    "! nobody ran it, . runs at import. around: counted by the statements beside it; "
    "function: by any line of the function."
)


def write_impact(answer: Impact, evidence: Evidence, selection: Selection, stream: TextIO) -> None:
    """The endpoints concerned, then each file's changed lines.

    Raises:
        OSError: the stream cannot be written.
    """
    parts: list[RenderableType] = []
    if answer.endpoints:
        rows = table("endpoint", "changed lines run", "requests", "of its own", "of all", "last (UTC)")
        for one in answer.endpoints:
            rows.add_row(
                Name(one.endpoint),
                number(one.lines),
                number(one.requests),
                percent(one.of_endpoint),
                percent(one.share),
                f"{one.last:%Y-%m-%d %H:%M}" if one.last else "-",
            )
        parts.append(rows)
        ran = f"{percent(answer.share)} of the traffic ran a changed line"
    else:
        ran = "No recorded request ran a changed line"
    parts += ["", Text(f"{ran}; nobody ran {counted(answer.unrun, 'changed line')}.", "bold")]
    for file in answer.files:
        parts += ["", *_file(file)]
    notes = [LEGEND] if any(file.lines for file in answer.files) else []
    notes.append("When last is exact to the endpoint's last request of the last day.")
    write(stream, [*parts, *footing(evidence, selection, notes)])


def _file(file: ChangedFile) -> Iterator[RenderableType]:
    name = file.path
    if file.new_path is not None and file.status != "new" and file.new_path != file.path:
        name += f" -> {file.new_path}"
    yield Text(f"{clean(name)} ({file.status})", style="bold")
    if file.problem:
        yield Text(clean(f"not judged: {file.problem}."), style="dim")
        return
    if file.status == "new":
        yield Text("no request can have run it yet.", style="dim")
    elif not file.ran:
        yield Text("no recorded request ran this file.", style="dim")
    if file.unplaced:
        yield Text(
            f"{counted(file.unplaced, 'recorded request')} ran it in a version whose lines have no place "
            "in the old text.",
            style="dim",
        )
    if file.lines:
        text = Text(no_wrap=True)
        digits = len(str(max(line.line for line in file.lines)))
        for line in file.lines:
            text.append(_line(line, digits) + "\n", style="red" if line.unrun else "")
        text.right_crop(1)
        yield text


def _line(line: ChangedLine, digits: int) -> str:
    counts = f"{number(line.requests):>8} {percent(line.share):>5}" if line.requests else " " * 14
    mark = "!" if line.unrun else MARKS.get(line.through, " ")
    sign = f"+{line.added}" if line.added else "-"
    how = THROUGH.get(line.through, "")
    shown = f"{counts} {mark} {line.line:>{digits}} {sign:<4}{clean(line.text.expandtabs())}"
    return f"{shown.rstrip()}   [{how.strip()}: {clean(line.function or '')}]" if how else shown.rstrip()
