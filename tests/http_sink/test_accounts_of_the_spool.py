"""Whatever happens to processes, collector and disk: a process's last ledger tells what was stored."""

from __future__ import annotations

import errno
import gzip
import tempfile
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from requestcov.config import Config
from requestcov.sinks import http_box, http_spool
from requestcov.sinks.http import HttpSink
from requestcov.sinks.http_answers import Refused, Unsent
from requestcov.wire import decode
from tests.http_sink.app import files
from tests.http_sink.collector import Kept
from tests.pipeline.memory import Bench, assert_balanced, record

OUTCOMES = ("stored", "unanswered", "down", "busy")


@dataclass
class ModelCollector:
    """Behind the client's interface: what arrives, what is answered."""

    kept: Kept = field(default_factory=Kept)
    outcomes: list[str] = field(default_factory=list)
    poison: frozenset[int] = frozenset()

    def post(self, batch: str, records: int, body: bytes) -> None:
        outcome = self.outcomes.pop(0) if self.outcomes else "stored"
        if outcome == "down":
            raise Unsent("nobody listens", arrived=False)
        arrived = decode(gzip.decompress(body))
        assert (arrived.id, len(arrived.records)) == (batch, records)
        if outcome == "busy":
            raise Unsent("429", arrived=False, retry_after=1.0)
        if any(one.seq % 10 in self.poison for one in arrived.records):
            raise Refused(400, "poison")
        self.kept.store(arrived)
        if outcome == "unanswered":
            raise Unsent("no answer", arrived=True, broke=True)

    def close(self) -> None:
        """Nothing is open."""


class Process:
    """One incarnation: a pipeline whose steps the machine takes, and its sink."""

    def __init__(self, spool: str, collector: ModelCollector) -> None:
        self.sink = HttpSink("https://collector", Config(spool=spool, spool_size=65_536))
        self.sink._connected = lambda: collector  # type: ignore[method-assign,assignment,return-value]
        self.bench = Bench(self.sink, batch_size=4, queue_size=40, assemble=self._assemble)
        (self.outlet,) = self.bench.process.outlets
        self.boot = self.bench.pipeline.boot
        self.put_so_far = 0

    def _assemble(self, seq: int):
        return record(seq)

    def put(self, count: int) -> None:
        self.put_so_far += count
        self.bench.put(count)

    def write(self) -> None:
        self.bench.advance(60.0)

    def send(self) -> None:
        self.outlet.hasten()
        self.bench.clock.now += 301
        self.outlet.send()

    def die(self) -> None:
        """As the kernel ends it: what is open is closed, and nothing else."""
        spool = self.sink.spool
        for box in [*spool._adopted, *([spool._own] if spool._own else [])]:
            box.forget()


class Machine(RuleBasedStateMachine):
    @initialize(poison=st.frozensets(st.integers(0, 9), max_size=2))
    def begin(self, poison: frozenset[int]) -> None:
        self.directory = tempfile.TemporaryDirectory(dir="/dev/shm")
        self.collector = ModelCollector(poison=poison)
        self.processes: list[Process] = []
        self.ended: dict[str, int] = {}
        self.disk_full = False
        self.patch = pytest.MonkeyPatch()
        real = http_box.write_file

        def write_file(directory: int, name: str, data: bytes) -> None:
            if self.disk_full:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(directory, name, data)

        self.patch.setattr(http_box, "write_file", write_file)
        self.patch.setattr(http_spool, "write_file", write_file)
        self.start()

    @precondition(lambda self: len(self.processes) < 2)
    @rule()
    def start(self) -> None:
        self.processes.append(Process(self.directory.name, self.collector))

    @precondition(lambda self: self.processes)
    @rule(count=st.integers(1, 30), which=st.integers(0, 1))
    def requests(self, count: int, which: int) -> None:
        self.processes[which % len(self.processes)].put(count)

    @precondition(lambda self: self.processes)
    @rule(turns=st.integers(5, 25), which=st.integers(0, 1))
    def requests_until_the_spool_is_full(self, turns: int, which: int) -> None:
        for _ in range(turns):
            self.processes[which % len(self.processes)].put(3)
            self.processes[which % len(self.processes)].write()

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 1), outcomes=st.lists(st.sampled_from(OUTCOMES), max_size=3))
    def write(self, which: int, outcomes: list[str]) -> None:
        self.collector.outcomes = outcomes
        self.processes[which % len(self.processes)].write()

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 1), outcomes=st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=12))
    def send(self, which: int, outcomes: list[str]) -> None:
        for outcome in outcomes:
            self.collector.outcomes = [outcome]
            self.processes[which % len(self.processes)].send()

    @rule(full=st.booleans())
    def disk(self, full: bool) -> None:
        self.disk_full = full

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 1))
    def crash(self, which: int) -> None:
        process = self.processes.pop(which % len(self.processes))
        process.die()
        self.ended[process.boot] = process.put_so_far

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 1))
    def end(self, which: int) -> None:
        process = self.processes.pop(which % len(self.processes))
        process.write()
        process.sink.close()
        self.ended[process.boot] = process.put_so_far

    @invariant()
    def every_ledger_balances(self) -> None:
        for process in getattr(self, "processes", []):
            ledger = process.outlet.ledger()
            assert_balanced(ledger)
            assert ledger.sampled == process.put_so_far
            assert "sink_error" not in ledger.dropped
            assert process.outlet.state().held >= 0

    def teardown(self) -> None:
        if not hasattr(self, "processes"):
            return
        try:
            self.drain()
            self.judge()
        finally:
            for process in self.processes:
                process.sink.close()
            self.patch.undo()
            self.directory.cleanup()

    def drain(self) -> None:
        self.disk_full = False
        self.collector.outcomes = []
        self.start()
        for process in self.processes:
            process.put(1)
        for _ in range(500):
            for process in self.processes:
                process.sink.spool._adopt_at = 0.0
                process.write()
                process.send()
            if not files(self.directory.name) and all(process.outlet.idle() for process in self.processes):
                break
        # Two processes share the spools of the dead; what one has taken over the other cannot.
        assert files(self.directory.name) == []

    def judge(self) -> None:
        kept = self.collector.kept
        stored = Counter(kept.records.values())
        for boot, ledger in kept.ledgers.items():
            assert_balanced(ledger)
            assert ledger.stored == stored[boot], (boot, ledger)
        for process in self.processes:
            told, own = kept.ledgers[process.boot], process.outlet.ledger()
            assert told.sampled == process.put_so_far
            assert told.pending == own.pending == 0
            assert (told.stored, dict(told.dropped)) == (own.stored, dict(own.dropped))
        for boot, count in self.ended.items():
            if boot in kept.ledgers:
                assert kept.ledgers[boot].sampled <= count
            else:
                assert not stored[boot]


TestTheAccounts = Machine.TestCase
TestTheAccounts.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
