"""Texts of unknown origin, and numbers, made fit for a terminal.

Laws: no stored text reaches a terminal with a control, format or unpaired
character in it; nothing stored is ever read as markup; what is shown in
colour is also shown without it. One write a report, so that a closed pipe is
met in one place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TextIO

from rich import box
from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

UNLIMITED = 10_000
"""Columns where nobody looks: in a file or a pipe a row is one line."""


def clean(text: str) -> str:
    """The text with every character that a terminal would not simply print as an escape.

    That is control characters (ANSI sequences begin with one), direction
    overrides and other invisible format characters, and lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


class Name:
    """A route or path in a table, cleaned: folded behind a slash where its column is too narrow."""

    INDENT = "  "

    def __init__(self, name: str) -> None:
        self.text = clean(name)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, cell_len(self.text)).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line = ""
        for piece in re.findall(r"[^/ ]*[/ ]|[^/ ]+", self.text):
            if line.strip() and cell_len(line + piece.rstrip()) > options.max_width:
                yield Text(line.rstrip(), no_wrap=True)
                line = self.INDENT
            line += piece
            while cell_len(line.rstrip()) > options.max_width:
                first, *rest = chop_cells(line, options.max_width)
                yield Text(first, no_wrap=True)
                line = "".join(rest)
        yield Text(line.rstrip(), no_wrap=True)


class Rows(Table):
    """A table; where nothing is to be folded its lines are put together at once.

    rich lays every cell out for itself, which takes seconds for thousands of rows.
    """

    def __init__(self) -> None:
        super().__init__(
            box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold"
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        cells = [[_plain(cell) for cell in (column.header, *column.cells)] for column in self.columns]
        widths = [max(map(cell_len, column)) for column in cells]
        if console.is_terminal or options.max_width < UNLIMITED or sum(widths) + 2 * len(widths) > UNLIMITED:
            yield from super().__rich_console__(console, options)
            return
        rights = [column.justify == "right" for column in self.columns]
        lines = [
            "  ".join(
                " " * (width - cell_len(cell)) + cell if right else cell + " " * (width - cell_len(cell))
                for cell, width, right in zip(row, widths, rights, strict=True)
            )
            for row in zip(*cells, strict=True)
        ]
        lines.insert(1, "─" * (sum(widths) + 2 * (len(widths) - 1)))
        yield from Verbatim("\n".join(lines)).__rich_console__(console, options)


class Verbatim:
    """Cleaned lines without colour, printed as they are: what rich would do to each takes its time."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Segment(self.text + "\n")


def _plain(cell: RenderableType) -> str:
    if isinstance(cell, Name):
        return cell.text
    return cell.plain if isinstance(cell, Text) else str(cell)


def percent(fraction: float | None) -> str:
    """``74%``; only all is 100% and only nothing is 0%; ``-`` when there is no fraction."""
    if fraction is None:
        return "-"
    if 0 < fraction < 0.01:
        return "<1%"
    if 0.99 < fraction < 1:
        return ">99%"
    return f"{fraction:.0%}"


def share(fraction: float | None) -> str:
    """``0.30%``: a small share or chance in two digits; ``-`` when there is none."""
    if fraction is None:
        return "-"
    if fraction and fraction < 0.000001:
        return "<0.0001%"
    shown = f"{fraction * 100:#.2g}" if fraction < 0.1 else f"{fraction * 100:.0f}"
    return f"{shown.rstrip('.')}%" if fraction else "0%"


def number(value: float | None) -> str:
    """``12,345``; ``-`` when unknown."""
    return "-" if value is None else f"{value:,.0f}"


def counted(value: float, noun: str) -> str:
    """``1 request``, ``12,345 requests``."""
    return f"{number(value)} {noun}{'' if value == 1 else 's'}"


def console_for(stream: TextIO) -> Console:
    """A console that interprets nothing in the texts it is given.

    Colour follows rich: only on a terminal, never with NO_COLOR set. The width is the
    terminal's or what COLUMNS says, else nothing is folded.
    """
    console = Console(file=stream, markup=False, highlight=False, emoji=False, legacy_windows=False)
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console.width = UNLIMITED
    return console


def write(stream: TextIO, parts: Iterable[RenderableType]) -> None:
    """Print rich objects, one after the other, at once; a Text with ``no_wrap`` is not folded.

    Raises:
        OSError: the stream cannot be written, for instance a closed pipe.
    """
    console = console_for(stream)
    with console.capture() as captured:
        for part in parts:
            whole = isinstance(part, (str, Verbatim)) or (isinstance(part, Text) and bool(part.no_wrap))
            console.print(part, soft_wrap=whole)
    text = captured.get()
    if not console.is_terminal:
        text = re.sub(r" +$", "", text, flags=re.MULTILINE)
    stream.write(text)
    stream.flush()
