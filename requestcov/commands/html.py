"""``requestcov html``: the answers as one file that can be mailed."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from requestcov._scripts import declared
from requestcov.analysis.evidence import Evidence, Timings, Traffic
from requestcov.analysis.gather import gather, gather_timings, gather_traffic, holders
from requestcov.commands.asking import (
    Refused,
    add_selection,
    needs_extra,
    require_records,
    selection_of,
    store_of,
)
from requestcov.commands.changes import concerned
from requestcov.commands.tested import (
    add_tests_text,
    beside_tests,
    ran_elsewhere,
    refuse_tests_text_alone,
    texts_of,
)
from requestcov.commands.writing import new_file

DESCRIPTION = "The answers in one HTML file that needs no network and no script, to be read or mailed."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to, and of what."""
    parser.add_argument("output", metavar="OUTPUT.html", type=Path, help="the file to write")
    add_selection(parser)
    change = parser.add_mutually_exclusive_group()
    change.add_argument(
        "--diff",
        metavar="FILE|-",
        help="a unified diff, to tell whom it concerns; -: standard input",
    )
    change.add_argument("--git", metavar="A..B", help="in place of a diff: what changed between two commits")
    parser.add_argument(
        "--tests", metavar="DATAFILE", help="a coverage.py data file, to tell what no test runs"
    )
    add_tests_text(parser)
    parser.add_argument(
        "--elsewhere",
        metavar="DATAFILE",
        action="append",
        default=[],
        help="a coverage.py data file of what commands and jobs ran; may be given several times",
    )
    parser.add_argument("--no-source", action="store_true", help="leave out the source of the files")
    parser.add_argument("--force", action="store_true", help="overwrite a file that is no report of ours")


def run(options: argparse.Namespace) -> None:
    """Write the file.

    Raises:
        Refused: it would overwrite what is not a report, or cannot be written.
    """
    with needs_extra():
        from requestcov.reports.html.material import Material
        from requestcov.reports.html.page import GENERATOR, render
    refuse_tests_text_alone(options)
    output: Path = options.output
    if not options.force and not _ours(output, GENERATOR):
        raise Refused(f"{str(output)!a} exists and is no report of requestcov: name another, or add --force.")
    place, selection, root = store_of(options), selection_of(options), os.getcwd()
    evidence = gather(place, selection, root)
    require_records(evidence)
    change = None
    if options.diff is not None or options.git is not None:
        change = concerned(evidence, place, selection, root, diff=options.diff, git=options.git)
    tested = None
    if options.tests is not None:
        tested = beside_tests(evidence, options.tests, texts_of(options, options.tests, root))

    def traffic(endpoint: str) -> Traffic:
        found = gather_traffic(place, replace(selection, endpoint=endpoint), root)
        return replace(found, evidence=known(found.evidence))

    def timings(endpoint: str) -> Timings:
        found = gather_timings(place, replace(selection, endpoint=endpoint), root)
        return replace(found, evidence=known(found.evidence))

    def known(part: Evidence) -> Evidence:
        # A version's text is one, whoever asks: read and parsed once for the whole report.
        return replace(part, source=evidence.source)

    text = render(
        Material(
            evidence=evidence,
            selection=selection,
            holders=holders(place, selection),
            by_release=lambda: known(gather(place, selection, root, by_release=True)),
            release=lambda name: known(gather(place, replace(selection, release=name), root)),
            traffic=traffic,
            timings=timings,
            with_source=not options.no_source,
            impact=change,
            gap=tested,
            elsewhere=ran_elsewhere(options.elsewhere, evidence.newest, root),
            scripts=declared(root),
        )
    )
    with new_file(str(output)) as name:
        Path(name).write_text(text, "utf-8", newline="\n")


def _ours(output: Path, generator: str) -> bool:
    """Whether writing there loses nothing but a report."""
    try:
        with output.open("rb") as file:
            return generator.encode() in file.read(1000)
    except FileNotFoundError:
        return True
    except OSError:
        return False
