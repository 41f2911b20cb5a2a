"""Who ran a line, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from requestcov.analysis.evidence import Evidence, Selection
from requestcov.analysis.who import Runner, Tests, Who
from requestcov.reports.terminal import Name, clean, counted, number, percent, write
from requestcov.reports.text.footing import footing, table


def write_who(answer: Who, evidence: Evidence, selection: Selection, stream: TextIO) -> None:
    """The line, then who ran it.

    Raises:
        OSError: the stream cannot be written.
    """
    head = f"{answer.path}:{answer.line}  in {answer.function}, version {answer.digest[:12]}"
    parts: list[RenderableType] = [Text(clean(head), style="bold")]
    number_ = "" if answer.statement == answer.line else f"  (line {answer.statement})"
    parts += [Text(f"    {clean(answer.text.strip())}{number_}", no_wrap=True), ""]
    if answer.endpoints and answer.first and answer.last:
        parts.append(
            Text(
                f"{counted(answer.requests, 'recorded request')} ran it, "
                f"{percent(answer.share)} of the traffic, "
                f"first {answer.first:%Y-%m-%d %H:%M}, last {answer.last:%Y-%m-%d %H:%M} UTC."
            )
        )
        parts += ["", _runners("endpoint", answer.endpoints), "", _runners("release", answer.releases)]
    else:
        parts.append(Text(f"None of {counted(evidence.footing.records, 'recorded request')} ran it.", "red"))
    if answer.recent:
        rows = table("latest requests", "status", "ms", "time (UTC)", "release", "trace")
        for one in answer.recent:
            rows.add_row(
                Name(f"{one.id} {one.endpoint}"),
                str(one.status) if one.status else "-",
                f"{one.duration_ms:,.1f}",
                f"{one.time:%Y-%m-%d %H:%M:%S}",
                clean(one.release) or "-",
                clean(one.trace_id or "-"),
            )
        parts += ["", rows]
    if answer.tests is not None:
        parts += ["", *_tests(answer.tests)]
    notes = []
    if not answer.exact:
        notes.append(
            "Rows of requests are no longer kept for some days: times there are the days' first and last."
        )
    if answer.unplaced:
        notes.append(
            f"{counted(answer.unplaced, 'recorded request')} ran another text of the function, "
            "or one that is not at hand: whether this line cannot be said."
        )
    write(stream, [*parts, *footing(evidence, selection, notes)])


def _runners(kind: str, runners: Sequence[Runner]) -> Table:
    rows = table(kind, "requests", "share", "first (UTC)", "last (UTC)")
    for one in runners:
        rows.add_row(
            Name(one.name or "(no name)"),
            number(one.requests),
            percent(one.share),
            f"{one.first:%Y-%m-%d %H:%M}",
            f"{one.last:%Y-%m-%d %H:%M}",
        )
    return rows


def _tests(tests: Tests) -> list[RenderableType]:
    if tests.ran is None:
        said = "whether tests ran it cannot be said"
    else:
        said = "tests ran it" if tests.ran else "no test ran it"
    if tests.problem:
        said += f"; {tests.problem}"
    lines = [Text(clean(f"{tests.data}: {said}."), style="bold")]
    if tests.doubt:
        lines.append(Text(clean(f"  The tests may have run another text: {tests.doubt}."), style="dim"))
    return [*lines, *(Text(f"  {clean(name)}", no_wrap=True) for name in tests.contexts)]
