"""``requestcov import``: JSON Lines files into a store."""

from __future__ import annotations

import argparse
import sqlite3
from dataclasses import dataclass, field

from requestcov.commands.asking import NothingFound, add_store, output, printable, say, store_of
from requestcov.commands.writing import progress, store_to_write
from requestcov.record import Ledger, RequestRecord, SourceFile
from requestcov.storage.lines_files import Line, Unread, read_files, total_size
from requestcov.storage.sqlite_writer import Writer

DESCRIPTION = "Put the records that the file sink wrote, on any number of machines, into one store."

RECORDS_AT_ONCE = 500
BYTES_AT_ONCE = 32_000_000
"""Of one transaction, at most: an app that writes meanwhile waits for no longer."""

MOST_NAMED = 20
"""Lines named one by one; of the others only how many they are is said."""

MISFITS = (sqlite3.IntegrityError, sqlite3.DataError, ValueError, OverflowError)
"""What the store raises for a value that no check of ours knows of."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """From where, and to where."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="JSON Lines, plain or gzip, rotated ones too; - for standard input",
    )
    add_store(parser)
    parser.add_argument(
        "--lenient",
        action="store_true",
        help="exit code 0 also when lines were refused, which are named as ever",
    )


def run(options: argparse.Namespace) -> None:
    """Import, and say what became of it."""
    place = store_of(options)
    with (
        store_to_write(place, create=True) as writer,
        progress("importing", total_size(options.files)) as advance,
    ):
        done = Import(writer)
        for line in read_files(options.files, advance):
            if isinstance(line, Unread):
                done.refuse(line)
            else:
                done.take(line)
        done.write()
    output().write(
        f"{done.new:,} records imported, {done.known:,} were there already,"
        f" {done.late:,} are from before the store was pruned; {done.refused:,} lines refused.\n"
    )
    if done.refused and not options.lenient:
        raise NothingFound(f"{done.refused:,} lines were refused; all others are in {place}.")


@dataclass
class Import:
    """Lines on their way to a store, and what became of those before.

    Attributes:
        new, known, late: records, as Added has them.
        refused: lines.
    """

    writer: Writer = field(repr=False)
    new: int = 0
    known: int = 0
    late: int = 0
    refused: int = 0
    _lines: list[Line] = field(default_factory=list, repr=False)
    _bytes: int = 0
    _named: int = 0

    def take(self, line: Line) -> None:
        """Keep a line, sooner or later."""
        self._lines.append(line)
        self._bytes += line.size
        if len(self._lines) >= RECORDS_AT_ONCE or self._bytes >= BYTES_AT_ONCE:
            self.write()

    def refuse(self, line: Unread) -> None:
        """Name a line that cannot be kept."""
        self._named += 1
        if not line.expected:
            self.refused += 1
        if self._named <= MOST_NAMED:
            say(f"{printable(f'{line.place}: {line.problem}')[:500]}; skipped")
        elif self._named == MOST_NAMED + 1:
            say("further ones are not named")

    def write(self) -> None:
        """Commit the lines that wait."""
        lines, self._lines, self._bytes = self._lines, [], 0
        self._write(lines)

    def _write(self, lines: list[Line]) -> None:
        if not lines:
            return
        items = [line.item for line in lines]
        try:
            added = self.writer.add(
                [item for item in items if isinstance(item, RequestRecord)],
                [item for item in items if isinstance(item, Ledger)],
                [item for item in items if isinstance(item, SourceFile)],
            )
        except MISFITS as error:
            if len(lines) == 1:
                self.refuse(Unread(lines[0].place, f"a value that requestcov does not write: {error}"))
                return
            middle = len(lines) // 2
            self._write(lines[:middle])
            self._write(lines[middle:])
        else:
            self.new += added.new
            self.known += added.known
            self.late += added.late
