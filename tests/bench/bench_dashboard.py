"""How long the dashboard takes to show its pages on a large store.

    python -m tests.bench.bench_dashboard [--requests N] [--store FILE]

The store is that of bench_questions; the process is started as a person would. Every page is opened
twice: the first time it may show what is known and the rest as being worked out, which is timed too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import httpx

import requestcov
from tests.bench.bench_questions import make

FILE = "django/db/models/query.py"
BUSY, OTHER = quote("GET /part0/{id}"), quote("GET /part20/{id}")
PAGES = (
    "/",
    "/files",
    f"/source?path={FILE}",
    f"/source?path={FILE}&by=failing",
    f"/endpoint?endpoint={BUSY}",
    f"/endpoint?endpoint={OTHER}",
    "/pipeline",
    "/?release=r1",
    "/?q=part1",
)


def ready(page: httpx.Response) -> bool:
    """Whether nothing on it is still being worked out."""
    return page.status_code != 202 and " data-pending>" not in page.text


def opened(client: httpx.Client, path: str) -> tuple[float, float, int]:
    """Seconds to the page, seconds to all of it, and its bytes."""
    begun = time.perf_counter()
    page = client.get(path)
    first = time.perf_counter() - begun
    while not ready(page):
        time.sleep(0.02)
        page = client.get(path)
    return first, time.perf_counter() - begun, len(page.content)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--store")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.abspath(given.store or os.path.join(folder, "large.db"))
        if not os.path.exists(store):
            make(store, given.requests)
        package = str(Path(requestcov.__file__).parent.parent)
        # What parsing found is kept from one start to the next; the second start is the usual one.
        environ = {**os.environ, "XDG_CACHE_HOME": os.path.join(folder, "cache"), "PYTHONPATH": package}
        code = "import sys; from requestcov.cli import main; sys.exit(main())"
        for start in ("the very first start", "a later start"):
            begun = time.perf_counter()
            command = [sys.executable, "-P", "-c", code, "serve", "--port", "0", "--store", store]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ, cwd=folder)
            assert process.stdout is not None
            line = process.stdout.readline()
            address = line[line.index("http://") :].split()[0].rstrip("/")
            with process, httpx.Client(base_url=address, timeout=60) as client:
                listens = time.perf_counter() - begun
                print(f"{start}: listens after {listens:.2f} s")
                for path in (*PAGES, *PAGES):
                    first, whole, size = opened(client, path)
                    print(f"  {path:<52} {first:6.3f} s  all of it {whole:6.3f} s  {size / 1000:5.0f} kB")
                process.terminate()


if __name__ == "__main__":
    main()
