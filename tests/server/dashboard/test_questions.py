"""The pages of single questions, as a client gets them: what each says of a shop in trouble."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import quote

import httpx
import pytest

from requestcov.server.dashboard.pages.search import lines
from tests.server.dashboard.conftest import page_of, serving
from tests.server.dashboard.stores import troubled
from tests.server.dashboard.test_pages import words

CART = quote("POST /cart")


@pytest.fixture(scope="module")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard of the shop in trouble."""
    with serving(troubled(tmp_path_factory.mktemp("trouble") / "s.db")) as address:
        yield address


def text_of(address: str) -> str:
    page = page_of(address)
    assert page.status_code == 200, page.text
    return words(page)


def test_suspects_of_an_endpoint_are_ranked_with_every_formula_and_the_source_around(trouble: str):
    text = text_of(f"{trouble}/suspects?endpoint={CART}")
    assert "Failing 30 an exception or a status of 500 and up Healthy 420 all other requests" in text
    assert "total shop/cart.py:7, 7-ended 1 30 of 30 0 of 420 1.00 1.00 ∞ 1.00 <0.001" in text
    assert "6 if coupon: in this tie: ▸ 7 price -= coupon.worth 8 log(price)" in text


def test_lines_that_failing_requests_missed_are_ranked_too_and_a_tie_is_one(trouble: str):
    text = text_of(f"{trouble}/suspects?endpoint={CART}")
    missed = text[text.index("They did not run") :]
    assert "total shop/cart.py:8-9, ship shop/cart.py:13, 15" not in missed
    assert re.search(r"total shop/cart.py:8-9 ship shop/cart.py:13, 15 1-4 30 of 30 0 of 420", missed)


@pytest.mark.parametrize(
    ("query", "means"),
    [
        ("failing=error:CouponError", "Failing 30 the exception CouponError"),
        ("failing=error:shop.errors.CouponError", "Failing 30 the exception shop.errors.CouponError"),
        ("failing=status:500", "Failing 30 status 500"),
        ("label=plan%3Dgold", "Failing 15 the label plan=gold"),
    ],
)
def test_what_counts_as_failing_can_be_chosen(trouble: str, query: str, means: str):
    assert means in text_of(f"{trouble}/suspects?endpoint={CART}&{query}")


def test_the_formula_orders_the_ranking(trouble: str):
    for formula in ("ochiai", "tarantula", "dstar", "jaccard"):
        page = page_of(f"{trouble}/suspects?endpoint={CART}&formula={formula}").text
        assert f'value="{formula}" selected' in page


def test_functions_are_ranked_by_the_first_of_their_lines(trouble: str):
    text = text_of(f"{trouble}/suspects?endpoint={CART}")
    assert "The functions they ran Each by the first of its lines in the ranking." in text
    assert text[text.index("The functions they ran") :].count("total shop/cart.py 1 30 0") == 1


def test_without_an_endpoint_the_ones_that_fail_are_glanced_at(trouble: str):
    text = text_of(f"{trouble}/suspects")
    assert "POST /cart total shop/cart.py:7, 7-ended 30 450 1.00 <0.001" in text
    assert "No recorded request is such a one." in text_of(f"{trouble}/suspects?failing=status:404")


def test_too_few_requests_are_not_compared(trouble: str):
    text = text_of(f"{trouble}/suspects?endpoint={quote('GET /audit')}")
    assert "Too little to compare 0 failing requests recorded, 2 are needed." in text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("suspects?failing=odd", "allowed is error:TYPE, as error:KeyError, or status:N, as status:503."),
        ("suspects?failing=status:5", "allowed is error:TYPE"),
        ("suspects?label=gold", "allowed is KEY=VALUE, as plan=gold."),
        ("suspects?failing=status:500&label=a%3Db", "one of the two says what is to count as failing."),
        ("suspects?formula=mine", "allowed is one of ochiai, tarantula, dstar, jaccard."),
        ("slow?threshold=fast", "allowed is milliseconds from 0, as 250."),
        ("slow?threshold=nan", "allowed is milliseconds from 0, as 250."),
        ("slow?threshold=-1", "allowed is milliseconds from 0, as 250."),
        ("dead?bound=2", "allowed is one of 1, 0.1, 5, 10."),
        ("releases?before=v1&after=v1", "before and after are the same release: choose two."),
        ("who?path=shop/cart.py", "This page is about a line"),
    ],
)
def test_a_control_that_cannot_be_used_says_what_would_be_right(trouble: str, query: str, said: str):
    response = httpx.get(f"{trouble}/{query}")
    assert response.status_code == 400
    assert said in words(response)


