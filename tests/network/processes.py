"""A process on a host of the network, which is started, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.network.network import Host

PATIENCE = 60.0
"""Seconds that anything that must happen may take."""


class Failed(Exception):
    """What was to be played could not be; says why."""


class Process:
    """Started again under the same name as often as need be; what it prints goes to ``NAME.out``."""

    def __init__(
        self, host: Host, directory: Path, name: str, command: Sequence[str], env: Mapping[str, str]
    ) -> None:
        self.host, self.name, self.output = host, name, directory / f"{name}.out"
        self._directory, self._command, self._env = directory, command, env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        """Start it, with further words of its command."""
        command = [*self._command, *more]
        self._process = self.host.start(command, self.output, self._env, self._directory)

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def tail(self) -> str:
        """The last of what it printed."""
        return f"--- {self.name}\n{self.output.read_text()[-3000:]}" if self.output.exists() else ""

    def kill(self) -> None:
        """kill -9, with all that it has started."""
        process = self._started()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)

    def tell(self) -> None:
        """SIGTERM."""
        self._started().terminate()

    def stop(self) -> None:
        """SIGTERM, and its end."""
        self.tell()
        try:
            self._started().wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} does not end:\n{self.tail}") from None

    def children(self) -> set[int]:
        """Processes it has started, and those they have."""
        found, new = set[int](), {self._started().pid}
        while new:
            pid = new.pop()
            with suppress(OSError):
                for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
                    found.add(child)
                    new.add(child)
        return found

    def _started(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process
