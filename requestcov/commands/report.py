"""``requestcov report``: coverage by endpoint, file, function or release."""

from __future__ import annotations

import argparse
import os

from requestcov.analysis.coverage import by_endpoint, by_file, by_function, by_release, union
from requestcov.analysis.gather import gather
from requestcov.commands.asking import (
    add_endpoint,
    add_format,
    add_selection,
    narrowed,
    needs_extra,
    output,
    require_records,
    selection_of,
    store_of,
)
from requestcov.reports import json

DESCRIPTION = "How much of the code that each endpoint, file, function or release concerns do requests run?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is counted, in which form."""
    add_selection(parser)
    add_endpoint(parser)
    parser.add_argument(
        "--by",
        choices=("endpoint", "file", "function", "release"),
        default="endpoint",
        help="what has a row: an endpoint (default), a file, a function or a release",
    )
    add_format(parser)


def run(options: argparse.Namespace) -> None:
    """Print the table or the object."""
    if options.format == "text":
        with needs_extra():
            from requestcov.reports.text import coverage as text
    place = store_of(options)
    selection = narrowed(selection_of(options), options.endpoint, place)
    evidence = gather(place, selection, os.getcwd(), by_release=options.by == "release")
    together = union(evidence)
    if options.by == "endpoint":
        endpoints = by_endpoint(evidence)
        answer: dict[str, object] = {"endpoints": endpoints}
        if options.format == "text":
            text.write_endpoints(endpoints, together, evidence, selection, output())
    elif options.by == "release":
        releases = by_release(evidence)
        answer = {"releases": releases}
        if options.format == "text":
            text.write_releases(releases, together, evidence, selection, output())
    elif options.by == "file":
        files = by_file(evidence)
        answer = {"files": files}
        if options.format == "text":
            text.write_files(files, evidence, selection, output())
    else:
        functions = by_function(evidence)
        answer = {"functions": functions}
        if options.format == "text":
            text.write_functions(functions, together, evidence, selection, output())
    if options.format == "json":
        json.write({**answer, "union": together}, evidence.footing, selection, output())
    require_records(evidence)
