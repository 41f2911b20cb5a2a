"""How many finished recordings a second the drainer makes records of and stores.

    python tests/bench/bench_drainer.py [--requests 20000]

One thread does what the drainer does: raw line sets to records (file identity,
shared blocks), records to batches, batches to SQLite. Each recording has about
2,100 lines in 55 files of 200; of those files three vary from request to
request, four ways each. Printed too: by how much the process grows.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from requestcov.assembler import Assembler
from requestcov.config import Config
from requestcov.record import Batch, Ledger, new_id
from requestcov.recording import Recording
from requestcov.sampling import Decision
from requestcov.scope import Scope
from requestcov.sinks import open_sink

FILES, LINES, ENDPOINTS, VARYING, WAYS, BATCH = 55, 38, 40, 3, 4, 500


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=20_000)
    count = parser.parse_args().requests
    chance = random.Random(7)
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        files = []
        for number in range(200):
            path = Path(name, f"module{number}.py")
            path.write_text("x = 1\n" * 600)
            os.utime(path, (0, 0))
            files.append(compile("", str(path), "exec"))
        endpoints = []
        for _ in range(ENDPOINTS):
            chosen = [
                (file, chance.sample(range(1, 600), LINES + WAYS)) for file in chance.sample(files, FILES)
            ]
            endpoints.append(chosen)
        config = Config(sinks=("sqlite:///bench.db",))
        assembler = Assembler(config, Scope(config), "monitoring", arcs=False)
        sink = open_sink(config.sinks[0])
        start_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        spent = 0.0
        after_warm_up = start_memory
        done = 0
        while done < count:
            records = []
            for _ in range(BATCH):
                done += 1
                endpoint = chance.randrange(ENDPOINTS)
                recording = Recording("GET", f"/e{endpoint}", Decision("rate", 100.0, f"/e{endpoint}"), done)
                recording.status, recording.duration = 200, 0.01
                for at, (file, lines) in enumerate(endpoints[endpoint]):
                    way = chance.randrange(WAYS) if at < VARYING else 0
                    log = recording.after[1]
                    for line in lines[way : way + LINES]:
                        log += file, line
                begin = time.perf_counter()
                records.append(assembler.assemble(recording))
                spent += time.perf_counter() - begin
            begin = time.perf_counter()
            now = datetime.now(UTC)
            ledger = Ledger(
                worker="bench:1",
                boot="0" * 32,
                service="",
                release="",
                started=now,
                updated=now,
                seen={"GET /": done},
                excluded=0,
                sampled=done,
                stored=done,
                dropped={},
                pending=0,
            )
            sink.write(Batch(id=new_id().replace("-", ""), records=tuple(records), ledger=ledger))
            spent += time.perf_counter() - begin
            if done == BATCH * 4:
                after_warm_up = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        end_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sink.close()
        size = sum(path.stat().st_size for path in Path(name).glob("bench.db*"))
    print(f"{count / spent:,.0f} recordings/s assembled and stored; {size / count:.0f} bytes each on disk")
    print(
        f"memory: +{(after_warm_up - start_memory) / 1024:.1f} MB after {BATCH * 4:,}, "
        f"+{(end_memory - start_memory) / 1024:.1f} MB after {count:,}"
    )


if __name__ == "__main__":
    main()
