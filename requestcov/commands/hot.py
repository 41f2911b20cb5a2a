"""``requestcov hot``: what most requests run."""

from __future__ import annotations

import argparse
import os

from requestcov.analysis.gather import gather
from requestcov.analysis.hot import hot_functions, hot_lines
from requestcov.commands.asking import (
    add_endpoint,
    add_format,
    add_selection,
    add_top,
    narrowed,
    needs_extra,
    output,
    require_records,
    selection_of,
    store_of,
)
from requestcov.reports import json

DESCRIPTION = "Which functions, or lines, do most requests run?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is counted, in which form."""
    add_selection(parser)
    add_endpoint(parser)
    parser.add_argument(
        "--by",
        choices=("function", "line"),
        default="function",
        help="what has a row: a function (default) or a line",
    )
    add_top(parser, 20, "rows")
    add_format(parser)


def run(options: argparse.Namespace) -> None:
    """Print the table or the object."""
    if options.format == "text":
        with needs_extra():
            from requestcov.reports.text import hot as text
    place = store_of(options)
    selection = narrowed(selection_of(options), options.endpoint, place)
    evidence = gather(place, selection, os.getcwd())
    hot = (hot_functions if options.by == "function" else hot_lines)(evidence, options.top)
    if options.format == "json":
        json.write({"hot": hot}, evidence.footing, selection, output())
    elif options.by == "function":
        text.write_functions(hot, evidence, selection, output())
    else:
        text.write_lines(hot, evidence, selection, output())
    require_records(evidence)
