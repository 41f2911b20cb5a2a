"""Take the pictures of docs/dashboard.md: the example shop under its shoppers, seen through the dashboard.

    python docs/screenshots.py

The requests, and the lines they ran, are real; they are dated over the last
fortnight, the last days as a second release, so that there is something to see
of days and releases. Needs Chromium, and what ``make test`` installs.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from urllib.parse import quote

from playwright.sync_api import sync_playwright

from requestcov.record import Batch, new_id
from requestcov.sinks import open_sink
from requestcov.storage import open_store

HERE = Path(__file__).parent
IMAGES = HERE / "images"
CHROMIUM = "/usr/bin/chromium"
CHECKOUT = quote("POST /carts/{cart_id}/checkout")

PICTURES: Mapping[str, tuple[str, int, str]] = {
    "endpoints": ("/", 1280, "light"),
    "endpoints-dark": ("/", 1280, "dark"),
    "endpoint": (f"/endpoint?endpoint={CHECKOUT}", 1280, "light"),
    "source": ("/source?path=shop/orders.py&by=failing#L132", 1280, "light"),
    "source-phone": ("/source?path=shop/orders.py#L140", 390, "dark"),
    "suspects": (f"/suspects?endpoint={CHECKOUT}", 1280, "light"),
    "dead": ("/dead", 1280, "light"),
    "releases": ("/releases", 1280, "light"),
    "pipeline": ("/pipeline", 1280, "light"),
}
"""Name -> the page, how wide, and in which colours."""

DAYS = 14


def demo() -> ModuleType:
    """examples/demo.py, which knows how to put shoppers into the shop."""
    spec = importlib.util.spec_from_file_location("demo", HERE.parent / "examples" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["demo"] = module
    spec.loader.exec_module(module)
    return module


def traffic(folder: Path, requests: int) -> Path:
    """The store of a shop that so many requests came to."""
    shops = demo()
    shop = shops.SHOPS[0]
    with shops.serving(shop, folder, 0.5) as base:
        shops.send_requests(base, requests)
    return Path(shops.store(shop, folder))


def dated(store: Path, target: Path) -> None:
    """The same requests, over the last fortnight."""
    chance = random.Random(4)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with open_store(str(store)) as old:
        records, ledgers, sources = list(old.records()), old.ledgers(), tuple(old.sources())
    busy = [0.4 if (today - timedelta(days=ago)).weekday() > 4 else 1.0 for ago in range(1, DAYS + 1)]
    moved = []
    for record in reversed(records):
        (ago,) = chance.choices(range(1, DAYS + 1), busy)
        time = today - timedelta(days=ago) + timedelta(seconds=chance.uniform(7 * 3600, 22 * 3600))
        release = "2.3.0" if ago > 5 else "2.4.0"
        moved.append(replace(record, id=new_id(time.timestamp()), time=time, release=release, service="shop"))
    sink = open_sink(f"sqlite:///{target}")
    for ledger in ledgers:
        told = replace(ledger, service="shop", release="2.4.0", worker="web-1:4711")
        sink.write(Batch(id=new_id(), records=tuple(moved), ledger=told, sources=sources))
        moved = []
    sink.close()


@contextmanager
def serving(store: Path) -> Iterator[str]:
    """The address of the dashboard."""
    code = "import sys; from requestcov.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "serve", "--port", "0", "--store", store.name]
    environ = {name: text for name, text in os.environ.items() if not name.startswith("REQUESTCOV_")}
    environ["PYTHONPATH"] = str(HERE.parent)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environ, cwd=store.parent
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield line[line.index("http://") :].split()[0].rstrip("/")
        finally:
            process.terminate()


def take(address: str) -> None:
    """The pictures."""
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name, (path, width, scheme) in PICTURES.items():
            page = browser.new_page(viewport={"width": width, "height": 860}, color_scheme=scheme)
            page.goto(address + path)
            page.wait_for_selector("#main:not([data-pending])")
            page.goto(address + path)
            page.screenshot(path=IMAGES / f"dashboard-{name}.png")
            page.close()
        browser.close()


def main() -> None:
    """Traffic, a dashboard, pictures."""
    parser = argparse.ArgumentParser(description="Take the pictures of docs/dashboard.md.")
    parser.add_argument("--requests", type=int, default=6000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dated(traffic(folder, given.requests), folder / "requestcov.db")
        with serving(folder / "requestcov.db") as address:
            take(address)


if __name__ == "__main__":
    main()
