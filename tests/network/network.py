"""Hosts of their own name and address on one switch: network namespaces, and cables between them.

Needs namespaces of its own to make all this in, which vanish with the process,
whatever becomes of it: ``unshare -rmnpfu --mount-proc`` (see IN_NAMESPACES).
The process that makes the network is a host too, ``here``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

IN_NAMESPACES = ["unshare", "-rmnpfu", "--kill-child", "--mount-proc", "--propagation", "private"]
"""Before a command that makes a network: no privileges are needed, and nothing is left behind."""

ROOT = Path(__file__).resolve().parents[2]

_NAMED = "import os, socket, sys; socket.sethostname(sys.argv[1]); os.execvp(sys.argv[2], sys.argv[2:])"
_NOWHERE = "02:00:00:00:00:99"


def ip(*words: str) -> None:
    """Run ``ip``.

    Raises:
        RuntimeError: it failed; says what it said.
    """
    _run("ip", *words)


def can_be_made() -> str:
    """Why there can be no network here; empty: there can."""
    try:
        done = subprocess.run(
            [*IN_NAMESPACES, sys.executable, "-m", __spec__.name],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except OSError as error:
        return str(error)
    said = done.stderr.strip().splitlines() or [f"unshare ended with {done.returncode}"]
    return said[-1] if done.returncode else ""


class Network:
    """A switch, and hosts made on demand."""

    def __init__(self) -> None:
        _run("mount", "-t", "tmpfs", "none", "/run")  # where ip keeps its namespaces
        ip("link", "set", "lo", "up")
        ip("netns", "add", "switch")
        # Forwards from the moment a cable is plugged in.
        ip("-n", "switch", "link", "add", "bridge", "type", "bridge", "forward_delay", "0")
        ip("-n", "switch", "link", "set", "bridge", "up")
        self._hosts = 0
        self.here = Host("here", self._address(), None)

    def host(self, name: str) -> Host:
        """A new host."""
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
        return Host(name, self._address(), name)

    def _address(self) -> str:
        self._hosts += 1
        return f"10.77.0.{self._hosts}"


class Host:
    """One host.

    Attributes:
        name: its hostname.
        address: IPv4.
    """

    def __init__(self, name: str, address: str, namespace: str | None) -> None:
        self.name = name
        self.address = address
        self._within = ["-n", namespace] if namespace else []
        self._enter = ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []
        port = ["type", "veth", "peer", "name", name, "netns", "switch"]
        ip(*self._within, "link", "add", "eth0", *port)
        ip(*self._within, "addr", "add", f"{address}/24", "dev", "eth0")
        ip(*self._within, "link", "set", "eth0", "up")
        ip("-n", "switch", "link", "set", name, "master", "bridge", "up")

    def start(
        self, command: Sequence[str], output: Path, env: Mapping[str, str], cwd: Path
    ) -> subprocess.Popen[bytes]:
        """Start a process on it, which leads a group of its own; what it prints is appended to output."""
        named = [*self._enter, "unshare", "--uts", sys.executable, "-c", _NAMED, self.name]
        with output.open("ab") as stream:
            return subprocess.Popen(
                [*named, *command],
                cwd=cwd,
                env={**os.environ, "PYTHONPATH": _path(), "PYTHONUNBUFFERED": "1", **env},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def unplug(self) -> None:
        """Take its cable out of the switch: the host notices nothing, and nothing arrives."""
        ip("-n", "switch", "link", "set", self.name, "down")

    def plug_in(self) -> None:
        """And back in."""
        ip("-n", "switch", "link", "set", self.name, "up")

    def lose_sight_of(self, other: Host) -> None:
        """What it sends to that host goes nowhere, and nobody tells it."""
        self._neighbour("replace", other, "lladdr", _NOWHERE, "nud", "permanent")

    def find_again(self, other: Host) -> None:
        """And arrives again."""
        self._neighbour("del", other)

    def throttle(self) -> None:
        """Let what is sent to it come through a cable so thin that packets are lost."""
        limit = ["root", "tbf", "rate", "160kbit", "burst", "3000", "limit", "4500"]
        _run("tc", "-n", "switch", "qdisc", "add", "dev", self.name, *limit)

    def unthrottle(self) -> None:
        """And through a thick one."""
        _run("tc", "-n", "switch", "qdisc", "del", "dev", self.name, "root")

    def _neighbour(self, verb: str, other: Host, *words: str) -> None:
        ip(*self._within, "neigh", verb, other.address, *words, "dev", "eth0")


def _path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


if __name__ == "__main__":
    made = Network().host("some")
    made.throttle()
