"""The SQLite sink: kept means committed, whatever happens to process, disk and database."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from requestcov.errors import SinkError
from requestcov.sinks import open_sink
from requestcov.sinks.sqlite import SqliteSink
from requestcov.storage import open_store, sqlite_schema
from requestcov.storage.sqlite_writer import BUSY_SECONDS
from tests.storage.processes import on_a_small_disk, python, run_as_nobody, start
from tests.storage.samples import batch, ledger, record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's database goes: a directory that is not there yet."""
    return tmp_path / "new" / "store.db"


@pytest.fixture
def sink(path: Path):
    """A sink for it."""
    with closing(open_sink(f"sqlite:///{path}")) as sink:
        yield sink


def seqs(path: Path) -> list[int]:
    """The seq of every request, and proof that what is counted is what is listed."""
    with open_store(str(path)) as store:
        found = sorted(row.seq for row in store.requests())
        assert sum(cohort.requests for cohort in store.cohorts()) == len(found)
        listed = Counter(block.id for row in store.records() for block in row.blocks)
        blocks, counted = store.blocks(), Counter()
        for hit in store.hits():
            counted[blocks[hit.block].id] += hit.requests
        assert counted == listed
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    return found


@pytest.mark.parametrize("umask", [0, 0o777])
def test_only_the_owner_may_read_whatever_the_umask(sink: SqliteSink, path: Path, umask: int) -> None:
    """Directory 0700, files 0600, the WAL and its index too."""
    before = os.umask(umask)
    try:
        sink.write(batch([record(1)]))
    finally:
        os.umask(before)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    modes = {found.name: found.stat().st_mode & 0o777 for found in path.parent.iterdir()}
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}


def test_a_replay_adds_nothing(sink: SqliteSink, path: Path) -> None:
    """A batch that was committed and not acknowledged comes again."""
    given = batch([record(1), record(2)])
    sink.write(given)
    sink.write(given)
    assert seqs(path) == [1, 2]


KILLED = """
import os, pickle, signal, sys
from requestcov.sinks import open_sink
from tests.storage.samples import batch, ledger, record
path, moment = sys.argv[1:]
sink = open_sink("sqlite:///" + path)
sink.write(batch([record(1)]))
given = batch([record(2), record(3)], ledger(3))
sys.stdout.buffer.write(pickle.dumps(given)); sys.stdout.flush()
def trace(statement):
    if statement == "COMMIT":
        os.kill(os.getpid(), signal.SIGKILL)
if moment == "before":
    sink._writer._connection.set_trace_callback(trace)
sink.write(given)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_killed_around_its_commit(path: Path, moment: str) -> None:
    """Before it: nothing of the batch. After it, before the acknowledgement: the replay adds nothing."""
    done = python(KILLED, str(path), moment, check=False, text=False)
    assert done.returncode == -signal.SIGKILL
    assert seqs(path) == ([1] if moment == "before" else [1, 2, 3])
    with closing(open_sink(f"sqlite:///{path}")) as sink:
        sink.write(pickle.loads(done.stdout))
    assert seqs(path) == [1, 2, 3]
    with open_store(str(path)) as store:
        assert store.ledgers() == [ledger(3)]


WRITER = """
import sys
from requestcov.errors import SinkError
from requestcov.sinks import open_sink
from tests.storage.samples import batch, ledger, record
path, worker, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
sink, again = open_sink("sqlite:///" + path), 0
for seq in range(1, count + 1):
    counts = ledger(seq, boot=worker, worker=worker)
    one = batch([record(seq, worker=worker, route="/%d" % (seq % 7))], counts)
    while True:
        try:
            sink.write(one)
            break
        except SinkError:
            again += 1
    print(seq, flush=True)
