"""The pages of single questions in a real browser: their controls, their list, and hostile names."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.server.dashboard.conftest import Open, serving
from tests.server.dashboard.stores import ELEMENT, HOSTILE, hostile, troubled
from tests.server.dashboard.test_in_chromium import SEVERE, harmless, origin_only

CART = quote("POST /cart")
FULL = {
    "suspects": f"/suspects?endpoint={CART}",
    "glance": "/suspects",
    "slow": f"/slow?endpoint={CART}&threshold=500",
    "dead": "/dead",
    "releases": "/releases",
    "hot": "/hot?by=line",
    "thin": "/thin?release=v2",
    "search": "/search?q=cart.py:7",
    "who": "/who?path=shop/cart.py&line=7",
}


@pytest.fixture(scope="module")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard of the shop in trouble."""
    with serving(troubled(tmp_path_factory.mktemp("trouble") / "s.db")) as address:
        yield address


@pytest.fixture(scope="module")
def hostile_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard of a store whose every name is hostile."""
    with serving(hostile(tmp_path_factory.mktemp("hostile") / "s.db")) as address:
        yield address


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
@pytest.mark.parametrize("name", FULL)
def test_a_full_page_fits_and_can_be_read_by_all(
    trouble: str, open_page: Open, name: str, scheme: str, width: int
):
    opened = open_page(trouble + FULL[name], width, scheme)
    page = opened.page
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = [
        (each["id"], [node["html"] for node in each["nodes"]][:3])
        for each in Axe().run(page).response["violations"]
        if each["impact"] in SEVERE
    ]
    assert found == []
    assert opened.console == []
    assert origin_only(opened.requests, trouble)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(
    "address",
    [
        "/suspects",
        "/suspects?endpoint={endpoint}",
        "/suspects?label={element}%3D{element}",
        "/slow?endpoint={endpoint}",
        "/dead",
        "/dead?q={element}",
        "/releases",
        "/hot",
        "/hot?by=line",
        "/thin",
        "/search?q={element}",
        "/search?q=late",
        "/who?path={path}&line=21",
        "/who?path={path}&line=7",
    ],
)
def test_hostile_names_are_text_on_every_page(
    hostile_address: str, open_page: Open, address: str, width: int
):
    # Of the file's name the address holds what its own links hold.
    opened = open_page(hostile_address + "/files")
    link = opened.page.locator("a.row").filter(has_text="onerror").get_attribute("href") or ""
    path = link.partition("path=")[2].partition("&")[0]
    filled = address.format(endpoint=quote(HOSTILE[0], safe=""), element=quote(ELEMENT, safe=""), path=path)
    opened = open_page(hostile_address + filled, width)
    opened.page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    harmless(opened, hostile_address, width)
    assert opened.page.locator("h1").count() == 1


def test_a_hostile_exception_can_be_chosen_as_failing(hostile_address: str, open_page: Open):
    opened = open_page(hostile_address + "/suspects")
    page = opened.page
    page.get_by_label("failing is").select_option(index=1)
    page.get_by_role("button", name="Compare").click()
    opened.ready()
    expect(page.get_by_label("failing is").locator("option:checked")).to_have_text(f"exception {ELEMENT} (9)")
    expect(page.locator("table a.row")).to_have_count(len(HOSTILE))
    harmless(opened, hostile_address, 1280)


def test_hostile_releases_can_be_compared(hostile_address: str, open_page: Open):
    opened = open_page(hostile_address + "/releases")
    expect(opened.page.locator("main")).to_contain_text("There is one release only")
    harmless(opened, hostile_address, 1280)


def test_the_controls_of_suspects_lead_to_an_address_that_holds_them(trouble: str, open_page: Open):
    opened = open_page(trouble + "/suspects?release=v1")
    page = opened.page
    page.locator("select[name=endpoint]").select_option(label="POST /cart")
    page.get_by_label("failing is").select_option(label="status 500 (27)")
    page.get_by_label("ranked by").select_option(label="Jaccard")
    page.get_by_role("button", name="Compare").click()
    opened.ready()
    assert "release=v1" in page.url
    assert "failing=status:500" in page.url.replace("%3A", ":")
    expect(page.locator("h1")).to_have_text("Suspects of POST /cart")
    expect(page.locator(".groups")).to_contain_text("status 500")
    expect(page.locator(".ties .marked code").first).to_have_text("        price -= coupon.worth")
    page.locator(".ties .marked a").first.click()
    opened.ready()
    expect(page.locator("tr:target th")).to_have_text("7")
    assert "by=failing" in page.url
    assert opened.console == []


def test_a_label_is_offered_and_chosen(trouble: str, open_page: Open):
    opened = open_page(trouble + f"/suspects?endpoint={CART}")
    page = opened.page
    assert page.locator("datalist option").get_attribute("value") == "plan=gold"
    page.get_by_label("or the label").fill("plan=gold")
    page.get_by_label("or the label").press("Enter")
    opened.ready()
    expect(page.locator(".groups")).to_contain_text("the label plan=gold")


def test_a_threshold_is_chosen_and_a_glance_leads_to_its_endpoint(trouble: str, open_page: Open):
    opened = open_page(trouble + "/slow")
    page = opened.page
    page.get_by_label("slow is above").fill("500")
    page.get_by_role("button", name="Compare").click()
    opened.ready()
    page.locator("a.row").filter(has_text="POST /cart").click()
    opened.ready()
    expect(page.locator(".groups")).to_contain_text("above 500.0 ms, as asked for")
    expect(page.locator(".ties .marked code").first).to_have_text("        wait()")


def test_items_are_ticked_off_for_this_browser_and_stay(trouble: str, open_page: Open):
    opened = open_page(trouble + "/dead")
    page = opened.page
    expect(page.locator("[data-said]")).to_have_text("0 of 3")
    page.get_by_label("Done: legacy").check()
    expect(page.locator("[data-said]")).to_have_text("1 of 3")
    expect(page.locator("progress")).to_have_attribute("value", "1")
    expect(page.locator("tr.done")).to_contain_text("legacy")
    page.reload()
    opened.ready()
    expect(page.get_by_label("Done: legacy")).to_be_checked()
    page.get_by_label("hide what is ticked off").check()
    expect(page.locator("tr[data-mark]:visible")).to_have_count(2)
    page.goto(trouble + "/dead?kind=function")
    opened.ready()
    expect(page.locator("[data-said]")).to_have_text("1 of 2")
    expect(page.locator("tr[data-mark]:visible")).to_have_count(1)
    page.get_by_label("hide what is ticked off").uncheck()
    page.get_by_label("Done: legacy").uncheck()
    expect(page.locator("[data-said]")).to_have_text("0 of 2")
    assert opened.console == []
    assert open_page(trouble + "/dead").page.locator("tr.done").count() == 0


def test_a_function_that_has_changed_comes_back(trouble: str, open_page: Open):
    opened = open_page(trouble + "/dead?release=v1&q=forget")
    page = opened.page
    page.get_by_label("Done: forget").check()
    page.goto(trouble + "/dead?release=v2&q=forget")
    opened.ready()
    expect(page.get_by_label("Done: forget")).not_to_be_checked()
    page.goto(trouble + "/dead?release=v1&q=forget")
    opened.ready()
    expect(page.get_by_label("Done: forget")).to_be_checked()


def test_ticks_survive_what_the_search_puts_in_place_of_the_page(trouble: str, open_page: Open):
    opened = open_page(trouble + "/dead")
    page = opened.page
    page.get_by_label("Done: legacy").check()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    page.keyboard.type("legacy")
    expect(page.locator("tr[data-mark]")).to_have_count(1)
    expect(page.locator("tr.done")).to_have_count(1)
    expect(page.locator("[data-said]")).to_have_text("1 of 1")


def test_ticks_that_cannot_be_kept_last_as_long_as_the_page(trouble: str, open_page: Open):
    opened = open_page(trouble + "/dead")
    page = opened.page
    page.evaluate("Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError') }; 0")
    page.get_by_label("Done: legacy").check()
    expect(page.locator("[data-said]")).to_have_text("1 of 3")
    page.reload()
    opened.ready()
    expect(page.locator("[data-said]")).to_have_text("0 of 3")
    assert opened.console == []


@pytest.mark.parametrize("broken", ["{", "5", '[1, {"a": 2}]'])
def test_what_is_kept_and_is_none_of_ours_ticks_nothing_off(trouble: str, open_page: Open, broken: str):
    opened = open_page(trouble + "/dead")
    page = opened.page
    page.evaluate("text => localStorage.setItem('requestcov done /', text)", broken)
    page.reload()
    opened.ready()
    expect(page.locator("[data-said]")).to_have_text("0 of 3")
    page.get_by_label("Done: legacy").check()
    expect(page.locator("[data-said]")).to_have_text("1 of 3")
    assert opened.console == []


def test_the_list_is_copied_as_markdown(trouble: str, open_page: Open):
    opened = open_page(trouble + "/dead", permissions=["clipboard-read", "clipboard-write"])
    page = opened.page
    page.get_by_role("button", name="Copy as Markdown").click()
    expect(page.locator("[data-copied]")).to_have_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("# Code that no recorded request ran\n")
    assert "- [ ] `legacy` lines 4-5" in copied


def test_without_a_clipboard_the_markdown_is_selected(trouble: str, open_page: Open):
    opened = open_page(trouble + "/dead")
    page = opened.page
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.get_by_role("button", name="Copy as Markdown").click()
    expect(page.locator("[data-copied]")).to_have_text("Selected: copy it from there.")
    expect(page.locator("#markdown")).to_be_focused()
    assert page.evaluate("getSelection().toString()").startswith("# Code")


def test_the_list_can_be_read_and_copied_without_script(trouble: str, open_page: Open):
    page = open_page(trouble + "/dead", java_script_enabled=False).page
    expect(page.locator(".ticking")).to_be_hidden()
    expect(page.locator("tr[data-mark] input").first).to_be_hidden()
    page.get_by_text("As Markdown for a ticket").click()
    expect(page.locator("#markdown")).to_be_visible()
    page.locator("select[name=kind]").select_option("imported")
    page.get_by_label("confidence").select_option("dead")
    page.locator("select[name=path]").select_option(label="shop/legacy.py (1)")
    page.get_by_label("days", exact=False).last.fill("3")
    page.get_by_role("button", name="Apply").last.click()
    expect(page.locator("a.row").first).to_have_text("legacy")
    assert "days=3" in page.url


def test_two_releases_are_chosen_and_exchanged(trouble: str, open_page: Open):
    opened = open_page(trouble + "/releases")
    page = opened.page
    page.get_by_role("link", name="Exchange the two").click()
    opened.ready()
    assert "before=v2&after=v1" in page.url
    expect(page.locator(".pair section").first).to_contain_text("v2")
    page.locator("select[name=before]").select_option("v1")
    page.locator("select[name=after]").select_option("v2")
    page.get_by_label("silent").select_option("significant")
    page.get_by_role("button", name="Compare").click()
    opened.ready()
    expect(page.locator("table[aria-labelledby=silent] tbody tr")).to_have_count(1)
    page.locator("table[aria-labelledby=silent] a.row").click()
    opened.ready()
    expect(page.locator("h1")).to_have_text("shop/cart.py")


def test_one_field_finds_everything_and_enter_opens_the_first(trouble: str, open_page: Open):
    opened = open_page(trouble + f"/suspects?endpoint={CART}")
    page = opened.page
    page.keyboard.press("/")
    page.keyboard.type("cart.py:7")
    page.keyboard.press("Enter")
    opened.ready()
    expect(page.locator("h2").first).to_have_text("Who ran the line")
    page.keyboard.press("/")
    page.keyboard.type("forget")
    expect(page.locator("[data-results] a.row")).to_have_text(["forget"])
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("shop/cart.py")
    page.keyboard.press("g")
    page.keyboard.press("w")
    expect(page.locator("h1")).to_have_text("Search")
    page.keyboard.press("/")
    page.keyboard.type("cart.py:7")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("shop/cart.py:7")
    page.get_by_role("link", name="Who ran line 9").click()
    expect(page.locator("h1")).to_have_text("shop/cart.py:9")
    assert opened.console == []


def test_a_table_that_is_searched_leads_on_to_everything(trouble: str, open_page: Open):
    opened = open_page(trouble + "/files?q=legacy")
    page = opened.page
    page.get_by_role("link", name="Search everything").click()
    expect(page.locator("h1")).to_have_text("Search")
    expect(page.locator("[data-results] a.row")).to_have_text(["shop/legacy.py", "legacy"])


def test_every_question_has_its_key(trouble: str, open_page: Open):
    page = open_page(trouble + "/").page
    for key, title in {
        "s": "Suspects",
        "l": "Slow",
        "d": "Dead code",
        "r": "Releases",
        "h": "Hot",
        "t": "Thin",
        "w": "Search",
    }.items():
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.locator("h1")).to_have_text(title)


def test_hot_lines_lead_to_who_ran_them_and_functions_to_their_source(trouble: str, open_page: Open):
    opened = open_page(trouble + "/hot")
    page = opened.page
    page.get_by_role("link", name="lines", exact=True).click()
    opened.ready()
    page.get_by_role("link", name="Who ran shop/cart.py, line 5").click()
    expect(page.locator("h1")).to_have_text("shop/cart.py:5")
    page.goto(trouble + "/thin?release=v2")
    opened.ready()
    page.get_by_role("columnheader", name="never ran").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="never ran")).to_have_attribute("aria-sort", "descending")
    page.locator("a.row").first.click()
    expect(page.locator("h1")).to_have_text("shop/cart.py")
