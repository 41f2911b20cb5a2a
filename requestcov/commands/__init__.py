"""The commands: one module each, with ``add_arguments(parser)`` and ``run(options)``.

Laws: the table below is all that a listing of them needs, and only the module of
the command that was asked for is loaded.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from importlib import import_module
from keyword import iskeyword
from typing import Protocol, cast

COMMANDS: Mapping[str, str] = {
    "report": "coverage of each endpoint, file, function or release",
    "show": "source with the lines that requests ran",
    "suspects": "what failing requests run that healthy ones do not",
    "slow": "what slow requests run that fast ones do not",
    "hot": "what most requests run",
    "paths": "the ways that requests take through an endpoint",
    "thin": "functions that many requests run a little of",
    "dead": "functions and lines that no request ran, and how sure that is",
    "releases": "what a release began to run, and what went silent",
    "export": "coverage data for coverage.py, LCOV, Cobertura or JSON",
    "import": "JSON Lines files into a store",
    "merge": "stores into one",
    "prune": "old requests out of a store, what they add up to stays",
    "impact": "the endpoints that a diff concerns, and changed lines that nobody runs",
    "who": "the endpoints, requests, releases and tests that ran a line",
    "gap": "production beside a test-suite: hot and untested, tested and never run",
    "html": "all answers in one file that can be mailed",
    "serve": "the answers in a browser, as they come",
    "collect": "take records over HTTP into a store",
    "doctor": "whether requests would be recorded here",
}
"""Name -> what it answers, in a few words; in the order in which people meet them."""


class Command(Protocol):
    """What a command's module holds.

    Attributes:
        DESCRIPTION: the question it answers, in a sentence.
    """

    DESCRIPTION: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare what it takes."""

    def run(self, options: argparse.Namespace) -> None:
        """Answer on standard output.

        Raises:
            RequestcovError: it cannot; a NothingFound when there is nothing to answer with.
            OSError: the answer cannot be written.
        """


def load(name: str) -> Command:
    """The module of one command of the table."""
    module = f"{name}_" if iskeyword(name) else name
    return cast(Command, import_module(f"requestcov.commands.{module}"))
