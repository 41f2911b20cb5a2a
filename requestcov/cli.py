"""The ``requestcov`` command: arguments and exit codes, nothing else.

Laws: results go to standard output, everything else to standard error; a
mistake is one sentence that says what to do, never a traceback; the exit code
is 0 for an answer, 1 when there is nothing to show, 2 for wrong usage or a
store that cannot be read, 130 for Ctrl-C, 141 when the reader closed the pipe.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NoReturn

from requestcov import __version__
from requestcov.analysis.coverage import by_endpoint, by_file
from requestcov.analysis.evidence import Evidence, Selection
from requestcov.analysis.find import Found, NotFound, find
from requestcov.analysis.gather import gather
from requestcov.analysis.listing import of_endpoint, of_file
from requestcov.config import Config
from requestcov.errors import RequestcovError
from requestcov.reports import json

OK, NOTHING, WRONG, INTERRUPTED, CLOSED_PIPE = 0, 1, 2, 130, 141

COMMANDS = ("report", "show", "doctor")
DEFAULT_STORE = "sqlite:///requestcov.db"


class Refused(RequestcovError):
    """The command cannot do what was asked; the message is for the person who asked."""


class NothingFound(RequestcovError):
    """The question was understood, and there is nothing to answer it with."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code, and raises SystemExit only from argparse."""
    if sys.stdout is None or sys.stderr is None:  # The shell closed them: >&-
        nowhere = open(os.devnull, "w")  # noqa: SIM115  # as long as the process
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    for stream in (sys.stdout, sys.stderr):
        # In a C locale a route like /café must not end a report.
        reconfigure: Callable[..., None] | None = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
            raise Refused(_unknown(arguments[0]))
        options = _parser().parse_args(arguments)
        options.run(options)
        sys.stdout.flush()
    except NothingFound as nothing:
        return _say(str(nothing), NOTHING)
    except RequestcovError as wrong:
        return _say(str(wrong), WRONG)
    except BrokenPipeError:
        _discard()
        return CLOSED_PIPE
    except KeyboardInterrupt:
        _discard()
        return INTERRUPTED
    except OSError as wrong:
        _discard()
        return _say(f"the report cannot be written: {wrong.strerror or wrong}", WRONG)
    return OK


def _discard() -> None:
    """Let go of what is still buffered: it would fail, or block, again when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(message: str, code: int) -> int:
    # Names from a store or a command line may hold anything.
    lines = ["".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in message.split("\n")]
    with contextlib.suppress(OSError):
        sys.stderr.write("requestcov: " + "\n".join(lines) + "\n")
    return code


class _Parser(argparse.ArgumentParser):
    """argparse, whose errors are one sentence and end in our exit code."""

    def error(self, message: str) -> NoReturn:
        raise Refused(f"{message}. See {self.prog} --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="requestcov",
        description="Which lines of a web app each request really runs.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"requestcov {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)

    report = commands.add_parser(
        "report",
        help="coverage of each endpoint or file",
        description="How much of the code that each endpoint, or file, concerns do requests run?",
        allow_abbrev=False,
    )
    _select(report)
    report.add_argument(
        "--by", choices=("endpoint", "file"), default="endpoint", help="a row an endpoint (default) or a file"
    )
    report.add_argument("--format", choices=("text", "json"), default="text", help="text (default) or json")
    report.set_defaults(run=_report)

    show = commands.add_parser(
        "show",
        help="source with the lines that requests ran",
        description="Which lines did the requests of an endpoint, or in a file, run, and how many of them?",
        allow_abbrev=False,
    )
    show.add_argument(
        "target", metavar="ENDPOINT|FILE", help='"GET /orders/{id}" or shop/views.py, or an unambiguous part'
    )
    _select(show)
    show.add_argument(
        "--all", action="store_true", dest="whole", help="whole files, not only the functions reached"
    )
    show.add_argument(
        "--digest", metavar="D", help="another version of the file: the beginning of its digest"
    )
    show.set_defaults(run=_show)

    doctor = commands.add_parser(
        "doctor",
        help="whether requests would be recorded here",
        description="Run where the app runs: would requests be recorded, how, and what would stop it?",
        allow_abbrev=False,
    )
    doctor.set_defaults(run=_doctor)
    return parser


def _select(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--store",
        metavar="URL|PATH",
        help="database; default: the first sqlite sink in REQUESTCOV_SINKS, else " + DEFAULT_STORE,
    )
    command.add_argument("--service", metavar="S", help="only requests of this service")
    command.add_argument("--release", metavar="R", help="only requests of this release")
    command.add_argument("--since", metavar="DAY", type=_day, help="from this UTC day on, as 2026-11-22")
    command.add_argument("--until", metavar="DAY", type=_day, help="up to this UTC day, which is included")


def _day(text: str) -> datetime:
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    raise argparse.ArgumentTypeError(f"{text!r} is not a day like 2026-11-22")


def _default_store() -> str:
    sinks = Config.load().sinks
    return next((sink for sink in sinks if sink.startswith("sqlite:")), DEFAULT_STORE)


def _unknown(command: str) -> str:
    near = difflib.get_close_matches(command, COMMANDS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(COMMANDS)}."
    return f"{command!r} is not a command: {hint}"


def _read(options: argparse.Namespace) -> tuple[Evidence, Selection]:
    selection = Selection(
        service=options.service, release=options.release, since=options.since, until=options.until
    )
    if selection.since and selection.until and selection.since > selection.until:
        raise Refused("--since is after --until: exchange the two.")
    return gather(options.store or _default_store(), selection, os.getcwd()), selection


@contextlib.contextmanager
def _needs_rich() -> Iterator[None]:
    """Around the import of a report for the terminal."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] != "rich":
            raise
        raise Refused("a terminal report needs the package rich: pip install requestcov[cli]") from None


