"""A SQLite database opened to be read.

Laws: read-only, whatever the database's state; an error of SQLite's is one
sentence that tells what to do; a name that is a number of ``text`` is looked
up once.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote_from_bytes, unquote_to_bytes

from requestcov.errors import StoreError
from requestcov.storage import sqlite_schema as schema
from requestcov.storage.results import Selection


class Database:
    """A connection; a context manager.

    Not to be carried across a fork, nor kept open in a process that forks and
    then writes to the same database.

    Args:
        place: a path, or ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

    Raises:
        StoreError: it is missing, empty, corrupt, newer, or not a store; says what to do.
    """

    def __init__(self, place: str | os.PathLike[str]) -> None:
        place = os.fspath(place)
        if place.startswith("sqlite:///"):
            raw = place.removeprefix("sqlite:///").partition("?")[0]
            place = os.fsdecode(unquote_to_bytes(raw.encode("utf-8", "surrogateescape")))
        elif "://" in place:
            raise StoreError(f"{place!a} cannot be read: give the path of a SQLite store.")
        self.path = place
        self._texts: dict[int, str] = {}
        self._connection = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Within it every read sees the database as it is at the first one, whatever is written meanwhile."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def text(self, number: int | None) -> str | None:
        """The text with this number; None for none."""
        return None if not number else self.name(number)

    def name(self, number: int) -> str:
        """The text with this number.

        Raises:
            KeyError: there is none.
        """
        known = self._texts.get(number)
        if known is None:
            row = self.row("SELECT value FROM text WHERE n = ?", (number,))
            if row is None:
                raise KeyError(f"text {number}")
            known = schema.unpack_text(row[0])
            if len(self._texts) < 100_000:
                self._texts[number] = known
        return known

    def row(self, sql: str, values: Iterable[Any] = ()) -> Any:
        """The first row, or None."""
        return next(iter(self.rows(sql, values)), None)

    def rows(self, sql: str, values: Iterable[Any] = ()) -> Iterator[Any]:
        """Every row.

        Raises:
            StoreError: SQLite cannot read them.
        """
        try:
            cursor = self._connection.execute(sql, tuple(values))
            try:
                # Left half-way, as after an error, this may outlive the connection, on which
                # "yield from" would close the cursor in vain, and loudly.
                for row in cursor:  # noqa: UP028
                    yield row
            finally:
                with suppress(sqlite3.ProgrammingError):
                    cursor.close()
        except sqlite3.DatabaseError as error:
            raise self._explain(error) from error

    def all(self, sql: str, values: Iterable[Any] = ()) -> list[Any]:
        """Every row at once; for many small ones.

        Raises:
            StoreError: SQLite cannot read them.
        """
        try:
            return self._connection.execute(sql, tuple(values)).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._explain(error) from error

    def _open(self) -> sqlite3.Connection:
        shown = ascii(self.path)
        try:
            info = os.stat(self.path)
        except FileNotFoundError:
            raise StoreError(
                f"There is no store {shown}: name the file that the app's sink writes "
                "(REQUESTCOV_SINKS), or send the app some requests first."
            ) from None
        except (OSError, ValueError) as error:
            raise StoreError(f"The store {shown} cannot be read: {error}.") from error
        if not stat.S_ISREG(info.st_mode):
            raise StoreError(f"{shown} is not a file: name the database inside it.")
        try:
            connection = self._connect("mode=ro")
        except sqlite3.OperationalError as error:
            # In a directory that cannot be written, SQLite cannot share a WAL database;
            # without a WAL beside it nobody is writing, and it can be read as it is.
            if os.path.exists(f"{self.path}-wal") or not os.access(self.path, os.R_OK):
                raise self._explain(error) from error
            try:
                connection = self._connect("immutable=1")
            except sqlite3.DatabaseError as second:
                raise self._explain(second) from second
        except sqlite3.DatabaseError as error:
            raise self._explain(error) from error
        return connection

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = f"file:{quote_from_bytes(os.path.abspath(os.fsencode(self.path)))}?{mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=5, isolation_level=None, check_same_thread=False)
        try:
            version = schema.check(connection)
            if version != schema.VERSION:
                raise StoreError(
                    "it is empty: send the app some requests first"
                    if not version
                    else f"it has schema version {version}: let the app write to it once with this requestcov"
                )
        except StoreError as error:
            connection.close()
            raise StoreError(f"The store {self.path!a} cannot be read: {error}.") from None
        except BaseException:
            connection.close()
            raise
        return connection

    def _explain(self, error: sqlite3.Error) -> StoreError:
        shown = ascii(self.path)
        if not schema.is_corrupt(error):
            return StoreError(f"The store {shown} cannot be read: SQLite says {error}.")
        return StoreError(
            f"{shown} is not a SQLite database, or is corrupt ({error}): name another file, or try"
            " to save what it holds with sqlite3's .recover."
        )


def where_of(selection: Selection) -> tuple[str, list[Any]]:
    """SQL on the columns of cohort, and its values."""
    clauses, values = ["1"], list[Any]()
    for column in ("endpoint", "service", "release"):
        text = getattr(selection, column)
        if text is not None:
            clauses.append(f"{column} = (SELECT n FROM text WHERE value = ?)")
            values.append(schema.pack_text(text))
    for clause, day in (("day >= ?", selection.since), ("day <= ?", selection.until)):
        if day is not None:
            clauses.append(clause)
            values.append(_day(day))
    return " AND ".join(clauses), values


def _day(moment: datetime) -> int:
    return schema.pack_time(moment) // schema.DAY


def among(column: str, numbers: Iterable[int] | None) -> tuple[str, list[Any]]:
    """SQL for a column whose value is one of these; None: any."""
    if numbers is None:
        return "1", []
    return f"{column} IN (SELECT value FROM json_each(?))", [json.dumps(list(numbers))]
