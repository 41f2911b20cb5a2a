"""What the commands that write have in common: how a store is opened, and how a file comes to be.

Laws: a store is written by the same writer as the app, beside which they may run. A file is there
whole or not at all, and what a new one says is for its owner alone until he changes that.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator

from requestcov.commands.asking import Refused
from requestcov.errors import SinkError, StoreError
from requestcov.sinks import path as files
from requestcov.storage.sqlite_writer import Writer

BUSY_SECONDS = 30.0
"""How long a command waits for an app's transaction: those are short."""


@contextlib.contextmanager
def store_to_write(place: str, *, create: bool) -> Iterator[Writer]:
    """A writer to a store, which is closed at the end.

    Args:
        place: a path or a ``sqlite:`` URL.
        create: whether one that is not there is made.

    Raises:
        Refused: it is not there, not a store, or cannot be written.
        ConfigError: the URL cannot be used.
    """
    path = path_of(place)
    if not create and not os.path.exists(path):
        raise Refused(f"there is no store {path!a}: name the file that the app's sink writes.")
    try:
        # As the sink makes it: for its owner only, never through a link.
        files.make_directory(path)
        fd, _ = files.open_private(path, os.O_RDWR)
        os.close(fd)
        with contextlib.closing(Writer(path, BUSY_SECONDS)) as writer:
            yield writer
    except SinkError as wrong:
        raise Refused(str(wrong)) from wrong
    except StoreError as wrong:
        raise Refused(f"{path!a} is left as it is: {wrong}.") from wrong
    except sqlite3.Error as wrong:
        raise Refused(f"SQLite cannot write {path!a}: {wrong}.") from wrong
    except OSError as wrong:
        raise Refused(f"{path!a} cannot be written: {wrong.strerror or wrong}.") from wrong


def path_of(place: str) -> str:
    """The absolute path of a store.

    Raises:
        Refused, ConfigError: it is not one of a file.
    """
    if place.startswith("sqlite:"):
        return files.parse_file_url(place, {})[0]
    if "://" in place:
        raise Refused(f"{place!a} cannot be written: give the path of a SQLite store.")
    return os.path.abspath(place)


@contextlib.contextmanager
def new_file(target: str) -> Iterator[str]:
    """The name of a file to write, which then takes the target's place; if anything fails the old one stays.

    A link is followed, and a file that was there keeps its mode.

    Raises:
        Refused: it is not a regular file, or cannot be written.
    """
    try:
        place = os.path.realpath(target)
        if os.path.lexists(place) and not os.path.isfile(place):
            raise Refused(f"{target!a} cannot be written: it is not a regular file.")
        directory = tempfile.mkdtemp(prefix=".requestcov-", dir=os.path.dirname(place))
        try:
            name = os.path.join(directory, "new")
            yield name
            mode = stat.S_IMODE(os.stat(place).st_mode) if os.path.exists(place) else 0o600
            fd = os.open(name, os.O_RDWR)
            try:
                os.fchmod(fd, mode)
                os.fsync(fd)
            finally:
                os.close(fd)
            os.replace(name, place)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    except OSError as wrong:
        raise Refused(f"{target!a} cannot be written: {wrong.strerror or wrong}.") from wrong


@contextlib.contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """What to tell of each step done; a bar on standard error, if that is a terminal.

    Args:
        total: of all steps; None: unknown.
    """
    try:
        from requestcov.reports.text.progress import bar
    except ModuleNotFoundError:  # rich is an extra, and a bar no part of the answer
        yield lambda done: None
    else:
        with bar(what, total) as advance:
            yield advance
