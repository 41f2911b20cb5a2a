"""Templates of real ASGI frameworks: what from_scope and the hooks find."""

from __future__ import annotations

from typing import Any

import litestar
import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from litestar import Litestar, Router, asgi
from litestar import get as litestar_get
from litestar import websocket as litestar_websocket
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.routing import Router as StarletteRouter

from requestcov import routes


async def hello(request: Any) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def greet(websocket: Any) -> None:
    await websocket.accept()
    await websocket.close()


async def bare(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"bare"})


inner = StarletteRouter(
    routes=[Route("/items/{id}", hello), Mount("/deep/{part}", routes=[Route("/end", hello)])]
)

starlette_app = Starlette(
    routes=[
        Route("/", hello),
        Route("/orders/{id:int}", hello, methods=["GET"]),
        Route("/files/{path:path}", hello),
        WebSocketRoute("/chat/{room}", greet),
        Mount("/api", app=inner),
        Mount("/tenants/{id}", app=inner),
        Mount("/opaque/{name}", app=bare),
        Host("other.example", app=inner),
    ]
)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/", "/"),
        ("/orders/7", "/orders/{id}"),
        ("/files/a/b/c.txt", "/files/{path}"),
        ("/api/items/9", "/api/items/{id}"),
        ("/api/deep/p/end", "/api/deep/{part}/end"),
        ("/tenants/acme/items/9", "/tenants/{id}/items/{id}"),
        ("/tenants/acme/deep/acme/end", "/tenants/{id}/deep/{part}/end"),
        ("/opaque/secret/x/y", "/opaque/{name}/{path}"),
        ("/api/nothing/here", "/api/{path}"),
    ],
)
@pytest.mark.parametrize("root_path", ["", "/proxied"])
def test_starlette_template_has_the_prefix_of_its_mounts(
    ask: Any, recording: Any, path: str, template: str, root_path: str
) -> None:
    answer = ask(starlette_app, root_path + path, root_path=root_path)
    assert routes.from_scope(answer.scope) == template
    assert answer.at_start == template


def test_starlette_head_is_served_by_the_get_route(ask: Any, recording: Any) -> None:
    answer = ask(starlette_app, "/orders/7", "HEAD")
    assert (answer.status, routes.from_scope(answer.scope)) == (200, "/orders/{id}")


def test_starlette_405_has_its_route_and_404_has_none(ask: Any, recording: Any) -> None:
    wrong_method = ask(starlette_app, "/orders/7", "POST")
    assert (wrong_method.status, routes.from_scope(wrong_method.scope)) == (405, "/orders/{id}")
    missing = ask(starlette_app, "/nowhere")
    assert (missing.status, routes.from_scope(missing.scope)) == (404, None)


def test_starlette_websocket(ask: Any, recording: Any) -> None:
    answer = ask(starlette_app, "/chat/7", kind="websocket")
    assert routes.from_scope(answer.scope) == "/chat/{room}"


def test_without_a_recording_the_scope_gets_no_key_of_ours(ask: Any) -> None:
    answer = ask(starlette_app, "/api/items/9")
    assert not [key for key in answer.scope if "requestcov" in key]


