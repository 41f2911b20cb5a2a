"""The dashboard in a real browser: every page, every control, whatever the store holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.reports.shop_store import SHIPPED, SHOWN, record
from tests.server.dashboard.conftest import Open, serving
from tests.server.dashboard.stores import ELEMENT, HOSTILE, HOSTILE_PATH, Growing, hostile
from tests.server.dashboard.test_pages import ADDRESSES

HOSTILE_ADDRESSES = {
    "endpoints": "/",
    "files": "/files",
    "pipeline": "/pipeline",
    "nothing": f"/?q={quote(ELEMENT)}",
    "bad": f"/?since={quote(ELEMENT)}",
    "unknown": f"/endpoint?endpoint={quote(ELEMENT)}",
}
SEVERE = {"serious", "critical"}


@pytest.fixture(scope="module")
def hostile_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard of a store whose every name is hostile."""
    with serving(hostile(tmp_path_factory.mktemp("hostile") / "s.db")) as address:
        yield address


def severe(page: Page) -> list[object]:
    """What axe-core finds that keeps people out."""
    return [
        (each["id"], [node["html"] for node in each["nodes"]][:3])
        for each in Axe().run(page).response["violations"]
        if each["impact"] in SEVERE
    ]


def origin_only(requests: list[str], address: str) -> bool:
    return all(url.startswith((address + "/", "data:")) for url in requests)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ADDRESSES)
def test_a_page_fits_and_can_be_read_by_all(
    address: str, open_page: Open, name: str, scheme: str, width: int
):
    """No wider than the screen, nothing asked of anybody else, no complaint, no barrier that axe finds."""
    opened = open_page(address + ADDRESSES[name], width, scheme)
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert severe(page) == []
    assert opened.console == []
    assert origin_only(opened.requests, address)
    for landmark in ("banner", "main", "search"):
        assert page.get_by_role(landmark).count() >= 1  # type: ignore[arg-type]
    assert page.locator("h1").count() == 1


def test_on_a_phone_the_list_of_pages_begins_at_the_one_that_is_open(address: str, open_page: Open):
    page = open_page(address + "/pipeline", 390).page
    expect(page.locator("nav [aria-current=page]")).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", HOSTILE_ADDRESSES)
def test_hostile_names_are_text(hostile_address: str, open_page: Open, name: str, width: int):
    opened = open_page(hostile_address + HOSTILE_ADDRESSES[name], width)
    harmless(opened, hostile_address, width)


@pytest.mark.parametrize("endpoint", HOSTILE, ids=range(len(HOSTILE)))
def test_an_endpoint_of_any_name_can_be_opened_and_its_source_too(
    hostile_address: str, open_page: Open, endpoint: str
):
    """By its link, which survives the address, and by every link of its page."""
    opened = open_page(hostile_address + "/")
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in endpoint)
    opened.page.locator("a.row").get_by_text(shown, exact=True).click()
    page = opened.ready()
    expect(page.locator("h1")).to_have_text(shown)
    harmless(opened, hostile_address, 1280)
    page.locator("a.row").filter(has_text="onerror").click()
    page.wait_for_url("**/source?**")
    opened.ready()
    expect(page.locator("code", has_text="def late")).to_have_count(1)
    expect(page.locator(".note", has_text="alone")).to_contain_text(shown)
    harmless(opened, hostile_address, 1280)


