"""``requestcov export``: what ran, for other tools."""

from __future__ import annotations

import argparse
import io
import os

from requestcov import __version__, _coverage
from requestcov._source import Source
from requestcov._source_cache import SourceCache
from requestcov.analysis.evidence import source_here
from requestcov.analysis.export import Export, LeftOut, export
from requestcov.analysis.gather import gather
from requestcov.commands.asking import (
    NothingFound,
    Refused,
    add_endpoint,
    add_selection,
    narrowed,
    output,
    printable,
    require_records,
    say,
    selection_of,
    store_of,
)
from requestcov.commands.writing import new_file
from requestcov.reports import json
from requestcov.reports.export import data_file
from requestcov.reports.export.cobertura import cobertura
from requestcov.reports.export.lcov import lcov

DESCRIPTION = "Write the lines that requests ran in a form that other tools read."

FORMS = ("coverage", "lcov", "cobertura", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what, in which form, to where."""
    parser.add_argument("output", metavar="OUTPUT", help="the file to write")
    parser.add_argument(
        "--to",
        choices=FORMS,
        required=True,
        help="coverage.py's data file with a context for each endpoint, LCOV, Cobertura XML, or JSON",
    )
    add_selection(parser)
    add_endpoint(parser)
    parser.add_argument(
        "--root", metavar="DIR", default=".", help="the project's root in the working tree; default: here"
    )
    parser.add_argument("--lines", action="store_true", help="only lines, also where branches were measured")
    parser.add_argument(
        "--weights", action="store_true", help="LCOV, Cobertura: hits are what the requests stand for"
    )
    parser.add_argument("--force", action="store_true", help="overwrite OUTPUT")


def run(options: argparse.Namespace) -> None:
    """Write the file, and say what is in it and what is not."""
    if options.weights and options.to not in ("lcov", "cobertura"):
        raise Refused(f"--weights changes hits, and --to {options.to} has none.")
    target = os.path.abspath(options.output)
    _check(target, options.force)
    root = os.path.abspath(options.root)
    if not os.path.isdir(root):
        raise Refused(f"--root {options.root!a} is not a directory.")
    settings = _coverage.read_settings()
    place = store_of(options)
    selection = narrowed(selection_of(options), options.endpoint, place)
    evidence = gather(place, selection, root)
    require_records(evidence)

    cache = SourceCache()

    def tree(path: str) -> Source | None:
        return source_here(root, path, settings.exclude_lines, cache)

    found = export(evidence, tree, not options.lines)
    if options.to == "coverage":
        found = data_file.nameable(found)
    if not found.files:
        _tell(found.left_out)
        raise NothingFound(f"no line that ran has a place in {root!a}: see --root.")
    with new_file(target) as name:
        if options.to == "coverage":
            data_file.write(found, root, settings.relative_files, name)
        else:
            if options.to == "json":
                text = io.StringIO()
                json.write({"export": found}, evidence.footing, selection, text)
                content = text.getvalue().encode()
            elif options.to == "lcov":
                content = lcov(found, options.weights)
            else:
                content = cobertura(found, root, options.weights, __version__)
            with open(name, "wb") as file:
                file.write(content)
    _tell(found.left_out)
    output().write(_summary(found, options.output))


def _summary(found: Export, name: str) -> str:
    executable = sum(len(file.lines) for file in found.files)
    ran = sum(line.requests > 0 for file in found.files for line in file.lines)
    endpoints = {endpoint for file in found.files for endpoint in file.ran}
    what = "lines and branches" if found.branches else "lines"
    return (
        f"{name}: {what} of {len(found.files):,} files and {len(endpoints):,} endpoints;"
        f" {ran:,} of {executable:,} lines ran.\n"
    )


def _tell(left_out: tuple[LeftOut, ...]) -> None:
    for one in left_out:
        version = f" ({one.digest[:12]})" if one.digest else ""
        noun = "line" if one.lines == 1 else "lines"
        say(printable(f"{one.path}{version}: {one.lines:,} {noun} left out: {one.why}"))


def _check(target: str, force: bool) -> None:
    """Before the work: whether the file may be written.

    Raises:
        Refused: it is a directory, or there is one with something in it.
    """
    if os.path.lexists(target) and not os.path.isfile(target):
        raise Refused(f"{target!a} is not a file: name another one.")
    if os.path.exists(target) and os.path.getsize(target) and not force:
        raise Refused(f"{target!a} is there already: name another file, or overwrite it with --force.")
    if not os.path.isdir(os.path.dirname(target)):
        raise Refused(f"there is no directory {os.path.dirname(target)!a}: make it, or name another file.")