sink.close()
print(again)
"""


def test_eight_processes_write_one_database(path: Path) -> None:
    """From the first moment, when none of them finds it there; every record is counted once."""
    processes = [start(WRITER, str(path), f"web-1:{number}", "40") for number in range(8)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert [found.name for found in path.parent.iterdir()] == ["store.db"]
    assert seqs(path) == sorted(list(range(1, 41)) * 8)
    with open_store(str(path)) as store:
        assert [one.stored for one in store.ledgers()] == [40] * 8


def test_a_process_killed_while_writing(path: Path) -> None:
    """What was acknowledged is there, the database is whole, others go on."""
    process = start(WRITER, str(path), "web-1:1", "100000")
    with process:
        while int(process.stdout.readline()) < 50:
            pass
        process.send_signal(signal.SIGKILL)
        acknowledged = max([50, *(int(line) for line in process.stdout if line.endswith("\n"))])
    with closing(open_sink(f"sqlite:///{path}")) as sink:
        sink.write(batch([record(999_999)]))
    kept = seqs(path)
    assert kept[:acknowledged] == list(range(1, acknowledged + 1))
    assert len(kept) <= acknowledged + 2


def test_a_locked_database_is_an_error_within_a_second(sink: SqliteSink, path: Path) -> None:
    """The pipeline tries again; then the batch is kept."""
    assert BUSY_SECONDS < 1
    sink.write(batch([record(1)]))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SinkError, match="database is locked"):
            sink.write(batch([record(2)]))
        other.execute("ROLLBACK")
    sink.write(batch([record(2)]))
    assert seqs(path) == [1, 2]


def test_a_reader_does_not_hold_up_writes(sink: SqliteSink, path: Path) -> None:
    """A report in the middle of its reading sees what it began with."""
    sink.write(batch([record(seq) for seq in range(1, 5)]))
    with open_store(str(path)) as store:
        rows = store.requests()
        next(rows)
        sink.write(batch([record(5)]))
        assert len(list(rows)) == 3


FORKED = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")
from requestcov.sinks import open_sink
from tests.storage.samples import batch, record
sink = open_sink("sqlite:///" + sys.argv[1])
sink.write(batch([record(1)]))
child = os.fork()
seqs = range(10, 20) if child else range(20, 30)
for seq in seqs:
    sink.write(batch([record(seq, worker="web-1:%d" % os.getpid())]))
if child:
    assert os.waitpid(child, 0)[1] == 0
    sink.write(batch([record(30)]))
sink.close()
os._exit(0)
"""


def test_a_child_opens_its_own_connection(path: Path) -> None:
    """Parent and child write at once after the fork, the child first closes; nothing is lost."""
    python(FORKED, str(path))
    assert seqs(path) == [1, *range(10, 31)]


LOCKS = """
import os, sys, warnings
warnings.simplefilter("ignore")
from requestcov.sinks import open_sink
from tests.storage.samples import batch, record
sink = open_sink("sqlite:///" + sys.argv[1])
sink.write(batch([record(1)]))
child = os.fork()
if not child:
    sink.write(batch([record(2)]))
    with open("/proc/locks") as file:
        mine = [line.split() for line in file if line.split()[4] == str(os.getpid())]
    print(len(mine), flush=True)
    sink.close()
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_childs_connection_holds_locks_of_its_own(path: Path) -> None:
    """Not what SQLite's memory, copied by the fork, would make it believe to hold."""
    assert int(python(LOCKS, str(path)).stdout) >= 2


FORKED_IN_WRITE = """
import os, sys, threading, time, warnings
warnings.simplefilter("ignore")
from requestcov.errors import SinkError
from requestcov.sinks import open_sink, sqlite
from tests.storage.samples import batch, record
sqlite.FORK_SECONDS = 0.1
path, hooks = sys.argv[1], sys.argv[2] == "hooks"
if not hooks:
    sqlite._close_before_forks = lambda: None
sink, other = open_sink("sqlite:///" + path), open_sink("sqlite:///" + path)
sink.write(batch([record(1)]))
inside, go_on = threading.Event(), threading.Event()
def trace(statement):
    if statement == "COMMIT":
        inside.set()
        go_on.wait()
if hooks:
    sink._writer._connection.set_trace_callback(trace)
    thread = threading.Thread(target=sink.write, args=(batch([record(2)]),))
    thread.start()
    inside.wait()
start = time.monotonic()
child = os.fork()
if not child:
    assert time.monotonic() - start < 0.9
    for each in (sink, other, sink):
        try:
            each.write(batch([record(3)]))
        except SinkError as error:
            print("forked while its parent was writing" in str(error), flush=True)
    sink.close()
    fresh = open_sink("sqlite:///" + path + "2.db")
    fresh.write(batch([record(4)]))
    fresh.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
if hooks:
    go_on.set()
    thread.join()
sink.write(batch([record(5)]))
sink.close()
"""


@pytest.mark.parametrize("hooks", ["hooks", "no hooks"])
def test_a_child_forked_in_the_middle_of_a_write_leaves_the_database_alone(path: Path, hooks: str) -> None:
    """It would share the parent's locks; it says so, and other databases take its records.

    The same for a fork that runs no Python hooks (uWSGI's), where the connection is still open.
    """
    assert python(FORKED_IN_WRITE, str(path), hooks).stdout == "True\n" * 3
    assert seqs(path) == ([1, 2, 5] if hooks == "hooks" else [1, 5])
    assert seqs(Path(f"{path}2.db")) == [4]


