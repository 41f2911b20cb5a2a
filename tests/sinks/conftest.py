"""Running code as a user without rights: the suite may run as root."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.storage.processes import run_as_nobody


@pytest.fixture
def as_nobody(tmp_path: Path) -> Callable[[str], str]:
    """Run Python code as a user who is not root; the test's directories are open to it."""
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(directory.stat().st_mode | 0o055)
    return run_as_nobody