def harmless(opened: object, address: str, width: int) -> None:
    page = opened.page  # type: ignore[attr-defined]
    assert page.locator("main img, main script, main iframe, main b, body > img, h1 script").count() == 0
    assert page.title() != "1"
    assert page.evaluate(
        "[...document.querySelectorAll('*')].every(element => [...element.attributes].every("
        "attribute => !attribute.name.startsWith('on') && attribute.name !== 'style'))"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not [c for c in page.content() if not c.isprintable() and c not in "\n\t"]
    assert origin_only(opened.requests, address)  # type: ignore[attr-defined]
    # The status of the page itself is told there too.
    complaints = [text for text in opened.console if "Failed to load resource" not in text]  # type: ignore[attr-defined]
    assert complaints == []


def test_hostile_filters_can_be_chosen(hostile_address: str, open_page: Open):
    opened = open_page(hostile_address + "/")
    page = opened.page
    page.get_by_label("release").select_option(label=ELEMENT)
    page.get_by_role("button", name="Apply").click()
    opened.ready()
    expect(page.locator(".facts")).to_contain_text(f"release {ELEMENT}")
    page.get_by_label("release").select_option(label="(no name)")
    page.get_by_role("button", name="Apply").click()
    opened.ready()
    expect(page.locator(".tiles")).to_contain_text(f"Recorded {len(HOSTILE)}", use_inner_text=True)
    harmless(opened, hostile_address, 1280)


def test_a_hostile_file_has_its_source(hostile_address: str, open_page: Open):
    opened = open_page(hostile_address + "/files")
    opened.page.locator("a.row").filter(has_text="onerror").click()
    page = opened.ready()
    expect(page.locator("h1")).to_have_text(HOSTILE_PATH.replace("\u202e", "\\u202e"))
    expect(page.locator("#L21 code")).to_contain_text(ELEMENT + "\\u202e")
    harmless(opened, hostile_address, 1280)


def test_links_lead_through_the_pages_and_keep_the_filters(address: str, open_page: Open):
    opened = open_page(address + "/")
    page = opened.page
    page.get_by_label("release").select_option("r2")
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("link", name="GET /orders/{id}").click()
    expect(page.locator("h1")).to_have_text("GET /orders/{id}")
    opened.ready()
    page.get_by_role("link", name="shop/views.py").first.click()
    expect(page.locator("h1")).to_have_text("shop/views.py")
    page.get_by_role("link", name="endpoints", exact=True).click()
    expect(page.locator("[aria-current=true]")).to_have_text("endpoints")
    page.get_by_role("link", name="Pipeline").click()
    expect(page.locator("h1")).to_have_text("Pipeline")
    assert "release=r2" in page.url
    assert page.get_by_label("release").input_value() == "r2"
    page.get_by_role("link", name="Show all requests").first.click()
    expect(page).to_have_url(address + "/pipeline")
    assert opened.console == []


def test_a_table_is_sorted_by_its_headings(address: str, open_page: Open):
    page = open_page(address + "/").page
    heading = page.get_by_role("columnheader", name="failed")
    heading.get_by_role("link").click()
    expect(heading).to_have_attribute("aria-sort", "descending")
    expect(page.locator("a.row").first).to_have_text("POST /orders")
    heading.get_by_role("link").click()
    expect(heading).to_have_attribute("aria-sort", "ascending")


def test_typing_searches_without_a_reload(address: str, open_page: Open):
    opened = open_page(address + "/?release=r1")
    page = opened.page
    page.evaluate("window.stayed = true")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("quiet")
    expect(page.locator("a.row")).to_have_count(1)
    expect(page.locator("a.row")).to_have_text("GET /quiet")
    expect(page.locator("#search")).to_be_focused()
    expect(page).to_have_url(re.compile(r"release=r1&q=quiet"))
    assert page.evaluate("window.stayed")
    page.keyboard.press("Escape")
    expect(page.locator("#search")).not_to_be_focused()
    assert opened.console == []


def test_search_and_filters_work_without_script(address: str, open_page: Open):
    opened = open_page(address + "/", java_script_enabled=False)
    page = opened.page
    page.locator("#search").fill("post")
    page.locator("#search").press("Enter")
    expect(page.locator("a.row")).to_have_text(["POST /orders"])
    page.locator("input[name=since]").fill("2026-11-22")
    page.get_by_role("button", name="Apply").click()
    assert "q=post" in page.url
    expect(page.locator(".facts")).to_contain_text("since 2026-11-22")
    page.get_by_role("button", name="Colours").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    assert "q=post" in page.url


def test_keys_lead_everywhere(address: str, open_page: Open):
    opened = open_page(address + "/")
    page = opened.page
    rows = page.locator("a.row")
    page.keyboard.press("j")
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press("j")
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).not_to_be_visible()
    page.get_by_role("button", name="?").click()
    page.get_by_role("button", name="Close").click()
    for key, title in (("f", "Files"), ("p", "Pipeline"), ("e", "Endpoints")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.locator("h1")).to_have_text(title)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("GET /orders/{id}")
    assert opened.console == []


