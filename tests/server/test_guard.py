"""The guard: names that a server is not called by, pages of other sites, and the headers of every answer."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from requestcov.server.binding import LOOPBACK_HOSTS
from requestcov.server.guard import guarded


async def _answer(request):
    return PlainTextResponse("kept", headers={"cache-control": "max-age=60"} if request.query_params else {})


def asked(method="GET", url="http://localhost/", *, hosts=LOOPBACK_HOSTS, **headers):
    app = guarded(Starlette(routes=[Route("/", _answer, methods=["GET", "POST", "DELETE"])]), hosts=hosts)

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            return await client.request(
                method, url, headers={name.replace("_", "-"): value for name, value in headers.items()}
            )

    return asyncio.run(ask())


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8650", "127.0.0.1:1", "[::1]:8650", "localhost."])
def test_a_server_of_this_machine_answers_to_its_own_names(host):
    assert asked(host=host).text == "kept"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "evil.example:80", "[::1]x", "[::2]", "", "a,localhost"],
)
def test_another_name_is_refused_and_not_repeated(host):
    """Else a page whose name was rebound to this machine could read what it holds."""
    response = asked(host=host)
    assert response.status_code == 403
    assert "--allowed-hosts" in response.json()["error"]
    assert "evil" not in response.text


def test_a_pattern_allows_every_name_below_it_and_not_the_name_itself():
    hosts = ("*.shop.example",)
    assert asked(hosts=hosts, host="a.b.shop.example").status_code == 200
    assert asked(hosts=hosts, host="shop.example").status_code == 403
    assert asked(hosts=hosts, host="evilshop.example").status_code == 403


def test_any_name_can_be_allowed():
    assert asked(hosts=("*",), host="anything.example").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://localhost"},
        {"origin": "http://localhost:80"},
        {"origin": "https://localhost"},  # a proxy before us speaks TLS
        {"sec_fetch_site": "same-origin", "origin": "http://localhost"},
    ],
)
def test_a_change_from_a_page_of_ours_or_from_no_page_passes(headers):
    assert asked("POST", **headers).text == "kept"


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "http://localhost:81"},
        {"origin": "https://localhost:80"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://[::1"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_a_change_from_a_page_of_another_site_is_refused(method, headers):
    response = asked(method, **headers)
    assert response.status_code == 403
    assert response.json() == {"error": "A page of another site may not send this request."}


def test_reading_needs_no_origin():
    """A link from another site leads here; what it leads to, that site's page cannot read."""
    assert asked(sec_fetch_site="cross-site").text == "kept"


@pytest.mark.parametrize("host", ["localhost", "evil.example"])
def test_every_answer_has_the_headers_that_bind_a_browser(host):
    headers = asked(host=host).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["frame-ancestors"] == policy["default-src"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"


def test_an_answer_that_may_be_kept_says_so_itself():
    assert asked(url="http://localhost/?kept").headers["cache-control"] == "max-age=60"
