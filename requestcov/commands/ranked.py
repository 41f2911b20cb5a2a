"""What the commands that rank lines of one endpoint have in common: suspects and slow.

Law: which endpoint is ranked when none is named is each command's own choice; all
else that they take, and how they end, is the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from requestcov.analysis.evidence import Counts, Selection
from requestcov.analysis.gather import counts
from requestcov.analysis.ranking import FORMULAS
from requestcov.commands.asking import NothingFound, Refused, add_selection, narrowed, selection_of, store_of

Choose = Callable[[Mapping[str, Counts]], str]
"""Of the recorded requests by endpoint, the endpoint to take; raises NothingFound for none."""


def add_endpoint_to_rank(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """Whose requests; ``otherwise``: which endpoint it is when none is named."""
    parser.add_argument(
        "endpoint",
        metavar="ENDPOINT",
        nargs="?",
        help=f'"GET /orders/{{id}}" or an unambiguous part; default: {otherwise}',
    )
    add_selection(parser)


def add_ranking(parser: argparse.ArgumentParser) -> None:
    """By what, and how many ties."""
    parser.add_argument(
        "--formula", choices=tuple(FORMULAS), default="ochiai", help="what to rank by (default: ochiai)"
    )
    parser.add_argument("--top", metavar="N", type=int, default=10, help="ties to show (default: 10)")


def ranked_selection(options: argparse.Namespace, choose: Choose) -> tuple[str, Selection, Selection]:
    """The store, what was asked for, and that with the endpoint to rank.

    Raises:
        Refused: the options cannot be used.
        NothingFound: there is no such endpoint, or none to choose.
    """
    if options.top < 1:
        raise Refused(f"--top {options.top} shows nothing: give a number from 1.")
    place, selection = store_of(options), selection_of(options)
    endpoint = options.endpoint
    if endpoint is None:
        endpoint = choose(counts(place, selection))
    return place, selection, narrowed(selection, endpoint, place)


def require_groups(too_few: str | None) -> None:
    """After a ranking of nothing.

    Raises:
        NothingFound: the groups were too small.
    """
    if too_few:
        raise NothingFound(f"nothing can be compared: {too_few}.")
