"""Two hosts with two workers each send to a collector on a third, through all that can happen to it.

    python -m tests.network.scenario DIRECTORY SEED

Runs within IN_NAMESPACES. Leaves in DIRECTORY the collector's store (``store.db``), what
the workers noted (``log/``, see notes.py), the ids that clients got (``answered``), what
every process printed (``*.out``) and what was done when (``done.json``).

Each outage ends when what was kept back has begun to arrive: so the next one meets
traffic, and every recovery is seen.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.network import CASES
from tests.network.network import Host, Network
from tests.network.processes import PATIENCE, Failed, Process

RATE = 60.0
"""Requests a second to each of the two servers."""

KILLS = 10
"""Of the collector, all told."""

DISK = 12 * 2**20
"""Bytes of the collector's disk."""

PORT = 8000
TOKEN = "a-token-of-the-network-tests"


def small_disk(directory: Path, size: int) -> None:
    """A disk of so many bytes, its owner's alone."""
    directory.mkdir()
    options = f"size={size},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(directory)], check=True)


class Scenario:
    """The hosts, and what can be done to them."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.chance = random.Random(seed)
        self.log = directory / "log"
        self.log.mkdir()
        self.disk = directory / "disk"
        small_disk(self.disk, DISK)
        network = Network()
        self.first, self.second, self.store = (network.host(name) for name in ("web-1", "web-2", "store"))
        self.collector = self.made_collector()
        self.webs = [
            Process(self.first, directory, "web-1", self.gunicorn(self.first), self.sender(self.first)),
            Process(self.second, directory, "web-2", self.uvicorn(self.second), self.sender(self.second)),
        ]
        urls = [f"http://{web.host.address}:{PORT}" for web in self.webs]
        load = [sys.executable, "-m", "tests.network.load", str(RATE), str(directory / "answered"), *urls]
        self.load = Process(network.here, directory, "load", load, {})
        self.began = time.monotonic()
        self.done: list[tuple[float, str, Any]] = []
        self.down = False
        """Whether the collector is meant to be down."""

    # What is played

    def play(self) -> None:
        """All of it; raises Failed."""
        self.begin()
        for _ in range(KILLS - 5):
            self.kill_in_the_midst()
        self.fill_the_disk()
        self.kill_a_worker()
        self.unplug()
        self.throttle()
        self.hide()
        self.end_workers()
        self.end()

    def begin(self) -> None:
        self.start_collector()
        for web in self.webs:
            web.start()
        for web in self.webs:
            self.until(f"{web.name} has two workers", lambda web=web: len(self.workers(web)) == 2, self.ask)
        self.began = time.monotonic()
        self.load.start()

    def kill_in_the_midst(self) -> None:
        """At any moment of the traffic; down for an instant, or for longer than a first retry."""
        self.until_it_arrives("batches")
        self.wait(0, 1)
        self.kill_collector()
        self.wait(0.02, 0.6)
        self.start_collector()

    def fill_the_disk(self) -> None:
        """The collector is killed meanwhile, and has to start on a full disk, or to wait for room."""
        self.until_it_arrives("batches")
        with open(self.disk / "ballast", "wb", buffering=0) as ballast:
            for size in (65536, 4096, 1):
                with suppress(OSError):
                    while ballast.write(b"x" * size) == size:
                        pass
        self.did("disk filled")
        self.wait(1, 1.5)
        self.kill_collector()
        self.wait(0.1, 0.5)
        self.start_collector()
        self.wait(1, 1.5)
        (self.disk / "ballast").unlink()
        self.did("disk emptied", self.parcels())
        self.until_it_arrives("what the full disk kept back")

    def kill_a_worker(self) -> None:
        """kill -9: what it had not yet written to its spool is lost."""
        web = self.webs[0]
        pid = self.chance.choice(sorted(self.workers(web)))
        os.kill(pid, signal.SIGKILL)
        self.did("worker killed", [web.name, pid])

    def unplug(self) -> None:
        """The network drops; then the collector, as soon as it is back."""
        self.store.unplug()
        self.did("unplugged")
        self.wait(2.5, 3)
        self.store.plug_in()
        self.did("plugged in", self.parcels())
        self.until_it_arrives("what could not be sent")
        self.kill_in_the_midst()

    def throttle(self) -> None:
        """The network loses packets, and the collector is killed over it."""
        self.until_it_arrives("batches")
        self.store.throttle()
        self.did("throttled")
        self.wait(1, 2)
        self.kill_collector()
        self.wait(0.1, 0.5)
        self.start_collector()
        self.wait(1, 2)
        self.store.unthrottle()
        self.did("unthrottled", self.parcels())

    def hide(self) -> None:
        """What one host sends is lost; what the other sends arrives, and the answers are lost."""
        self.until_it_arrives("batches")
        self.second.lose_sight_of(self.store)
        self.store.lose_sight_of(self.first)
        self.did("the hosts see each other no more")
        self.wait(2.5, 3)
        self.second.find_again(self.store)
        self.store.find_again(self.first)
        self.did("the hosts see each other again", self.parcels())
        self.until_it_arrives("what was lost on the way")

    def end_workers(self) -> None:
        """SIGTERM to one on each host while nobody takes what they have: their successors send it."""
        self.kill_collector()
        self.wait(0.2, 0.5)
        ended = {web.name: self.chance.choice(sorted(self.workers(web))) for web in self.webs}
        for pid in ended.values():
            os.kill(pid, signal.SIGTERM)
        for name, pid in ended.items():
            self.until(f"{pid} ends", lambda pid=pid: not Path(f"/proc/{pid}").exists())
            self.did("worker ended", [name, pid, self.parcels().get(name, 0)])
        self.start_collector()
        self.until_it_arrives("what the workers left")

    def end(self) -> None:
        """All servers end while nobody takes what they have, and are started again."""
        self.kill_collector()
        self.wait(1, 1.5)
        self.load.stop()
        self.stop_servers()
        self.did("servers ended", self.parcels())
        self.start_collector()
        for web in self.webs:
            web.start()
        self.finish()

    def finish(self) -> None:
        """What is kept arrives, and all end."""
        # A worker looks for what others left at its first request; further ones only now and then, for
        # each is a batch on its way.
        turns = itertools.count()
        self.until(
            "what was left is sent",
            lambda: not self.parcels(),
            lambda: self.ask() if next(turns) % 30 < 5 else None,
        )
        self.stop_servers()
        self.did("everything ended", self.parcels())
        self.collector.stop()
        for path in self.disk.iterdir():
            shutil.copy(path, self.directory)
        (self.directory / "done.json").write_text(json.dumps(self.done))

    # What is done

    def kill_collector(self) -> None:
        self.down = True
        self.collector.kill()
        self.did("collector killed", self.parcels())

    def start_collector(self) -> None:
        """With one process or with two, as it comes."""
        self.collector.start("--workers", self.chance.choice(["1", "2"]))
        self.down = False
        self.did("collector started", self.parcels())

    def stop_servers(self) -> None:
        """SIGTERM to both, as a deployment does."""
        for web in self.webs:
            web.tell()
        for web in self.webs:
            web.stop()

    def ask(self) -> None:
        """One request to each server, by a connection of its own."""
        for web in self.webs:
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(web.host.address, PORT, timeout=5)
                connection.request("GET", f"/work/{self.chance.randrange(CASES)}")
                connection.getresponse().read()
                connection.close()

    # What is seen

    def workers(self, web: Process) -> set[int]:
        """Processes of a server that have answered, and live."""
        noted = {int(path.stem.rpartition("-")[2]) for path in self.log.glob(f"{web.name}-*.log")}
        return noted & web.children()

    def kept(self, web: Process) -> set[str]:
        """Batches that a host keeps for the collector, by their place in its process's spool."""
        spool = self.directory / f"spool-{web.name}"
        files = [*spool.rglob("*.batch"), *spool.rglob("*.tried")]
        return {str(path.with_suffix("")) for path in files}

    def parcels(self) -> dict[str, int]:
        """How many each host keeps, of those that keep any."""
        return {web.name: len(kept) for web in self.webs if (kept := self.kept(web))}

    def until_it_arrives(self, what: str) -> None:
        """Until of what each host keeps something is acknowledged."""
        for web in self.webs:
            seen = set[str]()

            def arrived(web: Process = web, seen: set[str] = seen) -> bool:
                now = self.kept(web)
                seen.update(now)
                return now < seen

            self.until(f"{what} of {web.name} arrive", arrived)

    def until(
        self, what: str, condition: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        limit = time.monotonic() + PATIENCE
        while not condition():
            self.look_after()
            if time.monotonic() > limit:
                said = "\n".join(process.tail for process in (self.collector, *self.webs, self.load))
                raise Failed(f"not in {PATIENCE:.0f} s: {what}; {self.parcels()}\n{self.done}\n{said}")
            meanwhile()
            time.sleep(0.05)

    def wait(self, least: float, most: float) -> None:
        """For some seconds between these, by chance."""
        until = time.monotonic() + self.chance.uniform(least, most)
        while time.monotonic() < until:
            self.look_after()
            time.sleep(0.02)

    def look_after(self) -> None:
        """Start again what ended by itself, as a service manager does; only the collector may do so."""
        if not self.down and not self.collector.running:
            self.did("collector ended by itself")
            time.sleep(0.3)
            self.start_collector()
        for web in self.webs:
            if not web.running:
                raise Failed(f"{web.name} ended by itself:\n{web.tail}")

    def did(self, what: str, more: Any = None) -> None:
        self.done.append((round(time.monotonic() - self.began, 2), what, more))

    # How it is started

    def made_collector(self) -> Process:
        command = [sys.executable, "-m", "requestcov.cli", "collect"]
        command += ["--store", f"sqlite:///{self.disk}/store.db"]
        command += ["--host", self.store.address, "--port", str(PORT)]
        env = {"REQUESTCOV_WRITE_TOKENS": TOKEN, "REQUESTCOV_READ_TOKENS": TOKEN[::-1]}
        return Process(self.store, self.directory, "collector", command, env)

    def sender(self, host: Host) -> dict[str, str]:
        """The environment of a server that sends."""
        options = {
            "SAMPLE_RATE": "1",
            "MAX_PER_SECOND": "0",
            "MAX_IN_FLIGHT": "1000",
            "QUEUE_SIZE": "2000",
            "BATCH_SIZE": "20",
            "FLUSH_INTERVAL": "0.3",
            "SOURCE": str(Path(__file__).parent),
            "OMIT": "*/notes.py",
            "SINKS": f"http://{self.store.address}:{PORT}",
            "TOKEN": TOKEN,
            "SPOOL": str(self.directory / f"spool-{host.name}"),
            "SINK_TIMEOUT": "2",
        }
        env = {f"REQUESTCOV_{name}": value for name, value in options.items()}
        return env | {"NETWORK_LOG": str(self.log)}

    def gunicorn(self, host: Host) -> list[str]:
        words = ["--workers", "2", "--worker-class", "gthread", "--threads", "2", "--graceful-timeout", "10"]
        bind = ["--bind", f"{host.address}:{PORT}"]
        return [sys.executable, "-m", "gunicorn", *words, *bind, "tests.network.app:wsgi"]

    def uvicorn(self, host: Host) -> list[str]:
        words = ["--workers", "2", "--no-access-log", "--host", host.address, "--port", str(PORT)]
        return [sys.executable, "-m", "uvicorn", *words, "tests.network.app:asgi"]


def main(scenario: type[Scenario]) -> None:
    """Play it, as the command line says."""
    try:
        scenario(Path(sys.argv[1]), int(sys.argv[2])).play()
    except Failed as failed:
        sys.exit(str(failed))


if __name__ == "__main__":
    main(Scenario)
