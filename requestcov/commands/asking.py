"""What commands have in common: which requests are asked about, where, and in which form.

Law: an answer that cannot be given is an exception with the sentence for the
person who asked; its kind is the exit code.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TextIO

from requestcov.analysis.evidence import Evidence, Selection
from requestcov.analysis.find import Found, NotFound, find
from requestcov.analysis.gather import names
from requestcov.config import Config
from requestcov.errors import RequestcovError

DEFAULT_STORE = "sqlite:///requestcov.db"

EXTRA = {
    "cli": {"jinja2": "an HTML report", "rich": "a terminal report", "unidiff": "reading a diff"},
    "server": dict.fromkeys(("jinja2", "prometheus_client", "rich", "starlette", "uvicorn"), "the server"),
}
"""Packages that an extra brings, and what needs them."""


class Refused(RequestcovError):
    """The command cannot do what was asked; the message is for the person who asked."""


class NothingFound(RequestcovError):
    """The question was understood, and there is nothing to answer it with."""


class Failing(RequestcovError):
    """An answer was given, and is what was to be failed on."""


def add_store(command: argparse.ArgumentParser) -> None:
    """``--store``."""
    command.add_argument(
        "--store",
        metavar="URL|PATH",
        help="database; default: the first sqlite sink in REQUESTCOV_SINKS, else " + DEFAULT_STORE,
    )


def add_selection(command: argparse.ArgumentParser, *, release: bool = True) -> None:
    """``--store`` and which requests of it; without ``release`` of all, until the command says which."""
    add_store(command)
    command.add_argument("--service", metavar="S", help="only requests of this service")
    if release:
        command.add_argument("--release", metavar="R", help="only requests of this release")
    else:
        command.set_defaults(release=None)
    command.add_argument("--since", metavar="DAY", type=day, help="from this UTC day on, as 2026-11-22")
    command.add_argument("--until", metavar="DAY", type=day, help="up to this UTC day, which is included")


def add_endpoint(command: argparse.ArgumentParser) -> None:
    """``--endpoint``."""
    command.add_argument(
        "--endpoint", metavar="E", help="only requests of this endpoint, or of the one this is a part of"
    )


def add_top(command: argparse.ArgumentParser, most: int, noun: str) -> None:
    """``--top``: how many; None in the options: all."""
    command.add_argument(
        "--top", metavar="N", type=_top, default=most, help=f"at most so many {noun}; default {most}, 0: all"
    )


def _top(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number like 20, or 0 for all")
    return int(text) or None


def add_format(command: argparse.ArgumentParser) -> None:
    """``--format``."""
    command.add_argument("--format", choices=("text", "json"), default="text", help="text (default) or json")


def day(text: str) -> datetime:
    """A UTC day as written on a command line.

    Raises:
        argparse.ArgumentTypeError: it is not one.
    """
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    raise argparse.ArgumentTypeError(f"{text!r} is not a day like 2026-11-22")


def store_of(options: argparse.Namespace) -> str:
    """The store that was asked for, else the one that the app here writes."""
    if options.store:
        return str(options.store)
    return next((sink for sink in Config.load().sinks if sink.startswith("sqlite:")), DEFAULT_STORE)


def selection_of(options: argparse.Namespace) -> Selection:
    """Which requests were asked for.

    Raises:
        Refused: the period ends before it begins.
    """
    if options.since and options.until and options.since > options.until:
        raise Refused("--since is after --until: exchange the two.")
    return Selection(
        service=options.service, release=options.release, since=options.since, until=options.until
    )


def narrowed(selection: Selection, target: str | None, place: str) -> Selection:
    """The selection with the endpoint that a person means; as it was when none was named.

    Raises:
        NothingFound: no endpoint, or one of several, is called so.
        StoreError: the store cannot be read.
    """
    if target is None:
        return selection
    endpoints, _ = names(place, selection)
    return replace(selection, endpoint=find_target(target, endpoints, ()).endpoint)


@contextlib.contextmanager
def needs_extra(extra: str = "cli") -> Iterator[None]:
    """Around the import of what an extra brings.

    Raises:
        Refused: it is not installed; says which package is missing, and for what.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in EXTRA[extra]:
            raise
        raise Refused(
            f"{EXTRA[extra][package]} needs the package {package}: pip install 'requestcov[{extra}]'"
        ) from None


def require_records(evidence: Evidence) -> None:
    """After an answer made of nothing.

    Raises:
        NothingFound: the selection is empty.
    """
    if not evidence.footing.records:
        raise NothingFound(
            "no request is recorded here: see --store, --service, --release, --since and --until."
        )


def find_target(target: str, endpoints: Sequence[str], paths: Sequence[str]) -> Found:
    """The endpoint or file that a person means.

    Raises:
        NothingFound: none, or one of several; names them.
    """
    # A shell completes file names from the working directory, which is mostly the project's root.
    inside = os.path.relpath(target) if os.path.isabs(target) else target
    try:
        return find(inside if inside in paths else target, endpoints, paths)
    except NotFound as unknown:
        listed = "".join(f"\n  {name}" for name in unknown.candidates)
        if unknown.ambiguous:
            raise NothingFound(f"{target!r} could be any of these; say more of its name:{listed}") from None
        near = f"; near it are:{listed}" if listed else "; requestcov report lists what there is."
        kind = " or ".join(name for name, some in (("endpoint", endpoints), ("file", paths)) if some)
        raise NothingFound(f"no {kind or 'endpoint'} here is called {target!r}{near}") from None


def find_version(beginning: str, digests: Iterable[str]) -> str:
    """The version of a file whose digest begins so; ``digests``: those that ran.

    Raises:
        NothingFound: none, or one of several; names them.
    """
    known = [digest for digest in digests if digest]
    fits = [digest for digest in known if digest.startswith(beginning.lower())]
    if len(fits) == 1:
        return fits[0]
    listed = ", ".join(digest[:12] for digest in known) or "none"
    how = "several versions begin" if fits else "no version begins"
    raise NothingFound(f"{how} with {beginning!r}; known are {listed}")


def printable(line: str) -> str:
    """One line that a terminal prints as one: names from a store or a command line may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def say(text: str) -> None:
    """Tell the person who asked something that is no part of the answer; may be several lines."""
    sys.stderr.write("requestcov: " + "\n".join(map(printable, text.split("\n"))) + "\n")


def output() -> TextIO:
    """Where answers go: standard output as it is now."""
    return sys.stdout
