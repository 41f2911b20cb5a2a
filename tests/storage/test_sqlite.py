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
from requestcov.storage.results import Selection, versions_of
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


def counted(store: Store) -> int:
    """Recorded requests, by the cohorts' account."""
    return sum(cohort.requests for cohort in store.cohorts())


def line_hits(store: Store, *args, **narrow):
    """(path, digest) -> line -> (requests, weight); takes what Store.hits takes."""
    blocks = store.blocks()
    found: dict[tuple[str, str], dict[int, tuple[int, float]]] = {}
    for hit in store.hits(*args, **narrow):
        block = blocks[hit.block]
        lines = found.setdefault((block.path, block.digest), {})
        for line in block.lines:
            requests, weight = lines.get(line, (0, 0.0))
            lines[line] = requests + hit.requests, weight + hit.weight
    return found


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
        of_orders = Selection(endpoint=orders)
        assert line_hits(store, of_orders, path=VIEWS.path) == {
            views: {1: (4, 31.0), 2: (4, 31.0), 3: (3, 30.0), 10: (3, 30.0), 20: (1, 1.0)}
        }
        assert line_hits(store, Selection(release="r2"))[views][3] == (1, 10.0)
        assert line_hits(store, Selection(since=NOON + timedelta(days=1)))[views][3] == (1, 10.0)
        assert line_hits(store, Selection(until=NOON))[views][3] == (3, 27.0)
        assert line_hits(store, Selection(endpoint="GET /nowhere")) == {}
        assert line_hits(store, Selection(service="other")) == {}
        blocks = store.blocks()
        hits = {blocks[hit.block].id: hit for hit in store.hits(of_orders, by_failed=True) if not hit.failed}
        assert set(hits) == {VIEWS.id, MODELS.id}
        models = blocks[hits[MODELS.id].block]
        assert (models.branches, models.lines) == (MODELS.branches, MODELS.lines)
        assert (hits[MODELS.id].requests, hits[MODELS.id].weight) == (3, 30.0)
        assert (hits[MODELS.id].first, hits[MODELS.id].last) == (record(1).time, NOON + timedelta(days=1))
        failing = [hit for hit in store.hits(of_orders, by_failed=True) if hit.failed]
        assert [(blocks[hit.block].id, hit.requests, hit.weight) for hit in failing] == [(OTHER.id, 1, 1.0)]
        releases = {
            hit.release: hit.requests for hit in store.hits(of_orders, path=MODELS.path, by_release=True)
        }
        assert releases == {"r1": 2, "r2": 1}


def test_cohorts_and_outcomes(writer: Writer, path: str) -> None:
    """How many requests there were, how they ended, why they were recorded, how long they took."""
    records = [record(seq, duration_ms=float(seq)) for seq in range(1, 21)]
    records.append(record(21, status=500, engine="trace", partial="duration", release="r2", error="E"))
    records.append(record(22, status=None, weight=3.0, sampled_by="first"))
    counts = ledger(22, seen={"GET /orders/{id}": 400, "GET /idle": 3})
    writer.write(batch(records, counts))
    other = ledger(1, boot="b2", worker="web-2:1", seen={"GET /orders/{id}": 5})
    writer.write(batch([], other))
    with open_store(path) as store:
        first, second = sorted(store.cohorts(), key=lambda cohort: cohort.release)
        assert (first.requests, first.weight, first.failed, first.endpoint) == (
            21,
            203.0,
            False,
            "GET /orders/{id}",
        )
        assert (second.requests, second.weight, second.failed, second.release) == (1, 10.0, True, "r2")
        assert (first.first, first.last) == (records[0].time, records[-1].time)
        outcomes = sorted(store.outcomes(), key=lambda outcome: (outcome.requests, -outcome.weight))
        assert [
            (o.status, o.error, o.sampled_by, o.partial, o.engine, o.requests, o.weight, o.squares)
            for o in outcomes
        ] == [
            (500, "E", "rate", "duration", "trace", 1, 10.0, 100.0),
            (None, None, "first", None, "monitoring", 1, 3.0, 9.0),
            (200, None, "rate", None, "monitoring", 20, 200.0, 2000.0),
        ]
        assert store.ledgers() == [counts, other]
        assert [(file.path, file.first, file.last) for file in versions_of(store.hits(), store.blocks())] == [
            (MODELS.path, records[0].time, records[-1].time),
            (VIEWS.path, records[0].time, records[-1].time),
        ]
        durations = store.durations()["GET /orders/{id}"]
        assert list(durations) == sorted(durations)
        assert sum(requests for requests, _ in durations.values()) == 22


