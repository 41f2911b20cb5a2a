"""The ``requestcov`` command: which command, and exit codes, nothing else.

Laws: results go to standard output, everything else to standard error; a
mistake is one sentence that says what to do, never a traceback; the exit code
is 0 for an answer, 1 when there is nothing to show, 2 for wrong usage or a
store that cannot be read, 3 for an answer to be failed on, 130 for
Ctrl-C, 141 when the reader closed the pipe.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from requestcov import __version__
from requestcov.commands import COMMANDS, load
from requestcov.commands.asking import Failing, NothingFound, Refused, say
from requestcov.errors import RequestcovError

COLLECTED_AFTER = 50_000
"""New objects. An answer is a great many, nearly all of which live until it is told: to look through
them as often as Python does by itself takes a tenth of a short command."""

OK, NOTHING, WRONG, FAILING, INTERRUPTED, CLOSED_PIPE = 0, 1, 2, 3, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code, and raises SystemExit only from argparse."""
    with _seldom_collecting():
        return _main(argv)


@contextlib.contextmanager
def _seldom_collecting() -> Iterator[None]:
    before, *others = gc.get_threshold()
    if before:
        gc.set_threshold(max(before, COLLECTED_AFTER), *others)
    try:
        yield
    finally:
        gc.set_threshold(before, *others)


def _main(argv: Sequence[str] | None) -> int:
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
        options = _parser(arguments[0] if arguments else "").parse_args(arguments)
        load(options.command).run(options)
        sys.stdout.flush()
    except NothingFound as nothing:
        return _say(str(nothing), NOTHING)
    except Failing as failing:
        return _say(str(failing), FAILING)
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
    with contextlib.suppress(OSError):
        say(message)
    return code


class _Parser(argparse.ArgumentParser):
    """argparse, whose errors are one sentence and end in our exit code."""

    def error(self, message: str) -> NoReturn:
        raise Refused(f"{message}. See {self.prog} --help.")


def _parser(asked: str) -> argparse.ArgumentParser:
    """Every command by name, and what the one asked for takes."""
    parser = _Parser(
        prog="requestcov",
        description="Which lines of a web app each request really runs.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"requestcov {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    for name, answers in COMMANDS.items():
        command = commands.add_parser(name, help=answers, allow_abbrev=False)
        if name == asked:
            module = load(name)
            command.description = module.DESCRIPTION
            module.add_arguments(command)
    return parser


def _unknown(command: str) -> str:
    near = difflib.get_close_matches(command, COMMANDS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(COMMANDS)}."
    return f"{command!r} is not a command: {hint}"


if __name__ == "__main__":
    sys.exit(main())
