"""The command as a process: pipes, signals, locales."""

from __future__ import annotations

import array
import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from contextlib import closing
from pathlib import Path

import pytest

import requestcov
from tests.reports.shop_store import SHOWN, record, shop, write_store

COMMAND = [sys.executable, "-m", "requestcov.cli"]
DEADLINE = 30


def environment(**more: str) -> dict[str, str]:
    root = str(Path(requestcov.__file__).parent.parent)
    return {"PYTHONPATH": root, "PATH": os.environ["PATH"], "COLUMNS": "80", **more}


def large(path: Path) -> str:
    """A store whose listing of ``big.py`` is larger than a pipe holds."""
    texts = {"big.py": "def f():\n" + "    go()  # and so on\n" * 5000}
    return write_store(path, [record("GET /a", {"big.py": {2}}, texts=texts)], texts=texts)


def test_a_pipe_closed_early_is_silent(tmp_path: Path):
    """As in ``requestcov show big.py | head -1``."""
    process = subprocess.Popen(
        [*COMMAND, "show", "big.py", "--store", large(tmp_path / "s.db")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"big.py\n"
    process.stdout.close()
    _, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, err) == (141, b"")


def test_ctrl_c_in_the_midst_of_a_report_is_silent(tmp_path: Path):
    """The pipe is full and nobody reads: the report is then certainly unfinished."""
    process = subprocess.Popen(
        [*COMMAND, "show", "big.py", "--store", large(tmp_path / "s.db")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    waiting = array.array("i", [0])
    deadline = time.monotonic() + DEADLINE
    while waiting[0] < 65536 and time.monotonic() < deadline:
        fcntl.ioctl(process.stdout, termios.FIONREAD, waiting)
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE) == 130
    assert process.communicate()[1] == b""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_of_the_terminal_will_do(tmp_path: Path, encoding: str):
    route = "GET /caf\u00e9/\u6f22\u5b57"
    texts = {"a.py": "def f():\n    x = 'caf\u00e9 \u6f22\u5b57'\n"}
    url = write_store(tmp_path / "s.db", [record(route, {"a.py": {2}}, texts=texts)], texts=texts)
    surroundings = environment(LC_ALL="C", PYTHONIOENCODING=encoding, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    for command in (["report"], ["show", "a.py"], ["show", "caf"], ["report", "--format", "json"]):
        done = subprocess.run(
            [*COMMAND, *command, "--store", url], capture_output=True, env=surroundings, timeout=DEADLINE
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"caf" in done.stdout
        done.stdout.decode(encoding)


def test_a_full_disk_is_one_sentence(tmp_path: Path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "report", "--store", shop(tmp_path / "s.db")],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=DEADLINE,
        )
    assert (done.returncode, done.stderr) == (
        2,
        b"requestcov: the report cannot be written: No space left on device\n",
    )


def test_a_report_leaves_the_store_as_it_was(tmp_path: Path):
    url = shop(tmp_path / "s.db")
    before = (tmp_path / "s.db").read_bytes()
    done = subprocess.run(
        [*COMMAND, "report", "--store", url],
        capture_output=True,
        env=environment(),
        timeout=DEADLINE,
        cwd="/",
    )
    assert done.returncode == 0
    assert (tmp_path / "s.db").read_bytes() == before


def test_names_that_are_not_utf_8_survive_the_way_through(tmp_path: Path):
    texts = {"caf\udce9.py": "def f():\n    go()\n"}
    url = write_store(tmp_path / "s.db", [record("GET /a", {"caf\udce9.py": {2}}, texts=texts)], texts=texts)
    for command in (
        ["report", "--by", "file"],
        ["report", "--by", "file", "--format", "json"],
        ["show", "GET /a"],
    ):
        done = subprocess.run(
            [*COMMAND, *command, "--store", url], capture_output=True, env=environment(), timeout=DEADLINE
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"caf\\udce9.py" in done.stdout


def test_a_store_that_is_being_written_can_be_read(tmp_path: Path):
    url = write_store(tmp_path / "s.db", [record("GET /a", SHOWN)])
    with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        done = subprocess.run(
            [*COMMAND, "report", "--store", url], capture_output=True, env=environment(), timeout=DEADLINE
        )
    assert (done.returncode, done.stderr) == (0, b"")
