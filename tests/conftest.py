"""What holds for every test of the suite: it leaves the interpreter as it found it."""

from __future__ import annotations

import _thread
import contextvars
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

DEADLINE = 5.0
"""Seconds that threads have to end once they were told to."""


def _hooks() -> dict[str, object]:
    """Everything that would see code run, by name."""
    hooks: dict[str, object] = {
        "sys.settrace": sys.gettrace(),
        "sys.setprofile": sys.getprofile(),
        "threading.settrace": threading.gettrace(),
        "threading.setprofile": threading.getprofile(),
    }
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is not None:
        for tool in range(6):
            name = monitoring.get_tool(tool)
            hooks[f"sys.monitoring tool {tool}"] = name
            if name is not None:
                hooks[f"sys.monitoring events of tool {tool}"] = monitoring.get_events(tool)
    return hooks


def _variables() -> dict[str, Any]:
    """Our context variables that hold something in the test's own context."""
    return {
        variable.name: value
        for variable, value in contextvars.copy_context().items()
        if variable.name.startswith("requestcov") and value is not None
    }


def _close_recorders() -> None:
    recorder = sys.modules.get("requestcov.recorder")
    if recorder is not None:
        recorder.close_all()


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the command remembers of parsed files goes to nobody's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def leave_no_trace() -> Iterator[None]:
    """Fail a test that leaves a trace function, a monitoring tool, a thread, a recording or a path behind.

    Recorders are closed first: a test need not close what it has through the wrappers.
    """
    _close_recorders()  # those made while modules were imported
    hooks, path = _hooks(), sys.path[:]
    # Threads that threading knows, and all of them: the drainer's are native ones.
    threads = set(threading.enumerate())
    count = _thread._count()
    yield
    _close_recorders()
    assert _hooks() == hooks
    assert sys.path == path
    assert _variables() == {}
    deadline = time.monotonic() + DEADLINE
    while (left := set(threading.enumerate()) - threads) or _thread._count() > count:
        if time.monotonic() > deadline:
            pytest.fail(f"threads left behind: {sorted(t.name for t in left) or 'native ones'}")
        time.sleep(0.005)
