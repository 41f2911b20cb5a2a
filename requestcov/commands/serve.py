"""``requestcov serve``: the answers in a browser."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import webbrowser

from requestcov.commands.asking import needs_extra, output, say
from requestcov.errors import StoreError
from requestcov.storage import open_store

DESCRIPTION = "The questions of the other commands as pages in a browser, which follow the store as it grows."

PORT = 8321

TURN = 0.0005
"""Seconds after which an answer that is being worked out lets a page go first; Python's own are 0.005."""

ENDING_SECONDS = 3
"""How long pages that are being made may take to end, once a signal came."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of which store, where, and for whom."""
    with needs_extra("server"):
        from requestcov.server.settings import add_flags

    add_flags(parser, ("store", "bind_host", "bind_port", "allowed_hosts", "read_token_file"), bind_port=PORT)
    parser.epilog = "Tokens are read from REQUESTCOV_READ_TOKENS, or from a file."
    parser.add_argument(
        "--root",
        metavar="DIR",
        default=os.getcwd(),
        help="directory whose files are shown where the store lacks the text that ran; default: this one",
    )
    parser.add_argument("--open", action="store_true", help="open the first page in a browser")


def run(options: argparse.Namespace) -> None:
    """Serve until interrupted.

    Raises:
        ConfigError: other machines could reach it and it would ask for no token, or it cannot listen.
    """
    sys.setswitchinterval(TURN)
    with needs_extra("server"):
        import uvicorn

        from requestcov.server import binding
        from requestcov.server.dashboard.app import serving
        from requestcov.server.running import configured
        from requestcov.server.settings import Settings, given
    told = given(options)
    settings = Settings.load(**told)
    tokens = settings.readers()
    binding.require_tokens(settings.bind_host, tokens, "read")
    port = settings.bind_port if "bind_port" in told or "REQUESTCOV_BIND_PORT" in os.environ else PORT
    app = serving(
        settings.place(),
        root=options.root,
        tokens=tokens,
        hosts=binding.hosts(settings.bind_host, settings.allowed_hosts),
    )
    listening = binding.listen(settings.bind_host, port)
    address = binding.address(listening)
    output().write(f"requestcov shows its pages at {address}/ until Ctrl-C.\n")
    output().flush()
    try:
        open_store(settings.place()).close()
    except StoreError as wrong:  # The pages say so too, until it is there.
        say(str(wrong))
    if options.open:
        threading.Thread(target=webbrowser.open, args=(f"{address}/",), daemon=True).start()
    uvicorn.Server(configured(app, ENDING_SECONDS)).run(sockets=[listening])
