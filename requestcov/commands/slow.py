"""``requestcov slow``: what slow requests run that fast ones do not."""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import replace

from requestcov.analysis.gather import counts, gather_traffic, names
from requestcov.analysis.ranking import FORMULAS
from requestcov.analysis.slow import slow
from requestcov.commands.asking import (
    NothingFound,
    Refused,
    add_format,
    add_selection,
    find_endpoint,
    needs_extra,
    output,
    selection_of,
    store_of,
)
from requestcov.reports import json
from requestcov.storage.results import Selection

DESCRIPTION = "Which lines do the slow requests of an endpoint run, unlike the fast ones?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose requests, from when on they are slow, and in which form."""
    parser.add_argument(
        "endpoint",
        metavar="ENDPOINT",
        nargs="?",
        help='"GET /orders/{id}" or an unambiguous part; default: the one with most recorded requests',
    )
    add_selection(parser)
    parser.add_argument(
        "--threshold",
        metavar="MS",
        type=float,
        help="slow is more than so many milliseconds; default: the endpoint's 95th percentile",
    )
    parser.add_argument(
        "--formula", choices=tuple(FORMULAS), default="ochiai", help="what to rank by (default: ochiai)"
    )
    parser.add_argument("--top", metavar="N", type=int, default=10, help="ties to show (default: 10)")
    add_format(parser)


def run(options: argparse.Namespace) -> None:
    """Print the ranking."""
    if options.format == "text":
        with needs_extra():
            from requestcov.reports.text import suspects as text
    if options.top < 1:
        raise Refused(f"--top {options.top} shows nothing: give a number from 1.")
    if options.threshold is not None and not (math.isfinite(options.threshold) and options.threshold >= 0):
        raise Refused(f"--threshold {options.threshold} is no duration: give milliseconds from 0.")
    place, selection = store_of(options), selection_of(options)
    if options.endpoint is None:
        endpoint = _busiest(place, selection)
    else:
        endpoint = find_endpoint(options.endpoint, names(place, selection)[0])
    traffic = gather_traffic(place, replace(selection, endpoint=endpoint), os.getcwd())
    answer = slow(traffic, options.threshold, options.formula)
    if options.format == "json":
        json.write({"slow": answer}, traffic.evidence.footing, selection, output())
    else:
        text.write_slow(answer, traffic.evidence, selection, options.top, output())
    if answer.too_few:
        raise NothingFound(f"nothing can be compared: {answer.too_few}.")


def _busiest(place: str, selection: Selection) -> str:
    found = counts(place, selection)
    if not found:
        raise NothingFound("no request is recorded here.")
    return max(found, key=lambda name: found[name].requests)
