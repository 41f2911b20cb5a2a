"""``requestcov show``: the source, with the lines that requests ran."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace

from requestcov.analysis.gather import gather, names
from requestcov.analysis.listing import of_endpoint, of_file
from requestcov.commands.asking import (
    NothingFound,
    add_selection,
    find_target,
    find_version,
    needs_extra,
    output,
    selection_of,
    store_of,
)

DESCRIPTION = "Which lines did the requests of an endpoint, or in a file, run, and how many of them?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose lines."""
    parser.add_argument(
        "target", metavar="ENDPOINT|FILE", help='"GET /orders/{id}" or shop/views.py, or an unambiguous part'
    )
    add_selection(parser)
    parser.add_argument(
        "--all", action="store_true", dest="whole", help="whole files, not only the functions reached"
    )
    parser.add_argument(
        "--digest", metavar="D", help="another version of the file: the beginning of its digest"
    )


def run(options: argparse.Namespace) -> None:
    """Print the listing."""
    with needs_extra():
        from requestcov.reports.text import listing
    place, selection = store_of(options), selection_of(options)
    found = find_target(options.target, *names(place, selection))
    if found.path is not None:
        evidence = gather(place, selection, os.getcwd(), path=found.path)
        if found.path not in evidence.versions:
            raise NothingFound(f"no recorded request of these ran {found.path}: see --since and the like.")
        digest = _version(options.digest, evidence.versions[found.path])
        listing.write_file(of_file(evidence, found.path, digest), evidence, output())
    elif found.endpoint is not None:
        evidence = gather(place, replace(selection, endpoint=found.endpoint), os.getcwd())
        ran = sorted({run.digest for run in evidence.runs})
        digest = _version(options.digest, ran)
        listings = of_endpoint(evidence, found.endpoint, digest)
        listing.write_endpoint(found.endpoint, listings, evidence, options.whole, output())
        if not listings:
            raise NothingFound(
                f"{found.endpoint} was seen, but no request to it that ran lines is recorded here."
            )


def _version(beginning: str | None, digests: Sequence[str]) -> str | None:
    return None if beginning is None else find_version(beginning, digests)
