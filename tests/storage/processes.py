"""Running code in processes of its own: other users, small disks, sudden deaths."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOBODY = 65534


def python(
    code: str, *arguments: str, check: bool = True, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Run code in a new Python, which finds requestcov and the tests' samples."""
    given: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 60, "check": check}
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    return subprocess.run([sys.executable, "-c", code, *arguments], env=env, **given | options)


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start code in a new Python; its output and input are pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def run_as_nobody(code: str, imports: str = "") -> str:
    """What code prints, run as a user who is not root; ``imports`` runs before the rights are given up."""
    done = python(f"{imports}\n{_DROP}\n{code}", check=False)
    if "NOT DROPPED" in done.stderr:
        pytest.skip("cannot become another user here")
    assert not done.returncode, done.stderr
    return done.stdout


# Everything is imported before the rights are given up: the checkout may be root's alone.
_DROP = f"""
import os, sys, encodings.idna
import requestcov.sinks.file, requestcov.sinks.sqlite, requestcov.storage.sqlite, tests.storage.samples
if os.geteuid() == 0:
    try:
        os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
    except OSError:
        sys.exit("NOT DROPPED")
"""


def on_a_small_disk(code: str, directory: Path, size: str = "64k") -> str:
    """What code prints, run where ``directory`` is a file system of that size."""
    where = str(directory)
    mount = f'mount -t tmpfs -o size={size} none "$1" && shift && exec "$@"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, "sh", where, sys.executable, "-c", code, where],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip("no unprivileged mounts here")
    assert not done.returncode, done.stderr
    return done.stdout
