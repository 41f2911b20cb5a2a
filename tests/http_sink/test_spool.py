"""The spool on disk: its size, its owners, and disks that fail."""

from __future__ import annotations

import errno
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from requestcov.record import SourceFile
from requestcov.sinks import http_box
from requestcov.sinks.http_losses import Losses, correct
from requestcov.sinks.http_spool import MOST_QUARANTINED, Spool
from requestcov.wire import encode
from tests.http_sink.app import App, files, until
from tests.http_sink.collector import collector, free_port, ok, status
from tests.pipeline.memory import record as small_record
from tests.storage.processes import on_a_small_disk, run_as_nobody
from tests.storage.samples import batch, ledger, record

BOOT = "ab" * 16
BLOCKS = 16
"""As many batches of a block as a spool of 64 KiB takes."""


def spool(path: Path) -> Spool:
    return Spool(str(path), "https-collector", BLOCKS * http_box.BLOCK)


def fill(one: Spool, count: int, boot: str = BOOT, sources: int = 0) -> None:
    for _ in range(count):
        stored = one.taken + 1
        texts = [SourceFile(f"{n}.py", "cc" * 16, b"x") for n in range(sources)]
        kept = batch([record(stored)], ledger(stored, boot=boot), texts)
        one.put(kept, gzip.compress(encode(kept)))


def kill(one: Spool) -> None:
    """As the kernel ends a process."""
    for box in [*one._adopted, *([one._own] if one._own else [])]:
        box.forget()


def told(one: Spool) -> list[tuple[int, int, int]]:
    """Number, records and losses before it of what would be sent, until nothing is left."""
    found = []
    one._adopt_at = 0.0
    while (parcel := one.next()) is not None:
        lost = sum(one.lost_upto(parcel).values())
        found.append((parcel.number, parcel.records, lost))
        one.deliver(parcel, parcel.records)
        one.finish(parcel)
    return found


def test_when_it_is_full_the_oldest_go_and_are_counted(tmp_path: Path) -> None:
    one = spool(tmp_path)
    fill(one, BLOCKS + 5)
    assert one.lost == {"spool_full": 5}
    assert told(one) == [(number, 1, 5) for number in range(6, BLOCKS + 6)]
    assert one.delivered == BLOCKS
    one.close()
    assert list((tmp_path / "https-collector").iterdir()) == []


