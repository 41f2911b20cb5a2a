"""Rankings of what failing, or slow, requests run, with the source around it.

Laws: a tie is shown as one, with the places it shares; what a number means is
said below the table; the source shown is the newest version's, in which the
lines were placed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

from rich.console import RenderableType
from rich.text import Text

from requestcov.analysis.contrast import Part
from requestcov.analysis.evidence import Evidence, Selection
from requestcov.analysis.ranking import Suspect, SuspectFunction
from requestcov.analysis.slow import Slow, SlowPart
from requestcov.analysis.suspects import Suspects
from requestcov.record import parse_lines
from requestcov.reports.terminal import Name, clean, counted, number, write
from requestcov.reports.text.footing import footing, table

CLEAR = 0.05
NOTHING_CLEAR = "Nothing stands out: differences like these come by chance (q above 0.05)."

AROUND = 2
"""Lines of source above and below a suspicious one."""
LINES_SHOWN = 12
"""Lines of one part that are marked in its source; a longer part is cut there."""
PLACES_SHOWN = 4
"""Ranges of lines of a part that a table names."""
PARTS_SHOWN = 3
"""Functions of a tie whose source is shown."""


def write_suspects(
    answer: Suspects, evidence: Evidence, selection: Selection, top: int, stream: TextIO
) -> None:
    """What failing requests ran, what they missed, and the source of the first places.

    Raises:
        OSError: the stream cannot be written.
    """
    parts: list[RenderableType] = [
        Text(clean(answer.endpoint), style="bold"),
        Text(
            f"failing: {clean(answer.failing_means)}: {counted(answer.failing, 'recorded request')}\n"
            f"healthy: {clean(answer.healthy_means)}: {counted(answer.healthy, 'recorded request')}"
        ),
    ]
    if answer.apart:
        parts.append(Text(f"neither: {counted(answer.apart, 'request')}", style="dim"))
    notes = [
        "failing, healthy: recorded requests of each kind that ran the lines (below, that did not). A place "
        "like 2-5 is shared: these lines cannot be told apart by what was recorded.",
        "q: the probability of such a difference by chance, corrected for the number of ties (Fisher; "
        "Benjamini and Hochberg).",
    ]
    if answer.left_out:
        notes.append(f"{counted(answer.left_out, 'recorded line')} left out: the code there has changed.")
    if not answer.too_few:
        parts += ["", Text("failing requests ran", style="bold"), *_ranking(answer.ran[:top])]
        if len(answer.functions) > 1:
            parts += ["", Text("their functions", style="bold"), *_functions(answer.functions[:top]), ""]
        if not any(tie.adjusted <= CLEAR for tie in (*answer.ran, *answer.missing)):
            parts.append(Text(NOTHING_CLEAR, style="yellow"))
        parts += _sources(answer.ran[:top], evidence)
        if answer.missing:
            parts += ["", Text("failing requests did not run", style="bold"), *_ranking(answer.missing[:top])]
    write(stream, [*parts, *footing(evidence, selection, notes)])


def write_slow(answer: Slow, evidence: Evidence, selection: Selection, top: int, stream: TextIO) -> None:
    """What slow requests ran, with the difference in time.

    Raises:
        OSError: the stream cannot be written.
    """
    kind = "the 95th percentile" if answer.is_percentile else "as asked for"
    limit = "-" if answer.threshold_ms is None else f"{answer.threshold_ms:,.1f} ms ({kind})"
    parts: list[RenderableType] = [
        Text(clean(answer.endpoint), style="bold"),
        Text(
            f"slow: more than {limit}: {counted(answer.slow, 'recorded request')}\n"
            f"fast: {counted(answer.fast, 'recorded request')}"
        ),
    ]
    if answer.apart:
        parts.append(Text(f"failed, and left apart: {counted(answer.apart, 'request')}", style="dim"))
    notes = [
        "slow, fast: recorded requests of each kind that ran the lines.",
        "with, without: median time of requests that ran the lines, and of those that did not. The time "
        "goes with the lines; it need not be spent in them.",
        "q: the probability of such a difference by chance, corrected for the number of ties.",
    ]
    if answer.left_out:
        notes.append(f"{counted(answer.left_out, 'recorded line')} left out: the code there has changed.")
    if not answer.too_few:
        shown = answer.parts[:top]
        parts += ["", *_times(shown)]
        if not any(part.suspect.adjusted <= CLEAR for part in shown):
            parts.append(Text(NOTHING_CLEAR, style="yellow"))
        parts += [*_sources([part.suspect for part in shown], evidence)]
    write(stream, [*parts, *footing(evidence, selection, notes)])


def _ranking(ties: Sequence[Suspect]) -> Iterator[RenderableType]:
    rows = table("where", "place", "failing", "healthy", "Ochiai", "Tarantula", "DStar", "Jaccard", "q")
    for tie in ties:
        rows.add_row(
            Name(_where(tie.parts)),
            _place(tie),
            number(tie.failing),
            number(tie.healthy),
            f"{tie.ochiai:.2f}",
            f"{tie.tarantula:.2f}",
            "∞" if tie.dstar is None else f"{tie.dstar:,.1f}",
            f"{tie.jaccard:.2f}",
            _chance(tie.adjusted),
        )
    yield rows


def _functions(found: Sequence[SuspectFunction]) -> Iterator[RenderableType]:
    rows = table("function", "place", "failing", "healthy", "first by")
    for one in found:
        places = [*filter(None, one.lines.split(",")), *one.branches]
        rows.add_row(
            Name(f"{one.path} {one.function}"),
            _place(one),
            number(one.failing),
            number(one.healthy),
            ",".join(places[:PLACES_SHOWN]) + ("…" if len(places) > PLACES_SHOWN else ""),
        )
    yield rows


def _times(parts: Sequence[SlowPart]) -> Iterator[RenderableType]:
    rows = table("where", "place", "slow", "fast", "Ochiai", "with ms", "without ms", "difference", "q")
    for part in parts:
        tie = part.suspect
        rows.add_row(
            Name(_where(tie.parts)),
            _place(tie),
            number(tie.failing),
            number(tie.healthy),
            f"{tie.ochiai:.2f}",
            _ms(part.median_with),
            _ms(part.median_without),
            _ms(part.difference, sign="+"),
            _chance(tie.adjusted),
        )
    yield rows


def _ms(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign},.1f}"


def _place(tie: Suspect | SuspectFunction) -> str:
    return f"{tie.first}" if tie.first == tie.last else f"{tie.first}-{tie.last}"


def _chance(chance: float) -> str:
    return "<0.001" if chance < 0.001 else f"{chance:.3f}"


def _where(parts: Sequence[Part]) -> str:
    first = parts[0]
    places = [*first.lines.split(","), *first.branches] if first.lines else list(first.branches)
    lines = ",".join(places[:PLACES_SHOWN]) + ("…" if len(places) > PLACES_SHOWN else "")
    more = f" and {len(parts) - 1} more" if len(parts) > 1 else ""
    return f"{first.path}:{lines} {first.function}{more}"


def _sources(ties: Iterable[Suspect], evidence: Evidence) -> Iterator[RenderableType]:
    for tie in ties:
        for part in tie.parts[:PARTS_SHOWN]:
            source = evidence.source(part.path, evidence.newest[part.path])
            if source is None:
                continue
            marked = sorted(parse_lines(part.lines) | {int(arc.split("-")[0]) for arc in part.branches})
            head = f"\n{_place(tie)}  {part.path}  {part.function}"
            if len(tie.parts) > PARTS_SHOWN and part is tie.parts[0]:
                head += f"  (and {len(tie.parts) - 1} more functions in this tie)"
            yield Text(clean(head[1:]), style="bold")
            yield _excerpt(source.lines, marked[:LINES_SHOWN])


def _excerpt(lines: Sequence[str], marked: Sequence[int]) -> Text:
    shown = sorted(
        {near for line in marked for near in range(max(1, line - AROUND), min(len(lines), line + AROUND) + 1)}
    )
    digits = len(str(len(lines)))
    text = Text(no_wrap=True)
    before = None
    for line in shown:
        if before is not None and line > before + 1:
            text.append("      ...\n", style="dim")
        before = line
        mark = ">" if line in marked else " "
        text.append(f"  {mark} {line:>{digits}}  ", style="")
        text.append(clean(lines[line - 1].expandtabs()) + "\n", style="red" if line in marked else "dim")
    text.right_crop(1)
    return text
