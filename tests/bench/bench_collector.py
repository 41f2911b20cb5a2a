"""How many records a second one process of the collector takes, on records like a Django app's.

    python -m tests.bench.bench_collector [--requests N] [--hard] [--batch N] [--senders N] [--workers N]

Every request runs about 2,100 lines in 55 files (see bench_storage). The batches are made and
compressed before; then so many senders, each with one connection, send them as fast as they are
acknowledged. What the collector's processes used is read from /proc: the machine does other work too.
"""

from __future__ import annotations

import argparse
import gzip
import os
import queue
import tempfile
import threading
import time
from pathlib import Path

import httpx

from requestcov.storage import open_store
from requestcov.wire import PATH, encode
from tests.bench.bench_storage import batches, records
from tests.server.collector.running import BEARER, JSON, Collecting, collecting

HEADERS = {**JSON, **BEARER, "Content-Encoding": "gzip"}


def used(found: Collecting) -> float:
    """Processor seconds of the collector's processes so far."""
    parent = found.server.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    ticks = 0
    for pid in (str(parent), *children):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def send(url: str, bodies: queue.SimpleQueue[bytes], kept: list[int]) -> None:
    """Send bodies until there are none."""
    with httpx.Client(timeout=60) as client:
        while True:
            try:
                body = bodies.get_nowait()
            except queue.Empty:
                return
            answer = client.post(
                url + PATH, content=body, headers={**JSON, **BEARER, "Content-Encoding": "gzip"}
            )
            answer.raise_for_status()
            kept.append(answer.json()["new"])


def main() -> None:
    """Measure, and print one line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--hard", action="store_true", help="hardly two requests take the same path")
    options = parser.parse_args()
    bodies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    size = 0
    for batch in batches(records(options.requests, 12 if options.hard else 3), options.batch):
        body = gzip.compress(encode(batch), 6)
        size += len(body)
        bodies.put(body)
    with (
        tempfile.TemporaryDirectory() as directory,
        collecting(Path(directory), "--workers", str(options.workers)) as found,
    ):
        kept: list[int] = []
        senders = [
            threading.Thread(target=send, args=(found.server.url, bodies, kept))
            for _ in range(options.senders)
        ]
        before = used(found)
        started = time.perf_counter()
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        took = time.perf_counter() - started
        processor = used(found) - before
        assert sum(kept) == options.requests
        with open_store(str(found.store)) as store:
            assert sum(cohort.requests for cohort in store.cohorts()) == options.requests
    kind = "each a path of its own" if options.hard else "as usual"
    print(
        f"collector, {options.workers} process(es), {options.senders} senders,"
        f" batches of {options.batch}, {kind}:"
        f" {options.requests / took:,.0f} records a second,"
        f" {options.requests / processor:,.0f} a CPU second, {size / options.requests:,.0f} B a record sent"
    )


if __name__ == "__main__":
    main()
