"""``requestcov thin``: functions that many requests run a little of."""

from __future__ import annotations

import argparse
import os

from requestcov.analysis.gather import gather
from requestcov.analysis.thin import thin_functions
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

DESCRIPTION = "Which functions run in many requests, though few of their lines ever do?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose requests, and how many rows."""
    add_selection(parser)
    add_endpoint(parser)
    add_top(parser, 20, "functions")
    add_format(parser)


def run(options: argparse.Namespace) -> None:
    """Print the table or the object."""
    if options.format == "text":
        with needs_extra():
            from requestcov.reports.text import thin as text
    place = store_of(options)
    selection = narrowed(selection_of(options), options.endpoint, place)
    evidence = gather(place, selection, os.getcwd())
    thin = thin_functions(evidence, options.top)
    if options.format == "json":
        json.write({"thin": thin}, evidence.footing, selection, output())
    else:
        text.write_thin(thin, evidence, selection, output())
    require_records(evidence)
