"""Clients that ask some servers until they are told to end.

    python -m tests.network.load RATE FILE URL...

RATE is requests a second to each server. For each answer the id of its
recording is appended to FILE; at SIGTERM one JSON object says how many
requests were answered, and how many were not because a worker died.
"""

from __future__ import annotations

import http.client
import itertools
import json
import signal
import sys
import threading
import time
from urllib.parse import urlsplit

from tests.network import CASES

THREADS = 3
"""For each server, each with a connection of its own."""

TURNS = 10
"""Requests on a connection: each worker of a server gets its share of those."""

TIMEOUT = 10.0
"""Seconds: longer than any server is away."""


class Clients:
    """Counts of all clients; lists are appended to by many threads."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.failures: list[str] = []
        self.ending = threading.Event()

    def ask(self, url: str, pause: float, first: int) -> None:
        connection = None
        for case in itertools.count(first):
            if self.ending.wait(pause):
                return
            if connection is None:
                connection = http.client.HTTPConnection(str(urlsplit(url).netloc), timeout=TIMEOUT)
            done = False
            try:
                connection.request("GET", f"/work/{case % CASES}")
                self.ids.append(connection.getresponse().read().split()[-1].decode())
                done = case % TURNS == TURNS - 1
            except (OSError, http.client.HTTPException, IndexError) as error:
                self.failures.append(type(error).__name__)
                done = True
            if done:
                connection.close()
                connection = None


def main(rate: float, urls: list[str]) -> Clients:
    """Ask until SIGTERM."""
    clients = Clients()
    signal.signal(signal.SIGTERM, lambda *args: clients.ending.set())
    threads = [
        threading.Thread(target=clients.ask, args=(url, THREADS / rate, 3 * number))
        for url in urls
        for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    while not clients.ending.is_set():
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    return clients


if __name__ == "__main__":
    done = main(float(sys.argv[1]), sys.argv[3:])
    with open(sys.argv[2], "a") as file:
        file.writelines(f"{name}\n" for name in done.ids)
    print(
        json.dumps(
            {"answered": len(done.ids), "failed": len(done.failures), "how": sorted(set(done.failures))}
        )
    )
