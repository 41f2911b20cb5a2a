"""How long the command takes to answer each question on a large store, and in how much memory.

    python -m tests.bench.bench_questions [--requests N] [--store FILE]

The store is made first (a minute or two for a million requests) unless FILE is
there already. Its requests run about 2,100 lines in 55 files of Django's own
sources, over 40 endpoints, four releases and 30 days; 2 % fail. Every question
is a process of its own, as a person would start it: from the shell's command to
the last line of the answer. Of the 40 endpoints /part0 has an eighth of all
requests, /part20 about as many as the average. The first time a file's text is parsed, later answers
take that from a cache, so each question is asked twice and both are shown, the second also by what it
took of a processor, which other work on the machine changes less.
impact is asked about a diff of one line, who and gap are told of tests that ran every fourth file. export
and html write all there is, and merge copies a store, which is no question: they have no bound to keep.
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
from coverage import CoverageData

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
    ("who", ["django/db/models/query.py:300", "--tests", "{tests}"]),
    ("impact", ["{diff}"]),
    ("gap", ["{tests}"]),
    ("export", ["{out}", "--to", "coverage", "--root", "{tree}", "--force"]),
    ("export", ["{out}", "--to", "lcov", "--root", "{tree}", "--force"]),
    ("export", ["{out}", "--to", "cobertura", "--root", "{tree}", "--force"]),
    ("export", ["{out}", "--to", "json", "--root", "{tree}", "--force"]),
    ("html", ["{page}", "--force"]),
    ("merge", ["{copy}", "{store}"]),
)
"""A command, and what follows it; in braces what :func:`props` makes."""


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


def props(folder: str, store: str) -> dict[str, str]:
    """What some questions need, by name: a tree of the files, a diff, tests' data, and where to write."""
    tree = Path(folder, "tree")
    data = CoverageData(os.path.join(folder, "tests.coverage"))
    data.set_context("test_some")
    for number, (source, body) in enumerate(sources(200)):
        file = tree / source.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(source.text)
        if number % 4 == 0:
            data.add_lines({str(file): body[::2]})
    data.write()
    changed = "django/db/models/query.py"
    lines = (tree / changed).read_text().split("\n")
    diff = Path(folder, "one.diff")
    diff.write_text(
        f"--- a/{changed}\n+++ b/{changed}\n@@ -300,1 +300,1 @@\n-{lines[299]}\n+{lines[299]}  # changed\n"
    )
    return {
        "tests": data.data_filename(),
        "diff": str(diff),
        "tree": str(tree),
        "out": os.path.join(folder, "out"),
        "page": os.path.join(folder, "report.html"),
        "copy": os.path.join(folder, "copy.db"),
        "store": store,
    }


def ask(command: list[str], folder: str, cache: str) -> tuple[float, float, float, int]:
    """Seconds, those of a processor, MB at the most, and the exit code of one question."""
    # The package that made the store is the one that is asked.
    package = str(Path(requestcov.__file__).parent.parent)
    environ = {**os.environ, "XDG_CACHE_HOME": cache, "PYTHONPATH": package}
    # An installed package is compiled; told not to write that down, each question would do it anew.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.perf_counter()
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(command, cwd=folder, stdout=nowhere, env=environ)
        _, status, used = os.wait4(process.pid, 0)
    busy = used.ru_utime + used.ru_stime
    return time.perf_counter() - start, busy, used.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


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
        needed = props(folder, path)
        for name, arguments in QUESTIONS:
            filled = [word.format_map(needed) if word[0] == "{" else word for word in arguments]
            command = [sys.executable, "-P", "-c", code, name, *filled]
            command += [] if name == "merge" else ["--store", path]
            (first, _, _, status), (again, busy, memory, _) = (
                ask(command, needed["tree"], cache) for _ in range(2)
            )
            shown = " ".join([name, *arguments])
            told = f"{first:6.2f} s  again {again:6.2f} s, {busy:5.2f} s CPU  {memory:5.0f} MB  exit {status}"
            print(f"  {shown:<62} {told}", flush=True)


if __name__ == "__main__":
    main()
