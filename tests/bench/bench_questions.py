"""How long the command takes to answer each question on a large store, and in how much memory.

    python -m tests.bench.bench_questions [--requests N] [--store FILE]

The store is made first (a minute or two for a million requests) unless FILE is
there already. Its requests run about 2,100 lines in 55 files of Django's own
sources, over 40 endpoints, four releases and 30 days; 2 % fail. Every question
is a process of its own, as a person would start it: from the shell's command to
the last line of the answer. Of the 40 endpoints /part0 has an eighth of all
requests, /part20 about as many as the average. The first time a file's text is parsed, later answers
take that from a cache, so each question is asked twice and both are shown.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import django

import requestcov
from requestcov._source import digest_of, parse
from requestcov.record import Block, RequestRecord, SourceFile
from requestcov.sinks import open_sink
from tests.bench.bench_storage import batches, requests_to

START = datetime(2026, 1, 5, tzinfo=UTC)
DAYS, RELEASES, ENDPOINTS, FILES, LINES, VARYING, WAYS = 30, 4, 40, 55, 38, 3, 4

QUESTIONS = (
    ("report", []),
    ("report", ["--by", "file"]),
    ("report", ["--by", "function"]),
    ("report", ["--by", "release"]),
    ("show", ["GET /part0/{id}"]),
    ("show", ["GET /part20/{id}"]),
    ("dead", []),
    ("dead", ["GET /part0/{id}"]),
    ("dead", ["GET /part20/{id}"]),
    ("releases", ["r0", "r3"]),
    ("hot", []),
    ("hot", ["--by", "line"]),
    ("hot", ["--endpoint", "GET /part20/{id}"]),
    ("thin", []),
    ("paths", ["GET /part0/{id}"]),
    ("paths", ["GET /part20/{id}"]),
    ("suspects", ["GET /part0/{id}"]),
    ("suspects", ["GET /part20/{id}"]),
    ("slow", ["GET /part0/{id}"]),
    ("slow", ["GET /part20/{id}"]),
    ("who", ["django/db/models/query.py:300"]),
)


def sources(count: int) -> Iterator[tuple[SourceFile, list[int]]]:
    """Django's largest files, and the lines of their functions' bodies."""
    root = Path(django.__file__).parent
    largest = sorted(root.rglob("*.py"), key=lambda path: (-path.stat().st_size, path))
    for path in largest:
        text = path.read_bytes()
        name = path.relative_to(root.parent).as_posix()
        body = sorted(parse(name, digest_of(text), text).bodies)
        if len(body) > LINES + WAYS:
            yield SourceFile(name, digest_of(text), text), body
            count -= 1
            if not count:
                return


def records(count: int, files: list[tuple[SourceFile, list[int]]]) -> Iterator[RequestRecord]:
    """Requests in the order of time; blocks are interned, as the assembler does it."""
    chance = random.Random(7)
    endpoints = []
    for _ in range(ENDPOINTS):
        ways = []
        for at, (source, body) in enumerate(chance.sample(files, FILES)):
            first = chance.randrange(len(body) - LINES - WAYS)
            lines = body[first : first + LINES + WAYS]
            ways.append(
                [
                    Block(source.path, source.digest, frozenset(lines[way : way + LINES]))
                    for way in range(WAYS if at < VARYING else 1)
                ]
            )
        endpoints.append(ways)
    return requests_to(
        endpoints,
        count,
        chance,
        lambda seq: START + timedelta(days=DAYS) * (seq / (count + 1)),
        lambda seq: f"r{seq * RELEASES // (count + 1)}",
    )


def make(path: str, count: int) -> None:
    """Write the store through the sink."""
    files = list(sources(200))
    sink = open_sink(f"sqlite:///{path}")
    for batch in batches(records(count, files), 2000, tuple(source for source, _ in files)):
        sink.write(batch)
    sink.close()


def ask(command: list[str], folder: str, cache: str) -> tuple[float, float, int]:
    """Seconds, MB at the most, and the exit code of one question."""
    # The package that made the store is the one that is asked.
    package = str(Path(requestcov.__file__).parent.parent)
    environ = {**os.environ, "XDG_CACHE_HOME": cache, "PYTHONPATH": package}
    start = time.perf_counter()
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(command, cwd=folder, stdout=nowhere, env=environ)
        _, status, used = os.wait4(process.pid, 0)
    return time.perf_counter() - start, used.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--store")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.abspath(given.store or os.path.join(folder, "large.db"))
        if not os.path.exists(path):
            make(path, given.requests)
        print(f"{given.requests:,} requests, {os.path.getsize(path) / given.requests:,.0f} bytes each")
        code = "import sys; from requestcov.cli import main; sys.exit(main())"
        cache = os.path.join(folder, "cache")
        for name, arguments in QUESTIONS:
            command = [sys.executable, "-P", "-c", code, name, *arguments, "--store", path]
            (first, _, status), (again, memory, _) = (ask(command, folder, cache) for _ in range(2))
            shown = " ".join([name, *arguments])
            print(f"  {shown:<44} {first:6.2f} s  again {again:6.2f} s  {memory:6.0f} MB  exit {status}")


if __name__ == "__main__":
    main()
