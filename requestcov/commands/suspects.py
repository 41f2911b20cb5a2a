"""``requestcov suspects``: what failing requests run that healthy ones do not."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace

from requestcov.analysis.gather import counts, gather_traffic, names
from requestcov.analysis.ranking import FORMULAS
from requestcov.analysis.suspects import Division, by_error, by_label, by_status, failed, suspects
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

DESCRIPTION = "Which lines do the failing requests of an endpoint run, or miss, unlike the healthy ones?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose requests, which of them count as failing, and in which form."""
    parser.add_argument(
        "endpoint",
        metavar="ENDPOINT",
        nargs="?",
        help='"GET /orders/{id}" or an unambiguous part; default: the one with most failures',
    )
    add_selection(parser)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--error", metavar="TYPE", help="failing: this exception left the app, as KeyError")
    kind.add_argument("--status", metavar="N", type=int, help="failing: answered with this status")
    kind.add_argument("--label", metavar="KEY=VALUE", help="failing: the app gave this label")
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
    division = _division(options)
    place, selection = store_of(options), selection_of(options)
    if options.endpoint is None:
        endpoint = _most_failing(place, selection)
    else:
        endpoint = find_endpoint(options.endpoint, names(place, selection)[0])
    traffic = gather_traffic(place, replace(selection, endpoint=endpoint), os.getcwd(), alike=True)
    answer = suspects(traffic, division, options.formula)
    if options.format == "json":
        json.write({"suspects": answer}, traffic.evidence.footing, selection, output())
    else:
        text.write_suspects(answer, traffic.evidence, selection, options.top, output())
    if answer.too_few:
        raise NothingFound(f"nothing can be compared: {answer.too_few}.")


def _division(options: argparse.Namespace) -> Division:
    if options.error:
        return by_error(options.error)
    if options.status is not None:
        return by_status(options.status)
    if options.label:
        key, equals, value = options.label.partition("=")
        if not equals or not key:
            raise Refused(f"--label {options.label!r} is not KEY=VALUE, as plan=gold.")
        return by_label(key, value)
    return failed()


def _most_failing(place: str, selection: Selection) -> str:
    found = counts(place, selection)
    if not any(count.failed for count in found.values()):
        raise NothingFound(
            "no recorded request failed: name an endpoint, and with --error, --status or --label "
            "what is to count as failing."
        )
    return max(found, key=lambda name: found[name].failed)