def test_slow_requests_are_held_against_fast_ones_with_the_difference_of_medians(trouble: str):
    text = text_of(f"{trouble}/slow?endpoint={CART}&threshold=500")
    assert "above 500.0 ms, as asked for" in text
    assert "Neither 30 failed, and so ended early" in text
    assert re.search(
        r"ship shop/cart.py:14 1 \d+ of \d+ 0 of \d+ 1,\d+\.\d \d+\.\d \+1,\d+\.\d 1\.00 1\.00 ∞", text
    )
    assert "the 95th percentile" in text_of(f"{trouble}/slow?endpoint={CART}")
    assert "POST /cart ship shop/cart.py:14 450" in text_of(f"{trouble}/slow")


def test_dead_code_has_its_bound_its_days_and_why_it_is_no_surer(trouble: str):
    text = text_of(f"{trouble}/dead?sort=where")
    assert "What none of 451 recorded requests ran" in text
    assert "forget shop/cart.py:18-20 not run since it was edited" in text
    assert "legacy shop/legacy.py:4-5 its file is only imported 1 0.66%" in text
    assert "debug shop/cart.py:27 excluded from coverage, so not judged - - - - -" in text
    assert "audit shop/cart.py" not in text


@pytest.mark.parametrize(
    ("query", "listed"),
    [
        ("kind=imported", ["legacy"]),
        ("kind=changed", ["forget"]),
        ("kind=excluded", ["debug"]),
        ("kind=function", ["forget", "legacy"]),
        ("kind=lines", []),
        ("kind=jobs", []),
        ("sure=dead", ["legacy"]),
        ("sure=unsure", ["debug", "forget"]),
        ("path=shop/legacy.py", ["legacy"]),
        ("q=FORG", ["forget"]),
        ("q=nothing", []),
        ("service=shop&kind=elsewhere", ["audit"]),
        ("bound=0.1&sure=dead", []),
        ("days=11&sure=dead", []),
        ("bound=10&days=1&sure=dead", ["forget", "legacy"]),
        (f"endpoint={CART}", ["debug"]),
    ],
)
def test_the_list_of_dead_code_is_filtered_by_the_address(trouble: str, query: str, listed: list[str]):
    page = page_of(f"{trouble}/dead?{query}")
    assert page.status_code == 200
    found = re.findall(r'data-mark=.*?class="row"[^>]*><bdi class="name">([^<]*)', page.text, re.DOTALL)
    assert sorted(found) == listed


def test_a_mark_is_of_the_function_and_its_text(trouble: str):
    def mark(query: str) -> str:
        page = page_of(f"{trouble}/dead?q=forget&{query}").text
        return re.findall(r'data-mark="([^"]*)"', page)[0]

    # In the first release the function had another text.
    assert mark("") == mark("release=v2") == mark("kind=changed")
    assert mark("release=v1") != mark("")


def test_dead_code_is_a_markdown_checklist_of_what_the_filters_leave(trouble: str):
    def markdown(query: str) -> str:
        page = page_of(f"{trouble}/dead?{query}").text
        return unescape(re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)[0])

    assert markdown("").startswith("# Code that no recorded request ran\n\n451 recorded requests")
    assert "\n## `shop/legacy.py`\n- [ ] `legacy` lines 4-5 (1 line)" in markdown("")
    assert "legacy" not in markdown("kind=changed")


