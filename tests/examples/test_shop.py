"""The example shop answers as it should, as FastAPI and as Flask, without requestcov in between."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.examples.known_requests import ADMIN, KNOWN, KnownRequest, shop_module

FRAMEWORKS = ("fastapi", "flask")


def answers(framework: str, app: Any, requests: tuple[KnownRequest, ...]) -> list[httpx.Response]:
    """Every request's response, from the app in this process."""
    if framework == "flask":
        wsgi = httpx.WSGITransport(app=app, raise_app_exceptions=False)
        with httpx.Client(transport=wsgi, base_url="http://shop.test") as client:
            return [client.request(r.method, r.path, **r.kwargs) for r in requests]

    async def run() -> list[httpx.Response]:
        asgi = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=asgi, base_url="http://shop.test") as client:
            return [await client.request(r.method, r.path, **r.kwargs) for r in requests]

    return asyncio.run(run())


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shop(framework: str, tmp_path: Path) -> Iterator[Any]:
    """The module of one of the two apps."""
    with shop_module(framework, tmp_path / "module.db") as module:
        yield module


def test_every_known_request_gets_its_known_answer(framework: str, shop: Any, tmp_path: Path) -> None:
    """Status and a piece of the body of all of them, in order, on a fresh database."""
    app = shop.create_app(tmp_path / "shop.db")
    wrong = []
    for request, response in zip(KNOWN, answers(framework, app, KNOWN), strict=True):
        text = re.sub(r'(?<=[:,])\s+(?=["\d\[{])', "", response.text)
        if response.status_code != request.status or request.has not in text:
            wrong.append(f"{request} but {response.status_code} {text[:200]}")
    assert not wrong, "\n".join(wrong)


def test_known_requests_reach_every_endpoint(framework: str, shop: Any, tmp_path: Path) -> None:
    """No endpoint of either app is left out of the list, and no template in it is invented."""
    app = shop.create_app(tmp_path / "shop.db")
    if framework == "flask":
        known = {r.flask_route for r in KNOWN} - {None}
        real = {rule.rule for rule in app.url_map.iter_rules()}
    else:
        known = {r.route for r in KNOWN} - {None}
        real = {"/static/{path}", *app.openapi()["paths"]}
    assert known == real


def test_orders_are_confirmed_after_the_response(framework: str, shop: Any, tmp_path: Path) -> None:
    """Each of the orders that went through left one mail in the outbox."""
    app = shop.create_app(tmp_path / "shop.db")
    responses = answers(framework, app, KNOWN)
    bought = [
        response.json()["order"]
        for request, response in zip(KNOWN, responses, strict=True)
        if request.path.endswith("/checkout") and response.status_code == 201
    ]
    with shop.Database(tmp_path / "shop.db").read() as conn:
        mails = conn.execute("SELECT subject, body FROM outbox ORDER BY id").fetchall()
    assert [mail["subject"] for mail in mails] == [f"Order {number}" for number in bought]
    assert "    3 x teapot" in mails[0]["body"]
    assert any("by hand" in mail["body"] for mail in mails)


def test_a_failed_payment_leaves_no_order_and_no_gap_in_the_stock(
    framework: str, shop: Any, tmp_path: Path
) -> None:
    """The provider's silence is a 500, and the transaction is gone as a whole."""
    app = shop.create_app(tmp_path / "shop.db")
    requests = [r for r in KNOWN if "cart-0001" in r.path]
    down = next(i for i, r in enumerate(requests) if r.status == 500)
    *_, failed = answers(framework, app, tuple(requests[: down + 1]))
    assert failed.status_code == 500
    with shop.Database(tmp_path / "shop.db").read() as conn:
        assert conn.execute("SELECT count(*) FROM purchase").fetchone()[0] == 8
        assert conn.execute("SELECT stock FROM product WHERE slug = 'teapot'").fetchone()[0] == 50_000


def test_the_export_has_every_order_in_pages(framework: str, shop: Any, tmp_path: Path) -> None:
    """More orders than fit one page come out once each, with a header."""
    app = shop.create_app(tmp_path / "shop.db")
    with shop.Database(tmp_path / "shop.db").write() as conn:
        conn.executemany(
            "INSERT INTO purchase(email, country, state, subtotal, discount, shipping, vat, total, payment)"
            " VALUES ('x@shop.example', 'DE', 'paid', 1, 0, 0, 0, 1, '')",
            [()] * 450,
        )
    export = KnownRequest("GET", "/admin/orders.csv", {"headers": ADMIN})
    some = KnownRequest("GET", "/admin/orders.csv", {"headers": ADMIN, "params": {"limit": 250}})
    everything, part = answers(framework, app, (export, some))
    header, *rows = everything.text.split("\r\n")[:-1]
    assert header.startswith("id,email,country")
    assert [int(row.split(",")[0]) for row in rows] == list(range(1, 459))
    assert part.text.count("\r\n") == 251


def test_the_ticker_tells_the_stock_and_closes_for_an_unknown_product(tmp_path: Path) -> None:
    """The websocket of the FastAPI app, spoken to in ASGI's own messages."""
    with shop_module("fastapi", tmp_path / "module.db") as module:
        app = module.create_app(tmp_path / "shop.db")
        known = asyncio.run(websocket(app, "/ws/stock/moon-lamp", ["?", "?"]))
        unknown = asyncio.run(websocket(app, "/ws/stock/unicorn", ["?"]))
    sent = '{"slug":"moon-lamp","stock":3}'
    assert [m.get("text") for m in known] == [None, sent, sent]
    assert unknown[-1] == {"type": "websocket.close", "code": 4404, "reason": "no such product"}


async def websocket(
    app: Callable[..., Awaitable[None]], path: str, messages: list[str]
) -> list[dict[str, Any]]:
    """What the app sends during a connection with these messages, then a disconnect."""
    coming = [{"type": "websocket.connect"}]
    coming += [{"type": "websocket.receive", "text": text} for text in messages]
    coming += [{"type": "websocket.disconnect", "code": 1000}]
    arriving = iter(coming)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return dict(next(arriving))

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"shop.test")],
        "subprotocols": [],
    }
    await app(scope, receive, send)
    return sent
