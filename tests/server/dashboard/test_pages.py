"""The pages as a client gets them: what they say, what they refuse, and what they never do."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from requestcov.server.dashboard.pages import PAGES, load
from tests.reports.shop_store import SHOWN, VIEWS, record, write_store
from tests.server.dashboard.conftest import page_of, serving
from tests.server.dashboard.stores import Growing

ENDPOINT = quote("GET /orders/{id}")
ADDRESSES = {
    "endpoints": "/",
    "endpoint": f"/endpoint?endpoint={ENDPOINT}",
    "files": "/files",
    "source": "/source?path=shop/views.py",
    "suspects": f"/suspects?endpoint={quote('POST /orders')}",
    "slow": f"/slow?endpoint={ENDPOINT}",
    "dead": "/dead",
    "releases": "/releases",
    "hot": "/hot?by=line",
    "thin": "/thin",
    "pipeline": "/pipeline",
    "search": "/search?q=views",
    "who": "/who?path=shop/views.py&line=8",
}
INJECTED = [
    "' OR 1=1 --",
    '"; DROP TABLE request; --',
    "1 UNION SELECT value FROM text",
    "%' AND 1=(SELECT count(*) FROM cohort) --",
    "\\",
    "\x00",
    "\u202e",
    "<script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "../../etc/passwd",
    "~000000000000000000000000",
    "a" * 4000,
    "\r\nSet-Cookie: a=b",
]


def words(response: httpx.Response) -> str:
    """What a reader sees of a page's content."""
    main = response.text[response.text.index("<main") : response.text.index("</main>")]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def test_every_page_is_asked_for_here():
    assert set(ADDRESSES) == {entry.name for entry in PAGES}


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_page_says_what_it_stands_on(address: str, name: str):
    page = page_of(address + ADDRESSES[name])
    assert page.status_code == 200
    text = words(page)
    assert "What these numbers stand on" in text
    assert "1,237 seen" in text
    assert "+ 2 (queue_full 2) dropped + 0 pending" in text
    assert "r1, r2" in text


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_page_is_guarded(address: str, name: str):
    headers = httpx.get(address + ADDRESSES[name]).headers
    assert "script-src 'self'; style-src 'self'" in headers["content-security-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_the_first_page_has_traffic_failures_and_coverage_of_every_endpoint(address: str):
    text = words(page_of(address + "/"))
    assert "GET /orders/{id} 1,200 30 96% 0" in text
    assert "POST /orders 30 8 4% 4 50%" in text
    assert "GET /quiet 7 0 - 0" in text


def test_an_endpoint_has_its_failures_by_type_and_the_ways_through_it(address: str):
    text = words(page_of(address + f"/endpoint?endpoint={quote('POST /orders')}"))
    assert "KeyError status 500" in text
    assert "status 503" in text
    text = words(page_of(address + ADDRESSES["endpoint"]))
    assert "path 1 25" in text
    assert "Path 2, compared with path 1" in text
    assert "+ 8 return 404" in text
    assert "shop/views.py 1/2 3/3 100%" in text


def test_a_line_of_source_has_its_requests_and_an_anchor(address: str):
    page = page_of(address + ADDRESSES["source"])
    assert '<tr id="L8" class="h1">' in page.text
    assert re.search(r'id="L8".*?<td>5</td><td>2%</td><td>1</td>', page.text)
    failing = page_of(address + ADDRESSES["source"] + "&by=failing")
    assert re.search(r'id="L15" class="h8".*?<td>4</td><td>100%</td>', failing.text)
    assert re.search(r'id="L7" class="h0".*?<td>0</td><td>0%</td>', failing.text)
    endpoints = page_of(address + ADDRESSES["source"] + "&by=endpoint")
    assert re.search(r'id="L15" class="h4".*?<td>1</td><td>50%</td><td>2</td>', endpoints.text)


def test_one_endpoint_alone_warms_a_file(address: str):
    page = page_of(address + ADDRESSES["source"] + f"&endpoint={quote('POST /orders')}")
    assert re.search(r'id="L15" class="h8"', page.text)
    assert re.search(r'id="L7" class="missed"', page.text)


def test_filters_narrow_and_are_kept_in_every_link(address: str):
    page = page_of(address + "/?release=r2&since=2026-11-21")
    text = words(page)
    assert "release r2, since 2026-11-21" in text
    assert "GET /orders/{id} - 5 83% 0" in text
    links = [unescape(link) for link in re.findall(r'href="(/[^"]*)"', page.text) if "/static/" not in link]
    narrowed = [link for link in links if link != "/" and "release=r2" not in link]
    assert narrowed == []


def test_tables_are_sorted_and_searched_by_the_address(address: str):
    def order(query: str) -> list[str]:
        found = re.findall(r'class="row"[^>]*><bdi class="name">([^<]*)', page_of(address + query).text)
        return [unescape(name) for name in found]

    assert order("/") == ["GET /orders/{id}", "POST /orders", "GET /quiet"]
    assert order("/?sort=share") == ["GET /quiet", "POST /orders", "GET /orders/{id}"]
    assert order("/?sort=-failed")[0] == "POST /orders"
    assert order("/?sort=endpoint") == ["POST /orders", "GET /orders/{id}", "GET /quiet"]
    assert order("/?q=ORDERS+post") == ["POST /orders"]
    assert order("/?q=nothing") == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("colour=red", "This page knows no colour: it takes at, "),
        ("since=yesterday", "since=yesterday cannot be used: allowed is a day like 2026-11-22."),
        ("since=2026-02-30", "allowed is a day like 2026-11-22."),
        ("since=2026-11-22&until=2026-11-21", "since is after until: exchange the two."),
        ("sort=size", "sort=size cannot be used: allowed is one of -share, "),
        ("at=0", "at=0 cannot be used: allowed is a whole number from 1"),
        ("at=" + "9" * 5000, "at is too long"),
        ("q=a&q=b", "The address gives q twice: once is enough."),
        ("q=%ff", "The address cannot be read"),
    ],
)
def test_a_bad_address_gives_a_page_that_says_what_would_be_right(address: str, query: str, said: str):
    response = httpx.get(f"{address}/?{query}")
    assert response.status_code == 400
    assert response.headers["content-type"].startswith("text/html")
    assert said in words(response)