def test_two_releases_stand_side_by_side(trouble: str):
    text = text_of(f"{trouble}/releases")
    assert "Earlier v1 Recorded 401" in text
    assert "Later v2 Recorded 50" in text
    assert re.search(r"Gone silent, though the code is there .* ship shop/cart.py:14 \d+ 400 50", text)
    assert "POST /cart 400 50" in text
    turned = text_of(f"{trouble}/releases?before=v2&after=v1")
    assert re.search(r"Newly run in v1 .* ship shop/cart.py:14 as before 1", turned)
    assert "Earlier v1" in text_of(f"{trouble}/releases?release=v2")
    assert httpx.get(f"{trouble}/releases?before=v9").status_code == 404


def test_only_significant_silence_can_be_asked_for(trouble: str):
    text = text_of(f"{trouble}/releases?show=significant")
    silent = text[text.index("Gone silent") : text.index("Edited or removed")]
    assert "ship shop/cart.py:14" in silent
    assert " no " not in silent
    assert "No release" not in text


def test_hot_functions_and_lines_and_thin_functions_are_listed(trouble: str):
    assert "total shop/cart.py:4 1 450 >99%" in text_of(f"{trouble}/hot")
    assert "price = sum(cart) total shop/cart.py:5 1 450 >99% who" in text_of(f"{trouble}/hot?by=line")
    thin = text_of(f"{trouble}/thin?release=v2")
    assert "ship shop/cart.py:12 " in thin
    assert "2/3 14 0.31" in thin


def test_a_search_finds_endpoints_files_functions_and_lines(trouble: str):
    text = text_of(f"{trouble}/search?q=CART")
    assert "Endpoints POST /cart Files shop/cart.py Functions" in text
    assert "Functions audit shop/cart.py:23" in text_of(f"{trouble}/search?q=audit")
    assert "Who ran the line shop/cart.py:7" in text_of(f"{trouble}/search?q=cart.py:7")
    assert "Nothing here is called like zebra" in text_of(f"{trouble}/search?q=zebra")
    assert "Functions 6 of these files" in text_of(f"{trouble}/search")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("shop/cart.py:7", ["shop/cart.py"]),
        ("cart.py:7", ["old/cart.py", "shop/cart.py"]),
        ("./shop/cart.py:7:12", ["shop/cart.py"]),
        ("/srv/app/shop/cart.py:7", ["shop/cart.py"]),
        ('  File "/srv/app/shop/cart.py", line 7, in total', ["shop/cart.py"]),
        ("shop\\cart.py:7", ["shop/cart.py"]),
        ("CART:7", ["old/cart.py", "shop/cart.py"]),
        ("cart.py:0", []),
        ("cart.py", []),
        ("POST /cart", []),
        ("none.py:7", []),
    ],
)
def test_a_line_is_found_by_the_end_of_its_files_name(asked: str, found: list[str]):
    assert lines(asked, ["shop/cart.py", "old/cart.py"]) == [(path, 7) for path in found]


def test_who_ran_a_line_is_told_with_requests_traces_and_times(trouble: str):
    text = text_of(f"{trouble}/who?path=shop/cart.py&line=7")
    assert "Requests 30 recorded, standing for 30" in text
    assert "POST /cart 30 100% 2026-11-20 11:00" in text
    assert re.search(r"request \S+ ?, trace 0000\S+ ?, release v2 ?, shop.errors.CouponError 500", text)
    none = text_of(f"{trouble}/who?path=shop/cart.py&line=19")
    assert "No recorded request ran it" in none
    imported = text_of(f"{trouble}/who?path=shop/cart.py&line=1")
    assert "Line 1 of shop/cart.py runs when the module is imported" in imported
    assert " shop/cart.py has 28 lines, none of number 999." in text_of(
        f"{trouble}/who?path=shop/cart.py&line=999"
    )
    assert "release v1" in text_of(f"{trouble}/who?path=shop/cart.py&line=7&release=v1")


def test_changing_a_filter_keeps_the_line_that_is_asked_about(trouble: str):
    page = page_of(f"{trouble}/who?path=shop/cart.py&line=7").text
    assert '<input type="hidden" name="line" value="7">' in page
