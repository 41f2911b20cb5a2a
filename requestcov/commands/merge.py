"""``requestcov merge``: stores into one."""

from __future__ import annotations

import argparse
import os

from requestcov.commands.asking import Refused, output
from requestcov.commands.writing import path_of, progress, store_to_write
from requestcov.errors import StoreError
from requestcov.storage import open_store
from requestcov.storage.sqlite_merge import merge

DESCRIPTION = "Put all that some stores hold into one; each request counts once, however often it comes."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """From where, and to where."""
    parser.add_argument("into", metavar="INTO", help="the store that grows; made if it is not there")
    parser.add_argument("sources", nargs="+", metavar="FROM", help="a store to read")


def run(options: argparse.Namespace) -> None:
    """Merge one after the other, and say what became of it."""
    into = path_of(options.into)
    for place in options.sources:
        with open_store(place) as source:  # Before anything is made: a mistyped name leaves nothing.
            if os.path.exists(into) and os.path.samefile(into, source.path):
                raise Refused(f"{source.path!a} is the store to merge into: name another one.")
    with store_to_write(into, create=True) as writer:
        for place in options.sources:
            with open_store(place) as source:
                total = sum(cohort.requests for cohort in source.cohorts())
                try:
                    with progress("merging", total) as advance:
                        merged = merge(writer, source, advance)
                except StoreError as unknown:
                    raise Refused(f"{source.path!a} is not merged: {unknown}.") from unknown
            output().write(
                f"{place}: {merged.new:,} records merged, {merged.known:,} were there already,"
                f" {merged.summed:,} taken as sums of pruned days.\n"
            )
