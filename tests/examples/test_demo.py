"""The demo and its traffic: what `make demo` promises, on a small scale."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import httpx
import pytest

from tests.examples.known_requests import SHOP

DEMO = SHOP.parent / "demo.py"


def load(path: Path) -> ModuleType:
    """A script of the examples as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def sent_by(traffic: Any, seed: int, requests: int) -> list[tuple[str, str, bytes]]:
    """All requests of one visitor after the other, to a shop that answers each with an order."""
    sent = []

    async def answer(request: httpx.Request) -> httpx.Response:
        sent.append((request.method, str(request.url), request.content))
        return httpx.Response(201, json={"order": len(sent)})

    async def run() -> None:
        async with httpx.AsyncClient(
            transport=httpx.MockTransport(answer), base_url="http://shop.test"
        ) as client:
            visitors = traffic.Visitors(client, requests, lambda: None)
            with suppress(traffic.Enough):
                for number in count(1):
                    await visitors.visit(number, Random(f"{seed}:{number}"))
            assert visitors.tally.requests == requests

    asyncio.run(run())
    return sent


def test_traffic_is_the_same_for_the_same_seed() -> None:
    """To the last parameter, and another seed gives others."""
    traffic = load(SHOP / "traffic.py")
    assert sent_by(traffic, 1, 500) == sent_by(traffic, 1, 500)
    assert sent_by(traffic, 1, 500) != sent_by(traffic, 2, 500)


def test_traffic_asks_for_every_kind_of_page() -> None:
    """Browsing, carts, checkout, cancelling, exports, static files and wrong addresses."""
    addresses = {url for _, url, _ in sent_by(load(SHOP / "traffic.py"), 1, 2000)}
    for part in (
        *("/search?", "/products?", "/recommendations", "/items", "/checkout", "/cancel", "/shipping/quote"),
        *("/admin/report", "/admin/orders.csv", "/stock", "/static/shop.css", "/wp-login.php", "/health"),
    ):
        assert any(part in address for address in addresses), part


def test_a_server_that_does_not_start_is_explained(tmp_path: Path) -> None:
    """The message carries what the server said."""
    demo = load(DEMO)
    command = ("uvicorn", "--fd", "{fd}", "no_such_module:app")
    with (
        pytest.raises(demo.DemoError, match="no_such_module"),
        demo.serving(replace(demo.SHOPS[0], command=command), tmp_path, 1.0),
    ):
        pass


def test_traffic_gives_up_when_the_shop_is_gone() -> None:
    """It does not hammer a closed port a million times."""
    traffic = load(SHOP / "traffic.py")
    tally = asyncio.run(traffic.send("http://127.0.0.1:9", 1_000_000))
    assert traffic.GIVE_UP <= tally.unanswered < 100
    assert tally.requests == tally.unanswered


def test_an_interrupt_while_a_process_starts_still_ends_it() -> None:
    """The signal waits until the process is known, and then it counts."""
    demo = load(DEMO)
    held = []
    started = subprocess.Popen

    def interrupted(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        process = started(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGINT)
        held.append(process)
        return process

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo.subprocess, "Popen", interrupted)
        with (
            pytest.raises(KeyboardInterrupt),
            demo.running([sys.executable, "-c", "import signal; signal.pause()"]),
        ):
            pass
    assert held[0].returncode == -signal.SIGKILL


def run_demo(folder: Path, requests: int) -> subprocess.Popen[str]:
    """The demo as a newcomer starts it."""
    return subprocess.Popen(
        [sys.executable, str(DEMO), "--requests", str(requests), "--folder", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"COLUMNS": "120"},
    )


def test_the_demo_ends_with_reports_and_leaves_no_server(tmp_path: Path) -> None:
    """Exit code 0, both servers' reports, an endpoint and a file in detail, and where the records lie."""
    process = run_demo(tmp_path, 120)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    for text in ("120 requests", "requestcov report", "show 'GET /shipping/quote'", "show shop/shipping.py"):
        assert text in output
    assert str(tmp_path / "flask_app.db") in output
    assert "Traceback" not in output
    assert_nobody_has_open(tmp_path)


def test_a_demo_that_is_interrupted_leaves_no_server(tmp_path: Path) -> None:
    """SIGINT in the middle of the traffic."""
    process = run_demo(tmp_path, 1_000_000)
    assert process.stdout is not None
    for line in process.stdout:
        if "requests are coming" in line:
            break
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert_nobody_has_open(tmp_path)


def assert_nobody_has_open(folder: Path) -> None:
    """No process has a file of this folder open (a server would: its log)."""
    deadline = time.monotonic() + 10
    while holders := holding(folder):
        assert time.monotonic() < deadline, f"still running: {holders}"
        time.sleep(0.05)


def holding(folder: Path) -> list[str]:
    """Processes that have a file of this folder open."""
    found = []
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = os.readlink(descriptor)
        except OSError:
            continue
        if target.startswith(f"{folder}/"):
            found.append(str(descriptor))
    return found
