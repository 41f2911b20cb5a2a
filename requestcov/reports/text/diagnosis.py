"""What ``requestcov doctor`` found, for a terminal.

Law: what would stop recording comes last, where it is seen first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TextIO

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from requestcov.doctor import Diagnosis, SinkCheck
from requestcov.reports.terminal import clean, counted, number, write


def write_diagnosis(diagnosis: Diagnosis, stream: TextIO) -> None:
    """Every section, then notes, then problems.

    Raises:
        OSError: the stream cannot be written.
    """
    write(stream, _parts(diagnosis))


def _parts(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    yield from _section("versions", diagnosis.versions.items())
    engine = diagnosis.engine
    rows = [(engine.name, engine.because)]
    rows += [(f"not {name}", why) for name, why in sorted(engine.rejected.items())]
    yield from _section("engine", rows)
    yield from _section("scope", _scope(diagnosis))
    yield from _section("sinks", [(sink.name, _said(sink)) for sink in diagnosis.sinks])
    yield Text("options", style="bold")
    options = Table.grid(padding=(0, 2))
    options.add_column(no_wrap=True)
    options.add_column(overflow="fold")
    options.add_column(overflow="fold", style="dim")
    for setting in diagnosis.settings:
        options.add_row(f"  {setting.name}", Text(clean(setting.value) or "-"), setting.origin)
    yield options
    yield ""
    for note in diagnosis.notes:
        yield Text(f"Note: {clean(note)}", style="dim")
    for problem in diagnosis.problems:
        yield Text(f"Problem: {clean(problem)}", style="bold red")
    if not diagnosis.problems:
        yield Text("Requests would be recorded here.", style="bold green")


def _said(sink: SinkCheck) -> str:
    return "; ".join(part for part in (sink.problem, sink.note) if part) or "can be written"


def _scope(diagnosis: Diagnosis) -> Iterator[tuple[str, str]]:
    measured = diagnosis.measured
    yield "root", measured.root
    for source in measured.sources:
        yield "source", source
    yield "coverage.py's configuration", measured.configuration or "none"
    yield "in scope", counted(measured.files, "Python file") + ("" if measured.complete else " at least")
    for why, count in sorted(measured.left_out.items()):
        yield "left out", f"{number(count)}: {why}"


def _section(name: str, rows: Iterable[tuple[str, str]]) -> Iterator[RenderableType]:
    yield Text(name, style="bold")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold")
    for left, right in rows:
        grid.add_row(Text(f"  {clean(left)}"), Text(clean(right)))
    yield grid
    yield ""
