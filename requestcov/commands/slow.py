"""``requestcov slow``: what slow requests run that fast ones do not."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Mapping

from requestcov.analysis.evidence import Counts
from requestcov.analysis.gather import gather_timings
from requestcov.analysis.slow import SHOWN, slow
from requestcov.commands.asking import NothingFound, Refused, add_format, needs_extra, output
from requestcov.commands.ranked import add_endpoint_to_rank, add_ranking, ranked_selection, require_groups
from requestcov.reports import json

DESCRIPTION = "Which lines do the slow requests of an endpoint run, unlike the fast ones?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose requests, from when on they are slow, and in which form."""
    add_endpoint_to_rank(parser, "the one with most recorded requests")
    parser.add_argument(
        "--threshold",
        metavar="MS",
        type=float,
        help="slow is more than so many milliseconds; default: the endpoint's 95th percentile",
    )
    add_ranking(parser)
    add_format(parser)


def run(options: argparse.Namespace) -> None:
    """Print the ranking."""
    if options.format == "text":
        with needs_extra():
            from requestcov.reports.text import suspects as text
    if options.threshold is not None and not (math.isfinite(options.threshold) and options.threshold >= 0):
        raise Refused(f"--threshold {options.threshold} is no duration: give milliseconds from 0.")
    place, selection, one = ranked_selection(options, _busiest)
    timings = gather_timings(place, one, os.getcwd())
    most = SHOWN if options.format == "json" else options.top
    answer = slow(timings, options.threshold, options.formula, most)
    if options.format == "json":
        json.write({"slow": answer}, timings.evidence.footing, selection, output())
    else:
        text.write_slow(answer, timings.evidence, selection, options.top, output())
    require_groups(answer.too_few)


def _busiest(found: Mapping[str, Counts]) -> str:
    if not found:
        raise NothingFound("no request is recorded here.")
    return max(found, key=lambda name: found[name].requests)
