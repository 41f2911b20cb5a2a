"""A checklist for a ticket, in Markdown.

Laws: no stored text is read as markup: each stands, cleaned, in a code span.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import TextIO

from requestcov.analysis.dead import Dead, DeadFunction, DeadLines, Kind, Verdict
from requestcov.analysis.evidence import Evidence, Selection
from requestcov.reports.terminal import clean, counted, number, share


def write_dead(result: Dead, evidence: Evidence, selection: Selection, stream: TextIO) -> None:
    """What may be cleaned up, by file; what cannot be told yet is only counted.

    Raises:
        OSError: the stream cannot be written.
    """
    stream.write("\n".join(_dead(result, evidence, selection)) + "\n")
    stream.flush()


def _dead(result: Dead, evidence: Evidence, selection: Selection) -> Iterator[str]:
    footing, watch = evidence.footing, result.watch
    yield "# Code that no recorded request ran"
    yield ""
    whose = f" to {code(selection.endpoint)}" if selection.endpoint else ""
    period = (
        f" from {watch.since:%Y-%m-%d} to {watch.until:%Y-%m-%d} (UTC)" if watch.since and watch.until else ""
    )
    yield (
        f"{counted(footing.records, 'recorded request')}{whose}, standing for {number(footing.weight)}, on "
        f"{counted(watch.days, 'day')}{period}; {counted(sum(footing.dropped.values()), 'recording')} lost."
    )
    yield (
        f"Listed is what at most {share(result.bound)} of requests could run ({result.confidence:.0%} "
        f"confidence), watched on {counted(result.min_days, 'day')} or more. The chance that the next "
        f"recorded request runs a line that none did is {share(result.overall.novelty)}."
    )
    sure: defaultdict[str, list[DeadFunction | DeadLines]] = defaultdict(list)
    everything: list[DeadFunction | DeadLines] = [*result.functions, *result.lines]
    jobs = [f for f in result.functions if f.hint and f.verdict in (Verdict.DEAD, Verdict.UNWATCHED)]
    for item in everything:
        if item.verdict is Verdict.DEAD and item not in jobs:
            sure[item.path].append(item)
    if not sure:
        yield ""
        yield (
            "Nothing can be called dead."
            if result.enough
            else f"Too little data to call anything dead: {counted(result.needed, 'request')} and "
            f"{counted(result.min_days, 'day')} are needed."
        )
    for path, items in sorted(sure.items()):
        yield ""
        yield f"## {code(path)}"
        yield from (_item(item) for item in sorted(items, key=lambda item: item.line))
    if jobs:
        yield ""
        yield "## Looks like a command or a job: ask before anything goes"
        yield from (f"- [ ] {code(f'{f.path}:{f.line} {f.name}')}: {code(f.hint or '')}" for f in jobs)
    elsewhere = [item for item in everything if item.verdict is Verdict.ELSEWHERE]
    if elsewhere:
        yield ""
        yield "## Run elsewhere: to be kept"
        yield from (_kept(item) for item in elsewhere)
    unwatched = sorted(
        {item.path for item in result.functions if item.verdict is Verdict.UNWATCHED and not item.hint}
    )
    if unwatched:
        yield ""
        yield "## Files that no request ran at all"
        yield from (f"- [ ] {code(path)}" for path in unwatched)
    unsure = sum(1 for item in everything if item.verdict is Verdict.UNSURE)
    yield ""
    yield (
        f"Watched too little to say: {number(unsure)} more. Commands, scheduled jobs and other services are "
        "not seen here: look before you delete."
    )


def _item(item: DeadFunction | DeadLines) -> str:
    if isinstance(item, DeadLines):
        since = f"watched since {item.since:%Y-%m-%d}, " if item.since else ""
        return (
            f"- [ ] {code(item.name)} lines {item.lines} ({counted(item.size, 'line')}): {since}"
            f"{counted(item.days, 'day')}, at most {share(item.bound)} of the function's requests, "
            f"of which {number(item.requests)} are recorded"
        )
    watch = item.watch
    since = f"watched since {watch.since:%Y-%m-%d}, " if watch.since else ""
    edited = "edited, " if item.kind is Kind.CHANGED else ""
    only = ", its file is only imported" if item.kind is Kind.IMPORTED else ""
    return (
        f"- [ ] {code(item.name)} lines {item.line}-{item.end} ({counted(item.size, 'line')}): "
        f"{edited}{since}{counted(watch.days, 'day')}, at most {share(watch.bound)} of requests{only}"
    )


def _kept(item: DeadFunction | DeadLines) -> str:
    where = code(f"{item.path}:{item.line} {item.name}")
    lines = f" lines {item.lines}" if isinstance(item, DeadLines) else ""
    return f"- {where}{lines}: run by {', '.join(code(one.data) for one in item.elsewhere)}"


def code(text: str) -> str:
    """A code span that holds this text and nothing else, whatever backticks are in it."""
    shown = clean(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    pad = " " if shown[:1] in ("`", " ") or shown[-1:] in ("`", " ") or not shown else ""
    return f"{fence}{pad}{shown}{pad}{fence}"
