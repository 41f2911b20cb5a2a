"""``requestcov gap``: production beside a test-suite."""

from __future__ import annotations

import argparse
import os

from requestcov.analysis.gather import gather
from requestcov.commands.asking import (
    add_format,
    add_selection,
    needs_extra,
    output,
    require_records,
    selection_of,
    store_of,
)
from requestcov.commands.tested import add_tests_text, beside_tests, texts_of
from requestcov.reports import json

DESCRIPTION = "What do requests run that no test does, and what do tests run that no request does?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which tests, beside which requests."""
    parser.add_argument("data", metavar="DATAFILE", help="what coverage run wrote for the tests: .coverage")
    add_tests_text(parser)
    add_selection(parser)
    add_format(parser)


def run(options: argparse.Namespace) -> None:
    """Print the answer."""
    if options.format == "text":
        with needs_extra():
            from requestcov.reports.text import gap as text
    root = os.getcwd()
    selection = selection_of(options)
    evidence = gather(store_of(options), selection, root)
    require_records(evidence)
    answer = beside_tests(evidence, options.data, texts_of(options, options.data, root))
    if options.format == "json":
        json.write({"gap": answer}, evidence.footing, selection, output())
    else:
        text.write_gap(answer, evidence, selection, output())
