"""Quart and Falcon over ASGI: their hooks follow the request's context."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import falcon.asgi
import pytest
from quart import Blueprint, Quart

from requestcov import routes


def quart_app() -> Quart:
    app = Quart("shop")
    orders = Blueprint("orders", "shop")

    @orders.get("/<int:id>")
    async def order(id: int) -> str:
        return str(id)

    @orders.get("/sync/<int:id>")
    def sync(id: int) -> str:
        return str(id)

    @app.websocket("/feed/<name>")
    async def feed(name: str) -> None:
        pass

    app.register_blueprint(orders, url_prefix="/orders")
    return app


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("GET", "/orders/7", "/orders/<int:id>"),
        ("HEAD", "/orders/7", "/orders/<int:id>"),
        ("GET", "/orders/sync/7", "/orders/sync/<int:id>"),
        ("GET", "/nowhere", None),
    ],
)
def test_quart_rule(ask: Any, recording: Any, method: str, path: str, template: str | None) -> None:
    answer = ask(quart_app(), path, method)
    assert answer.status == (404 if template is None else 200)
    assert recording.route == template


def test_quart_websocket(ask: Any, recording: Any) -> None:
    ask(quart_app(), "/feed/x", kind="websocket")
    assert recording.route == "/feed/<name>"


def test_quart_receiver_runs_on_the_event_loop_not_in_a_thread(ask: Any, recording: Any) -> None:
    """Quart runs plain receivers in a worker thread: that would be a thread hop a request."""
    threads: list[int] = []

    class Watching:
        @property
        def route(self) -> str | None:
            threads.append(threading.get_ident())
            return None

        @route.setter
        def route(self, value: str | None) -> None:
            threads.append(threading.get_ident())

    watching = Watching()
    routes.bind(lambda: watching)
    ask(quart_app(), "/orders/7")
    assert set(threads) == {threading.get_ident()}


class Order:
    async def on_get(self, req: Any, resp: Any, id: int) -> None:
        await asyncio.sleep(0)
        resp.text = str(id)

    async def on_websocket(self, req: Any, ws: Any, id: int) -> None:
        await ws.close()


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_falcon_asgi_uri_template(ask: Any, recording: Any, kind: str) -> None:
    app = falcon.asgi.App()
    app.add_route("/orders/{id:int}", Order())
    ask(app, "/orders/7", kind=kind)
    assert recording.route == "/orders/{id:int}"
