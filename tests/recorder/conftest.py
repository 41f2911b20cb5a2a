"""The real recorder, engine and file of records, with a small shop whose lines are known."""

from __future__ import annotations

import importlib.util
import logging
import time

import pytest

from requestcov.config import Config
from requestcov.record import Ledger, RequestRecord
from requestcov.recorder import get_recorder
from requestcov.storage.lines import read_line
from tests.pipeline.memory import assert_balanced

SHOP = """\
def order():
    number = 7
    return number


def parcel():
    return "sent"


def fail(what):
    raise ValueError("out of " + what)


def call(function, *args):
    return function(*args)
"""

ORDER, PARCEL, FAIL, CALL = {2, 3}, {7}, {11}, {15}
"""The lines that run when the function of that name is called."""


def no_header(name):
    """The headers of a request that has none."""


def load(path, name="shop"):
    """The module in a file, which need not be on the path."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def until(condition, seconds=10.0):
    """Poll."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.002)


class Bench:
    """Makes recorders that record everything of the shop into one file, and reads it.

    Attributes:
        shop: the measured module.
        path: the file of records.
    """

    def __init__(self, directory):
        self.directory = directory
        self.path = directory / "records.jsonl"
        (directory / "shop").mkdir()
        self.file = directory / "shop" / "shop.py"
        self.file.write_text(SHOP)
        self.shop = load(self.file)

    def options(self, **options):
        """What a wrapper needs to record every request of the shop here."""
        return {
            "sample_rate": 1.0,
            "max_per_second": 0,
            "source": (str(self.directory / "shop"),),
            "sinks": (f"file:///{self.path}",),
            "exclude": (),
            "flush_interval": 0.05,
        } | options

    def recorder(self, **options):
        """A recorder, closed when the test is over."""
        return get_recorder(Config(**self.options(**options)))

    def lines(self, record):
        """The lines of the shop that a record has."""
        return {line for block in record.blocks for line in block.lines if block.path.endswith("shop.py")}

    def read(self):
        """Whatever the file holds."""
        if not self.path.exists():
            return []
        text = self.path.read_bytes()
        return [read_line(line) for line in text.splitlines(keepends=True) if line.endswith(b"\n")]

    def records(self, recorder=None):
        """What is kept, after a flush of the recorder if one is given; no record is there twice."""
        if recorder is not None:
            assert recorder.flush(10.0)
            for ledger in recorder.pipeline.ledgers():
                assert_balanced(ledger)
        records = [line for line in self.read() if isinstance(line, RequestRecord)]
        assert len({r.id for r in records}) == len(records)
        return records

    def ledger(self, recorder):
        """The last balance in the file, which has nothing pending and counts what is there."""
        records = self.records(recorder)
        ledger = [line for line in self.read() if isinstance(line, Ledger)][-1]
        assert_balanced(ledger)
        assert (ledger.stored, ledger.pending) == (len(records), 0)
        return ledger


def serve(recorder, work, *args, method="GET", path="/", header=no_header):
    """One whole request; its recording, or None."""
    recording = recorder.begin(method, path, header)
    if recording is None:
        work(*args)
        return None
    _, entered = recorder.enter(recording)
    try:
        work(*args)
    finally:
        recorder.leave(recording, entered)
    recorder.responded(recording)
    recorder.finish(recording)
    return recording


@pytest.fixture
def bench(tmp_path):
    """Recorders and the file they write."""
    return Bench(tmp_path)


@pytest.fixture
def warnings_logged(caplog):
    """The messages of our logger so far, as a function."""
    caplog.set_level(logging.INFO, "requestcov")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "requestcov"]
