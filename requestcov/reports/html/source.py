"""The files that requests ran, each line with its share of them and the endpoints that ran it.

Law: a file's text is in a report once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from requestcov.analysis.listing import Kind, Line, Listing, of_file
from requestcov.analysis.who_lines import LineAnswer
from requestcov.record import format_lines
from requestcov.reports.html.material import Material
from requestcov.reports.terminal import number, percent

TITLE = "Source"

STEPS = 20
"""Lengths that the bar of a share can have."""


@dataclass(frozen=True)
class Row:
    """One line as it is shown.

    Attributes:
        number: from 1.
        kind: a class: ``b0`` to ``b20`` by share, ``missed``, ``import``, or none.
        requests, share: in figures; empty where the line is not counted.
        endpoints: their numbers in the report, as ranges.
        text: as written, tabs expanded.
        who: the number of the answer to who ran it; None where it is not counted.
    """

    number: int
    kind: str
    requests: str
    share: str
    endpoints: str
    text: str
    who: int | None = None


@dataclass(frozen=True)
class File:
    """One file: its anchor, its listing, and its lines, made when they are asked for."""

    anchor: str
    listing: Listing
    rows: Iterator[Row]


def section(material: Material) -> Mapping[str, object]:
    """What the template is filled with."""
    return {"files": _files(material)}


def _files(material: Material) -> Iterator[File]:
    for path, anchor in material.anchors.items():
        listing = of_file(material.evidence, path)
        ran = material.who[path]
        yield File(anchor, listing, (_row(line, material, ran.get(line.number)) for line in listing.lines))


def _row(line: Line, material: Material, who: LineAnswer | None) -> Row:
    text = line.text.expandtabs()
    if line.kind is Kind.EXECUTED and line.number == line.statement:
        endpoints = format_lines(material.numbers[name] for name in line.endpoints)
        kind = f"b{round(STEPS * line.share)}"
        answer = None if who is None else material.answers[who]
        return Row(line.number, kind, number(line.requests), percent(line.share), endpoints, text, answer)
    if line.kind is Kind.MISSED:
        return Row(line.number, "missed", "", "not run" if line.number == line.statement else "", "", text)
    if line.kind is Kind.IMPORT and line.number == line.statement:
        return Row(line.number, "import", "", "", "", text)
    return Row(line.number, "", "", "", "", text)
