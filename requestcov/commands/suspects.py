"""``requestcov suspects``: what failing requests run that healthy ones do not."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping

from requestcov.analysis.evidence import Counts
from requestcov.analysis.gather import gather_traffic
from requestcov.analysis.suspects import Division, by_error, by_label, by_status, failed, suspects
from requestcov.commands.asking import NothingFound, Refused, add_format, needs_extra, output
from requestcov.commands.ranked import add_endpoint_to_rank, add_ranking, ranked_selection, require_groups
from requestcov.reports import json

DESCRIPTION = "Which lines do the failing requests of an endpoint run, or miss, unlike the healthy ones?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose requests, which of them count as failing, and in which form."""
    add_endpoint_to_rank(parser, "the one with most failures")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--error", metavar="TYPE", help="failing: this exception left the app, as KeyError")
    kind.add_argument("--status", metavar="N", type=int, help="failing: answered with this status")
    kind.add_argument("--label", metavar="KEY=VALUE", help="failing: the app gave this label")
    add_ranking(parser)
    add_format(parser)


def run(options: argparse.Namespace) -> None:
    """Print the ranking."""
    if options.format == "text":
        with needs_extra():
            from requestcov.reports.text import suspects as text
    division = _division(options)
    place, selection, one = ranked_selection(options, _most_failing)
    traffic = gather_traffic(place, one, os.getcwd())
    answer = suspects(traffic, division, options.formula)
    if options.format == "json":
        json.write({"suspects": answer}, traffic.evidence.footing, selection, output())
    else:
        text.write_suspects(answer, traffic.evidence, selection, options.top, output())
    require_groups(answer.too_few)


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


def _most_failing(found: Mapping[str, Counts]) -> str:
    if not any(count.failed for count in found.values()):
        raise NothingFound(
            "no recorded request failed: name an endpoint, and with --error, --status or --label "
            "what is to count as failing."
        )
    return max(found, key=lambda name: found[name].failed)