def test_the_first_tab_skips_to_the_content(address: str, open_page: Open):
    page = open_page(address + "/").page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_colours_can_be_chosen_and_stay(address: str, open_page: Open):
    opened = open_page(address + "/files", scheme="light")
    page = opened.page
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    switch = page.get_by_role("button", name="Colours")
    switch.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    switch.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate(ground) != light
    assert page.url == address + "/files"
    page.goto(address + "/pipeline")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    switch.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "auto")
    assert page.evaluate(ground) == light


def test_a_link_to_a_line_shows_that_line(address: str, open_page: Open):
    page = open_page(address + ADDRESSES["source"] + "#L16").page
    expect(page.locator("tr:target th")).to_have_text("16")
    page.locator("#L7 a").click()
    assert page.url.endswith("#L7")


def test_new_requests_appear_without_a_reload_and_under_no_hand(tmp_path: Path, open_page: Open):
    growing = Growing(tmp_path / "s.db")
    growing.add(record("GET /orders/{id}", SHOWN))
    with serving(growing.url) as address:
        opened = open_page(address + "/")
        page = opened.page
        page.evaluate("window.stayed = true")
        page.keyboard.press("j")
        expect(page.locator("a.row")).to_have_count(1)
        growing.add(*(record("POST /orders", SHIPPED, at=timedelta(hours=1)) for _ in range(3)))
        expect(page.locator("a.row")).to_have_count(2, timeout=20_000)
        expect(page.locator(".tiles")).to_contain_text("Recorded 4", use_inner_text=True)
        assert page.evaluate("window.stayed")
        expect(page.locator("a.row", has_text="GET /orders/{id}")).to_be_focused()
        assert opened.console == []
    growing.close()


def test_a_store_that_comes_is_shown_without_a_reload(tmp_path: Path, open_page: Open):
    with serving(f"sqlite:///{tmp_path / 's.db'}") as address:
        opened = open_page(address + "/")
        page = opened.page
        expect(page.locator("main")).to_contain_text("There is no store")
        growing = Growing(tmp_path / "s.db")
        growing.add(record("GET /orders/{id}", SHOWN))
        expect(page.locator("a.row")).to_have_count(1, timeout=20_000)
        growing.close()


def test_a_server_that_is_gone_is_told_of(tmp_path: Path, open_page: Open):
    growing = Growing(tmp_path / "s.db")
    growing.add(record("GET /orders/{id}", SHOWN))
    with serving(growing.url) as address:
        page = open_page(address + "/").page
    expect(page.locator("body.away")).to_have_count(1, timeout=20_000)
    growing.close()


@pytest.mark.parametrize("path", ["/nothing", "/?since=x", "/?q=nothing", "/?release=r2&until=2026-11-20"])
def test_pages_that_have_nothing_to_show_can_be_read_by_all(address: str, open_page: Open, path: str):
    opened = open_page(address + path, 390)
    assert severe(opened.page) == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it, of ``rgb(1, 2, 3)``."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_shade_of_heat_leaves_its_figure_readable_and_differs_from_the_next(
    address: str, open_page: Open, scheme: str
):
    """4.5 to 1 (WCAG AA), in one colour whose lightness goes one way: no two hues to be told apart."""
    page = open_page(address + ADDRESSES["source"], scheme=scheme).page
    shades = []
    for step in range(9):
        text, ground = page.evaluate(
            "step => { const row = document.getElementById('L8'); row.className = `h${step}`;"
            " const style = getComputedStyle(row.cells[2]); return [style.color, style.backgroundColor]; }",
            step,
        )
        light, dark = sorted((luminance(text), luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (step, text, ground)
        shades.append(luminance(ground))
    assert shades == sorted(shades, reverse=scheme == "light")
    assert len(set(shades)) == 9
