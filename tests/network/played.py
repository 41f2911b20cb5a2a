"""What a scenario has left, to be compared.

Three witnesses that know nothing of each other tell of the same requests: the workers noted
each as they served it, the clients what they were answered, the store what it got.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from requestcov.storage import open_store
from tests.network.network import IN_NAMESPACES, ROOT, can_be_made

SEED = "4"
"""Of the moments at which the collector is killed, among others. ``NETWORK_SEED`` is another one."""


def play(name: str, directory: Path) -> Played:
    """Play ``tests.network.NAME`` in a network of its own; skips where there can be none."""
    reason = can_be_made()
    if reason:
        pytest.skip(f"no network namespaces here: {reason}")
    seed = os.environ.get("NETWORK_SEED", SEED)
    done = subprocess.run(
        [*IN_NAMESPACES, sys.executable, "-m", f"tests.network.{name}", str(directory), seed],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    return Played(directory)


class Played:
    """What a run has left.

    Attributes:
        done: (when, what, more) of everything that was done.
        noted: by worker (``host:pid``): the id and the case of each request it has begun.
        told: by worker: what it counted itself in the end; none of a killed one.
        answered: ids that clients got.
        store: the collector's database.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.done = json.loads((directory / "done.json").read_text())
        self.noted, self.told = {}, {}
        for path in (directory / "log").iterdir():
            worker = ":".join(path.stem.rsplit("-", 1))
            if path.suffix == ".log":
                self.noted[worker] = [tuple(line.split()) for line in path.read_text().splitlines()]
            else:
                (self.told[worker],) = json.loads(path.read_text())
        self.answered = (directory / "answered").read_text().split()
        self.store = directory / "store.db"

    def times(self, what):
        """How often something was done."""
        return sum(done == what for _, done, _ in self.done)

    def after(self, what):
        """What was found each time when something was done."""
        return [more for _, done, more in self.done if done == what]

    @property
    def killed(self):
        """The worker that was killed."""
        ((name, pid),) = self.after("worker killed")
        return f"{name}:{pid}"

    @property
    def records(self):
        """All that the store holds, by worker."""
        found = defaultdict(list)
        with open_store(str(self.store)) as store:
            for record in store.records():
                found[record.worker].append(record)
        return found

    @property
    def ledgers(self):
        """What the store has of each worker's own count; none has two."""
        with open_store(str(self.store)) as store:
            ledgers = store.ledgers()
        by_worker = {ledger.worker: ledger for ledger in ledgers}
        assert len(by_worker) == len(ledgers)
        return by_worker
