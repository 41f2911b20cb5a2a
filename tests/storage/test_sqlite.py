"""What is written to the SQLite database comes back, and is counted once."""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requestcov.errors import StoreError
from requestcov.record import Block, SourceFile
from requestcov.storage import open_store, sqlite_schema
from requestcov.storage.sqlite import Store
from requestcov.storage.sqlite_writer import Writer
from tests.storage.processes import run_as_nobody
from tests.storage.samples import MODELS, NOON, OTHER, VIEWS, batch, ledger, record


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where a test's database goes."""
    return str(tmp_path / "store.db")


@pytest.fixture
def writer(path: str):
    """A connection that writes to it."""
    with closing(Writer(path)) as writer:
        yield writer


def plain(one):
    """A record as comparable data."""
    return one.to_json()


def test_a_record_comes_back_whole(writer: Writer, path: str) -> None:
    """Every field, with and without the optional ones."""
    full = record(
        1,
        error="builtins.ValueError",
        status=None,
        partial="aborted",
        labels={"plan": "gold", "b": "ü"},
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        background=(VIEWS,),
        weight=1.5,
        engine="trace",
    )
    bare = record(2, blocks=())
    writer.write(batch([full, bare]))
    with open_store(path) as store:
        assert [plain(one) for one in store.records()] == [plain(bare), plain(full)]
        (row,) = store.requests(id=full.id)
        assert (row.spectrum, row.failed, row.labels) == (full.spectrum, True, full.labels)


def test_hits_are_counted_by_block_and_line(writer: Writer, path: str) -> None:
    """Requests and weights add up per block, filtered by outcome, release and day."""
    writer.write(
        batch(
            [
                record(1),
                record(2, blocks=(OTHER,), status=503, weight=1.0),
                record(3, release="r2", time=NOON + timedelta(days=1)),
                record(4, route="/", weight=7.0),
            ]
        )
    )
    writer.write(batch([record(5)]))
    with open_store(path) as store:
        orders = "GET /orders/{id}"
        views = (VIEWS.path, VIEWS.digest)
        assert store.line_hits(orders, VIEWS.path) == {
            views: {1: (4, 31.0), 2: (4, 31.0), 3: (3, 30.0), 10: (3, 30.0), 20: (1, 1.0)}
        }
        assert store.line_hits(orders, failed=True) == {views: {1: (1, 1.0), 2: (1, 1.0), 20: (1, 1.0)}}
        assert store.line_hits(release="r2")[views][3] == (1, 10.0)
        assert store.line_hits(since=NOON + timedelta(days=1))[views][3] == (1, 10.0)
        assert store.line_hits(until=NOON)[views][3] == (3, 27.0)
        assert store.line_hits("GET /nowhere") == {}
        assert store.line_hits(service="other") == {}
        hits = {block.id: block for block in store.endpoint_blocks(orders, failed=False)}
        assert set(hits) == {VIEWS.id, MODELS.id}
        assert (hits[MODELS.id].branches, hits[MODELS.id].lines) == (MODELS.branches, MODELS.lines)
        assert (hits[MODELS.id].requests, hits[MODELS.id].weight) == (3, 30.0)


def test_endpoints_and_summary(writer: Writer, path: str) -> None:
    """What was recorded, what was only seen, and how long requests took."""
    records = [record(seq, duration_ms=float(seq)) for seq in range(1, 21)]
    records.append(record(21, status=500, engine="trace", partial="duration", release="r2"))
    counts = ledger(21, seen={"GET /orders/{id}": 400, "GET /idle": 3})
    writer.write(batch(records, counts))
    other = ledger(1, boot="b2", worker="web-2:1", seen={"GET /orders/{id}": 5})
    writer.write(batch([], other))
    with open_store(path) as store:
        idle, orders = store.endpoints()
        assert (idle.endpoint, idle.requests, idle.seen, idle.median_ms) == ("GET /idle", 0, 3, None)
        assert (orders.requests, orders.weight, orders.failed, orders.seen) == (21, 210.0, 1, 405)
        assert (orders.median_ms, orders.p95_ms) == (11.0, 19.0)
        assert (orders.first, orders.last) == (records[0].time, records[-1].time)
        summary = store.summary()
        assert (summary.requests, summary.weight, summary.partial) == (21, 210.0, {"duration": 1})
        assert (summary.services, summary.releases) == (("shop",), ("r1", "r2"))
        assert sorted(summary.engines) == ["monitoring", "trace"]
        assert store.ledgers() == [counts, other]
        assert [(file.path, file.first, file.last) for file in store.files()] == [
            (MODELS.path, records[0].time, records[-1].time),
            (VIEWS.path, records[0].time, records[-1].time),
        ]


