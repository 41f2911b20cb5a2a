"""The shop as a Flask application.

    SHOP_DATABASE=shop.db REQUESTCOV_SOURCE=shop,flask_app gunicorn --threads 4 flask_app:app

The export streams from a generator; the confirmation mail is written when
the server closes the response. The last line of this file is all that
measuring takes.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify, request
from shop import catalogue, orders, recommend, reports, shipping, web
from shop.db import Database
from shop.errors import Forbidden, Invalid, ShopError

from requestcov import WSGIMiddleware

shop = Blueprint("shop", __name__)
admin = Blueprint("admin", __name__, url_prefix="/admin")


def database() -> Database:
    held: Database = current_app.extensions["database"]
    return held


def body() -> Mapping[str, Any]:
    values = request.get_json(silent=True)
    if not isinstance(values, dict):
        raise Invalid("the body is a JSON object")
    return values


@shop.get("/")
def home() -> str:
    with database().read() as conn:
        return web.home_page(catalogue.browse(conn, sort="newest")["products"])


@shop.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


@shop.get("/products")
def list_products() -> dict[str, Any]:
    page = web.required(web.integer(request.args, "page", 1), "page")
    with database().read() as conn:
        return catalogue.browse(
            conn,
            request.args.get("category"),
            request.args.get("sort", "name"),
            page,
            web.integer(request.args, "max_cents"),
        )


@shop.get("/products/<slug>")
def product(slug: str) -> dict[str, Any]:
    with database().read() as conn:
        return catalogue.details(conn, slug)


@shop.get("/products/<slug>/recommendations")
def recommendations(slug: str) -> dict[str, Any]:
    with database().read() as conn:
        return recommend.recommend(conn, slug)


@shop.get("/search")
def search() -> dict[str, Any]:
    query = request.args.get("q", "")
    with database().read() as conn:
        return {
            "products": catalogue.search(conn, query),
            "categories": catalogue.suggest_categories(conn, query),
        }


@shop.put("/carts/<cart_id>")
def open_cart(cart_id: str) -> tuple[dict[str, Any], int]:
    with database().write() as conn:
        status = 201 if orders.open_cart(conn, cart_id) else 200
        return orders.show_cart(conn, cart_id), status


@shop.get("/carts/<cart_id>")
def show_cart(cart_id: str) -> dict[str, Any]:
    with database().read() as conn:
        return orders.show_cart(conn, cart_id)


@shop.post("/carts/<cart_id>/items")
def add_item(cart_id: str) -> dict[str, Any]:
    values = body()
    slug = web.text(values, "slug", 60)
    quantity = web.required(web.integer(values, "quantity", 1), "quantity")
    with database().write() as conn:
        return orders.add_item(conn, cart_id, slug, quantity)


@shop.delete("/carts/<cart_id>/items/<slug>")
def remove_item(cart_id: str, slug: str) -> tuple[str, int]:
    with database().write() as conn:
        orders.remove_item(conn, cart_id, slug)
    return "", 204


@shop.post("/carts/<cart_id>/checkout")
def checkout(cart_id: str) -> Response:
    values = body()
    email = web.text(values, "email", 200)
    country = web.text(values, "country", 2, 2)
    card = web.text(values, "card", 40)
    coupon = web.text(values, "coupon", 40) if values.get("coupon") else None
    store = database()
    with store.write() as conn:
        order = orders.checkout(conn, cart_id, email, country, card, coupon, bool(values.get("express")))
    response = jsonify(order)
    response.status_code = 201

    @response.call_on_close
    def send_confirmation() -> None:
        with store.write() as conn:
            orders.confirm(conn, order["order"])

    return response


@shop.get("/orders/<int:order_id>")
def show_order(order_id: int) -> dict[str, Any]:
    with database().read() as conn:
        return orders.show_order(conn, order_id)


@shop.post("/orders/<int:order_id>/cancel")
def cancel_order(order_id: int) -> dict[str, Any]:
    with database().write() as conn:
        return orders.cancel(conn, order_id)


@shop.get("/shipping/quote")
def shipping_quote() -> dict[str, Any]:
    country = web.text(request.args, "country", 60)
    grams = web.required(web.integer(request.args, "grams"), "grams")
    subtotal = web.required(web.integer(request.args, "subtotal", 0), "subtotal")
    express = request.args.get("express", "") in ("1", "true")
    return {"country": country, "cents": shipping.cost(country, grams, subtotal, express)}


@admin.before_request
def check_admin() -> None:
    given = request.headers.get("X-Admin-Token", "")
    if not hmac.compare_digest(given.encode(), web.admin_token().encode()):
        raise Forbidden("a valid X-Admin-Token is needed")


@admin.get("/report")
def report() -> dict[str, Any]:
    with database().read() as conn:
        return reports.summary(conn, request.args.get("by", "country"))


@admin.get("/orders.csv")
def export_orders() -> Response:
    limit = web.required(web.integer(request.args, "limit", 100_000), "limit")
    if limit < 1:
        raise Invalid("limit is 1 or more")
    return Response(reports.orders_csv(database(), limit), mimetype="text/csv")


@admin.put("/products/<slug>/stock")
def set_stock(slug: str) -> dict[str, Any]:
    stock = web.required(web.integer(body(), "stock"), "stock")
    with database().write() as conn:
        return catalogue.set_stock(conn, slug, stock)


def on_shop_error(error: ShopError) -> tuple[dict[str, str], int]:
    return {"error": str(error)}, error.status


def create_app(path: str | os.PathLike[str]) -> Flask:
    """The bare application on a database file, which is created if need be."""
    app = Flask(__name__)
    app.extensions["database"] = Database(path)
    app.register_blueprint(shop)
    app.register_blueprint(admin)
    app.register_error_handler(ShopError, on_shop_error)
    return app


app = create_app(os.environ.get("SHOP_DATABASE", "shop.db"))
app.wsgi_app = WSGIMiddleware(app.wsgi_app)  # type: ignore[method-assign]
