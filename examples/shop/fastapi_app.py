"""The shop as a FastAPI application.

    SHOP_DATABASE=shop.db REQUESTCOV_SOURCE=shop,fastapi_app uvicorn fastapi_app:app

Some endpoints are ``async def`` and some ``def`` (FastAPI runs those in a
worker thread); the export streams; the confirmation mail is written after
the response. The last line of this file is all that measuring takes.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import (
    APIRouter,
    BackgroundTasks,
    Depends,
    FastAPI,
    Header,
    Query,
    Request,
    Response,
    WebSocket,
    WebSocketDisconnect,
)
from fastapi.exceptions import RequestValidationError
from fastapi.requests import HTTPConnection
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from shop import catalogue, orders, recommend, reports, shipping, web
from shop.db import Database
from shop.errors import Forbidden, NotFound, ShopError

from requestcov import ASGIMiddleware


async def get_database(connection: HTTPConnection) -> Database:
    database: Database = connection.app.state.database
    return database


async def check_admin(x_admin_token: Annotated[str, Header()] = "") -> None:
    if not hmac.compare_digest(x_admin_token.encode(), web.admin_token().encode()):
        raise Forbidden("a valid X-Admin-Token is needed")


Store = Annotated[Database, Depends(get_database)]
router = APIRouter()
admin = APIRouter(prefix="/admin", dependencies=[Depends(check_admin)])


class NewItem(BaseModel):
    slug: str = Field(max_length=60)
    quantity: int = 1


class Checkout(BaseModel):
    email: str = Field(max_length=200)
    country: str = Field(min_length=2, max_length=2)
    card: str = Field(max_length=40)
    coupon: str | None = Field(None, max_length=40)
    express: bool = False


class Stock(BaseModel):
    stock: int


@router.get("/", response_class=HTMLResponse)
def home(database: Store) -> str:
    with database.read() as conn:
        return web.home_page(catalogue.browse(conn, sort="newest")["products"])


@router.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/products")
def list_products(
    database: Store,
    category: str | None = None,
    sort: str = "name",
    page: int = 1,
    max_cents: int | None = None,
) -> dict[str, Any]:
    with database.read() as conn:
        return catalogue.browse(conn, category, sort, page, max_cents)


@router.get("/products/{slug}")
async def product(database: Store, slug: str) -> dict[str, Any]:
    def load() -> dict[str, Any]:
        with database.read() as conn:
            return catalogue.details(conn, slug)

    return await asyncio.to_thread(load)


@router.get("/products/{slug}/recommendations")
def recommendations(database: Store, slug: str) -> dict[str, Any]:
    with database.read() as conn:
        return recommend.recommend(conn, slug)


@router.get("/search")
async def search(database: Store, q: str = "") -> dict[str, Any]:
    def products() -> list[dict[str, Any]]:
        with database.read() as conn:
            return catalogue.search(conn, q)

    def categories() -> list[str]:
        with database.read() as conn:
            return catalogue.suggest_categories(conn, q)

    catalogue.words(q)  # a bad query is refused before two threads start on it
    found, suggested = await asyncio.gather(asyncio.to_thread(products), asyncio.to_thread(categories))
    return {"products": found, "categories": suggested}


@router.put("/carts/{cart_id}")
def open_cart(database: Store, cart_id: str, response: Response) -> dict[str, Any]:
    with database.write() as conn:
        response.status_code = 201 if orders.open_cart(conn, cart_id) else 200
        return orders.show_cart(conn, cart_id)


@router.get("/carts/{cart_id}")
def show_cart(database: Store, cart_id: str) -> dict[str, Any]:
    with database.read() as conn:
        return orders.show_cart(conn, cart_id)


@router.post("/carts/{cart_id}/items")
def add_item(database: Store, cart_id: str, item: NewItem) -> dict[str, Any]:
    with database.write() as conn:
        return orders.add_item(conn, cart_id, item.slug, item.quantity)


@router.delete("/carts/{cart_id}/items/{slug}", status_code=204)
def remove_item(database: Store, cart_id: str, slug: str) -> None:
    with database.write() as conn:
        orders.remove_item(conn, cart_id, slug)


@router.post("/carts/{cart_id}/checkout", status_code=201)
async def checkout(
    database: Store, cart_id: str, details: Checkout, background: BackgroundTasks
) -> dict[str, Any]:
    def buy() -> dict[str, Any]:
        with database.write() as conn:
            return orders.checkout(conn, cart_id, **details.model_dump())

    order = await asyncio.to_thread(buy)
    background.add_task(send_confirmation, database, order["order"])
    return order


def send_confirmation(database: Database, order_id: int) -> None:
    with database.write() as conn:
        orders.confirm(conn, order_id)


@router.get("/orders/{order_id}")
def show_order(database: Store, order_id: int) -> dict[str, Any]:
    with database.read() as conn:
        return orders.show_order(conn, order_id)


@router.post("/orders/{order_id}/cancel")
def cancel_order(database: Store, order_id: int) -> dict[str, Any]:
    with database.write() as conn:
        return orders.cancel(conn, order_id)


@router.get("/shipping/quote")
async def shipping_quote(
    country: str, grams: int, subtotal: int = 0, express: bool = False
) -> dict[str, Any]:
    return {"country": country, "cents": shipping.cost(country, grams, subtotal, express)}


@admin.get("/report")
def report(database: Store, by: str = "country") -> dict[str, Any]:
    with database.read() as conn:
        return reports.summary(conn, by)


@admin.get("/orders.csv")
async def export_orders(database: Store, limit: Annotated[int, Query(ge=1)] = 100_000) -> StreamingResponse:
    async def pages() -> AsyncIterator[str]:
        yield reports.csv_header()
        last, left = 0, limit
        while left > 0:
            text, last = await asyncio.to_thread(
                reports.orders_page, database, last, min(reports.CHUNK, left)
            )
            if not text:
                return
            yield text
            left -= reports.CHUNK

    return StreamingResponse(pages(), media_type="text/csv")


@admin.put("/products/{slug}/stock")
def set_stock(database: Store, slug: str, stock: Stock) -> dict[str, Any]:
    with database.write() as conn:
        return catalogue.set_stock(conn, slug, stock.stock)


@router.websocket("/ws/stock/{slug}")
async def stock_ticker(websocket: WebSocket, database: Store, slug: str) -> None:
    """The stock of a product, once for each message from the client."""

    def stock() -> int:
        with database.read() as conn:
            return int(catalogue.find(conn, slug)["stock"])

    await websocket.accept()
    try:
        while True:
            await websocket.receive_text()
            await websocket.send_json({"slug": slug, "stock": await asyncio.to_thread(stock)})
    except NotFound:
        await websocket.close(4404, "no such product")
    except WebSocketDisconnect:
        return


async def on_shop_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ShopError)
    return JSONResponse({"error": str(error)}, error.status)


async def on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return JSONResponse({"error": f"{'.'.join(map(str, first['loc']))}: {first['msg']}"}, 400)


def create_app(database: str | os.PathLike[str]) -> FastAPI:
    """The bare application on a database file, which is created if need be."""
    app = FastAPI(title="Shop")
    app.state.database = Database(database)
    app.include_router(router)
    app.include_router(admin)
    app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")))
    app.add_exception_handler(ShopError, on_shop_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    return app


app = create_app(os.environ.get("SHOP_DATABASE", "shop.db"))
app.add_middleware(ASGIMiddleware)