def fastapi_app() -> FastAPI:
    app = FastAPI()
    users = APIRouter(prefix="/users")
    admin = APIRouter(prefix="/admin/{zone}")

    @app.get("/orders/{order_id}")
    async def order(order_id: int) -> dict[str, int]:
        return {"order": order_id}

    @app.get("/files/{path:path}")
    def file(path: str) -> str:
        return path

    @users.get("/{user}")
    def user(user: str) -> str:
        return user

    @users.websocket("/{user}/feed")
    async def feed(websocket: WebSocket, user: str) -> None:
        await websocket.accept()
        await websocket.close()

    @admin.post("/reset")
    async def reset(zone: str) -> str:
        return zone

    users.include_router(admin, prefix="/by")
    app.include_router(users, prefix="/v1")
    app.include_router(users, prefix="/v2")
    sub = FastAPI()

    @sub.get("/things/{thing}")
    async def thing(thing: str) -> str:
        return thing

    again = APIRouter()

    @again.get("/made/{by}")
    async def made(by: str) -> str:
        return by

    sub.include_router(again, prefix="/more")
    app.mount("/sub/{tenant}", sub)
    app.mount("/classic", starlette_app)
    app.mount("/bare/{name}", bare)
    return app


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("GET", "/orders/7", "/orders/{order_id}"),
        ("GET", "/orders/word", "/orders/{order_id}"),
        ("DELETE", "/orders/7", "/orders/{order_id}"),
        ("GET", "/files/a/b", "/files/{path}"),
        ("GET", "/v1/users/ann", "/v1/users/{user}"),
        ("GET", "/v2/users/ann", "/v2/users/{user}"),
        ("POST", "/v1/users/by/admin/west/reset", "/v1/users/by/admin/{zone}/reset"),
        ("GET", "/v1/users/by/admin/west/reset", "/v1/users/by/admin/{zone}/reset"),
        ("GET", "/sub/acme/things/1", "/sub/{tenant}/things/{thing}"),
        ("GET", "/sub/acme/more/made/1", "/sub/{tenant}/more/made/{by}"),
        ("GET", "/classic/tenants/acme/items/2", "/classic/tenants/{id}/items/{id}"),
        ("GET", "/nowhere", None),
        ("GET", "/docs", "/docs"),
        ("GET", "/sub/acme/docs", "/sub/{tenant}/docs"),
        ("GET", "/sub/acme/nowhere", "/sub/{tenant}/{path}"),
        ("GET", "/bare/secret/x", "/bare/{name}/{path}"),
    ],
)
def test_fastapi_template_has_every_prefix(
    ask: Any, recording: Any, method: str, path: str, template: str | None
) -> None:
    answer = ask(fastapi_app(), path, method)
    assert routes.from_scope(answer.scope) == template


def test_fastapi_websocket_in_an_included_router(ask: Any, recording: Any) -> None:
    answer = ask(fastapi_app(), "/v1/users/ann/feed", kind="websocket")
    assert routes.from_scope(answer.scope) == "/v1/users/{user}/feed"


@litestar_get("/orders/{order_id:int}")
async def litestar_order() -> str:
    return "order"


@litestar_get("/plain")
async def litestar_plain() -> str:
    return "plain"


@litestar_websocket("/feed/{name:str}")
async def litestar_feed(socket: litestar.WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.close()


@asgi("/mounted", is_mount=True, copy_scope=False)
async def litestar_mounted(scope: Any, receive: Any, send: Any) -> None:
    await bare(scope, receive, send)


litestar_app = Litestar(
    [
        Router("/api/{zone:str}", route_handlers=[litestar_order]),
        litestar_plain,
        litestar_feed,
        litestar_mounted,
    ]
)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/api/west/orders/7", "/api/{zone}/orders/{order_id}"),
        ("/plain", "/plain"),
        ("/nowhere", None),
        ("/api/west/orders/word", None),
    ],
)
def test_litestar_template(ask: Any, recording: Any, path: str, template: str | None) -> None:
    assert routes.from_scope(ask(litestar_app, path).scope) == template


def test_litestar_websocket(ask: Any, recording: Any) -> None:
    assert routes.from_scope(ask(litestar_app, "/feed/x", kind="websocket").scope) == "/feed/{name}"


def test_a_router_that_does_not_tell_its_route_is_read_by_the_hook(ask: Any, recording: Any) -> None:
    """FastAPI's router (for plain routes) and Starlette before 1.0 leave no route in the scope."""
    route = Route("/orders/{id}", hello)

    async def silent_router(scope: Any, receive: Any, send: Any) -> None:
        scope.update(route.matches(scope)[1])
        await route.handle(scope, receive, send)

    assert routes.from_scope(ask(silent_router, "/orders/7").scope) == "/orders/{id}"


def test_litestar_mounted_in_starlette_has_the_mount_prefix(ask: Any, recording: Any) -> None:
    app = Starlette(routes=[Mount("/star/{n}", app=litestar_app)])
    assert routes.from_scope(ask(app, "/star/9/plain").scope) == "/star/{n}/plain"


def test_a_scope_of_no_framework_has_no_template() -> None:
    assert routes.from_scope({"type": "http", "path": "/x"}) is None
    assert routes.from_scope({"type": "http", "route": object(), "fastapi": 3}) is None
    assert routes.from_scope({"type": "http", "route": None, "requestcov.mount": 3}) is None