FORKED_OFTEN = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")
from requestcov.errors import SinkError
from requestcov.sinks import open_sink, sqlite
from tests.storage.samples import batch, record
sqlite.FORK_SECONDS = 20
sink = open_sink("sqlite:///" + sys.argv[1])
def keep(seq):
    one = batch([record(seq)])
    for _ in range(20):
        try:
            return sink.write(one)
        except SinkError as error:
            assert "database is locked" in str(error)
    raise SystemExit("never kept")
def work():
    for seq in range(1, 61):
        keep(seq)
thread = threading.Thread(target=work)
thread.start()
children = []
for number in range(15):
    child = os.fork()
    if not child:
        keep(1_000_000 + number)
        os._exit(0)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 15
thread.join()
sink.close()
"""


def test_a_fork_waits_for_a_write_to_end(path: Path) -> None:
    """Many forks among many writes, children writing beside their parent: nothing lost, nothing twice."""
    python(FORKED_OFTEN, str(path))
    assert seqs(path) == [*range(1, 61), *range(1_000_000, 1_000_015)]


def test_a_directory_taken_away_is_made_again(sink: SqliteSink, path: Path) -> None:
    """Also when only the database is replaced; the next batch is in the new one, whole."""
    sink.write(batch([record(1)]))
    for found in path.parent.iterdir():
        found.unlink()
    path.parent.rmdir()
    sink.write(batch([record(2)]))
    assert seqs(path) == [2]
    for found in path.parent.iterdir():
        found.unlink()
    sink.write(batch([record(3)]))
    assert seqs(path) == [3]


FILL = """
import os, sys
from requestcov.errors import SinkError
from requestcov.sinks import open_sink
from requestcov.storage import open_store
from tests.storage.samples import batch, record
path = sys.argv[1] + "/store.db"
sink, kept = open_sink("sqlite:///" + path), 0
while True:
    seqs = range(kept + 1, kept + 11)
    given = batch([record(seq, route="/%d" % seq, labels={"x": "y" * 100}) for seq in seqs])
    try:
        sink.write(given)
    except (SinkError, OSError) as error:
        print(error.args)
        break
    kept += 10
for room in sys.argv[2:]:
    os.unlink(room)
if not sys.argv[2:]:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sink.write(given)
with open_store(path) as store:
    counted = sum(cohort.requests for cohort in store.cohorts())
    print(kept > 0, counted == len(list(store.requests())) == kept + 10)
sink.close()
"""


def test_a_full_disk_is_survived(path: Path) -> None:
    """Nothing of the batch is kept; when there is room again, it is."""
    path.parent.mkdir()
    ballast = "import sys; sys.argv.append(sys.argv[1] + '/ballast')\n"
    ballast += "open(sys.argv[2], 'wb').write(b'x' * 400_000)\n"
    out = on_a_small_disk(ballast + FILL, path.parent, "900k").splitlines()
    assert "full" in out[0]
    assert out[1] == "True True"


def test_a_disk_without_room_to_begin_is_an_error(path: Path) -> None:
    """64 KiB are not enough for the schema: said, not crashed, every time."""
    path.parent.mkdir()
    code = """
import sys
from requestcov.errors import SinkError
from requestcov.sinks import open_sink
from tests.storage.samples import batch, record
sink = open_sink("sqlite:///" + sys.argv[1] + "/store.db")
for _ in range(3):
    try:
        sink.write(batch([record(1)]))
    except (SinkError, OSError) as error:
        print("SQLite cannot write" in str(error))
sink.close()
"""
    assert on_a_small_disk(code, path.parent) == "True\n" * 3


def test_a_file_size_limit_is_like_a_full_disk(path: Path) -> None:
    """SQLite calls it a disk I/O error."""
    path.parent.mkdir()
    done = python(
        FILL,
        str(path.parent),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY)),
    )
    said, result = done.stdout.splitlines()
    assert "disk I/O error" in said or "full" in said
    assert result == "True True"


def test_a_directory_that_cannot_be_written_is_an_error(public: Path) -> None:
    """Every time, and nothing else."""
    path = public / "new" / "store.db"
    path.parent.mkdir()
    path.parent.chmod(0o555)
    code = f"""
from requestcov.sinks import open_sink
from tests.storage.samples import batch, record
sink = open_sink("sqlite:///{path}")
for _ in range(2):
    try:
        sink.write(batch([record(1)]))
    except OSError as error:
        print(error.strerror)