def test_samples_timings_and_their_spectra(writer: Writer, path: str) -> None:
    """Those together that ended alike and ran the same, or whose time is told."""
    writer.write(
        batch(
            [
                record(1, labels={"plan": "gold"}, duration_ms=2.5, background=(MODELS,)),
                record(4, labels={"plan": "gold"}, duration_ms=1.5, background=(MODELS,), weight=3.0),
                record(5, labels={"plan": "gold"}, duration_ms=3.5, background=(MODELS,)),
                record(2, blocks=(OTHER,), status=503, error="E", weight=1.0),
                record(3, route="/"),
            ]
        )
    )
    with open_store(path) as store:
        samples = sorted(store.samples(Selection(endpoint="GET /orders/{id}")), key=lambda one: one.failed)
        (good, bad), blocks = samples, store.blocks()
        assert (good.labels, good.requests, good.failed) == ({"plan": "gold"}, 3, False)
        assert (bad.status, bad.error, bad.requests) == (503, "E", 1)
        timed, other, brief = sorted(
            store.timings(Selection(endpoint="GET /orders/{id}")), key=lambda one: (one.failed, one.durations)
        )
        assert (timed.weight, timed.durations) == (3.0, [1500])
        assert (other.weight, other.durations) == (record(1).weight, [2500, 3500])
        assert (timed.spectrum, timed.failed, timed.release) == (good.spectrum, False, record(1).release)
        assert (brief.weight, brief.background, brief.failed) == (1.0, None, True)
        paths = store.spectra([good.spectrum, bad.spectrum, timed.background])
        assert {blocks[number].id for number in paths[bad.spectrum]} == {OTHER.id}
        assert {blocks[number].id for number in paths[good.spectrum]} == {VIEWS.id, MODELS.id}
        assert {blocks[number].id for number in paths[timed.background]} == {MODELS.id}


@given(st.integers(0, 10**12))
def test_a_duration_is_within_two_percent_of_its_bucket(micros: int) -> None:
    """And buckets are in the order of what they hold."""
    bucket = sqlite_schema.pack_duration(micros)
    assert abs(sqlite_schema.unpack_duration(bucket) - micros) <= micros * 0.02
    assert sqlite_schema.pack_duration(micros + 1) >= bucket


def test_requests_are_listed_newest_first(writer: Writer, path: str) -> None:
    """With a limit and by exact time."""
    records = [record(seq) for seq in range(1, 6)]
    records = [
        dataclasses.replace(one, id=f"0190{one.seq:04x}-0000-7000-8000-000000000000") for one in records
    ]
    writer.write(batch(reversed(records)))
    with open_store(path) as store:
        assert [row.seq for row in store.requests(limit=3)] == [5, 4, 3]
        assert [row.seq for row in store.requests(Selection(since=NOON + timedelta(days=1)))] == []
        assert [row.seq for row in store.requests(id=records[1].id)] == [2]


