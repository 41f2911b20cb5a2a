"""``requestcov gap``: production beside a test-suite."""

from __future__ import annotations

import argparse
import os

from requestcov._coverage import read_settings
from requestcov._tests_data import TestsData, fits, is_test, read_tests
from requestcov.analysis.evidence import source_here
from requestcov.analysis.gap import Tested, gap
from requestcov.analysis.gather import gather
from requestcov.commands.asking import (
    NothingFound,
    add_format,
    add_selection,
    needs_extra,
    output,
    require_records,
    selection_of,
    store_of,
)
from requestcov.config import Config
from requestcov.reports import json
from requestcov.scope import Scope

DESCRIPTION = "What do requests run that no test does, and what do tests run that no request does?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which tests, beside which requests."""
    parser.add_argument("data", metavar="DATAFILE", help="what coverage run wrote for the tests: .coverage")
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
    scope = Scope(Config.load())
    data = read_tests(
        options.data, evidence.newest, lambda file: scope.measures(file) and not is_test(scope.path(file))
    )
    if not data.files.keys() & evidence.newest.keys() and not data.ambiguous:
        raise NothingFound(f"{options.data!r} and the store have no file in common.")
    exclude = read_settings().exclude_lines
    files = [_tested(data, path, root, exclude) for path in sorted({*evidence.newest, *data.files})]
    answer = gap(evidence, files, len(data.unmatched))
    if options.format == "json":
        json.write({"gap": answer}, evidence.footing, selection, output())
    else:
        text.write_gap(answer, evidence, selection, output())


def _tested(data: TestsData, path: str, root: str, exclude: tuple[str, ...]) -> Tested:
    """A file of the store as the tests ran it; their text is the file here, if it can be that."""
    if path in data.ambiguous:
        return Tested(path, None, frozenset(), "several files of the data could be this one")
    source = source_here(root, path, exclude)
    if source is None:
        return Tested(
            path, None, frozenset(), "the file is not here, so that the text of the tests is unknown"
        )
    lines = data.lines(path) if path in data.files else frozenset[int]()
    if not fits(source, lines):
        return Tested(path, None, lines, "the tests ran another text than the file here")
    return Tested(path, source, lines)
