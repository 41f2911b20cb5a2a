"""How long the dashboard takes to show its pages on a large store.

    python -m tests.bench.bench_dashboard [--requests N] [--store FILE] [--page TEXT]

The store is that of bench_questions; the process is started as a person would, from files that Python
compiled before. Each page is opened three times: as the first of all, at once after the line that says where
it listens; as the first click on the dashboard's own first page, at once after all of that is there; and with
all others, one after the other. A page may first show what is known and the rest as being worked out: both
are timed, and what the server took of processors meanwhile, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import httpx

import requestcov
from tests.bench.bench_questions import make

FILE = "django/db/models/query.py"
BUSY, OTHER = quote("GET /part0/{id}"), quote("GET /part20/{id}")
OF_AN_ENDPOINT = ("/files?", "/suspects?", "/slow?", "/dead?", "/hot?", "/thin?")
PAGES = (
    "/",
    "/files",
    f"/source?path={FILE}",
    f"/source?path={FILE}&by=failing",
    f"/source?path={FILE}&by=endpoint",
    "/suspects",
    "/suspects?failing=status:500",
    "/slow",
    "/dead",
    "/dead?kind=lines&bound=5",
    "/releases",
    "/releases?before=r0&after=r3",
    "/hot",
    "/hot?by=line",
    "/thin",
    "/pipeline",
    "/search",
    "/search?q=get",
    f"/who?path={FILE}&line=300",
    "/?q=part1",
    *(
        page
        for name in (BUSY, OTHER)
        for page in (
            f"/endpoint?endpoint={name}",
            f"/endpoint?endpoint={name}&release=r1",
            *(f"{path}endpoint={name}" for path in OF_AN_ENDPOINT),
            f"/slow?endpoint={name}&threshold=100",
            f"/hot?by=line&endpoint={name}",
            f"/source?path={FILE}&endpoint={name}",
            f"/who?path={FILE}&line=300&endpoint={name}",
        )
    ),
    *(
        f"{path}{filtered}"
        for filtered in ("release=r1", "since=2026-01-10&until=2026-01-20", "service=shop")
        for path in ("/?", "/files?", f"/source?path={FILE}&", *OF_AN_ENDPOINT[1:], "/search?q=get&")
    ),
    "/pipeline?release=r1",
    f"/who?path={FILE}&line=300&release=r1",
)
"""Everything, the busiest endpoint, an average one, a release, a period and a service, on every page."""

TICK = os.sysconf("SC_CLK_TCK")


class Seen(NamedTuple):
    """Seconds to a page, seconds to all of it, those of processors until then, and its bytes."""

    first: float
    whole: float
    busy: float
    size: int


class Server:
    """A dashboard that was started a moment ago.

    Attributes:
        listens: seconds until it said so.
    """

    def __init__(self, store: str, folder: str) -> None:
        package = str(Path(requestcov.__file__).parent.parent)
        # What parsing found is kept from one start to the next.
        environ = {**os.environ, "XDG_CACHE_HOME": os.path.join(folder, "cache"), "PYTHONPATH": package}
        # With it every start would compile our modules anew, which no user's does.
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        code = "import sys; from requestcov.cli import main; sys.exit(main())"
        command = [sys.executable, "-P", "-c", code, "serve", "--port", "0", "--store", store]
        begun = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ, cwd=folder)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.listens = time.perf_counter() - begun
        self.client = httpx.Client(base_url=line[line.index("http://") :].split()[0], timeout=60)

    def open(self, path: str) -> Seen:
        """Click, and wait for all of it."""
        begun, worked = time.perf_counter(), self._worked()
        page = self.client.get(path)
        first = time.perf_counter() - begun
        while not ready(page):
            time.sleep(0.02)
            page = self.client.get(path)
        page.raise_for_status()
        return Seen(first, time.perf_counter() - begun, self._worked() - worked, len(page.content))

    def _worked(self) -> float:
        """Seconds that it has kept processors busy."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK


@contextmanager
def started(store: str, folder: str) -> Iterator[Server]:
    """A dashboard from its start to its end."""
    server = Server(store, folder)
    with server.process, server.client:
        yield server
        server.process.terminate()


def ready(page: httpx.Response) -> bool:
    """Whether nothing on it is still being worked out."""
    return page.status_code != 202 and " data-pending>" not in page.text


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--store")
    parser.add_argument("--page", default="", help="only pages whose address holds this")
    given = parser.parse_args()
    pages = [path for path in PAGES if given.page in path]
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.abspath(given.store or os.path.join(folder, "large.db"))
        if not os.path.exists(store):
            make(store, given.requests)
        with started(store, folder) as server:
            opened = server.open("/")
            print(f"the very first start listens after {server.listens:.2f} s, /", told(opened))
        alone, clicked, again = {}, {}, {}
        for path in pages:
            with started(store, folder) as server:
                alone[path] = server.open(path)
            with started(store, folder) as server:
                server.open("/")
                clicked[path], again[path] = server.open(path), server.open(path)
        with started(store, folder) as server:
            print(f"a later start listens after {server.listens:.2f} s")
            among = {path: server.open(path) for path in pages}
        columns = {"opened": alone, "first click": clicked, "again": again, "among others": among}
        for path in pages:
            print(f"{path}  {again[path].size / 1000:.0f} kB")
            for how, seen in columns.items():
                print(f"  {how:<12} {told(seen[path])}")
        for how, seen in columns.items():
            slowest = max(pages, key=lambda path: seen[path].whole)
            print(f"the slowest {how}: {seen[slowest].whole:.3f} s, {slowest}")


def told(seen: Seen) -> str:
    """One line's figures."""
    return f"{seen.first:5.3f} s, all of it {seen.whole:5.3f} s ({seen.busy:4.2f} s CPU)"


if __name__ == "__main__":
    main()
