"""Who may look: by a header, by a login, and nobody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from requestcov.server.dashboard.pages import PAGES
from requestcov.server.dashboard.session import COOKIE, LASTS, Session
from requestcov.server.tokens import Tokens
from tests.server.dashboard.conftest import TOKEN, Open, begin, page_of, serving
from tests.server.dashboard.stores import shop
from tests.server.dashboard.test_in_chromium import severe


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard that asks for a token."""
    folder = tmp_path_factory.mktemp("guarded")
    with serving(shop(folder / "shop.db"), environ={"REQUESTCOV_READ_TOKENS": TOKEN}) as address:
        yield address


@pytest.mark.parametrize("path", [*(entry.path for entry in PAGES), "/?colour=red", "/nothing", "/live"])
def test_without_a_token_nothing_is_told(guarded: str, path: str):
    response = httpx.get(guarded + path)
    assert response.status_code == 401
    assert path == "/live" or response.headers["www-authenticate"] == "Bearer"
    assert not re.search("orders|shop|queue_full|takes", response.text)


@pytest.mark.parametrize(
    "header",
    [
        "Bearer wrong-token-of-some-length",
        "Bearer",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        "Bearer töken".encode("latin-1"),
        b"Bearer \xff\xfe",
    ],
)
def test_a_wrong_token_is_a_401_whatever_its_bytes(guarded: str, header: str | bytes):
    assert httpx.get(guarded + "/", headers={"Authorization": header}).status_code == 401


def test_a_token_in_the_header_opens_every_page(guarded: str):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert page_of(guarded + "/", headers=headers).status_code == 200
    assert httpx.get(guarded + "/live", headers=headers).json()["state"]


def test_a_login_gives_a_cookie_that_holds_no_token(guarded: str):
    response = httpx.post(guarded + "/login", data={"token": TOKEN, "back": "/files?q=a"})
    assert response.status_code == 303
    assert response.headers["location"] == "/files?q=a"
    told = response.headers["set-cookie"]
    assert TOKEN not in told
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in told.split(";")}
    assert "Secure" not in told
    cookies = {COOKIE: response.cookies[COOKIE]}
    assert page_of(guarded + "/", cookies=cookies).status_code == 200
    gone = httpx.post(guarded + "/logout", cookies=cookies)
    assert gone.status_code == 303
    assert f'{COOKIE}=""' in gone.headers["set-cookie"]


@pytest.mark.parametrize(
    "back", ["//evil.example", "/\\evil.example", "https://evil.example/", "javascript:alert(1)", "/\r\nA: b"]
)
def test_a_login_never_leads_away(guarded: str, back: str):
    response = httpx.post(guarded + "/login", data={"token": TOKEN, "back": back})
    assert response.headers["location"] == "/"
    again = httpx.post(guarded + "/login", data={"token": "wrong", "back": back})
    assert 'name="back" value="/"' in again.text


def test_a_wrong_login_is_told_and_gives_nothing(guarded: str):
    response = httpx.post(guarded + "/login", data={"token": "wrong", "back": "/"})
    assert response.status_code == 401
    assert "set-cookie" not in response.headers
    assert "That is no read token of this server." in response.text


@pytest.mark.parametrize("path", ["/login", "/logout", "/theme"])
@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
    ids=str,
)
def test_a_page_of_another_site_changes_nothing(guarded: str, path: str, headers: dict[str, str]):
    response = httpx.post(guarded + path, data={"token": TOKEN, "theme": "dark"}, headers=headers)
    assert response.status_code == 403
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("path", ["/login", "/theme"])
@pytest.mark.parametrize("body", [b"\xff" * 100, b"a&" * 40, b"=" * 4000, b"theme=red", b""])
def test_a_form_that_is_none_is_refused(guarded: str, path: str, body: bytes):
    assert httpx.post(guarded + path, content=body).status_code in (400, 401)


def test_a_form_that_is_too_large_is_refused(guarded: str):
    assert httpx.post(guarded + "/login", content=b"token=" + b"a" * 100_000).status_code in (401, 413)


def test_a_name_that_is_not_ours_is_refused(guarded: str):
    assert httpx.get(guarded + "/", headers={"Host": "evil.example"}).status_code == 403


def cookie_of(tokens: Tokens, clock: float) -> str:
    cookie = Session(tokens, lambda: clock).cookie(TOKEN)
    assert cookie is not None
    return cookie


def allows(tokens: Tokens, clock: float, cookie: str) -> bool:
    from starlette.requests import Request

    headers = [(b"cookie", f"{COOKIE}={cookie}".encode("latin-1", "replace"))]
    return Session(tokens, lambda: clock).allows(Request({"type": "http", "headers": headers}))


def test_a_cookie_ends_with_its_time_and_with_its_token():
    tokens, others = Tokens([TOKEN]), Tokens([TOKEN[::-1]])
    cookie = cookie_of(tokens, 1000.0)
    assert allows(tokens, 1000.0 + LASTS - 1, cookie)
    assert not allows(tokens, 1000.0 + LASTS, cookie)
    assert not allows(others, 1000.0, cookie)


def test_a_cookie_that_was_changed_is_none():
    tokens = Tokens([TOKEN])
    cookie = cookie_of(tokens, 1000.0)
    expires, _, signature = cookie.partition(".")
    forged = [f"{int(expires) + 1}.{signature}", f"{expires}.", f"{expires}.{signature[:-1]}", "", ".", "é.é"]
    forged += [f"+{cookie}", f"x.{signature}", expires]
    assert not any(allows(tokens, 1000.0, each) for each in forged)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_other_machines_are_served_only_with_a_token(tmp_path: Path, host: str):
    process = begin("--store", shop(tmp_path / "s.db"), "--port", "0", "--host", host)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "no read token is set" in said


def test_a_port_that_is_taken_is_told(tmp_path: Path, guarded: str):
    port = guarded.rpartition(":")[2]
    process = begin("--store", shop(tmp_path / "s.db"), "--port", port)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert f"Cannot listen on 127.0.0.1 port {port}" in said


NOTE_WAITS = """
window.waits = [];
const later = window.setTimeout;
window.setTimeout = (what, ms) => { window.waits.push(ms); return later(what, ms); };
"""


def test_the_login_page_lets_people_take_their_time(guarded: str, open_page: Open):
    """It follows no store, and is not loaded anew with half a token in it; other pages do look."""
    page = open_page(guarded + "/files").page
    page.add_init_script(NOTE_WAITS)
    page.reload()
    assert page.evaluate("waits") == []
    page.get_by_label("Read token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("h1")).to_have_text("Files")
    assert page.evaluate("waits") != []


def test_people_log_in_and_out_in_a_browser(guarded: str, open_page: Open):
    opened = open_page(guarded + "/files")
    page = opened.page
    assert severe(page) == []
    page.get_by_label("Read token").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("That is no read token of this server.")
    page.get_by_label("Read token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(guarded + "/files")
    expect(page.locator("h1")).to_have_text("Files")
    assert page.evaluate("document.cookie") == ""
    nav = page.locator("nav")
    assert nav.evaluate("nav => nav.scrollWidth - nav.clientWidth") <= 1  # all of it is seen
    buttons = [page.get_by_role("button", name=name) for name in ("Log out", "Colours")]
    out, switch = [button.evaluate("button => button.clientHeight") for button in buttons]
    assert out == switch  # on one line
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("h1")).to_have_text("Log in")
    page.goto(guarded + "/files")
    expect(page.locator("h1")).to_have_text("Log in")
    assert [text for text in opened.console if "401" not in text] == []