def test_a_full_spool_of_a_running_app_is_counted_and_told(tmp_path: Path) -> None:
    port = free_port()
    with App(f"http://127.0.0.1:{port}", tmp_path, spool_size=65_536, batch_size=1) as app:
        for _ in range(5):
            app.put(10)
            until(lambda: not app.pipeline._process.outlets[0]._backlog)
        until(lambda: app.state.held + app.ledger.dropped.get("spool_full", 0) == 50)
        assert app.ledger.dropped["spool_full"] >= 34
        size = sum(-(-path.stat().st_size // 4096) * 4096 for path in tmp_path.rglob("*.batch"))
        assert size <= 65_536
        with collector(port=port) as there:
            assert app.flush()
            last = there.kept.ledgers[app.pipeline.boot]
            assert last.stored == len(there.kept.records) == 50 - last.dropped["spool_full"]
            assert {r.seq for b in there.kept.batches.values() for r in b.records} >= {48, 49, 50}


def test_what_a_dead_process_left_counts_and_goes_first_but_its_ledger_stays(tmp_path: Path) -> None:
    dead = spool(tmp_path)
    fill(dead, 10)
    kill(dead)
    one = spool(tmp_path)
    one.next()  # takes it over
    fill(one, BLOCKS, boot="cd" * 16)
    assert one.lost.get("spool_full", 0) == 1
    kept = told(one)
    assert kept[-1] == (10, 0, 10)
    assert one.lost == {"spool_full": 1}


def test_a_box_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    alive, other = spool(tmp_path), spool(tmp_path)
    fill(alive, 3)
    assert told(other) == []
    assert len(told(alive)) == 3
    alive.close()


def test_losses_outlive_the_process(tmp_path: Path) -> None:
    dead = spool(tmp_path)
    fill(dead, BLOCKS + 3)
    kill(dead)
    assert told(spool(tmp_path))[0] == (4, 1, 3)


def test_a_crash_between_a_loss_and_its_file_counts_it_once(tmp_path: Path, monkeypatch) -> None:
    dead = spool(tmp_path)
    fill(dead, BLOCKS)

    def killed(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(http_box.Box, "_unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        fill(dead, 1)
    monkeypatch.undo()
    kill(dead)
    assert len(files(tmp_path)) == BLOCKS + 1
    kept = told(spool(tmp_path))
    assert [number for number, _, _ in kept] == list(range(2, BLOCKS + 2))
    assert {lost for _, _, lost in kept} == {1}


def test_counts_alone_replace_the_counts_before_them(tmp_path: Path) -> None:
    one = spool(tmp_path)
    fill(one, 1)
    for stored in range(2, 50):
        one.put(batch([], ledger(stored, boot=BOOT)), b"x")
    assert [records for _, records, _ in told(one)] == [1, 0]
    assert one.lost == {}


def test_texts_that_were_dropped_come_again(tmp_path: Path) -> None:
    port = free_port()

    def assemble(seq):
        return small_record(seq, [("shop/views.py", "aa" * 16)])

    with App(
        f"http://127.0.0.1:{port}", tmp_path, assemble=assemble, source=lambda path, digest: b"x = 1\n",
        spool_size=65_536, batch_size=1,
    ) as app:  # fmt: skip
        for _ in range(3):
            app.put(10)
            until(lambda: not app.pipeline._process.outlets[0]._backlog)
        until(lambda: app.ledger.dropped)
        with collector(port=port) as there:
            assert app.flush()
            app.put(1)
            assert app.flush()
            assert there.kept.sources == {("shop/views.py", "aa" * 16)}


def test_files_of_others_in_it_are_left_alone(tmp_path: Path) -> None:
    one = spool(tmp_path)
    fill(one, 1)
    (box,) = (tmp_path / "https-collector").iterdir()
    (box / "notes.txt").write_text("mine")
    (tmp_path / "https-collector" / "notes.txt").write_text("mine")
    kill(one)
    assert len(told(spool(tmp_path))) == 1
    assert (box / "notes.txt").read_text() == "mine"


def test_what_a_crash_left_half_written_is_removed(tmp_path: Path) -> None:
    one = spool(tmp_path)
    fill(one, 1)
    (box,) = (tmp_path / "https-collector").iterdir()
    (box / f"{2:012}-1-0-{'ab' * 16}.batch.new").write_bytes(b"half")
    kill(one)
    later = spool(tmp_path)
    assert len(told(later)) == 1
    later.close()
    assert not box.exists()


@pytest.mark.parametrize("damage", ["truncated", "removed", "another's text", "empty"])
def test_a_batch_that_cannot_be_read_any_more_is_counted_and_the_next_pass(
    tmp_path: Path, damage: str
) -> None:
    """Where it cannot even be unpacked, the collector refuses it, and so do we."""
    port = free_port()
    with App(f"http://127.0.0.1:{port}", tmp_path, batch_size=5) as app:
        app.put(10)
        until(lambda: app.state.held == 10 and len(files(tmp_path)) == 2 and app.state.failures)
        first = min(path for path in tmp_path.rglob("*") if path.suffix in (".batch", ".tried"))
        if damage == "removed":
            first.unlink()
        else:
            whole = first.read_bytes()
            first.write_bytes({"truncated": whole[:50], "another's text": b"hello", "empty": b""}[damage])
        app.sink._delivery = None
        with collector(port=port) as there:
            assert app.flush()
            assert app.ledger.dropped == {"spool_lost": 5}
            assert len(there.kept.records) == 5
            assert there.kept.ledgers[app.pipeline.boot].stored == 5


def test_20_a_spool_that_is_taken_away_is_made_anew_and_what_it_held_is_counted(tmp_path: Path) -> None:
    """But for the batch that was being sent: that one is in memory."""
    port = free_port()
    with App(f"http://127.0.0.1:{port}", tmp_path / "spool", batch_size=5) as app:
        app.put(10)
        until(lambda: app.state.held == 10 and app.state.failures)
        shutil.rmtree(tmp_path / "spool")
        app.put(5)
        until(lambda: len(files(tmp_path)) == 1)
        with collector(port=port) as there:
            assert app.flush()
            assert len(there.kept.records) == 10
            last = there.kept.ledgers[app.pipeline.boot]
            assert (last.stored, last.dropped, last.pending) == (10, {"spool_lost": 5}, 0)


def test_18_acknowledged_batches_that_cannot_be_deleted_do_not_hold_up_the_others(
    tmp_path: Path, monkeypatch
) -> None:
    """Some file systems need room to delete. Nothing is sent twice, and it is deleted in the end."""
    real = os.unlink

    def unlink(path, *args, **more):
        if str(path).endswith((".batch", ".tried")):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, *args, **more)

    with collector() as there, App(there.url, tmp_path, batch_size=1) as app:
        monkeypatch.setattr(os, "unlink", unlink)
        app.put(5)
        assert app.flush()
        assert len(there.seen) == len(there.kept.records) == 5
        assert app.ledger.stored == 5
        assert len(files(tmp_path)) == 5
        monkeypatch.undo()
        app.put(1)
        assert app.flush()
        assert files(tmp_path) == []
        assert len(there.kept.records) == 6


FULL_DISK = """
import os, sys
from tests.http_sink.app import App, files, until
from tests.http_sink.collector import collector, status
where = sys.argv[1]
with collector() as there, App(there.url, where, batch_size=5, spool_size=1 << 20) as app:
    there.always = status(503)
    number = 0
    while not (app.pipeline._process.outlets[0]._writes.failures):
        app.put(5)
        number += 5
        until(lambda: not app.pipeline._process.collector.items)
    held = app.state.held
    there.always = lambda e: (e.kept.store(e.batch), e.acknowledge())
    app.put(5)
    number += 5
    assert app.flush(20)
    ledger = app.ledger
    last = there.kept.ledgers[app.pipeline.boot]
    print(held > 0, ledger.stored == number == len(there.kept.records), last.stored == number, files(where))
"""


def test_16_a_full_disk_is_a_way_through_memory_and_nothing_is_lost(tmp_path: Path) -> None:
    """And 18: what is on the full disk drains."""
    assert on_a_small_disk(FULL_DISK, tmp_path, "100k") == "True True True []\n"


def test_19_a_directory_that_cannot_be_written_is_a_way_through_memory_and_one_warning(public: Path) -> None:
    (public / "root").mkdir(mode=0o755)
    with collector() as there:
        said = run_as_nobody(
            f"""
import logging
logging.basicConfig(format="LOG %(message)s", stream=sys.stdout)
app = App({there.url!r}, {str(public / "root" / "spool")!r})
for _ in range(3):
    app.put(2)
    assert app.flush()
print(app.ledger.stored, app.ledger.pending)
""",
            imports="import encodings.idna\nfrom tests.http_sink.app import App\n"
            "import requestcov.sinks.http, requestcov.sinks.http_client, h11, httpcore, http.cookiejar",
        )
        warning, counts = said.splitlines()
        assert "takes nothing (PermissionError" in warning
        assert counts == "6 0"
        assert len(there.kept.records) == 6


@pytest.fixture
def public() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_with_the_disk_full_and_nobody_listening_the_backlog_holds_what_fits(
    tmp_path: Path, monkeypatch
) -> None:
    def write_file(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    port = free_port()
    with App(f"http://127.0.0.1:{port}", tmp_path, queue_size=20, batch_size=5) as app:
        monkeypatch.setattr(http_box, "write_file", write_file)
        for _ in range(10):
            app.put(10)
            until(lambda: not app.pipeline._process.collector.items)
        dropped = app.ledger.dropped["sink_backlog"]
        assert dropped >= 70
        monkeypatch.undo()
        with collector(port=port) as there:
            assert app.flush(20)
            last = there.kept.ledgers[app.pipeline.boot]
            assert last.stored == len(there.kept.records) == 100 - dropped
            assert last.dropped == {"sink_backlog": dropped}


def test_poison_on_a_full_disk_is_counted_once_though_it_comes_twice(tmp_path: Path, monkeypatch) -> None:
    def write_file(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(http_box, "write_file", write_file)
    with collector() as there, App(there.url, tmp_path, batch_size=4) as app:

        def refuse(exchange):
            if any(one.seq == 1 for one in exchange.batch.records):
                exchange.answer(400)
            else:
                ok(exchange)

        there.then = [refuse, refuse, refuse, status(503), status(503), refuse]
        app.put(4)
        assert app.flush()
        until(lambda: app.ledger.pending == 0)
        assert (app.ledger.stored, app.ledger.dropped) == (3, {"rejected": 1})
        assert app.flush()
        last = there.kept.ledgers[app.pipeline.boot]
        assert (last.stored, last.dropped) == (3, {"rejected": 1})


def test_the_quarantine_is_bounded(tmp_path: Path) -> None:
    one = spool(tmp_path)
    for number in range(MOST_QUARANTINED + 20):
        assert one.quarantine(f"{number:032x}", b"x")
    kept = sorted(path.name for path in (tmp_path / "https-collector" / "quarantine").iterdir())
    assert len(kept) == MOST_QUARANTINED
    assert kept[-1].startswith(f"{MOST_QUARANTINED + 19:032x}")


def test_two_collectors_have_spools_of_their_own(tmp_path: Path) -> None:
    """What waits for one is not sent to the other."""
    with collector() as left, collector() as right:
        left.always = status(503)
        with App(left.url, tmp_path, sinks=[left.url, right.url]) as app:
            app.put(5)
            until(lambda: len(right.kept.records) == 5 and app.state.held == 5)
            until(lambda: [ledger.stored for ledger in app.pipeline.ledgers()] == [0, 5])
            assert left.kept.records == {}
            left.always = ok
            assert app.flush()
        assert len(left.kept.records) == len(right.kept.records) == 5


def test_a_process_that_is_killed_loses_only_what_was_not_written(tmp_path: Path) -> None:
    port = free_port()
    code = f"""
import os, signal
from tests.http_sink.app import App, until
app = App("http://127.0.0.1:{port}", {str(tmp_path)!r})
app.put(20)
until(lambda: app.state.held == 20)
app.flush(0.1)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == -9
    with collector(port=port) as there, App(there.url, tmp_path) as app:
        app.put()
        until(lambda: len(there.kept.records) == 21)
        assert sorted(ledger.stored for ledger in there.kept.ledgers.values()) == [1, 20]


def test_losses_correct_a_ledger_by_what_came_before_it() -> None:
    losses = Losses([(2, "spool_full", 3), (5, "rejected", 1), (9, "spool_full", 4)])
    assert losses.upto(1) == {}
    assert losses.upto(5) == {"spool_full": 3, "rejected": 1}
    assert losses.upto(9) == {"spool_full": 7, "rejected": 1}
    told_before = {"stored": 10, "dropped": {"spool_full": 2, "queue_full": 1}}
    assert correct(told_before, losses.upto(5))
    assert told_before == {"stored": 8, "dropped": {"spool_full": 3, "queue_full": 1, "rejected": 1}}
    assert not correct(told_before, losses.upto(5))
    before = losses.upto(9)
    losses.forget_before(9)
    assert losses.upto(9) == before
    assert losses.upto(8) == {"spool_full": 3, "rejected": 1}
    assert Losses(json.loads(json.dumps(losses.entries()))).upto(9) == before


def test_a_batch_once_sent_from_memory_and_not_answered_is_not_dropped_from_the_spool(
    tmp_path: Path, monkeypatch
) -> None:
    """It was stored; dropped once the disk has room again, it would be counted as lost."""

    def write_file(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    def store_and_hang_up(exchange):
        exchange.kept.store(exchange.batch)
        exchange.hang_up()

    with collector() as there, App(there.url, tmp_path, batch_size=1, spool_size=65_536) as app:
        monkeypatch.setattr(http_box, "write_file", write_file)
        there.then, there.always = [store_and_hang_up], status(503)
        app.put(1)
        until(lambda: there.kept.records)
        monkeypatch.undo()
        for _ in range(4):
            app.put(10)
            until(lambda: not app.pipeline._process.outlets[0]._backlog)
        until(lambda: app.ledger.dropped)
        there.always = ok
        assert app.flush(30)
        last = there.kept.ledgers[app.pipeline.boot]
        assert last.stored == len(there.kept.records) == app.ledger.stored
