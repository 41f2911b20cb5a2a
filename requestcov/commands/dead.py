"""``requestcov dead``: functions and lines that no recorded request ran."""

from __future__ import annotations

import argparse
import contextlib
import os

from requestcov._scripts import declared
from requestcov.analysis.dead import BOUND, MIN_DAYS
from requestcov.analysis.dead import dead as judge
from requestcov.analysis.gather import gather, holders
from requestcov.analysis.tree import Tree, walk
from requestcov.commands.asking import (
    Refused,
    add_selection,
    narrowed,
    needs_extra,
    output,
    require_records,
    selection_of,
    store_of,
)
from requestcov.commands.tested import ran_elsewhere
from requestcov.config import Config
from requestcov.reports import json
from requestcov.scope import Scope

DESCRIPTION = "Which functions and lines did no recorded request run, and how sure is that?"
LIMIT = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose code, how sure, in which form."""
    parser.add_argument(
        "endpoint", metavar="ENDPOINT", nargs="?", help="only lines of the functions that this one reached"
    )
    add_selection(parser)
    parser.add_argument(
        "--bound",
        metavar="SHARE",
        type=_share,
        default=BOUND,
        help=f"call dead what at most this share of requests could run (default {BOUND})",
    )
    parser.add_argument(
        "--min-days",
        metavar="N",
        type=_count,
        default=MIN_DAYS,
        help=f"and what requests watched on so many days (default {MIN_DAYS})",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=_count,
        default=LIMIT,
        help=f"rows of a table at most, in text, the largest first (default {LIMIT})",
    )
    parser.add_argument(
        "--elsewhere",
        metavar="DATAFILE",
        action="append",
        default=[],
        help="a coverage.py data file of what commands, cron jobs or workers ran; may be given several times",
    )
    parser.add_argument(
        "--root", metavar="DIR", default=".", help="working tree to judge; default: the directory here"
    )
    parser.add_argument(
        "--format",
        choices=("text", "json", "markdown"),
        default="text",
        help="text (default), json, or markdown: a checklist for a ticket",
    )


def run(options: argparse.Namespace) -> None:
    """Print the answer."""
    if options.format != "json":
        with needs_extra():
            from requestcov.reports import markdown
            from requestcov.reports.text import dead as text
    place = store_of(options)
    selection = narrowed(selection_of(options), options.endpoint, place)
    tree = _tree(options.root)
    root = os.path.abspath(options.root)
    evidence = gather(place, selection, root)
    require_records(evidence)
    result = judge(
        evidence,
        holders(place, selection),
        tree=tree,
        bound=options.bound,
        min_days=options.min_days,
        reached_only=selection.endpoint is not None,
        elsewhere=ran_elsewhere(options.elsewhere, {*tree, *evidence.newest}, root),
        scripts=declared(root),
    )
    if options.format == "json":
        json.write({"dead": result}, evidence.footing, selection, output())
    elif options.format == "markdown":
        markdown.write_dead(result, evidence, selection, output())
    else:
        text.write_dead(result, evidence, selection, options.limit, output())


def _tree(root: str) -> Tree:
    try:
        # The scope is that of an app started there: its settings and sources are found from there.
        with contextlib.chdir(root):
            return walk(Scope(Config.load()))
    except OSError as error:
        raise Refused(f"--root={root!r} cannot be used: {error.strerror or error}.") from None


def _share(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) < 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a share between 0 and 1, as 0.01")


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) >= 1:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 1 or more")
