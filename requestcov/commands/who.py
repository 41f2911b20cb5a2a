"""``requestcov who``: who ran a line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection

from requestcov._exclusions import exclude_lines
from requestcov._source import Source, carried
from requestcov._tests_data import TestsData, read_tests
from requestcov.analysis.evidence import Evidence, source_here
from requestcov.analysis.gather import gather, latest, names, runners
from requestcov.analysis.who import Tests, place, who
from requestcov.commands.asking import (
    NothingFound,
    Refused,
    add_format,
    add_selection,
    find_target,
    find_version,
    needs_extra,
    output,
    require_records,
    selection_of,
    store_of,
)
from requestcov.commands.tested import Texts, add_tests_text, measured, refuse_tests_text_alone, texts_of
from requestcov.reports import json

DESCRIPTION = "Which endpoints, requests, releases and tests ran a line, and when first and last?"
RECENT = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which line, and what else to look into."""
    parser.add_argument(
        "line", metavar="FILE:LINE", help="shop/views.py:17, or an unambiguous end of the file's name"
    )
    add_selection(parser)
    parser.add_argument(
        "--digest",
        metavar="D",
        help="the version that LINE is of, as its digest begins; default: the file here, or newest",
    )
    parser.add_argument(
        "--tests", metavar="DATAFILE", help="a coverage.py data file, to name the tests that ran the line"
    )
    add_tests_text(parser)
    parser.add_argument(
        "--requests",
        metavar="N",
        type=int,
        default=RECENT,
        help=f"how many requests to name; default {RECENT}",
    )
    add_format(parser)


def run(options: argparse.Namespace) -> None:
    """Print the answer."""
    if options.format == "text":
        with needs_extra():
            from requestcov.reports.text import who as text
    root = os.getcwd()
    target, line = _parts(options.line)
    refuse_tests_text_alone(options)
    if options.requests < 0:
        raise Refused(f"--requests {options.requests} is no number of requests: give 0 or more.")
    store, selection = store_of(options), selection_of(options)
    _, paths = names(store, selection)
    path = find_target(target, (), paths).path
    assert path is not None
    tests = read_tests(options.tests, paths) if options.tests else None
    evidence = gather(store, selection, root, path=path)
    require_records(evidence)
    if path not in evidence.newest:
        raise NothingFound(f"no recorded request of these ran {path}: see --since and the like.")
    here = _here(root, path)
    where = place(evidence, _source(evidence, path, options.digest, here), line)
    if isinstance(where, str):
        raise NothingFound(where)
    ran = runners(store, selection)(None, where.blocks) if where.blocks else []
    recent = latest(store, selection, ran, options.requests)
    told = None
    if tests is not None:
        told = _tests(tests, where.source, where.statement, texts_of(options, options.tests, root))
    answer = who(evidence, where, line, ran, recent, told)
    if options.format == "json":
        json.write({"who": answer}, evidence.footing, selection, output())
    else:
        text.write_who(answer, evidence, selection, output())


def _parts(asked: str) -> tuple[str, int]:
    name, colon, number = asked.rpartition(":")
    if not (name and colon and number.isascii() and number.isdigit()):
        raise Refused(f"{asked!r} names no line: write it as shop/views.py:17.")
    return name, int(number)


def _here(root: str, path: str) -> Source | None:
    """The working tree's file."""
    return source_here(root, path, exclude_lines())


def _source(evidence: Evidence, path: str, beginning: str | None, here: Source | None) -> Source:
    """The text that the line is of.

    Raises:
        NothingFound: it is not at hand, or the beginning of a digest is not of one version.
    """
    if beginning is None:
        if here is not None:
            return here
        digest = evidence.newest[path]
    else:
        digest = find_version(beginning, evidence.versions[path])
    source = evidence.source(path, digest)
    if source is None:
        raise NothingFound(
            f"the text of {path} is neither in the store nor here: a line of it cannot be placed."
        )
    return source


def _tests(data: TestsData, source: Source, statement: int, texts: Texts) -> Tests:
    """What the tests' data says of a statement."""
    if source.path not in {*data.files, *data.ambiguous}:
        return Tests(data.name, None, (), "the data has no such file", None)
    file = measured(data, source.path, texts, "tests")
    text, problem = file.source, file.problem
    if text is None or text.problem or problem:
        return Tests(data.name, None, (), problem or "the text that the tests ran cannot be parsed", None)
    spot = carried(source, text).get(statement)
    if spot is None:
        why = "the function is another in the text that the tests ran"
        return Tests(data.name, None, (), why, file.doubt)
    lines = _lines(text, spot, file.lines)
    missing = "the data has no contexts: see dynamic_context in coverage.py's settings"
    named = tuple(sorted(data.tests(source.path, lines)))
    return Tests(data.name, bool(lines), named, None if data.contexts else missing, file.doubt)


def _lines(source: Source, statement: int, recorded: Collection[int]) -> frozenset[int]:
    return frozenset(line for line in recorded if source.first.get(line, line) == statement)
