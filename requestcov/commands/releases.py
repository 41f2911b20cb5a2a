"""``requestcov releases``: what a release began to run, and what went silent with it."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace

from requestcov.analysis.gather import gather
from requestcov.analysis.releases import releases as compare
from requestcov.commands.asking import (
    NothingFound,
    add_format,
    add_selection,
    needs_extra,
    output,
    selection_of,
    store_of,
)
from requestcov.reports import json
from requestcov.storage import open_store

DESCRIPTION = "Which functions and lines did a release begin to run, and which went silent with it?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which two releases."""
    parser.add_argument("earlier", metavar="A", help="the earlier release")
    parser.add_argument("later", metavar="B", help="the later release")
    add_selection(parser, release=False)
    add_format(parser)


def run(options: argparse.Namespace) -> None:
    """Print the answer."""
    if options.format == "text":
        with needs_extra():
            from requestcov.reports.text import releases as text
    place, selection = store_of(options), selection_of(options)
    both = []
    for release in (options.earlier, options.later):
        evidence = gather(place, replace(selection, release=release), os.getcwd())
        if not evidence.footing.records:
            with open_store(place) as store:
                known = dict.fromkeys(cohort.release for cohort in store.cohorts(selection))
            listed = ", ".join(repr(name) for name in known) or "none"
            raise NothingFound(f"no request of release {release!r} is recorded here; releases are {listed}.")
        both.append(evidence)
    before, after = both
    result = compare(options.earlier, options.later, before, after)
    if options.format == "json":
        answer = {"releases": result, "footing_before": before.footing}
        json.write(answer, after.footing, replace(selection, release=options.later), output())
    else:
        text.write_releases(result, before, after, selection, output())
