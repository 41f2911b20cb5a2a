"""``requestcov report``: coverage by endpoint or by file."""

from __future__ import annotations

import argparse
import os

from requestcov.analysis.coverage import by_endpoint, by_file
from requestcov.analysis.gather import gather
from requestcov.commands.asking import (
    add_format,
    add_selection,
    needs_rich,
    output,
    require_records,
    selection_of,
    store_of,
)
from requestcov.reports import json

DESCRIPTION = "How much of the code that each endpoint, or file, concerns do requests run?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is counted, in which form."""
    add_selection(parser)
    parser.add_argument(
        "--by", choices=("endpoint", "file"), default="endpoint", help="a row an endpoint (default) or a file"
    )
    add_format(parser)


def run(options: argparse.Namespace) -> None:
    """Print the table or the object."""
    if options.format == "text":
        with needs_rich():
            from requestcov.reports.text import coverage as text
    selection = selection_of(options)
    evidence = gather(store_of(options), selection, os.getcwd())
    if options.by == "file":
        files = by_file(evidence)
        if options.format == "json":
            json.write({"files": files}, evidence.footing, selection, output())
        else:
            text.write_files(files, evidence, selection, output())
    else:
        endpoints = by_endpoint(evidence)
        if options.format == "json":
            json.write({"endpoints": endpoints}, evidence.footing, selection, output())
        else:
            text.write_endpoints(endpoints, evidence, selection, output())
    require_records(evidence)
