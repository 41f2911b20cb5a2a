"""The SQLite database: its tables, its migrations, and how values are packed.

Laws: a row of text, file, block, origin or cohort is never changed in meaning
nor removed, so its number may be remembered; a spectrum is removed only by
pruning, which says so in ``store``; every text survives,
also one that is not Unicode; a database that is newer than this code, or not
ours, is refused and left alone. The tables are described in docs/data-format.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from requestcov.errors import StoreError

APPLICATION_ID = 0x52436F76
"""ASCII ``RCov`` in the file's header: tells our databases from others'."""

OLDEST_SQLITE = (3, 37, 0)
"""STRICT tables."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE text (n INTEGER PRIMARY KEY, value ANY NOT NULL UNIQUE) STRICT;
    CREATE TABLE file (
        n INTEGER PRIMARY KEY, path ANY NOT NULL, digest TEXT NOT NULL, UNIQUE (path, digest)
    ) STRICT;
    CREATE TABLE source (file INTEGER PRIMARY KEY REFERENCES file, text BLOB NOT NULL) STRICT;
    CREATE TABLE block (
        n INTEGER PRIMARY KEY,
        id INTEGER NOT NULL UNIQUE,
        file INTEGER NOT NULL REFERENCES file,
        lines BLOB NOT NULL,
        branches TEXT
    ) STRICT;
    CREATE TABLE spectrum (
        id INTEGER PRIMARY KEY, base INTEGER REFERENCES spectrum, blocks BLOB NOT NULL
    ) STRICT;
    CREATE TABLE origin (
        n INTEGER PRIMARY KEY,
        worker INTEGER NOT NULL REFERENCES text,
        engine INTEGER NOT NULL REFERENCES text,
        UNIQUE (worker, engine)
    ) STRICT;
    CREATE TABLE cohort (
        n INTEGER PRIMARY KEY,
        service INTEGER NOT NULL REFERENCES text,
        release INTEGER NOT NULL REFERENCES text,
        endpoint INTEGER NOT NULL REFERENCES text,
        failed INTEGER NOT NULL,
        day INTEGER NOT NULL,
        requests INTEGER NOT NULL DEFAULT 0,
        weight REAL NOT NULL DEFAULT 0,
        first INTEGER NOT NULL DEFAULT 9223372036854775807,
        last INTEGER NOT NULL DEFAULT -9223372036854775808,
        UNIQUE (endpoint, service, release, failed, day)
    ) STRICT;
    CREATE TABLE hit (
        cohort INTEGER NOT NULL REFERENCES cohort,
        block INTEGER NOT NULL REFERENCES block,
        requests INTEGER NOT NULL,
        weight REAL NOT NULL,
        PRIMARY KEY (cohort, block)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE request (
        id ANY PRIMARY KEY NOT NULL,
        cohort INTEGER NOT NULL REFERENCES cohort,
        origin INTEGER NOT NULL REFERENCES origin,
        seq INTEGER NOT NULL,
        time INTEGER NOT NULL,
        status INTEGER,
        duration INTEGER NOT NULL,
        error INTEGER REFERENCES text,
        sampled_by INTEGER NOT NULL REFERENCES text,
        weight REAL NOT NULL,
        partial INTEGER REFERENCES text,
        labels INTEGER REFERENCES text,
        trace_id ANY,
        spectrum INTEGER NOT NULL REFERENCES spectrum,
        background INTEGER REFERENCES spectrum
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE ledger (
        n INTEGER PRIMARY KEY,
        boot ANY NOT NULL,
        worker ANY NOT NULL,
        service ANY NOT NULL,
        release ANY NOT NULL,
        started INTEGER NOT NULL,
        updated INTEGER NOT NULL,
        excluded INTEGER NOT NULL,
        sampled INTEGER NOT NULL,
        stored INTEGER NOT NULL,
        pending INTEGER NOT NULL,
        dropped ANY NOT NULL,
        UNIQUE (boot, worker)
    ) STRICT;
    CREATE TABLE seen (
        ledger INTEGER NOT NULL REFERENCES ledger,
        endpoint INTEGER NOT NULL REFERENCES text,
        requests INTEGER NOT NULL,
        PRIMARY KEY (ledger, endpoint)
    ) STRICT, WITHOUT ROWID;
    """,
    # Requests of one cohort side by side: whatever is asked of an endpoint's requests reads no others'.
    # What reports count of requests is counted beside them, and so outlives them. The one row of store
    # tells from which UTC day on requests are taken (horizon): before it they may have been pruned, and
    # one that comes again could not be known. merged: what was counted here of other stores' days.
    """
    CREATE TABLE outcome (
        cohort INTEGER NOT NULL REFERENCES cohort,
        status INTEGER NOT NULL,
        error INTEGER NOT NULL,
        sampled_by INTEGER NOT NULL REFERENCES text,
        partial INTEGER NOT NULL,
        engine INTEGER NOT NULL REFERENCES text,
        requests INTEGER NOT NULL,
        weight REAL NOT NULL,
        squares REAL NOT NULL,
        PRIMARY KEY (cohort, status, error, sampled_by, partial, engine)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO outcome
        SELECT r.cohort, ifnull(r.status, 0), ifnull(r.error, 0), r.sampled_by, ifnull(r.partial, 0),
            o.engine, count(*), sum(r.weight), sum(r.weight * r.weight)
        FROM request r JOIN origin o ON o.n = r.origin GROUP BY 1, 2, 3, 4, 5, 6;
    CREATE TABLE duration (
        cohort INTEGER NOT NULL REFERENCES cohort,
        bucket INTEGER NOT NULL,
        requests INTEGER NOT NULL,
        weight REAL NOT NULL,
        PRIMARY KEY (cohort, bucket)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO duration
        SELECT cohort, duration_bucket(duration), count(*), sum(weight) FROM request GROUP BY 1, 2;
    ALTER TABLE request RENAME TO request_by_id;
    CREATE TABLE request (
        id ANY NOT NULL,
        cohort INTEGER NOT NULL REFERENCES cohort,
        origin INTEGER NOT NULL REFERENCES origin,
        seq INTEGER NOT NULL,
        time INTEGER NOT NULL,
        status INTEGER,
        duration INTEGER NOT NULL,
        error INTEGER REFERENCES text,
        sampled_by INTEGER NOT NULL REFERENCES text,
        weight REAL NOT NULL,
        partial INTEGER REFERENCES text,
        labels INTEGER REFERENCES text,
        trace_id ANY,
        spectrum INTEGER NOT NULL REFERENCES spectrum,
        background INTEGER REFERENCES spectrum,
        PRIMARY KEY (cohort, id)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO request SELECT * FROM request_by_id ORDER BY cohort, id;
    DROP TABLE request_by_id;
    CREATE TABLE store (
        id BLOB NOT NULL, horizon INTEGER NOT NULL, prunings INTEGER NOT NULL, late INTEGER NOT NULL
    ) STRICT;
    INSERT INTO store VALUES (randomblob(16), 0, 0, 0);
    CREATE TABLE merged (
        store BLOB NOT NULL,
        day INTEGER NOT NULL,
        requests INTEGER NOT NULL,
        PRIMARY KEY (store, day)
    ) STRICT, WITHOUT ROWID;
    """,
)
"""Script number i brings a database from ``user_version`` i to i + 1."""

VERSION = len(MIGRATIONS)


def check(connection: sqlite3.Connection) -> int:
    """The schema version of a database; 0: it is empty.

    Raises:
        StoreError: the database is another program's, or a newer requestcov's.
        sqlite3.Error: it cannot be read.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        raise StoreError("it is a database of another program; name another file")
    if version > VERSION:
        raise StoreError(
            f"it has schema version {version}, and this requestcov knows up to {VERSION}: "
            "upgrade requestcov, or name another file"
        )
    return int(version)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database up to VERSION, in one transaction, creating it if it is empty.

    Raises:
        StoreError: see :func:`check`.
        sqlite3.Error: it cannot be written.
    """
    if check(connection) == VERSION:
        return
    connection.create_function("duration_bucket", 1, pack_duration, deterministic=True)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for script in MIGRATIONS[check(connection) :]:  # Again: another process may have been first.
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_corrupt(error: BaseException) -> bool:
    """Whether SQLite says that the file's content is broken (not that it cannot be reached)."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
DAY = 86_400_000_000
"""Microseconds in a day."""


def pack_time(moment: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def unpack_time(micros: int) -> datetime:
    """What :func:`pack_time` packed."""
    return _EPOCH + timedelta(microseconds=micros)


_FINE = 32
"""Buckets between one power of two and the next: 3 % wide at most."""


def pack_duration(micros: int) -> int:
    """The bucket of a duration: exact below 64 µs, above it 32 buckets to each doubling."""
    shift = max(0, micros.bit_length() - 6)
    return shift * _FINE + (micros >> shift)


def unpack_duration(bucket: int) -> float:
    """The middle of a bucket, in µs."""
    shift = max(0, bucket // _FINE - 1)
    low = (bucket - shift * _FINE) << shift
    return low + ((1 << shift) - 1) / 2


def pack_text(text: str) -> str | bytes:
    """A text as TEXT, or, when it has lone surrogates (a path that is not UTF-8), as a BLOB."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def unpack_text(value: str | bytes) -> str:
    """What :func:`pack_text` packed."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX = re.compile(r"[0-9a-f]{32}")


def pack_id(text: str) -> str | bytes:
    """A UUID as its 16 bytes; any other id as it is."""
    return bytes.fromhex(text.replace("-", "")) if _UUID.fullmatch(text) else text


def unpack_id(value: str | bytes) -> str:
    """What :func:`pack_id` packed."""
    if isinstance(value, str):
        return value
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def pack_trace(text: str | None) -> str | bytes | None:
    """32 hex digits as 16 bytes; anything else as it is."""
    return bytes.fromhex(text) if text is not None and _HEX.fullmatch(text) else text


def unpack_trace(value: str | bytes | None) -> str | None:
    """What :func:`pack_trace` packed."""
    return value.hex() if isinstance(value, bytes) else value


def pack_blocks(blocks: Iterable[int], base: frozenset[int] = frozenset()) -> bytes:
    """Block numbers, as the difference to a base set.

    The numbers that are in one set and not in the other, ascending, each as
    its distance to the one before, in LEB128 (seven bits a byte, low first).
    """
    packed = bytearray()
    for before, number in pairwise((0, *sorted(base.symmetric_difference(blocks)))):
        distance = number - before
        while distance > 0x7F:
            packed.append(distance & 0x7F | 0x80)
            distance >>= 7
        packed.append(distance)
    return bytes(packed)


def unpack_blocks(packed: bytes, base: frozenset[int] = frozenset()) -> frozenset[int]:
    """What :func:`pack_blocks` packed, given the same base."""
    numbers: set[int] = set()
    number = distance = shift = 0
    for byte in packed:
        distance |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            continue
        number += distance
        numbers.add(number)
        distance = shift = 0
    return base ^ numbers
