"""``requestcov impact``: whom a change concerns."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from requestcov._tests_data import is_test
from requestcov.analysis.gather import gather
from requestcov.commands.asking import (
    Failing,
    Refused,
    add_format,
    add_selection,
    needs_extra,
    output,
    require_records,
    selection_of,
    store_of,
)
from requestcov.commands.changes import concerned
from requestcov.reports import json

if TYPE_CHECKING:
    from requestcov.analysis.impact import Impact

DESCRIPTION = "Which endpoints run the lines that a diff changes, and which of those lines does nobody run?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which change, and on what to fail."""
    parser.add_argument(
        "diff", metavar="DIFF|-", nargs="?", help="a unified diff; - (default): standard input"
    )
    parser.add_argument("--git", metavar="A..B", help="in place of a diff: what changed between two commits")
    add_selection(parser)
    parser.add_argument(
        "--fail-on",
        choices=("endpoints", "unrun", "none"),
        default="none",
        help="exit with 3 when an endpoint runs a changed line, or when nobody runs one; default none",
    )
    add_format(parser)


def run(options: argparse.Namespace) -> None:
    """Print the answer."""
    if options.format == "text":
        with needs_extra():
            from requestcov.reports.text import impact as text
    if options.git is not None and options.diff is not None:
        raise Refused("give a diff or --git, not both.")
    root = os.getcwd()
    place, selection = store_of(options), selection_of(options)
    evidence = gather(place, selection, root)
    answer = concerned(evidence, place, selection, root, diff=options.diff, git=options.git)
    if options.format == "json":
        json.write({"impact": answer}, evidence.footing, selection, output())
    else:
        text.write_impact(answer, evidence, selection, output())
    require_records(evidence)
    _judge(answer, options.fail_on)


def _judge(answer: Impact, fail_on: str) -> None:
    if fail_on == "endpoints" and answer.endpoints:
        names = ", ".join(one.endpoint for one in answer.endpoints[:3])
        more = len(answer.endpoints) - 3
        raise Failing(f"changed lines are run by {names}{f' and {more} more' if more > 0 else ''}.")
    # Nobody expects a request to run the tests.
    unrun = sum(line.unrun for file in answer.files if not is_test(file.path) for line in file.lines)
    if fail_on == "unrun" and unrun:
        raise Failing(f"no recorded request runs {unrun} of the changed lines.")