"""
    assert run_as_nobody(code) == "Permission denied\n" * 2


def test_a_link_planted_later_is_not_followed(sink: SqliteSink, path: Path, tmp_path: Path) -> None:
    """The sink was opened before the link was there; a FIFO is refused too."""
    victim = tmp_path / "victim.db"
    victim.write_bytes(b"")
    path.parent.mkdir()
    for target in (victim, tmp_path / "absent.db"):
        path.symlink_to(target)
        with pytest.raises(SinkError, match="symbolic link"):
            sink.write(batch([record(1)]))
        path.unlink()
    os.mkfifo(path)
    with pytest.raises(SinkError, match="not a regular file"):
        sink.write(batch([record(1)]))
    assert victim.read_bytes() == b""
    assert not (tmp_path / "absent.db").exists()


def test_an_empty_file_becomes_a_database(sink: SqliteSink, path: Path) -> None:
    """As mktemp makes one."""
    path.parent.mkdir()
    path.write_bytes(b"")
    sink.write(batch([record(1)]))
    assert seqs(path) == [1]


def damage_header(path: Path) -> None:
    """Nothing is left that says SQLite."""
    path.write_bytes(b"garbage " * 4096)


def damage_pages(path: Path) -> None:
    """The header says SQLite, the pages are noise."""
    content = bytearray(path.read_bytes())
    content[100 : len(content)] = b"\xa5" * (len(content) - 100)
    path.write_bytes(content)


def damage_end(path: Path) -> None:
    """Cut off in the middle."""
    os.truncate(path, path.stat().st_size // 2 + 100)


@pytest.mark.parametrize("damage", [damage_header, damage_pages, damage_end])
def test_a_corrupt_database_is_set_aside(
    sink: SqliteSink, path: Path, damage, caplog: pytest.LogCaptureFixture
) -> None:
    """Under another name, byte for byte; a fresh one is begun, and it is said once."""
    sink.write(batch([record(seq, route=f"/{seq}") for seq in range(1, 100)]))
    sink.close()
    damage(path)
    before = path.read_bytes()
    sink.write(batch([record(seq, route=f"/{seq}") for seq in range(100, 200)]))
    sink.write(batch([record(200)]))
    (aside,) = path.parent.glob("store.db.corrupt-*")
    assert aside.read_bytes() == before
    assert seqs(path) == list(range(100, 201))
    (said,) = caplog.records
    assert aside.name in said.getMessage()


def test_only_one_of_many_sets_a_corrupt_database_aside(path: Path) -> None:
    """The fresh one of the first is not taken for the corrupt one by the next."""
    path.parent.mkdir()
    damage_header(path)
    processes = [start(WRITER, str(path), f"web-1:{number}", "10") for number in range(4)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert len(list(path.parent.glob("store.db.corrupt-*"))) == 1
    assert seqs(path) == sorted(list(range(1, 11)) * 4)


def _other_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {sqlite_schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("store.db", _other_program, "another program"),
        ("store.db", _newer, "schema version 99.*upgrade requestcov"),
        ("notes.txt", lambda path: path.write_bytes(b"my notes\n" * 100), "not a SQLite database"),
    ],
    ids=["another program's", "newer", "not a database"],
)
def test_what_is_not_ours_is_left_alone(tmp_path: Path, name: str, make, said: str) -> None:
    """Refused each time, in a sentence, byte for byte as it was."""
    path = tmp_path / name
    make(path)
    before = path.read_bytes()
    with closing(open_sink(f"sqlite:///{path}")) as sink:
        for _ in range(2):
            with pytest.raises(SinkError, match=said):
                sink.write(batch([record(1)]))
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == [name]


def test_a_sqlite_that_is_too_old_is_said(sink: SqliteSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """STRICT tables came with 3.37."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(SinkError, match=r"3\.37\.0 is needed"):
        sink.write(batch([record(1)]))


def test_a_path_that_is_not_utf8(tmp_path: Path) -> None:
    """Its bytes are those of the URL's; the store is found by the same path."""
    url = f"sqlite:///{tmp_path}/caf%e9%3f%23%25.db"
    with closing(open_sink(url)) as sink:
        sink.write(batch([record(1)]))
    assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe9?#%.db"]
    for place in (url, f"{tmp_path}/caf\udce9?#%.db"):
        with open_store(place) as store:
            assert sum(cohort.requests for cohort in store.cohorts()) == 1


def test_a_closed_sink_opens_again(sink: SqliteSink, path: Path) -> None:
    """Closing is letting go."""
    sink.write(batch([record(1)]))
    sink.close()
    sink.close()
    sink.write(batch([record(2)]))
    assert seqs(path) == [1, 2]