def _report(options: argparse.Namespace) -> None:
    if options.format == "text":
        with _needs_rich():
            from requestcov.reports import text
    evidence, selection = _read(options)
    if options.by == "file":
        files = by_file(evidence)
        if options.format == "json":
            json.write_files(files, evidence.footing, selection, sys.stdout)
        else:
            text.write_files(files, evidence, selection, sys.stdout)
    else:
        endpoints = by_endpoint(evidence)
        if options.format == "json":
            json.write_endpoints(endpoints, evidence.footing, selection, sys.stdout)
        else:
            text.write_endpoints(endpoints, evidence, selection, sys.stdout)
    if not evidence.footing.records:
        raise NothingFound(
            "no request is recorded here: see --store, --service, --release, --since and --until."
        )


def _show(options: argparse.Namespace) -> None:
    with _needs_rich():
        from requestcov.reports import listing
    evidence, _ = _read(options)
    found = _find(options.target, evidence)
    if found.path is not None:
        digest = _digest(options.digest, evidence.versions[found.path])
        listing.write_file(of_file(evidence, found.path, digest), evidence, sys.stdout)
    elif found.endpoint is not None:
        ran = {run.digest for run in evidence.runs if run.endpoint == found.endpoint}
        digest = _digest(options.digest, sorted(ran))
        listings = of_endpoint(evidence, found.endpoint, digest)
        listing.write_endpoint(found.endpoint, listings, evidence, options.whole, sys.stdout)
        if not listings:
            raise NothingFound(
                f"{found.endpoint} was seen, but no request to it that ran lines is recorded here."
            )


def _doctor(options: argparse.Namespace) -> None:
    with _needs_rich():
        from requestcov.reports import diagnosis
    from requestcov.doctor import diagnose

    found = diagnose(os.environ)
    diagnosis.write_diagnosis(found, sys.stdout)
    if found.problems:
        raise NothingFound("requests would not be recorded here; the problems are listed above.")


def _find(target: str, evidence: Evidence) -> Found:
    # A shell completes file names from the working directory, which is mostly the project's root.
    inside = os.path.relpath(target) if os.path.isabs(target) else target
    try:
        return find(inside if inside in evidence.newest else target, evidence.endpoints, evidence.newest)
    except NotFound as unknown:
        names = "".join(f"\n  {name}" for name in unknown.candidates)
        if unknown.ambiguous:
            raise NothingFound(f"{target!r} could be any of these; say more of its name:{names}") from None
        near = f"; near it are:{names}" if names else "; requestcov report lists what there is."
        raise NothingFound(f"no endpoint or file here is called {target!r}{near}") from None


def _digest(beginning: str | None, digests: Sequence[str]) -> str | None:
    if beginning is None:
        return None
    fits = [digest for digest in digests if digest and digest.startswith(beginning.lower())]
    if len(fits) == 1:
        return fits[0]
    known = ", ".join(digest[:12] for digest in digests if digest) or "none"
    how = "several versions begin" if fits else "no version begins"
    raise NothingFound(f"{how} with {beginning!r}; known are {known}")


if __name__ == "__main__":
    sys.exit(main())
