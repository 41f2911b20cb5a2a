"""``requestcov paths``: the ways that requests take through an endpoint."""

from __future__ import annotations

import argparse
import os

from requestcov.analysis.gather import gather_timings
from requestcov.analysis.paths import paths_of
from requestcov.commands.asking import (
    NothingFound,
    add_format,
    add_selection,
    add_top,
    narrowed,
    needs_extra,
    output,
    selection_of,
    store_of,
)
from requestcov.reports import json

DESCRIPTION = "Which ways do requests take through an endpoint, and what tells one from the next?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose paths, and how many."""
    parser.add_argument("endpoint", metavar="ENDPOINT", help='"GET /orders/{id}", or an unambiguous part')
    add_selection(parser)
    add_top(parser, 8, "paths")
    add_format(parser)


def run(options: argparse.Namespace) -> None:
    """Print the paths or the object."""
    if options.format == "text":
        with needs_extra():
            from requestcov.reports.text import paths as text
    place = store_of(options)
    selection = narrowed(selection_of(options), options.endpoint, place)
    timings = gather_timings(place, selection, os.getcwd())
    paths = paths_of(timings, options.top)
    if options.format == "json":
        json.write({"paths": paths}, timings.evidence.footing, selection, output())
    else:
        text.write_paths(paths, timings, selection, output())
    if not paths.total:
        raise NothingFound(f"{timings.endpoint} was seen, but no request to it is recorded here.")
