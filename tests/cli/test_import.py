"""``requestcov import``, ``merge`` and ``prune`` as a person meets them."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import requestcov
from requestcov.cli import main
from requestcov.errors import SinkError
from requestcov.record import RequestRecord, SourceFile
from requestcov.sinks import open_sink
from requestcov.storage import open_store
from requestcov.storage.lines import ledger_line, record_line, source_line
from tests.reports.shop_store import write_store
from tests.storage.samples import batch, ledger, record


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REQUESTCOV_SINKS", raising=False)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def ids(path: Path | str = "requestcov.db") -> set[str]:
    with open_store(str(path)) as store:
        found = list(store.records())
        assert sum(cohort.requests for cohort in store.cohorts()) == len(found)
    return {one.id for one in found}


def lines(records: list[RequestRecord], **counts: object) -> bytes:
    told = ledger(len(records), **counts)
    return b"".join(
        [
            *map(record_line, records),
            source_line(SourceFile("a.py", "d", b"\xff")),
            ledger_line(told, told.seen),
        ]
    )


def test_a_file_of_the_sink_is_the_same_store_as_that_of_the_sqlite_sink(capsys):
    sent = [record(seq) for seq in range(1, 30)]
    for url in ("file:///a.jsonl", "sqlite:///direct.db"):
        sink = open_sink(url)
        sink.write(batch(sent, sources=[SourceFile("shop/views.py", "aa" * 16, b"x = 1\n")]))
        sink.close()
    assert run(capsys, "import", "a.jsonl") == (
        0,
        "29 records imported, 0 were there already, 0 are from before the store was pruned;"
        " 0 lines refused.\n",
        "",
    )
    with open_store("requestcov.db") as one, open_store("direct.db") as other:
        assert list(map(repr, one.records())) == list(map(repr, other.records()))
        assert one.outcomes() == other.outcomes()
        assert one.ledgers() == other.ledgers()
        assert list(one.sources()) == list(other.sources())
    assert Path("requestcov.db").stat().st_mode & 0o777 == 0o600


def test_importing_again_adds_nothing(capsys):
    Path("a.jsonl").write_bytes(lines([record(1), record(2)]))
    run(capsys, "import", "a.jsonl")
    code, out, _ = run(capsys, "import", "a.jsonl", "a.jsonl")
    assert (code, out.startswith("0 records imported, 4 were there already")) == (0, True)
    assert len(ids()) == 2


def test_compressed_rotated_and_piped_files(capsys, monkeypatch):
    kept = [[record(seq)] for seq in range(1, 5)]
    Path("a.jsonl").write_bytes(lines(kept[0]))
    Path("a.jsonl.1").write_bytes(lines(kept[1]))
    Path("a.jsonl.2.gz").write_bytes(gzip.compress(lines(kept[2])))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines(kept[3]))))
    assert run(capsys, "import", "a.jsonl", "a.jsonl.1", "a.jsonl.2.gz", "-")[0] == 0
    assert ids() == {one.id for part in kept for one in part}


def test_what_a_crash_leaves_is_named_and_is_no_error(capsys):
    whole = lines([record(1)])
    Path("torn.jsonl").write_bytes(whole + record_line(record(2))[:50])
    Path("empty.jsonl").touch()
    Path("zeros.jsonl").write_bytes(whole + b"\0" * 100)
    Path("cut.gz").write_bytes(gzip.compress(whole * 2000)[:-300])
    Path("good.jsonl").write_bytes(lines([record(3)]))
    code, out, err = run(capsys, "import", "torn.jsonl", "empty.jsonl", "zeros.jsonl", "cut.gz", "good.jsonl")
    assert code == 0
    assert "2 records imported" in out
    assert "torn.jsonl:4: a torn last line; skipped" in err
    assert "empty.jsonl: an empty file; skipped" in err
    assert "zeros.jsonl:4: a torn last line; skipped" in err
    assert "the compressed file ends early; skipped" in err


BAD = [
    b"not json\n",
    b"[]\n",
    b'{"v":2,"id":"x"}\n',
    b'{"v":1}\n',
    b'{"v":1,"ledger":{}}\n',
    b'{"v":1,"source":{"path":"a","digest":"\\ud800","text":""}}\n',
    b"[" * 100_000 + b"\n",
    b"\xff\xfe\n",
]
WRONG = {
    "weight": [float("inf"), float("nan"), -1, 0, "x", True],
    "status": ["abc", {}, 10**30, False],
    "service": [5, None, []],
    "route": [7],
    "time": ["yesterday", "2026-01-01T00:00:00"],
    "seq": [10**30, -1, "1", 1.0, True],
    "labels": [{"a": 5}, "x"],
    "duration_ms": [float("inf"), -3],
    "files": [{"a.py": {"digest": 3, "lines": "1"}}, {"a.py": {"digest": "", "lines": "9-1"}}, []],
    "trace_id": [5],
    "error": [5],
    "partial": [{}],
    "id": [None],
}


def test_every_bad_line_is_named_and_the_others_go_on(capsys):
    before, after = record(1), record(2)
    bad = list(BAD)
    for name, values in WRONG.items():
        for value in values:
            bad.append(json.dumps(record(9).to_json() | {name: value}).encode() + b"\n")
    Path("a.jsonl").write_bytes(record_line(before) + b"".join(bad) + lines([after]))
    Path("b.jsonl").write_bytes(lines([record(3)]))
    code, out, err = run(capsys, "import", "missing.jsonl", "a.jsonl", "b.jsonl")
    assert code == 1
    assert "3 records imported" in out
    assert f"{len(bad) + 1} lines refused" in out
    assert "missing.jsonl: it cannot be read: No such file" in err
    assert "a.jsonl:2: not JSON" in err
    assert "further ones are not named" in err
    assert "Traceback" not in err
    assert len(ids()) == 3
    assert run(capsys, "import", "a.jsonl", "--lenient")[0] == 0


def test_a_line_without_end_is_refused_without_being_held(capsys, monkeypatch):
    monkeypatch.setattr("requestcov.storage.lines_files.MAX_LINE", 1 << 16)
    Path("a.gz").write_bytes(gzip.compress(b"x" * 1_000_000 + b"\n" + lines([record(1)])))
    code, _, err = run(capsys, "import", "a.gz")
    assert code == 1
    assert "a.gz:1: a line of more than" in err
    assert len(ids()) == 1


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_files_in_any_order_make_the_same_store(tmp_path_factory, chance: random.Random):
    tmp_path = tmp_path_factory.mktemp("import")
    sink = open_sink(f"file:///{tmp_path}/a.jsonl?max_bytes=4096&keep=50")
    for seq in range(1, 30):
        sink.write(batch([record(seq)], ledger(seq, seen={"GET /a": seq, f"GET /{seq % 3}": seq})))
    names = [str(path) for path in tmp_path.iterdir()]
    assert len(names) > 3
    stores = []
    for number, order in enumerate((sorted(names), chance.sample(names, len(names)) + names[:2])):
        store = str(tmp_path / f"{number}.db")
        assert main(["import", *order, "--store", store]) == 0
        with open_store(store) as found:
            stores.append((list(map(repr, found.records())), found.ledgers(), found.cohorts()))
    assert stores[0] == stores[1]
    assert len(stores[0][0]) == 29


def test_files_are_imported_while_the_sink_writes_and_rotates_them(capsys):
    sent = [record(seq) for seq in range(1, 301)]
    sink = open_sink("file:///a.jsonl?max_bytes=20000&keep=200")
    done = threading.Event()

    def write() -> None:
        for seq, one in enumerate(sent, 1):
            sink.write(batch([one], ledger(seq)))
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    while True:
        last = done.is_set()
        names = sorted((str(path) for path in Path().glob("a.jsonl*")), key=lambda name: (len(name), name))
        if names:
            run(capsys, "import", "--lenient", *names)
        if last:
            break
    thread.join()
    assert ids() == {one.id for one in sent}


def test_ctrl_c_leaves_the_store_whole(tmp_path):
    records = [record(seq) for seq in range(1, 3001)]
    Path("a.jsonl").write_bytes(lines(records))
    root = str(Path(requestcov.__file__).parent.parent)
    read, feed = os.pipe()
    importing = subprocess.Popen(
        [sys.executable, "-m", "requestcov.cli", "import", "a.jsonl", "-"],
        env={**os.environ, "PYTHONPATH": root},
        stdin=read,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(read)
    try:
        # Of 3,002 lines the first 3,000 are committed; then it waits for more on standard input.
        deadline = datetime.now(UTC) + timedelta(seconds=60)
        while importing.poll() is None and datetime.now(UTC) < deadline:
            if Path("requestcov.db").exists():
                with closing(sqlite3.connect("requestcov.db")) as connection:
                    try:
                        if connection.execute("SELECT sum(requests) FROM cohort").fetchone()[0] == 3000:
                            break
                    except sqlite3.OperationalError:
                        continue  # Not made yet.
        importing.send_signal(signal.SIGINT)
        _, err = importing.communicate(timeout=60)
    finally:
        os.close(feed)
        importing.kill()
        importing.wait()
    assert importing.returncode == 130
    assert "Traceback" not in err
    with closing(sqlite3.connect("requestcov.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(ids()) == 3000
    assert main(["import", "a.jsonl"]) == 0
    assert ids() == {one.id for one in records}


def test_a_store_of_another_program_is_left_alone(capsys):
    Path("a.jsonl").write_bytes(lines([record(1)]))
    with closing(sqlite3.connect("other.db")) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    content = Path("other.db").read_bytes()
    code, _, err = run(capsys, "import", "a.jsonl", "--store", "other.db")
    assert code == 2
    assert "left as it is: it is a database of another program" in err
    assert Path("other.db").read_bytes() == content


def test_merge_says_what_came(capsys):
    for name, seqs in (("a.db", (1, 2)), ("b.db", (3,))):
        write_store(Path(name), [record(seq) for seq in seqs])
    code, out, err = run(capsys, "merge", "all.db", "a.db", "sqlite:///b.db")
    assert (code, err) == (0, "")
    assert out == (
        "a.db: 2 records merged, 0 were there already, 0 taken as sums of pruned days.\n"
        "sqlite:///b.db: 1 records merged, 0 were there already, 0 taken as sums of pruned days.\n"
    )
    assert run(capsys, "merge", "all.db", "a.db")[1].startswith("a.db: 0 records merged, 2 were there")
    assert ids("all.db") == ids("a.db") | ids("b.db")


def test_merge_refuses_itself_and_makes_nothing_of_a_mistyped_name(capsys):
    write_store(Path("a.db"), [record(1)])
    code, _, err = run(capsys, "merge", "a.db", "./a.db")
    assert (code, "is the store to merge into" in err) == (2, True)
    code, _, err = run(capsys, "merge", "new.db", "a.db", "b.db")
    assert (code, "There is no store 'b.db'" in err) == (2, True)
    assert not Path("new.db").exists()


def test_prune_keeps_what_reports_count(capsys):
    now = datetime.now(UTC)
    sent = [record(seq, time=now - timedelta(days=seq * 10)) for seq in range(6)]
    write_store(Path("requestcov.db"), sent)
    before = run(capsys, "report")
    code, out, err = run(capsys, "prune", "--older-than", "25d", "--vacuum")
    assert (code, err) == (0, "")
    assert out.startswith("3 requests from before ")
    assert run(capsys, "report") == before
    with open_store("requestcov.db") as store:
        assert {one.id for one in store.records()} == {one.id for one in sent[:3]}
    Path("a.jsonl").write_bytes(lines(sent))
    assert run(capsys, "import", "a.jsonl")[1].startswith(
        "0 records imported, 3 were there already, 3 are from before the store was pruned"
    )


@pytest.mark.parametrize("text", ["30", "0d", "d", "-3d", "1.5d", "30days"])
def test_an_age_is_a_number_of_days(capsys, text):
    code, _, err = run(capsys, "prune", f"--older-than={text}")
    assert (code, "is not a number of days like 30d" in err) == (2, True)


def test_pruning_needs_a_store(capsys):
    code, _, err = run(capsys, "prune", "--older-than", "30d")
    assert (code, "there is no store" in err) == (2, True)
    assert not Path("requestcov.db").exists()


def test_an_app_writes_to_the_store_that_is_imported_into(capsys):
    """Both get what they bring in, whoever has to wait for whom."""
    Path("a.jsonl").write_bytes(lines([record(seq) for seq in range(1, 2001)], boot="other"))
    sink = open_sink("sqlite:///requestcov.db")
    own = [record(seq) for seq in range(1, 101)]
    sink.write(batch(own[:1]))
    importing = subprocess.Popen(
        [sys.executable, "-m", "requestcov.cli", "import", "a.jsonl"],
        env={**os.environ, "PYTHONPATH": str(Path(requestcov.__file__).parent.parent)},
    )
    for one in own[1:]:
        for _ in range(20):  # As the pipeline does: a batch that failed comes again.
            try:
                sink.write(batch([one]))
            except SinkError:
                continue
            break
    assert importing.wait(timeout=60) == 0
    sink.close()
    assert len(ids()) == 2100