@pytest.mark.parametrize("entry", PAGES, ids=lambda entry: entry.name)
def test_nothing_that_is_written_into_a_filter_is_more_than_text(address: str, entry: object):
    fields = ["service", "release", "since", "until", *(field.name for field in load(entry.name).FIELDS)]  # type: ignore[attr-defined]
    whole = words(page_of(address + "/pipeline"))
    for field in fields:
        for text in INJECTED:
            response = httpx.get(f"{address}{entry.path}?{field}={quote(text)}")  # type: ignore[attr-defined]
            assert response.status_code in (200, 202, 400, 404), (field, text)
            assert "<script>alert" not in response.text
            assert "set-cookie" not in response.headers
            assert ">49<" not in response.text
    assert words(page_of(address + "/pipeline")) == whole


@pytest.mark.parametrize("path", ["/nothing", "/source/x", "/static/0/style.css", "/%00"])
def test_an_address_that_is_none_of_ours_is_a_page_that_says_so(address: str, path: str):
    response = httpx.get(address + path)
    assert response.status_code == 404
    assert "There is no page at this address." in words(response)


def test_what_changes_nothing_is_all_that_an_address_takes(address: str):
    assert httpx.post(address + "/").status_code == 405
    assert httpx.put(address + "/files").status_code == 405


@pytest.mark.parametrize(
    "name", [f"/endpoint?endpoint={quote('GET /nowhere')}", "/source?path=shop/nowhere.py", "/?service=~aa"]
)
def test_a_name_that_the_store_lacks_is_a_404(address: str, name: str):
    assert httpx.get(address + name).status_code == 404


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A dashboard of files without stored texts, some of which lead out of its root."""
    root = tmp_path / "root"
    (root / "shop").mkdir(parents=True)
    secret = tmp_path / "secret.py"
    for place in (root / "shop" / "views.py", secret):
        place.write_text(VIEWS)
    (root / "shop" / "link.py").symlink_to(secret)
    (root / "away").symlink_to(tmp_path)
    lines = SHOWN["shop/views.py"]
    paths = ["shop/views.py", "../secret.py", str(secret), "shop/link.py", "away/secret.py", "shop/gone.py"]
    store = write_store(
        tmp_path / "s.db", [record("GET /", dict.fromkeys(paths, lines))], texts={"other.py": b""}
    )
    with serving(store, "--root", str(root)) as address:
        yield address, secret


def test_source_is_shown_from_within_the_root_only(outside: tuple[str, Path]):
    address, secret = outside
    assert "render(" in page_of(f"{address}/source?path=shop/views.py").text
    for path in ("../secret.py", str(secret), "shop/link.py", "away/secret.py"):
        response = page_of(f"{address}/source?path={quote(path)}")
        assert response.status_code == 404, path
        assert "render(" not in response.text
    gone = page_of(f"{address}/source?path=shop/gone.py")
    assert gone.status_code == 200
    assert "source not available. Lines that ran: 7, 9." in words(gone)


def test_a_store_without_requests_says_what_to_do(tmp_path: Path):
    growing = Growing(tmp_path / "s.db")
    growing.add()
    with serving(growing.url) as address:
        for entry in PAGES:
            if entry.key:
                assert page_of(address + entry.path).status_code == 200
        assert "No request is recorded yet" in words(page_of(address + "/"))
        assert "requestcov doctor" in words(page_of(address + "/"))
    growing.close()


def test_a_store_that_is_missing_wrong_or_broken_says_what_to_do(tmp_path: Path):
    other, broken, empty = tmp_path / "other.db", tmp_path / "broken.db", tmp_path / "empty.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE a (b)")
    connection.close()
    broken.write_bytes(b"no database" * 1000)
    empty.touch()
    for store, said in (
        (tmp_path / "missing.db", "There is no store"),
        (other, "it is a database of another program; name another file"),
        (broken, "is not a SQLite database"),
        (empty, "it is empty: send the app some requests first"),
        (tmp_path, "is not a file"),
    ):
        with serving(store) as address:
            response = httpx.get(address + "/")
            assert response.status_code == 503
            assert said in words(response)
            assert httpx.get(address + "/live").json() == {"state": ""}


def test_a_period_in_which_nothing_was_recorded_is_said_to_be_empty(address: str):
    assert "Nothing recorded fits these filters" in page_of(address + "/?since=2027-01-01").text


def test_the_axis_of_a_single_day_names_it_once(address: str):
    axis = re.search('<p class="axis">.*?</p>', page_of(address + "/?since=2026-11-20&until=2026-11-20").text)
    assert axis is not None
    assert axis[0].count("2026-11-20") == 1
