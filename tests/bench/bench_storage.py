"""What the SQLite and the JSON Lines sink cost, on records like a Django app's.

    python -m tests.bench.bench_storage [--requests N] [--hard] [--batch N]

One process, one thread. Every request runs about 2,100 lines in 55 files.
Usual: each of 40 endpoints has three files in which its requests differ (four
ways each), the rest is the same. ``--hard``: twelve such files, so that
hardly two requests of an endpoint take the same path.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from requestcov.cli import main as requestcov
from requestcov.record import Batch, Block, Ledger, RequestRecord, SourceFile, new_id
from requestcov.sinks import open_sink
from requestcov.storage import open_store
from requestcov.storage.results import Selection

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
FILES, LINES, ENDPOINTS, WAYS = 55, 38, 40, 4


def records(count: int, varying: int) -> Iterator[RequestRecord]:
    """Synthetic requests over one day; the blocks are interned, as the assembler does it."""
    chance = random.Random(7)
    files = [(f"shop/part{number // 10}/module{number}.py", f"{number:032x}") for number in range(200)]
    endpoints = []
    for _ in range(ENDPOINTS):
        paths = chance.sample(files, FILES)
        ways = []
        for at, (path, digest) in enumerate(paths):
            lines = sorted(chance.sample(range(1, 600), LINES + WAYS))
            count_here = WAYS if at < varying else 1
            ways.append(
                [Block(path, digest, frozenset(lines[way : way + LINES])) for way in range(count_here)]
            )
        endpoints.append(ways)

    def moment(seq: int) -> datetime:
        return START + timedelta(seconds=seq * 86_000 / count, microseconds=seq)

    return requests_to(endpoints, count, chance, moment, lambda seq: "3f2c1a9")


def requests_to(
    endpoints: Sequence[Sequence[Sequence[Block]]],
    count: int,
    chance: random.Random,
    moment: Callable[[int], datetime],
    release: Callable[[int], str],
) -> Iterator[RequestRecord]:
    """So many requests, of which each runs one of the ways through every file of its endpoint.

    Args:
        moment, release: of the request of a number, from 1.
    """
    for seq in range(1, count + 1):
        # Some endpoints are busy, most are not.
        endpoint = min(int(chance.expovariate(0.15)), len(endpoints) - 1)
        failed = chance.random() < 0.02
        blocks = sorted((chance.choice(ways) for ways in endpoints[endpoint]), key=lambda block: block.path)
        yield RequestRecord(
            id=new_id(moment(seq).timestamp()),
            time=moment(seq),
            service="shop",
            release=release(seq),
            worker="web-1:4711",
            seq=seq,
            method="GET",
            route=f"/part{endpoint}/{{id}}",
            status=500 if failed else 200,
            duration_ms=chance.lognormvariate(3, 1),
            error="builtins.ValueError" if failed else None,
            sampled_by="rate",
            weight=100.0,
            partial=None,
            engine="monitoring",
            blocks=tuple(blocks),
        )


def batches(
    all_records: Iterable[RequestRecord], size: int, sources: tuple[SourceFile, ...] = ()
) -> Iterator[Batch]:
    """The records as the pipeline sends them; the texts come with the first."""
    coming, stored = iter(all_records), 0
    while part := tuple(islice(coming, size)):
        stored += len(part)
        ledger = Ledger(
            worker="web-1:4711",
            boot="5eed",
            service="shop",
            release="3f2c1a9",
            started=START,
            updated=part[-1].time,
            seen={f"GET /part{number}/{{id}}": stored * 100 // (number + 1) for number in range(ENDPOINTS)},
            excluded=stored,
            sampled=stored,
            stored=stored,
            dropped={},
            pending=0,
        )
        yield Batch(id=new_id(), records=part, ledger=ledger, sources=sources)
        sources = ()


def timed(what: str, call) -> None:  # type: ignore[no-untyped-def]
    """Print how long a call takes: the best of three."""
    best = min(_once(call) for _ in range(3))
    print(f"  {what:<36} {best * 1000:8.1f} ms")


def _once(call) -> float:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def ask(path: str) -> None:
    """Time what reports ask."""
    with open_store(path) as store:
        busiest = Counter()
        for cohort in store.cohorts():
            busiest[cohort.endpoint] += cohort.requests
        one = Selection(endpoint=max(busiest, key=busiest.__getitem__))
        timed("blocks of one endpoint", lambda: store.blocks({hit.block for hit in store.hits(one)}))
        timed("blocks of all endpoints", lambda: store.blocks({hit.block for hit in store.hits()}))
        timed("outcomes of all endpoints", store.outcomes)
        timed("every request of one endpoint", lambda: store.timings(one))
        timed("100 newest requests of one endpoint", lambda: list(store.requests(one, limit=100)))


def keep(lines: str, count: int) -> None:
    """Time what the commands do that move records: import, merge, prune."""
    store, other = f"{lines}.db", f"{lines}.merged.db"
    for command in (
        ["import", lines, "--store", store],
        ["merge", other, store],
        ["prune", "--older-than", "1d", "--store", other, "--vacuum"],
    ):
        wall, cpu = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            assert requestcov(command) == 0
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"  {command[0]:<36} {count / wall:8,.0f} records/s ({count / cpu:,.0f} a CPU second)")
    print(
        f"  {'pruned':<36} {os.path.getsize(other) / 1000:8,.0f} kB, of {os.path.getsize(store) / 1000:,.0f}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--hard", action="store_true")
    given = parser.parse_args()
    made = list(records(given.requests, 12 if given.hard else 3))
    paths = len({(record.endpoint, record.spectrum) for record in made}) / len(made)
    lines = sum(len(block.lines) for block in made[0].blocks)
    print(f"{len(made)} requests of {lines} lines in {FILES} files, {paths:.1%} distinct paths")
    # The digest of a record's path is the sink's work: let none be ready.
    for record in made:
        record.__dict__.pop("spectrum", None)
    with tempfile.TemporaryDirectory() as directory:
        for scheme, name, share in (("sqlite", "bench.db", 1), ("file", "bench.jsonl", 10)):
            part = made[: len(made) // share]
            path = os.path.join(directory, name)
            sink = open_sink(f"{scheme}:///{path}")
            wall, cpu = time.perf_counter(), time.process_time()
            for batch in batches(part, given.batch):
                sink.write(batch)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            sink.close()
            size = sum(os.path.getsize(os.path.join(directory, found)) for found in os.listdir(directory))
            print(
                f"{scheme}: {len(part) / wall:,.0f} records/s ({len(part) / cpu:,.0f} a CPU second),"
                f" {size / len(part):,.1f} bytes a request"
            )
            if scheme == "sqlite":
                ask(path)
                os.unlink(path)
            else:
                keep(path, len(part))


if __name__ == "__main__":
    main()
