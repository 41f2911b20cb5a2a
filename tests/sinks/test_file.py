"""The JSON Lines sink: whole lines, kept once written, whatever happens to process and disk."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import signal
from pathlib import Path

import pytest

from requestcov.errors import SinkError
from requestcov.record import Block, Ledger, RequestRecord, SourceFile
from requestcov.sinks import open_sink
from requestcov.sinks.file import FileSink
from requestcov.storage.lines import read_line
from tests.storage.processes import on_a_small_disk, python, run_as_nobody, start
from tests.storage.samples import MODELS, NOON, VIEWS, batch, ledger, record


def read(*paths: Path) -> list[RequestRecord | Ledger | SourceFile]:
    """Every line of the files; each must be one of ours."""
    return [read_line(line) for path in paths for line in path.read_bytes().splitlines()]


def seqs(*paths: Path) -> list[int]:
    """The seq of every record in the files."""
    return [one.seq for one in read(*paths) if isinstance(one, RequestRecord)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's lines go: a directory that is not there yet."""
    return tmp_path / "new" / "lines.jsonl"


def sink_for(path: Path, query: str = "") -> FileSink:
    """A sink for a path."""
    return open_sink(f"file:///{path}{query}")  # type: ignore[return-value]


def test_what_is_written_comes_back(path: Path) -> None:
    """Records, ledger and sources, with texts that are not Unicode."""
    odd = "caf\udce9/\x00😀.py"
    one = record(
        1,
        blocks=(Block(odd.replace("\0", ""), "", frozenset({1, 2, 9})),),
        background=(MODELS,),
        labels={"a": odd},
    )
    sources = [SourceFile(odd.replace("\0", ""), "d", b"\xff\x00"), SourceFile("a.py", "e", "ü\n".encode())]
    given = batch([one], ledger(1, seen={odd: 3}, dropped={"queue_full": 1}), sources)
    sink_for(path).write(given)
    back, *texts, counts = read(path)
    assert isinstance(back, RequestRecord)
    assert back.to_json() == one.to_json()
    assert texts == sources
    assert counts == given.ledger


def test_the_ledger_is_repeated_only_where_it_changed(path: Path) -> None:
    """No line when nothing changed; only the endpoints that changed; all of them in a new file."""
    sink = sink_for(path)
    sink.write(batch([], ledger(1, seen={"GET /a": 1, "GET /b": 1})))
    sink.write(batch([], ledger(1, seen={"GET /a": 1, "GET /b": 1}, updated=NOON)))
    sink.write(batch([], ledger(1, seen={"GET /a": 2, "GET /b": 1})))
    assert [one.seen for one in read(path) if isinstance(one, Ledger)] == [
        {"GET /a": 1, "GET /b": 1},
        {"GET /a": 2},
    ]
    path.unlink()
    sink.write(batch([], ledger(1, seen={"GET /a": 3, "GET /b": 1})))
    sink.write(batch([], ledger(1, boot="other", seen={"GET /b": 1})))
    assert [one.seen for one in read(path) if isinstance(one, Ledger)] == [
        {"GET /a": 3, "GET /b": 1},
        {"GET /b": 1},
    ]


