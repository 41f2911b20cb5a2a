"""The HTML report as a browser shows it: it asks for nothing, fits, and stays what we wrote."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from coverage import CoverageData

from requestcov.cli import main
from requestcov.reports.html.page import SECTIONS
from tests.reports.html.conftest import Open
from tests.reports.shop_store import MISSING, SHIPPED, SHOWN, VIEWS, record, write_store

ELEMENT = '<img src=x onerror="document.title=1"><script>document.title=1</script>'
HOSTILE = [
    f"GET /{ELEMENT}",
    "GET /\"'onclick=alert(1)><b>",
    "GET /a\x00\x1b[31mred",
    "GET /invoice\u202efdp.exe",
    "GET /half\ud800",
    "GET /{{ 7 * 7 }}{% raw %}",
    "GET /" + "long" * 100,
]
PATH = f"shop/{ELEMENT.replace('/', '')}\u202e.py"
LINES = VIEWS + f"\n\ndef late():\n    return '{ELEMENT}\u202e\t\x07</code></div></style>'\n"
DIFF = f"""\
--- a/shop/views.py
+++ b/shop/views.py
@@ -7,2 +7,2 @@
     if order is None:
-        return 404
+        return 410
--- a/{PATH.encode("unicode_escape").decode()}
+++ b/{PATH.encode("unicode_escape").decode()}
@@ -1,1 +1,2 @@
 import os
+import {ELEMENT}
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a store whose every name is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    texts = {"shop/views.py": VIEWS, PATH: LINES}
    records = [
        record(endpoint, {**SHOWN, PATH: {7, 8}}, texts=texts, release=ELEMENT, service=ELEMENT)
        for endpoint in HOSTILE
    ]
    records += [record("GET /orders", MISSING), record("POST /orders", SHIPPED, status=500)]
    url = write_store(folder / "s.db", records, texts=texts, seen={"GET /quiet": 3}, dropped={ELEMENT: 1})
    # A change to both files, and tests that ran the first function of each, in the folder asked from.
    for path, text in texts.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    (folder / "hostile.diff").write_text(DIFF)
    data = CoverageData(basename=str(folder / "tests.data"))
    data.add_lines({str(folder / path): [7] for path in texts})
    data.write()
    with contextlib.chdir(folder):
        asked = ["html", "r.html", "--store", url, "--diff", "hostile.diff", "--tests", "tests.data"]
        assert main(asked) == 0
    return folder / "r.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_asks_for_nothing_and_complains_of_nothing(report: Path, open_page: Open, scheme: str):
    opened = open_page(report, scheme=scheme)
    assert opened.requests == [report.as_uri()]
    assert opened.console == []


@pytest.mark.parametrize("width", [390, 1280])
def test_no_section_is_wider_than_the_screen(report: Path, open_page: Open, width: int):
    """With everything unfolded: what is too long folds, or scrolls in a box of its own."""
    page = open_page(report, width).page
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("section").count() == len(SECTIONS)
    for section in page.locator("section").all():
        box = section.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_hostile_names_are_text(report: Path, open_page: Open):
    page = open_page(report).page
    assert page.locator("script, img, iframe, object, embed, form, link, b").count() == 0
    assert page.evaluate(
        "[...document.querySelectorAll('*')].every(element => [...element.attributes].every("
        "attribute => !attribute.name.startsWith('on') && attribute.name !== 'style'))"
    )
    text = page.locator("main").text_content()
    assert text is not None
    assert ELEMENT in text
    assert "/{{ 7 * 7 }}{% raw %}" in text
    assert "/a\\x00\\x1b[31mred" in text
    assert "/invoice\\u202efdp.exe" in text
    assert "/half\\ud800" in text
    assert page.locator("code", has_text="def late").count() == 1
    for section in ("#gap", "#impact", "#who"):
        assert ELEMENT.replace("/", "") in (page.locator(section).text_content() or "")


def test_no_character_that_hides_or_turns_text_is_left(report: Path):
    assert [c for c in report.read_text() if not c.isprintable() and c != "\n"] == []


def test_the_policy_allows_our_style_and_no_other(report: Path, open_page: Open, tmp_path: Path):
    """The hash is of the very bytes; a style, a script or a picture put into the file is refused."""
    page = open_page(report).page
    assert page.locator("header").evaluate("header => getComputedStyle(header).position") == "sticky"
    forged = tmp_path / "forged.html"
    added = "<style>main { display: none }</style><img src='http://127.0.0.1:9/x.png'></main>"
    forged.write_text(report.read_text().replace("</main>", added))
    opened = open_page(forged)
    assert opened.page.locator("main").is_visible()
    assert len([text for text in opened.console if "Content Security Policy" in text]) == 2


def test_a_link_to_a_line_unfolds_its_file_without_script(report: Path, open_page: Open):
    page = open_page(report, fragment="#files").page
    link = page.locator("#dead a", has_text="ship").first
    target = link.get_attribute("href")
    assert target is not None
    row = page.locator(f"[id='{target[1:]}']")
    assert not row.is_visible()
    link.click()
    assert row.is_visible()
    assert row.locator("code").text_content() == "def ship(order):"


def test_the_number_of_a_line_leads_to_who_ran_it_and_back(report: Path, open_page: Open):
    page = open_page(report, fragment="#f2-15").page
    page.locator("#f2-15 a").click()
    entry = page.locator(":target")
    assert entry.get_by_text("POST /orders").is_visible()
    entry.get_by_text("shop/views.py").click()
    assert page.locator(":target code").text_content() == "    order.sent = True"


def test_every_link_leads_somewhere(report: Path, open_page: Open):
    page = open_page(report).page
    found = page.evaluate("[...document.querySelectorAll('a')].map(link => link.getAttribute('href'))")
    assert found
    assert all(page.locator(f"[id='{href[1:]}']").count() == 1 for href in set(found))


def test_a_reader_of_the_structure_finds_landmarks_and_headings(report: Path, open_page: Open):
    page = open_page(report).page
    for landmark in ("banner", "navigation", "main", "contentinfo"):
        assert page.get_by_role(landmark).count() == 1
    assert page.locator("h1").count() == 1
    assert page.get_by_role("region").count() >= len(SECTIONS)
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("svg:not([aria-hidden]):not([aria-label])").count() == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(ids) == len(set(ids))


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it, of ``rgb(1, 2, 3)``."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


COLOURS = """
[...document.querySelectorAll('main *, header *, footer *')].filter(element =>
    [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()) && !element.closest('svg')
).map(element => {
    let behind = element;
    while (behind && /, 0\\)$/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
    return [getComputedStyle(element).color, getComputedStyle(behind || document.body).backgroundColor];
})
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(report: Path, open_page: Open, scheme: str):
    """WCAG AA: 4.5 to 1."""
    pairs = {tuple(pair) for pair in open_page(report, scheme=scheme).page.evaluate(COLOURS)}
    assert len(pairs) > 4
    for text, ground in pairs:
        light, dark = sorted((luminance(text), luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def test_it_prints_with_dark_text_on_white(report: Path, open_page: Open):
    page = open_page(report, scheme="dark").page
    page.emulate_media(media="print", color_scheme="dark")
    colours = "body => [getComputedStyle(body).color, getComputedStyle(body).backgroundColor]"
    assert page.locator("body").evaluate(colours) == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    assert not page.locator("header").is_visible()
