"""The dashboard inside somebody's app, under any path."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.server.dashboard.conftest import TOKEN, Open, page_of
from tests.server.dashboard.stores import shop

APP = """
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from requestcov.server import binding, dashboard

store, path, *tokens = sys.argv[1:]
app = Starlette(routes=[
    Route("/", lambda request: PlainTextResponse("the app")),
    Mount(path, dashboard(store, read_tokens=tokens)),
])
listening = binding.listen("127.0.0.1", 0)
print(binding.address(listening), flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])
"""


@contextmanager
def mounted(store: str, path: str, *tokens: str) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", APP, store, path, *tokens],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ},
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=30)
    assert rest == ""


@pytest.mark.parametrize("path", ["/coverage", "/a b/ü/coverage"])
def test_every_link_and_form_stays_below_the_mount(tmp_path: Path, path: str):
    with mounted(shop(tmp_path / "s.db"), path) as address:
        base = str(httpx.URL(address).copy_with(path=path))
        seen, left = set(), [base + "/"]
        while left:
            response = page_of(left.pop())
            assert response.status_code == 200, response.url
            for kind, link in re.findall(r'(href|action|src|data-live)="(/[^"]*)"', response.text):
                whole = address + unescape(link).partition("#")[0]
                assert whole.startswith(base + "/"), link
                if whole not in seen and kind != "action" and "sort" not in whole:
                    seen.add(whole)
                    left.append(whole)
        assert len(seen) > 8
        assert httpx.get(address + "/").text == "the app"


def test_it_is_live_and_its_forms_work_below_a_mount(tmp_path: Path, open_page: Open):
    with mounted(shop(tmp_path / "s.db"), "/coverage", TOKEN) as address:
        opened = open_page(address + "/coverage/files?q=views")
        page = opened.page
        page.get_by_label("Read token").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        expect(page).to_have_url(address + "/coverage/files?q=views")
        (cookie,) = page.context.cookies()
        assert cookie["path"] == "/coverage"
        page.get_by_role("button", name="Colours").click()
        expect(page).to_have_url(address + "/coverage/files?q=views")
        expect(page.locator("html")).to_have_attribute("data-theme", "light")
        expect(page.locator("a.row")).to_have_text("shop/views.py")
        page.get_by_role("button", name="Log out").click()
        expect(page.locator("h1")).to_have_text("Log in")
