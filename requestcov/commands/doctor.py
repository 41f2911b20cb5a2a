"""``requestcov doctor``: would requests be recorded here?"""

from __future__ import annotations

import argparse
import os
import sys

from requestcov.commands.asking import NothingFound, needs_extra, output
from requestcov.doctor import diagnose

DESCRIPTION = "Run where the app runs: would requests be recorded, how, and what would stop it?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(options: argparse.Namespace) -> None:
    """Print the diagnosis."""
    with needs_extra():
        from requestcov.reports.text import diagnosis
    # As servers do, and as this command does not by itself: the app's modules may lie here.
    path = sys.path[:]
    if os.getcwd() not in path:
        sys.path.insert(0, os.getcwd())
    try:
        found = diagnose(os.environ)
    finally:
        sys.path[:] = path
    diagnosis.write_diagnosis(found, output())
    if found.problems:
        raise NothingFound("requests would not be recorded here, or not arrive: see the problems above.")