def test_a_batch_that_comes_again_adds_nothing(writer: Writer, path: str) -> None:
    """Whole, in part, twice in itself, and under another batch id: a record is known by its id."""
    one, two, three = record(1), record(2), record(3, blocks=(OTHER,))
    writer.write(batch([one, two]))
    writer.write(batch([one, two]))
    writer.write(batch([two, three, three]))
    with open_store(path) as store:
        assert counted(store) == 3
        assert sum(outcome.requests for outcome in store.outcomes()) == 3
        assert sum(n for found in store.durations().values() for n, _ in found.values()) == 3
        assert line_hits(store, path=VIEWS.path)[VIEWS.path, VIEWS.digest][1] == (3, 30.0)


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
        assert [plain(found) for found in store.records(Selection(release=odd))] == [plain(one)]
        assert store.ledgers() == [counts]
        assert list(line_hits(store, path=odd)) == [(odd, "")]
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
            for selection in (Selection(endpoint=text), Selection(release=text), Selection(service=text)):
                assert list(store.requests(selection)) == store.samples(selection) == []
                assert store.timings(selection) == store.endpoints(selection) == []
                assert line_hits(store, selection) == store.durations(selection) == {}
                assert (
                    store.cohorts(selection) == store.outcomes(selection) == list(store.hits(selection)) == []
                )
            assert list(store.requests(id=text)) == []
            assert line_hits(store, path=text) == {}
            assert store.source(text, text) is None
        assert counted(store) == 1


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
        store.outcomes()
        list(store.records())


def test_a_store_in_a_directory_that_cannot_be_written(public: Path) -> None:
    """SQLite can make no WAL index there; a closed store is read all the same."""
    path = public / "store.db"
    with closing(Writer(str(path))) as writer:
        writer.write(batch([record(1)]))
    path.chmod(0o644)
    public.chmod(0o555)
    code = f"from requestcov.storage import open_store; print(len(list(open_store('{path}').requests())))"
    assert run_as_nobody(code) == "1\n"


def test_an_older_schema_is_brought_up_to_date(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the first write; a reader says what to do."""
    with closing(Writer(path)) as writer:
        writer.write(batch([record(1)]))
    later = (*sqlite_schema.MIGRATIONS, "CREATE TABLE extra (x INTEGER) STRICT; CREATE INDEX e ON extra (x)")
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", later)
    monkeypatch.setattr(sqlite_schema, "VERSION", len(later))
    with pytest.raises(StoreError, match="let the app write to it once"):
        Store(path)
    with closing(Writer(path)) as writer:
        writer.write(batch([record(2)]))
    with open_store(path) as store:
        assert counted(store) == 2


def test_a_store_of_the_first_schema_counts_as_if_it_were_written_today(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the second schema counts is made up for from the requests themselves."""
    records = [
        record(seq, status=500 if seq % 3 == 0 else 200, weight=float(seq), duration_ms=seq * 7.3)
        for seq in range(1, 40)
    ]
    today = str(tmp_path / "today.db")
    with closing(Writer(today)) as writer:
        writer.write(batch(records))
    with closing(sqlite3.connect(path)) as connection:
        for statement in sqlite_schema.MIGRATIONS[0].split(";"):
            connection.execute(statement)
        connection.execute("ATTACH ? AS today", (today,))
        for table in ("text", "file", "block", "spectrum", "origin", "cohort", "hit", "request", "ledger"):
            connection.execute(f"INSERT INTO {table} SELECT * FROM today.{table}")
        connection.commit()
        connection.execute(f"PRAGMA application_id = {sqlite_schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
    Writer(path).close()
    with open_store(path) as old, open_store(today) as new:
        assert old.outcomes() == new.outcomes()
        assert old.durations() == new.durations()
        assert [plain(one) for one in old.records()] == [plain(one) for one in new.records()]


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its statements or none."""
    with closing(Writer(path)) as writer:
        writer.write(batch([record(1)]))
    broken = (*sqlite_schema.MIGRATIONS, "CREATE TABLE extra (x INTEGER) STRICT; CREATE NONSENSE")
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_schema, "MIGRATIONS", broken)
        patch.setattr(sqlite_schema, "VERSION", len(broken))
        with pytest.raises(sqlite3.OperationalError):
            Writer(path)
    with open_store(path) as store:
        assert counted(store) == 1


def test_other_urls_cannot_be_read() -> None:
    """Only SQLite stores answer questions."""
    with pytest.raises(StoreError, match="give the path of a SQLite store"):
        open_store("http://example.org/x")


def _sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
