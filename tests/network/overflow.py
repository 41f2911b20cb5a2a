"""The collector is away for longer than two hosts can keep what they have for it.

    python -m tests.network.overflow DIRECTORY SEED

On one host the spool reaches its size; on the other the disk is full, and then
what may wait in memory. As scenario.py, which this is a shorter one of.
"""

from __future__ import annotations

from tests.network.network import Host
from tests.network.scenario import Scenario, main, small_disk

SPOOL = 65_536
"""Bytes, of a process on the first host: sixteen batches or so."""

SPOOL_DISK = 100 * 1024
"""Bytes, of both processes on the second host."""

QUEUE = 60
"""Records that may wait in memory."""


class Overflow(Scenario):
    """See the module."""

    def play(self) -> None:
        small_disk(self.directory / "spool-web-2", SPOOL_DISK)
        self.begin()
        self.until_it_arrives("batches")
        self.kill_collector()
        self.wait(12, 13)
        self.kill_a_worker()
        self.start_collector()
        self.until_it_arrives("what was kept")
        self.load.stop()
        self.finish()

    def sender(self, host: Host) -> dict[str, str]:
        more = {"REQUESTCOV_QUEUE_SIZE": str(QUEUE)}
        if host.name == "web-1":
            more["REQUESTCOV_SPOOL_SIZE"] = str(SPOOL)
        return super().sender(host) | more


if __name__ == "__main__":
    main(Overflow)
