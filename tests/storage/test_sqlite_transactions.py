"""Every transaction that writes takes the write lock before it reads.

One that began as a reader and then writes cannot wait: when another process has
committed since its first read, its snapshot is old, and SQLite answers
SQLITE_BUSY_SNAPSHOT at once, whatever the timeout (https://www.sqlite.org/rescode.html#busy_snapshot).
"""

from __future__ import annotations

import gzip
import os
import re
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from requestcov.storage import open_store, sqlite_schema
from requestcov.storage.lines import record_line
from requestcov.storage.sqlite_merge import merge
from requestcov.storage.sqlite_prune import prune
from requestcov.storage.sqlite_writer import Writer
from tests.storage.processes import start
from tests.storage.samples import NOON, batch, record

DAY = timedelta(days=1)


class Intruder:
    """Another process, as SQLite sees it, that commits whenever it can.

    Attributes:
        commits: how often it could while a transaction of the watched connection was open.
        refused: how often it could not, because that one held the write lock.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=0)
        self.commits = self.refused = 0

    def come(self) -> None:
        """Commit something small, if that is possible now."""
        try:
            self._connection.execute("INSERT INTO text (value) VALUES (hex(randomblob(8)))")
            self.commits += 1
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            self.refused += 1

    def close(self) -> None:
        self._connection.close()


class Watched(sqlite3.Connection):
    """A connection into whose transactions the intruder comes, before each statement but the first."""

    deferred = False
    intruder: Intruder | None = None

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if self.intruder is not None and self.in_transaction and sql not in ("COMMIT", "ROLLBACK"):
            self.intruder.come()
        if self.deferred:
            sql = re.sub(r"^BEGIN (IMMEDIATE|EXCLUSIVE)$", "BEGIN", sql)
        return super().execute(sql, *values)

    def executemany(self, sql: str, values: Any) -> sqlite3.Cursor:
        if self.intruder is not None and self.in_transaction:
            self.intruder.come()
        return super().executemany(sql, values)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with requests of two days."""
    path = tmp_path / "store.db"
    with closing(Writer(str(path))) as writer:
        writer.write(batch([record(seq, time=NOON + seq % 2 * DAY) for seq in range(1, 21)]))
    return path


@pytest.fixture
def watch(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], Intruder]]:
    """Let every connection that is opened from now on to write to the store be watched."""
    connect = sqlite3.connect
    intruders: list[Intruder] = []

    def begin(deferred: bool) -> Intruder:
        intruder = Intruder(path)
        intruders.append(intruder)

        class Here(Watched):
            pass

        Here.deferred, Here.intruder = deferred, intruder

        def watched(place: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
            if place == os.fsencode(path):
                options["factory"] = Here
            return connect(place, *arguments, **options)

        monkeypatch.setattr(sqlite3, "connect", watched)
        return intruder

    yield begin
    for intruder in intruders:
        intruder.close()


def write(path: Path) -> None:
    with closing(Writer(str(path))) as writer:
        writer.write(batch([record(100, route="/new")]))


def add(path: Path) -> None:
    """What ``requestcov import`` calls."""
    with closing(Writer(str(path))) as writer:
        writer.add([record(101, route="/imported")])


def merge_another(path: Path) -> None:
    other = path.with_name("other.db")
    with closing(Writer(str(path))) as writer, open_store(str(other)) as source:
        assert merge(writer, source).new == 1


def prune_a_day(path: Path) -> None:
    with closing(Writer(str(path))) as writer:
        assert prune(writer, NOON + DAY).requests == 10


def migrate(path: Path) -> None:
    """From the first schema to the present one."""
    Writer(str(path)).close()


def make_first_schema(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(sqlite_schema.MIGRATIONS[0])
        connection.execute(f"PRAGMA application_id = {sqlite_schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")


PATHS = [write, add, merge_another, prune_a_day, migrate]


@pytest.mark.parametrize("begin", ["immediate", "deferred"])
@pytest.mark.parametrize("act", PATHS, ids=lambda act: act.__name__)
def test_nobody_commits_between_a_writers_first_read_and_its_commit(
    path: Path, watch: Callable[[bool], Intruder], act: Callable[[Path], None], begin: str
) -> None:
    """And with a deferred BEGIN the very same goes wrong at once, so this can tell the two apart.

    A reader that holds a snapshot all the while neither hinders the writer nor sees anything of it.
    """
    with closing(Writer(str(path.with_name("other.db")))) as other:
        other.write(batch([record(1, worker="web-2:1")]))
    if act is migrate:
        make_first_schema(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM text").fetchone()
        intruder = watch(begin == "deferred")
        if begin == "deferred":
            with pytest.raises(sqlite3.OperationalError) as raised:
                act(path)
            assert raised.value.sqlite_errorcode == sqlite3.SQLITE_BUSY_SNAPSHOT
            assert intruder.commits
        else:
            act(path)
            assert intruder.commits == 0
            assert intruder.refused > 1
        assert reader.execute("SELECT count(*) FROM text").fetchone() == before
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


APP = """
import sys
from datetime import UTC, datetime
from requestcov.sinks.sqlite import SqliteSink
from tests.storage.samples import batch, ledger, record
path, worker = sys.argv[1:]
sink, now = SqliteSink(path, name=path, busy_seconds=60.0), datetime.now(UTC)
for seq in range(1, 301):
    counts = ledger(seq, boot=worker, worker=worker, started=now, updated=now)
    sink.write(batch([record(seq, time=now, worker=worker, route="/%d" % (seq % 50))], counts))
sink.close()
"""


def test_apps_commands_and_a_reader_share_a_store_without_an_error(path: Path, tmp_path: Path) -> None:
    """Writes, merges, imports and prunings of real processes at once: all wait, none is refused.

    Nobody tries again here: one SQLITE_BUSY fails its process. The store's own requests are old.
    """
    other, lines, now = tmp_path / "other.db", tmp_path / "records.jsonl.gz", datetime.now(UTC)
    with closing(Writer(str(other))) as writer:
        writer.write(batch([record(seq, time=now, worker="merged:1") for seq in range(1, 31)]))
    imported = [record(seq, time=now, worker="imported:1") for seq in range(1, 31)]
    lines.write_bytes(gzip.compress(b"".join(map(record_line, imported))))
    prune_ = ["prune", "--older-than", "30d", "--store", str(path)]
    others = [["merge", str(path), str(other)], ["import", str(lines), "--store", str(path)], prune_]
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM request").fetchone()
        # First alone: a merge refuses to go on when days are pruned in the middle of it.
        finish(command(prune_))
        apps = [start(APP, str(path), f"app:{number}") for number in range(2)]
        rounds = 0
        while rounds < 2 or any(app.poll() is None for app in apps):
            rounds += 1
            for process in [command(words) for words in others]:
                finish(process)
        for app in apps:
            finish(app)
        assert reader.execute("SELECT count(*) FROM request").fetchone() == before == (20,)
    with open_store(str(path)) as store:
        assert Counter(row.worker for row in store.records()) == {
            "app:0": 300,
            "app:1": 300,
            "merged:1": 30,
            "imported:1": 30,
        }


def command(words: list[str]) -> subprocess.Popen[str]:
    """``requestcov`` with these words, as a process."""
    return start("import sys; from requestcov.cli import main; sys.exit(main(sys.argv[1:]))", *words)


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a process that must succeed."""
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
