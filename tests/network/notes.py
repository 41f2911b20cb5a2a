"""What the workers themselves note of the requests they record, by a way of its own.

``NETWORK_LOG`` is a directory. ``HOST-PID.log`` in it has a line for each
recorded request of a process, its id and its case, written within the
request: a killed process's tells all the same what it had begun.
``HOST-PID.json`` is what a process counted in the end, if that was orderly.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
from functools import cache
from pathlib import Path

from requestcov import annotate, current
from requestcov.recorder import _recorders

LOG = Path(os.environ["NETWORK_LOG"])


@cache
def _file(pid: int) -> int:
    # By process: it may have been forked with the app loaded.
    name = LOG / f"{socket.gethostname()}-{pid}.log"
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def note(case: int) -> bytes:
    """Note and label the present request; its id."""
    annotate(case=case)
    name = current() or "-"
    os.write(_file(os.getpid()), f"{name} {case}\n".encode())
    return name.encode()


def tell_the_end() -> None:
    """Write down what this process has counted."""
    told = [
        {
            "boot": ledger.boot,
            "worker": ledger.worker,
            "seen": dict(ledger.seen),
            "sampled": ledger.sampled,
            "stored": ledger.stored,
            "dropped": dict(ledger.dropped),
            "pending": ledger.pending,
        }
        for recorder in _recorders.values()
        for ledger in recorder.pipeline.ledgers()
    ]
    Path(LOG, f"{socket.gethostname()}-{os.getpid()}.json").write_text(json.dumps(told))


# Registered before requestcov's own, it runs after that.
atexit.register(tell_the_end)
