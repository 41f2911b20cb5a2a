"""Dashboards as people have them: a process that serves a store, and a browser in front of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.reports.html.conftest import browser
from tests.server.dashboard.stores import shop
from tests.servers.harness import DEADLINE

__all__ = ["browser"]

TOKEN = "correct-horse-battery-staple"
CODE = "import sys; from requestcov.cli import main; sys.exit(main())"


def begin(
    *arguments: str, environ: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[str]:
    """A process of the command."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REQUESTCOV_")}
    return subprocess.Popen(
        [sys.executable, "-c", CODE, "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**clean, **(environ or {})},
        cwd=cwd,
    )


@contextmanager
def serving(
    store: str | Path, *arguments: str, environ: dict[str, str] | None = None, cwd: Path | None = None
) -> Iterator[str]:
    """The address of ``requestcov serve``, which ends in good order and without a word more."""
    process = begin("--store", str(store), "--port", "0", *arguments, environ=environ, cwd=cwd)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert "http://" in line, line + process.stdout.read()
        yield line[line.index("http://") :].split()[0].rstrip("/")
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert "Traceback" not in rest, rest


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard of a small shop."""
    folder = tmp_path_factory.mktemp("shop")
    with serving(shop(folder / "shop.db")) as address:
        yield address


def page_of(address: str, **kwargs: object) -> httpx.Response:
    """A page, once what it shows is worked out."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        response = httpx.get(address, **kwargs)  # type: ignore[arg-type]
        if response.status_code != 202 and " data-pending>" not in response.text:
            return response
    raise AssertionError("it is still being worked out")


@dataclass
class Opened:
    """A page in a browser, with all that it asked for and complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)

    def ready(self) -> Page:
        """Once what it shows is worked out."""
        self.page.wait_for_selector("#main:not([data-pending])", timeout=30_000)
        return self.page


Open = Callable[..., Opened]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    contexts = []

    def opened(address: str, width: int = 1280, scheme: str = "light", **options: object) -> Opened:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,  # type: ignore[arg-type]
            **options,  # type: ignore[arg-type]
        )
        contexts.append(context)
        found = Opened(context.new_page())
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.on("console", lambda message: found.console.append(message.text))
        found.page.on("pageerror", lambda error: found.console.append(str(error)))
        found.page.goto(address)
        found.ready()
        return found

    yield opened
    for context in contexts:
        context.close()
