"""Source text with the lines that requests ran, for a terminal.

Laws: what ran is told by the count beside it, what did not by a mark, so that
it can be read without colour; no line of source is cut off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from string import ascii_lowercase
from typing import TextIO

from rich.cells import chop_cells
from rich.console import RenderableType
from rich.text import Text

from requestcov.analysis.evidence import Evidence
from requestcov.analysis.listing import Kind, Line, Listing
from requestcov.record import format_lines
from requestcov.reports.terminal import Verbatim, clean, console_for, counted, number, percent, write

STYLES = {Kind.EXECUTED: "green", Kind.MISSED: "red", Kind.IMPORT: "dim", Kind.NONE: "dim"}
MARKS = {Kind.EXECUTED: " ", Kind.MISSED: "!", Kind.IMPORT: ".", Kind.NONE: " "}
LEGEND = "requests  share  ! did not run   . runs at import, not counted"
NARROWEST_CODE = 20
LETTERS_SHOWN = 6


def write_endpoint(
    endpoint: str, listings: Sequence[Listing], evidence: Evidence, whole: bool, stream: TextIO
) -> None:
    """The functions that an endpoint reached, or with ``whole`` all of each file it ran.

    Raises:
        OSError: the stream cannot be written.
    """
    counts = evidence.counts.get(endpoint)
    head = Text(clean(endpoint), style="bold")
    if counts is not None:
        head.append(
            f"\n{counted(counts.requests, 'recorded request')}, standing for {number(counts.weight)}; "
            f"{number(counts.failed)} failed",
            style="not bold",
        )
    parts: list[RenderableType] = [head]
    width = _width(stream)
    unreached = 0
    for listing in listings:
        if listing.lines and not listing.reached and not whole:
            unreached += 1
            continue
        parts += ["", *_file(listing, {}, whole, width)]
    parts.append("")
    if unreached:
        parts.append(
            Text(f"{counted(unreached, 'further file')} ran only at import; --all shows them.", "dim")
        )
    parts.append(Text(LEGEND, style="dim"))
    write(stream, parts)


def write_file(listing: Listing, evidence: Evidence, stream: TextIO) -> None:
    """A whole file, with a letter for each endpoint that ran a line.

    Raises:
        OSError: the stream cannot be written.
    """
    letters = dict(zip(listing.endpoints, _letters(), strict=False))
    footing = evidence.footing
    parts: list[RenderableType] = [*_file(listing, letters, True, _width(stream)), ""]
    parts += [Text(f"{letter:>4}  {clean(name)}") for name, letter in letters.items()]
    parts.append(
        Text(
            f"share: of {counted(footing.weight, 'request')}, "
            f"for which {number(footing.records)} recorded ones stand",
            style="dim",
        )
    )
    parts.append(Text(LEGEND, style="dim"))
    write(stream, parts)


def _width(stream: TextIO) -> int | None:
    """Columns to fold at; None where nothing is to be folded."""
    console = console_for(stream)
    return console.width if console.is_terminal else None


def _letters() -> Iterator[str]:
    """a to z, then aa, ab, and so on."""
    yield from ascii_lowercase
    for first in _letters():
        yield from (first + letter for letter in ascii_lowercase)


def _file(
    listing: Listing, letters: Mapping[str, str], whole: bool, width: int | None
) -> Iterator[RenderableType]:
    yield Text(clean(listing.path), style="bold")
    yield from (Text(clean(note), style="dim") for note in _notes(listing))
    if not listing.lines:
        ran = format_lines(listing.recorded) or "none of this version"
        yield Text(f"lines that ran: {ran}")
        return
    ranges = [(1, len(listing.lines))] if whole else listing.reached
    columns = max((len(_who(line, letters)) for line in listing.lines), default=0)
    digits = len(str(len(listing.lines)))
    shown = [listing.lines[first - 1 : last] for first, last in ranges]
    if width is None:
        lines = (
            "\n".join(_gutter(line, letters, columns, digits) + _code(line) for line in part)
            for part in shown
        )
        yield Verbatim("\n...\n".join(lines))
        return
    # One Text a file: printing line by line takes rich several times as long.
    code = Text(no_wrap=True)
    for index, part in enumerate(shown):
        if index:
            code.append("...\n", style="dim")
        for line in part:
            code.append_text(_line(line, _gutter(line, letters, columns, digits), width)).append("\n")
    code.right_crop(1)
    yield code


def _notes(listing: Listing) -> Iterator[str]:
    if len(listing.digests) > 1 or listing.digest != listing.digests[0]:
        others = [digest[:12] or "(unknown)" for digest in listing.digests if digest != listing.digest]
        which = "the newest" if listing.digest == listing.digests[0] else "an older one"
        yield (
            f"version {listing.digest[:12] or '(unknown)'}, {which} of {len(listing.digests)}; "
            f"others: {', '.join(others)} (--digest)"
        )
    if listing.left_out:
        yield f"{counted(listing.left_out, 'line')} of other versions left out: the code there has changed"
    if listing.problem:
        yield listing.problem


def _who(line: Line, letters: Mapping[str, str]) -> str:
    """The endpoints of a line, as letters."""
    if line.number != line.statement:
        return ""
    own = [letters[name] for name in line.endpoints if name in letters]
    more = len(own) - LETTERS_SHOWN
    return " ".join(own[:LETTERS_SHOWN]) + (f" +{more}" if more > 0 else "")


def _gutter(line: Line, letters: Mapping[str, str], columns: int, digits: int) -> str:
    ran = line.requests and line.number == line.statement
    counts = f"{number(line.requests):>8} {percent(line.share):>5}" if ran else " " * 14
    who = f" {_who(line, letters):<{columns}}" if columns else ""
    return f"{counts}{who} {MARKS[line.kind]} {line.number:>{digits}}  "


def _code(line: Line) -> str:
    return clean(line.text.expandtabs())


def _line(line: Line, gutter: str, width: int) -> Text:
    code = _code(line)
    text = Text(gutter, style="", no_wrap=True)
    pieces = chop_cells(code, max(NARROWEST_CODE, width - len(gutter))) if code else [code]
    for index, piece in enumerate(pieces):
        if index:
            text.append("\n" + " " * len(gutter))
        text.append(piece, style=STYLES[line.kind])
    text.rstrip()
    return text
