"""What no request ran as tables for a terminal, and what that stands on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO, TypeVar

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from requestcov.analysis.dead import Dead, DeadFunction, DeadLines, Kind, RanElsewhere, Saturation, Verdict
from requestcov.analysis.evidence import Evidence, Selection
from requestcov.reports.terminal import Name, clean, counted, number, share, write
from requestcov.reports.text.footing import doubts, footing, table

KINDS = {
    Kind.UNRUN: "not run",
    Kind.CHANGED: "not run since edited",
    Kind.IMPORTED: "file only imported",
    Kind.FILE: "file never run",
}
_Item = TypeVar("_Item", DeadFunction, DeadLines, DeadFunction | DeadLines)

MOST_CONTEXTS = 3
"""Contexts of a data file that are named."""


def write_dead(result: Dead, evidence: Evidence, selection: Selection, limit: int, stream: TextIO) -> None:
    """What is dead, what cannot be told yet, and how saturated the picture is.

    Args:
        limit: rows of a table of code, at most, the largest first; what is left out is counted.

    Raises:
        OSError: the stream cannot be written.
    """
    parts: list[RenderableType] = [Text(_verdict(result)), ""]
    for verdict, functions, lines in (
        (Verdict.DEAD, "Functions that no request ran", "Lines that did not run, in functions that did"),
        (
            Verdict.UNSURE,
            "Functions not run so far, but watched too little to say",
            "Lines not run so far, in functions that ran too little to say",
        ),
    ):
        plain = [f for f in result.functions if f.verdict is verdict and not f.hint]
        parts += _part(functions, plain, _functions, limit)
        parts += _part(lines, [item for item in result.lines if item.verdict is verdict], _lines, limit)
    hinted = [f for f in result.functions if f.hint and f.verdict is not Verdict.ELSEWHERE]
    parts += _part("Look like a command or a job: no request is expected to run them", hinted, _hinted, limit)
    everything: list[DeadFunction | DeadLines] = [*result.functions, *result.lines]
    elsewhere = [item for item in everything if item.verdict is Verdict.ELSEWHERE]
    parts += _part("Run elsewhere, by no request", elsewhere, _elsewhere, limit)
    unwatched = [item for item in result.functions if item.verdict is Verdict.UNWATCHED and not item.hint]
    if unwatched:
        files = _by_file(unwatched)
        head = Text("Files that no request ran at all", style="bold")
        parts += [head, _files(files[:limit]), *_more(len(files), limit), ""]
    parts += [Text("How much further requests would show", style="bold"), _saturation(result)]
    write(stream, [*parts, *footing(evidence, selection, _notes(result))])


def _verdict(result: Dead) -> str:
    """What the selection allows to say at all."""
    watch = result.watch
    said = (
        f"What none of the {counted(watch.requests, 'recorded request')} ran, at most {share(watch.bound)} "
        f"of all requests could run ({result.confidence:.0%} confidence, as of {number(watch.effective)} "
        f"equally weighted ones), watched on {counted(watch.days, 'day')}."
    )
    if result.enough:
        return said
    return (
        f"Too little data to call anything dead. {said} Asked for were {share(result.bound)} (--bound), for "
        f"which {counted(result.needed, 'request')} are needed, and {counted(result.min_days, 'day')} "
        "(--min-days)."
    )


def _part(
    head: str, items: Sequence[_Item], rows: Callable[[Sequence[_Item]], Table], limit: int
) -> Iterator[RenderableType]:
    if items:
        yield Text(head, style="bold")
        yield rows(sorted(items, key=lambda item: -item.size)[:limit])
        yield from _more(len(items), limit)
        yield ""


def _more(there: int, limit: int) -> Iterator[RenderableType]:
    if there > limit:
        yield Text(f"and {number(there - limit)} more, none of them larger (--limit)", style="dim")


def _functions(items: Sequence[DeadFunction]) -> Table:
    rows = table("where", "lines", "of requests", "days", "since", "why")
    rows.columns[-1].justify = "left"
    for item in items:
        watch = item.watch
        rows.add_row(
            Name(f"{item.path}:{item.line}-{item.end} {item.name}"),
            number(item.size),
            f"< {share(watch.bound)}" if watch.requests else "-",
            number(watch.days),
            f"{watch.since:%Y-%m-%d}" if watch.since else "-",
            KINDS[item.kind],
        )
    return rows


def _lines(items: Sequence[DeadLines]) -> Table:
    rows = table("where", "lines", "of its requests", "days", "since", "ran")
    for item in items:
        rows.add_row(
            Name(f"{item.path}:{item.lines} {item.name}"),
            number(item.size),
            f"< {share(item.bound)}",
            number(item.days),
            f"{item.since:%Y-%m-%d}" if item.since else "-",
            number(item.requests),
        )
    return rows


def _hinted(items: Sequence[DeadFunction]) -> Table:
    rows = table("where", "lines", "of requests", "days", "looks like one")
    rows.columns[-1].justify = "left"
    for item in items:
        rows.add_row(
            Name(f"{item.path}:{item.line}-{item.end} {item.name}"),
            number(item.size),
            f"< {share(item.watch.bound)}" if item.watch.requests else "-",
            number(item.watch.days),
            clean(item.hint or ""),
        )
    return rows


def _elsewhere(items: Sequence[DeadFunction | DeadLines]) -> Table:
    rows = table("where", "lines", "run elsewhere", "by")
    rows.columns[-1].justify = "left"
    for item in items:
        whole = isinstance(item, DeadFunction)
        where = f"{item.line}-{item.end}" if isinstance(item, DeadFunction) else item.lines
        rows.add_row(
            Name(f"{item.path}:{where} {item.name}"),
            number(item.size),
            ", ".join(one.lines for one in item.elsewhere) if whole else "all",
            clean("; ".join(by(one) for one in item.elsewhere)),
        )
    return rows


def by(one: RanElsewhere) -> str:
    """The data file, and the first of its contexts."""
    more = len(one.contexts) - MOST_CONTEXTS
    named = ", ".join(one.contexts[:MOST_CONTEXTS]) + (f" and {more} more" if more > 0 else "")
    return f"{one.data} ({named})" if named else one.data


def _by_file(items: Sequence[DeadFunction]) -> list[tuple[str, int, int]]:
    """(path, functions, lines) of each, the most lines first."""
    functions, lines = Counter[str](), Counter[str]()
    for item in items:
        functions[item.path] += 1
        lines[item.path] += item.size
    return [(path, functions[path], lines[path]) for path in sorted(lines, key=lambda p: (-lines[p], p))]


def _files(files: Sequence[tuple[str, int, int]]) -> Table:
    rows = table("file", "functions", "lines")
    for path, functions, lines in files:
        rows.add_row(Name(path), number(functions), number(lines))
    return rows


def _saturation(result: Dead) -> Table:
    rows = table("endpoint", "recorded", "lines run", "by one", "by two", "new next", "still unseen")
    several: tuple[Saturation, ...] = (result.overall,) if len(result.endpoints) > 1 else ()
    for item in (*result.endpoints, *several):
        rows.add_row(
            Text("all", style="bold") if item.endpoint is None else Name(item.endpoint),
            number(item.requests),
            number(item.lines),
            number(item.once),
            number(item.twice),
            share(item.novelty),
            f"> {number(item.unseen)}" if item.unseen >= 0.5 else "0",
        )
    return rows


def _seen_elsewhere(result: Dead) -> str:
    if result.elsewhere:
        named = ", ".join(clean(data.data) for data in result.elsewhere)
        return (
            f"Run elsewhere is what stands in {named}; other commands, scheduled jobs and services are not "
            "seen here: look before you delete."
        )
    return (
        "What a command, a scheduled job or another service runs is not seen here (--elsewhere), and what "
        "looks like one is a guess by its text: look before you delete."
    )


def _notes(result: Dead) -> Iterator[str]:
    yield (
        f"Of requests: at most this share of all could run it (exact binomial, {result.confidence:.0%}); of "
        "its requests: of those that run the function. New next: the chance that the next recorded request "
        "runs a line that none did (Good-Turing). Still unseen: lines, at least (Chao2)."
    )
    yield _seen_elsewhere(result)
    for data in result.elsewhere:
        for one in data.not_compared:
            yield f"{clean(data.data)}: {clean(one.path)} is not compared: {clean(one.problem)}."
        for said in doubts(data.doubtful):
            yield f"{clean(data.data)}: perhaps not the text that ran: {said}."
    if not result.tree:
        yield "No file that ran is in the working tree: what ran last is judged (--root)."
    if result.excluded:
        yield f"Excluded from coverage, so not judged: {counted(len(result.excluded), 'function')}."
    if result.gone:
        yield f"Ran, and no longer in the working tree: {counted(len(result.gone), 'file')}."
    if result.unread:
        named = ", ".join(clean(path) for path in result.unread[:5])
        files = counted(len(result.unread), "file")
        yield f"Not judged, for want of a text that can be parsed: {files}: {named}."
