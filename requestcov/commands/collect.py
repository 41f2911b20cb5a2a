"""``requestcov collect``: the collector, as a process or several."""

from __future__ import annotations

import argparse
import sys

from requestcov.commands.asking import Refused, needs_extra, say
from requestcov.commands.writing import BUSY_SECONDS, path_of
from requestcov.errors import SinkError
from requestcov.sinks.sqlite import SqliteSink

DESCRIPTION = "Take records that apps send by their https sink, on any number of machines, into one store."

FLAGS = (
    "store",
    "bind_host",
    "bind_port",
    "allowed_hosts",
    "write_token_file",
    "read_token_file",
    "workers",
    "max_body",
    "max_document",
    "max_records",
    "max_waiting",
    "body_timeout",
    "daily_quota",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The server's settings that concern the collector."""
    with needs_extra("server"):
        from requestcov.server.settings import add_flags

    add_flags(parser, FLAGS)
    parser.epilog = "Tokens are read from REQUESTCOV_WRITE_TOKENS and REQUESTCOV_READ_TOKENS, or from files."


def run(options: argparse.Namespace) -> None:
    """Listen, say where, and serve until a signal."""
    with needs_extra("server"):
        from requestcov.server import shows_pages
        from requestcov.server.running import run as serve
    from requestcov.server.binding import address, listen, require_tokens
    from requestcov.server.settings import Settings, given

    settings = Settings.load(**given(options))
    write = settings.writers()
    settings.readers()
    require_tokens(settings.bind_host, write, "write")
    place = settings.place()
    _try_store(place)
    listening = listen(settings.bind_host, settings.bind_port)
    sys.stdout.write(f"requestcov collects into {place} at {address(listening)}\n")
    sys.stdout.flush()
    if not write:
        say("without write tokens, any program of this machine may send records.")
    if shows_pages(settings):
        say(f"the dashboard is at {address(listening)}/")
    else:
        say("there is no dashboard: REQUESTCOV_READ_TOKENS would say who may look at it.")
    serve("requestcov.server:collector", settings, listening)


def _try_store(place: str) -> None:
    """What is wrong with the store is said at the start, and not to the senders."""
    sink = SqliteSink(path_of(place), name=place, busy_seconds=BUSY_SECONDS)
    try:
        sink.touch()
    except SinkError as wrong:
        raise Refused(str(wrong)) from wrong
    except OSError as wrong:
        raise Refused(f"{sink.path!a} cannot be written: {wrong.strerror or wrong}.") from wrong
    finally:
        sink.close()
