"""A test-suite of the shop's views, run under coverage.py as people run theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.reports.shop_store import VIEWS

SUITE = """\
import sys
sys.path.insert(0, ".")
from shop import views
views.render = lambda order: order
views.pack = lambda item: None

class Order(list):
    pass

def test_none():
    assert views.show(None) == 404

def test_ship():
    views.ship(Order())

test_none()
test_ship()
"""


def run_suite(*, contexts: bool = True, text: str = VIEWS, files: dict[str, str] | None = None) -> None:
    """Write the app and its suite here, and run that: it runs lines 7, 8, 15 and 16 of VIEWS."""
    for name, content in {"shop/views.py": text, "suite.py": SUITE, **(files or {})}.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content)
    Path("rc").write_text("[run]\n" + ("dynamic_context = test_function\n" if contexts else ""))
    subprocess.run(
        [sys.executable, "-m", "coverage", "run", "--rcfile=rc", "suite.py"],
        check=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")},
    )
