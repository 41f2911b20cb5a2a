"""``requestcov prune``: old requests out of a store."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime, timedelta

from requestcov.commands.asking import add_store, output, store_of
from requestcov.commands.writing import progress, store_to_write
from requestcov.storage.sqlite_prune import prune, vacuum

DESCRIPTION = "Delete old requests one by one, and keep what they add up to: coverage, counts, durations."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is old."""
    add_store(parser)
    parser.add_argument(
        "--older-than",
        required=True,
        type=age,
        metavar="DAYS",
        help="as 30d: of the UTC days before the last 30 only sums are kept",
    )
    parser.add_argument(
        "--vacuum", action="store_true", help="give the space back to the disk, which rewrites the file"
    )


def age(text: str) -> timedelta:
    """A number of days as written on a command line.

    Raises:
        argparse.ArgumentTypeError: it is not one.
    """
    # At least one whole day: a record is written some time after its request.
    if not re.fullmatch(r"[1-9][0-9]{0,4}d", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days like 30d, at least 1d")
    return timedelta(days=int(text[:-1]))


def run(options: argparse.Namespace) -> None:
    """Prune, and say what went."""
    with store_to_write(store_of(options), create=False) as writer:
        before = datetime.now(UTC) - options.older_than
        with progress("pruning", None) as advance:
            pruned = prune(writer, before, advance)
        if options.vacuum:
            vacuum(writer)
    output().write(
        f"{pruned.requests:,} requests from before {before:%Y-%m-%d} pruned, with {pruned.spectra:,} paths"
        " that no other request took; what they add up to is kept.\n"
    )
