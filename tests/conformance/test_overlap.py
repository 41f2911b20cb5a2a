"""Overlapping requests: no line lost, none borrowed, on either engine."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from tests.conformance.measure import ROOT

COUNT = 5000


@pytest.mark.parametrize("engine", ["lines", "branch"])
@pytest.mark.parametrize("how", ["threads", "tasks", "workers", "greenlets"])
def test_five_thousand_overlapping_requests_keep_their_lines_apart(how: str, engine: str) -> None:
    """Half of them recorded, the other half running the same code beside them."""
    if how == "greenlets" and importlib.util.find_spec("gevent") is None:
        pytest.skip("gevent is not installed for this Python")
    command = [sys.executable, "-m", "tests.conformance.overlap", how, str(COUNT), engine]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    outcome = json.loads(done.stdout)
    assert (outcome["lost"], outcome["borrowed"], outcome["wrong"]) == (0, 0, [])
    assert COUNT * 0.4 < outcome["recorded"] < COUNT * 0.6
    ledger = outcome["ledger"]
    assert ledger["sampled"] == ledger["stored"] == outcome["recorded"]
    assert (ledger["dropped"], ledger["pending"]) == ({}, 0)
    assert sum(ledger["seen"].values()) == COUNT
    if engine == "branch" or sys.version_info < (3, 12):
        assert outcome["engine"] == "trace"
    else:
        assert outcome["engine"] == "monitoring"
