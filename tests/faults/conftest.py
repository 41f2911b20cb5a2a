"""Start a victim, and read what it left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from requestcov.record import Ledger, RequestRecord
from requestcov.storage.lines import read_line
from tests.pipeline.memory import assert_balanced

ROOT = Path(__file__).absolute().parents[2]


class Crime:
    """Runs victims that write to one file, and reads it."""

    def __init__(self, directory):
        self.path = directory / "records.jsonl"
        self._running = []

    def start(self, code):
        """Start a process that runs the code after ``from tests.faults.victim import *``."""
        lines = "import os, sys, time, signal, threading, atexit\nfrom tests.faults.victim import *\n"
        return self.spawn("-c", lines + textwrap.dedent(code))

    def spawn(self, *arguments):
        """Start a Python process; in code that it is given, nothing is imported yet."""
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT), "VICTIM_PATH": str(self.path)},
            cwd=self.path.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def run(self, code, status=0):
        """Run the code to the end; returns stdout and the seconds it took."""
        before = time.monotonic()
        return self.finished(self.start(code), status), time.monotonic() - before

    def finished(self, process, status=0):
        """Wait for the end; returns stdout. No exception may have been printed."""
        out, err = process.communicate(timeout=60)
        assert process.returncode == status, err
        assert "Traceback" not in err, err
        return out

    def heard(self, process, text):
        """Wait until the process says so."""
        for line in process.stdout:
            if line.strip() == text:
                return
        raise AssertionError(f"it ended without saying {text!r}: {process.stderr.read()}")

    def end(self):
        """Leave no process behind, children of victims included."""
        for process in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    @property
    def lines(self):
        """Whatever the file holds; every line must parse."""
        return [read_line(line) for line in self.path.read_bytes().splitlines()] if self.path.exists() else []

    @property
    def records(self):
        """The records, of which none is there twice."""
        records = [line for line in self.lines if isinstance(line, RequestRecord)]
        assert len({r.id for r in records}) == len({(r.worker, r.seq) for r in records}) == len(records)
        return records

    @property
    def seqs(self):
        """The numbers of all records, ascending."""
        return sorted(record.seq for record in self.records)

    @property
    def ledgers(self):
        """The last ledger of every process. All balance, and count what is there."""
        last = {}
        for line in self.lines:
            if isinstance(line, Ledger):
                assert_balanced(line)
                last[line.boot] = line
        for ledger in last.values():
            assert ledger.stored == sum(record.worker == ledger.worker for record in self.records)
        return list(last.values())


@pytest.fixture
def crime(tmp_path):
    """Victims that share one file of records."""
    crime = Crime(tmp_path)
    yield crime
    crime.end()


@pytest.fixture
def unprivileged():
    """The same in a directory that a user without privileges reaches (tmp_path is its owner's alone)."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        crime = Crime(Path(directory))
        yield crime
        crime.end()
