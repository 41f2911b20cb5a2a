"""The files that requests ran, each line with its share of them and the endpoints that ran it.

Law: a file's text is in a report once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup, escape

from requestcov.analysis.listing import Kind, Line, Listing, of_file
from requestcov.analysis.who_lines import LineAnswer
from requestcov.record import format_lines
from requestcov.reports.html.material import Material
from requestcov.reports.terminal import clean, number, percent

TITLE = "Source"

STEPS = 20
"""Lengths that the bar of a share can have."""


@dataclass(frozen=True)
class File:
    """One file: its anchor, its listing, and its lines, made when they are asked for."""

    anchor: str
    listing: Listing
    rows: Iterator[Markup]


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with."""
    return {"files": _files(material)}


def _files(material: Material) -> Iterator[File]:
    for path, anchor in material.anchors.items():
        listing = of_file(material.evidence, path)
        ran = material.who[path]
        yield File(
            anchor, listing, (_row(anchor, line, material, ran.get(line.number)) for line in listing.lines)
        )


def _row(anchor: str, line: Line, material: Material, who: LineAnswer | None) -> Markup:
    """One line: its number, its requests and their share, the endpoints' numbers, and its text.

    Written here and not by a template, which takes several times as long for each of its parts.
    Of all that stands in it the text alone is not ours.
    """
    kind = requests = share = endpoints = ""
    at = str(line.number)
    first = line.number == line.statement
    if line.kind is Kind.EXECUTED and first:
        kind = f"b{round(STEPS * line.share)}"
        requests, share = number(line.requests), percent(line.share)
        if who is not None and material.answers[who]:
            at = f'<a href="#w{material.answers[who]}">{at}</a>'
        endpoints = format_lines(material.numbers[name] for name in line.endpoints)
    elif line.kind is Kind.MISSED:
        kind, share = "missed", "not run" if first else ""
    elif line.kind is Kind.IMPORT and first:
        kind = "import"
    marked = f' class="{kind}"' if kind else ""
    return Markup(
        f'<div id="{anchor}-{line.number}"{marked}><span>{at}</span><span>{requests}</span>'
        f"<span>{escape(share)}</span><span>{endpoints}</span>"
        f"<code>{escape(clean(line.text.expandtabs()))}</code></div>"
    )