def test_requests_are_listed_newest_first(writer: Writer, path: str) -> None:
    """With a limit and by exact time."""
    records = [record(seq) for seq in range(1, 6)]
    records = [
        dataclasses.replace(one, id=f"0190{one.seq:04x}-0000-7000-8000-000000000000") for one in records
    ]
    writer.write(batch(reversed(records)))
    with open_store(path) as store:
        assert [row.seq for row in store.requests(limit=3)] == [5, 4, 3]
        assert [row.seq for row in store.requests(since=records[1].time, until=records[2].time)] == [3, 2]


def test_a_batch_that_comes_again_adds_nothing(writer: Writer, path: str) -> None:
    """Whole, in part, twice in itself, and under another batch id: a record is known by its id."""
    one, two, three = record(1), record(2), record(3, blocks=(OTHER,))
    writer.write(batch([one, two]))
    writer.write(batch([one, two]))
    writer.write(batch([two, three, three]))
    with open_store(path) as store:
        assert store.summary().requests == 3
        assert store.line_hits(path=VIEWS.path)[VIEWS.path, VIEWS.digest][1] == (3, 30.0)


def test_a_late_batch_does_not_set_the_ledger_back(writer: Writer, path: str) -> None:
    """Whatever the clock says: what has counted further is later."""
    late = ledger(9, updated=NOON - timedelta(hours=1), dropped={"queue_full": 2}, sampled=11)
    writer.write(batch([], ledger(8)))
    writer.write(batch([], late))
    writer.write(batch([], ledger(7)))
    with open_store(path) as store:
        assert store.ledgers() == [late]