@pytest.mark.parametrize("umask", [0, 0o777])
def test_only_the_owner_may_read_whatever_the_umask(path: Path, umask: int) -> None:
    """Directory 0700, file 0600."""
    before = os.umask(umask)
    try:
        sink_for(path, "?max_bytes=1024").write(batch([record(1)]))
        sink_for(path, "?max_bytes=1024").write(batch([record(2)]))
    finally:
        os.umask(before)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {found.stat().st_mode & 0o777 for found in path.parent.iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("whole", "tail"),
    [
        (0, b'{"v":1,"id":"x'),
        (0, b"{"),
        (0, b'{"v":1,' + b"x" * 200_000),
        (1, b'{"v":1,"id":"x'),
        (1, b"{"),
        (1, b'{"v":1,' + b"x" * 200_000),
        (1, b"\0" * 5000),  # What a power cut leaves.
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_torn_tail_is_cut_off(path: Path, whole: int, tail: bytes) -> None:
    """Never fused with the next line, also when there is no whole line before it."""
    sink = sink_for(path)
    if whole:
        sink.write(batch([record(1)]))
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        file.write(tail)
    sink.write(batch([record(2)]))
    assert seqs(path) == [1, 2][1 - whole :]


@pytest.mark.parametrize(
    "content", [b"my notes, without a line end", b"my notes\n", b'{"v":2,"id":1}\n', b"\0" * 99]
)
def test_a_file_that_is_not_ours_is_left_alone(path: Path, content: bytes) -> None:
    """Refused in a sentence."""
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(SinkError, match="holds no requestcov records"):
        sink_for(path).write(batch([record(1)]))
    assert path.read_bytes() == content


def test_somebody_elses_last_line_is_not_cut_off(path: Path) -> None:
    """Only what we could have torn ourselves is removed."""
    sink = sink_for(path)
    sink.write(batch([record(1)]))
    with path.open("ab") as file:
        file.write(b"a note by hand")
    before = path.read_bytes()
    with pytest.raises(SinkError, match="did not write"):
        sink.write(batch([record(2)]))
    assert path.read_bytes() == before


def test_a_link_planted_later_is_not_followed(path: Path, tmp_path: Path) -> None:
    """The sink was opened before the link was there; nor is a FIFO waited for."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    path.parent.mkdir()
    sink = sink_for(path)
    for target in (victim, tmp_path / "absent"):
        path.symlink_to(target)
        with pytest.raises(SinkError, match="symbolic link"):
            sink.write(batch([record(1)]))
        path.unlink()
    os.mkfifo(path)
    with pytest.raises((SinkError, OSError)):
        sink.write(batch([record(1)]))
    assert victim.read_bytes() == b""
    assert not (tmp_path / "absent").exists()


def test_a_directory_taken_away_is_made_again(path: Path) -> None:
    """And the next batch is kept."""
    sink = sink_for(path)
    sink.write(batch([record(1)]))
    path.unlink()
    path.parent.rmdir()
    sink.write(batch([record(2)]))
    assert seqs(path) == [2]


def test_a_file_that_another_process_locks_is_an_error_soon(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline tries again; the drainer is not held up."""
    monkeypatch.setattr("requestcov.sinks.path.LOCK_SECONDS", 0.05)
    sink = sink_for(path)
    sink.write(batch([record(1)]))
    holder = start(
        "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX);"
        "print('held', flush=True); sys.stdin.read()",
        str(path),
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SinkError, match="locked by another process"):
            sink.write(batch([record(2)]))
        holder.stdin.close()
    sink.write(batch([record(2)]))
    assert seqs(path) == [1, 2]


WRITER = """
import sys
from requestcov.sinks import open_sink
from tests.storage.samples import batch, record
url, first, count, each = sys.argv[1], *map(int, sys.argv[2:])
sink = open_sink(url)
for seq in range(first, first + count, each):
    sink.write(batch([record(n) for n in range(seq, seq + each)]))
    print(seq + each - 1, flush=True)
"""


def test_eight_processes_rotate_one_file(path: Path) -> None:
    """Every line parses, none is lost, none is there twice."""
    url = f"file:///{path}?max_bytes=20000&keep=1000"
    processes = [start(WRITER, url, str(number * 1000), "200", "8") for number in range(8)]
    for process in processes:
        process.communicate(timeout=100)  # Each batch waits for the disk, which may be slow.
        assert process.returncode == 0
    files = list(path.parent.iterdir())
    assert len(files) > 20
    assert sorted(seqs(*files)) == [number * 1000 + seq for number in range(8) for seq in range(200)]
    assert all(file.stat().st_size <= 20_000 for file in files)


def test_rotation_keeps_as_many_files_as_it_is_told(path: Path) -> None:
    """The newest ones; a batch larger than the limit fills one alone."""
    sink = sink_for(path, "?max_bytes=1024&keep=2")
    for first in range(1, 50, 10):
        sink.write(batch([record(seq) for seq in range(first, first + 10)]))
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "lines.jsonl",
        "lines.jsonl.1",
        "lines.jsonl.2",
    ]
    assert seqs(Path(f"{path}.2"), Path(f"{path}.1"), path) == list(range(21, 51))


def test_a_rotation_that_fails_goes_on_appending(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is lost, nothing more is pushed out at each try, one warning is logged."""
    sink = sink_for(path, "?max_bytes=1024&keep=3")
    for seq in range(1, 4):
        sink.write(batch([record(n) for n in range(seq * 10, seq * 10 + 10)]))
    rename = os.rename

    def fails(source: str, target: str) -> None:
        if source == str(path):
            raise OSError(13, "Permission denied")
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fails)
        for seq in range(4, 9):
            sink.write(batch([record(n) for n in range(seq * 10, seq * 10 + 10)]))
    assert sorted(seqs(*path.parent.iterdir())) == list(range(10, 90))
    assert [one.getMessage().split("(")[1] for one in caplog.records] == [
        "Permission denied); it goes on growing"
    ]
    sink.write(batch([record(90)]))
    assert seqs(path) == [90]


def test_a_directory_that_cannot_be_written_still_takes_lines(public: Path) -> None:
    """Rotation is what needs the directory; the file itself goes on."""
    path = public / "new" / "lines.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"")
    os.chown(path, 65534, 65534)
    os.chmod(path.parent, 0o555)
    code = f"""
from requestcov.sinks import open_sink
from tests.storage.samples import batch, record
sink = open_sink("file:///{path}?max_bytes=1024")
for seq in range(1, 30, 10):
    sink.write(batch([record(n) for n in range(seq, seq + 10)]))
try:
    open_sink("file:///{path.parent}/other.jsonl").write(batch([record(1)]))
except OSError as error:
    print(type(error).__name__)
"""
    assert run_as_nobody(code) == "PermissionError\n"
    assert seqs(path) == list(range(1, 31))


def test_a_directory_of_somebody_else_is_refused(public: Path) -> None:
    """Its owner could read or replace the file; root's own is fine."""
    path = public / "new" / "lines.jsonl"
    path.parent.mkdir()
    os.chmod(path.parent, 0o777)
    os.chown(path.parent, 12345, 12345)
    code = f"""
from requestcov.sinks import open_sink
from tests.storage.samples import batch, record
for scheme in ("file", "sqlite"):
    try:
        open_sink(scheme + ":///{path}").write(batch([record(1)]))
    except Exception as error:
        print(type(error).__name__, "belongs to user 12345" in str(error))
"""
    assert run_as_nobody(code) == "SinkError True\n" * 2
    assert list(path.parent.iterdir()) == []


def test_a_process_killed_while_writing_leaves_whole_lines(path: Path) -> None:
    """What was acknowledged is there; the next writer repairs at most a torn tail."""
    process = start(WRITER, f"file:///{path}", "1", "100000", "5")
    acknowledged = 0
    with process:
        while acknowledged < 200:
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        acknowledged = int(
            ([str(acknowledged)] + [line for line in process.stdout if line.endswith("\n")])[-1]
        )
    sink_for(path).write(batch([record(999_999)]))
    kept = seqs(path)
    assert kept[:acknowledged] == list(range(1, acknowledged + 1))
    assert kept[-1] == 999_999
    assert len(kept) == len(set(kept))


def test_a_child_forked_between_writes_shares_the_file(path: Path) -> None:
    """Nothing is open across the fork; no line is there twice."""
    python(
        """
import os, sys, warnings
warnings.simplefilter("ignore")
from requestcov.sinks import open_sink
from tests.storage.samples import batch, record
sink = open_sink("file:///" + sys.argv[1])
sink.write(batch([record(1)]))
child = os.fork()
sink.write(batch([record(2 if child else 3)]))
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
""",
        str(path),
    )
    assert sorted(seqs(path)) == [1, 2, 3]


FILL = """
import os, sys
from requestcov.sinks import open_sink
from requestcov.storage.lines import read_line
from tests.storage.samples import batch, record
path = sys.argv[1] + "/lines.jsonl"
sink, kept = open_sink("file:///" + path), 0
while True:
    before = os.path.getsize(path) if kept else 0
    try:
        sink.write(batch([record(seq) for seq in range(kept + 1, kept + 11)]))
    except OSError as error:
        print(error.errno)
        break
    kept += 10
assert os.path.getsize(path) == before
with open(path, "rb") as file:
    lines = file.read().splitlines()
os.truncate(path, before // 2)
sink.write(batch([record(1)]))
with open(path, "rb") as file:
    again = file.read().splitlines()
print(len([one for one in map(read_line, lines) if hasattr(one, "seq")]) == kept > 0, len(again) > 2)
for line in again:
    read_line(line)
"""


def test_a_full_disk_leaves_whole_lines_and_is_survived(path: Path) -> None:
    """A short write comes first; the file is cut back, and goes on when there is room."""
    path.parent.mkdir()
    assert on_a_small_disk(FILL, path.parent) == "28\nTrue True\n"


def test_a_file_size_limit_is_like_a_full_disk(path: Path) -> None:
    """EFBIG after a short write."""
    path.parent.mkdir()
    done = python(
        FILL,
        str(path.parent),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert done.stdout in ("27\nTrue True\n", "28\nTrue True\n")


def test_a_failed_fsync_is_not_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines are taken back: the batch comes again."""
    sink = sink_for(path)
    sink.write(batch([record(1)]))
    before = path.read_bytes()

    def fails(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(OSError, match="Input/output"):
            sink.write(batch([record(2)]))
    assert path.read_bytes() == before
    sink.write(batch([record(2)]))
    assert seqs(path) == [1, 2]
    assert [one.seen for one in read(path) if isinstance(one, Ledger)][-1] == {"GET /orders/{id}": 20}


def test_a_device_is_not_a_file() -> None:
    """/dev/full and its like are refused at start-up."""
    with pytest.raises(Exception, match="not a regular file"):
        open_sink("file:////dev/full")


def test_a_path_that_is_not_utf8(tmp_path: Path) -> None:
    """Its bytes are those of the URL's."""
    sink = open_sink(f"file:///{tmp_path}/caf%e9.jsonl")
    sink.write(batch([record(1)]))
    assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe9.jsonl"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"v":2,"ledger":{}}',
        b'{"v":1,"ledger":{}}',
        b'{"v":1,"ledger":7}',
        b'{"v":1,"source":{"path":"a","digest":"d","base64":"!"}}',
        b'{"v":1,"source":{"path":"a","digest":"d","text":3}}',
        b'{"v":1}',
        json.dumps(dataclasses.asdict(VIEWS), default=list).encode(),
    ],
)
def test_a_line_that_is_not_ours_is_a_value_error(line: bytes) -> None:
    """With a sentence."""
    with pytest.raises(ValueError, match=r"\w"):
        read_line(line)