def test_nothing_of_a_failed_batch_stays_in_the_database_or_in_memory(writer: Writer, path: str) -> None:
    """A number remembered from a transaction rolled back would name another row, or none."""
    poison = record(2, blocks=(Block("new.py", "", frozenset({1})),), status=2**63, route="/new")
    with pytest.raises(OverflowError):
        writer.write(batch([record(1), poison]))
    good = dataclasses.replace(poison, status=200)
    writer.write(batch([good]))
    with open_store(path) as store:
        assert [plain(one) for one in store.records()] == [plain(good)]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_writer_forgets_rather_than_grow(
    writer: Writer, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for two numbers in each memory, everything is still right."""
    monkeypatch.setattr("requestcov.storage.sqlite_writer.MOST_REMEMBERED", 2)
    records = [
        record(seq, route=f"/{seq % 5}", blocks=(Block("a.py", "", frozenset({seq % 7 + 1})), MODELS))
        for seq in range(1, 30)
    ]
    writer.write(batch(records[:15]))
    writer.write(batch(records[15:]))
    with open_store(path) as store:
        assert [plain(one) for one in store.records()] == [plain(one) for one in reversed(records)]
        assert len(writer._blocks) <= 2


def test_texts_that_are_not_unicode_come_back(writer: Writer, path: str) -> None:
    """Paths whose bytes are not UTF-8, NUL and astral characters in every text."""
    odd = "caf\udce9/\udcff\x00😀.py"
    one = record(1, blocks=(Block(odd, "", frozenset({1})),), route=odd, release=odd, labels={"k": odd})
    counts = ledger(1, seen={odd: 3}, dropped={odd: 1}, release=odd)
    writer.write(batch([one], counts, [SourceFile(odd, "d", "é".encode("latin-1"))]))
    with open_store(path) as store:
        assert [plain(found) for found in store.records(release=odd)] == [plain(one)]
        assert store.ledgers() == [counts]
        assert list(store.line_hits(path=odd)) == [(odd, "")]
        assert store.source(odd, "d") == "\N{REPLACEMENT CHARACTER}"


def test_sources_are_kept_by_version(writer: Writer, path: str) -> None:
    """The first text of a version stays; an unknown version has none."""
    old, new = SourceFile("a.py", "1", b"old\n"), SourceFile("a.py", "2", b"new\n" * 1000)
    writer.write(batch([], None, [old, new]))
    writer.write(batch([], None, [SourceFile("a.py", "1", b"not this\n")]))
    with open_store(path) as store:
        assert store.source("a.py", "1") == "old\n"
        assert store.source("a.py", "2") == "new\n" * 1000
        assert store.source("a.py", "3") is None
        assert store.source("b.py", "1") is None


def test_hostile_texts_are_values_not_sql(writer: Writer, path: str) -> None:
    """Every filter is a parameter."""
    writer.write(batch([record(1)]))
    with open_store(path) as store:
        for text in ("' OR 1=1 --", '"; DROP TABLE request; --', "%", "_", "\x00", "1) OR (1"):
            assert list(store.requests(text)) == list(store.requests(release=text)) == []
            assert list(store.requests(service=text)) == list(store.requests(id=text)) == []
            assert store.line_hits(text) == store.line_hits(path=text) == store.line_hits(release=text) == {}
            assert store.source(text, text) is None
        assert store.summary().requests == 1


def test_an_unknown_spectrum_is_a_key_error(writer: Writer, path: str) -> None:
    """Not an empty path."""
    with open_store(path) as store, pytest.raises(KeyError):
        store.spectrum(1)


@given(st.frozensets(st.integers(1, 10**6)), st.frozensets(st.integers(1, 10**6)))
def test_packed_blocks_come_back(blocks: frozenset[int], base: frozenset[int]) -> None:
    """Any set, against any base."""
    assert sqlite_schema.unpack_blocks(sqlite_schema.pack_blocks(blocks)) == blocks
    assert sqlite_schema.unpack_blocks(sqlite_schema.pack_blocks(blocks, base), base) == blocks


@given(st.text(st.characters()))
def test_packed_texts_come_back(text: str) -> None:
    """Any str, lone surrogates too."""
    assert sqlite_schema.unpack_text(sqlite_schema.pack_text(text)) == text


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "There is no store"),
        (lambda path: path.write_bytes(b""), "it is empty: send the app some requests"),
        (lambda path: path.write_bytes(b"notes\n" * 1000), "is not a SQLite database, or is corrupt"),
        (lambda path: path.mkdir(), "is not a file"),
        (lambda path: _sql(path, "CREATE TABLE t (x)"), "another program"),
        (lambda path: _sql(path, f"PRAGMA application_id={sqlite_schema.APPLICATION_ID}"), "it is empty"),
        (
            lambda path: _sql(
                path, f"PRAGMA application_id={sqlite_schema.APPLICATION_ID}", "PRAGMA user_version=99"
            ),
            "upgrade requestcov",
        ),
    ],
    ids=["missing", "empty file", "garbage", "directory", "another program's", "no schema", "newer"],
)
def test_a_store_that_cannot_be_read_says_what_to_do(tmp_path: Path, make, said: str) -> None:
    """One sentence; and the file is as it was."""
    path = tmp_path / "store.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=said):
        open_store(str(path))
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_truncated_store_is_a_store_error(writer: Writer, path: str) -> None:
    """Found at opening or at reading, never a sqlite3 error."""
    writer.write(batch([record(seq, route=f"/{seq}") for seq in range(1, 200)]))
    writer.close()
    Path(path).write_bytes(Path(path).read_bytes()[:9000])
    with pytest.raises(StoreError, match="corrupt"), open_store(path) as store:  # noqa: PT012
        store.endpoints()
        list(store.records())


def test_a_store_in_a_directory_that_cannot_be_written(public: Path) -> None:
    """SQLite can make no WAL index there; a closed store is read all the same."""
    path = public / "store.db"
    with closing(Writer(str(path))) as writer:
        writer.write(batch([record(1)]))
    path.chmod(0o644)
    public.chmod(0o555)
    code = f"from requestcov.storage import open_store; print(open_store('{path}').summary().requests)"
    assert run_as_nobody(code) == "1\n"


def test_an_older_schema_is_brought_up_to_date(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the first write; a reader says what to do."""
    with closing(Writer(path)) as writer:
        writer.write(batch([record(1)]))
    later = (*sqlite_schema.MIGRATIONS, "CREATE TABLE extra (x INTEGER) STRICT; CREATE INDEX e ON extra (x)")
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", later)
    monkeypatch.setattr(sqlite_schema, "VERSION", 2)
    with pytest.raises(StoreError, match="let the app write to it once"):
        Store(path)
    with closing(Writer(path)) as writer:
        writer.write(batch([record(2)]))
    with open_store(path) as store:
        assert store.summary().requests == 2


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its statements or none."""
    with closing(Writer(path)) as writer:
        writer.write(batch([record(1)]))
    broken = (*sqlite_schema.MIGRATIONS, "CREATE TABLE extra (x INTEGER) STRICT; CREATE NONSENSE")
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_schema, "MIGRATIONS", broken)
        patch.setattr(sqlite_schema, "VERSION", 2)
        with pytest.raises(sqlite3.OperationalError):
            Writer(path)
    with open_store(path) as store:
        assert store.summary().requests == 1


def test_other_urls_cannot_be_read() -> None:
    """Only SQLite stores answer questions."""
    with pytest.raises(StoreError, match="give the path of a SQLite store"):
        open_store("http://example.org/x")


def _sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
