"""Requests with known answers: every endpoint of the example shop and its main paths.

They are sent in this order, to an app on a fresh database. The same list fits
the FastAPI and the Flask app: httpx's ASGITransport and WSGITransport both
take it, and so does a client of a real server.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHOP = Path(__file__).parents[2] / "examples" / "shop"
ADMIN = {"X-Admin-Token": "open-sesame"}

GOOD = "4242 4242 4242 4242"
NO_FUNDS = "4000000000009995"
STOLEN = "4000000000009979"
DOWN = "4000000000000119"
FLAKY = "4000000000000259"


@dataclass(frozen=True)
class KnownRequest:
    """One request and what comes back.

    Attributes:
        kwargs: httpx's: ``json``, ``params``, ``headers``, ``content``.
        status: of the response, the same from both apps.
        route: the template as FastAPI writes it; None where no route matches.
        has: a text in the response's body.
        files: files of the package that this request certainly runs.
    """

    method: str
    path: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    route: str | None = None
    has: str = ""
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.method} {self.path} {dict(self.kwargs) or ''} -> {self.status}"

    @property
    def flask_route(self) -> str | None:
        """The same template as Flask writes it."""
        if self.route is None:
            return None
        if self.route == "/static/{path}":
            return "/static/<path:filename>"
        return re.sub(r"\{(\w+)\}", lambda m: f"<{'int:' * (m[1] == 'order_id')}{m[1]}>", self.route)


def _get(path: str, route: str, status: int = 200, has: str = "", **kwargs: Any) -> KnownRequest:
    return KnownRequest("GET", path, kwargs, status, route, has, ("shop/db.py",))


def _add(cart: str, slug: Any, quantity: Any, status: int = 200, has: str = "") -> KnownRequest:
    body = {"slug": slug, "quantity": quantity}
    return KnownRequest("POST", f"/carts/{cart}/items", {"json": body}, status, "/carts/{cart_id}/items", has)


def _cart(cart: str) -> KnownRequest:
    return KnownRequest("PUT", f"/carts/{cart}", {}, 201, "/carts/{cart_id}", cart, ("shop/orders.py",))


def _buy(cart: str, status: int = 201, has: str = "", **changes: Any) -> KnownRequest:
    body = {"email": "eve@shop.example", "country": "DE", "card": GOOD} | changes
    return KnownRequest(
        "POST", f"/carts/{cart}/checkout", {"json": body}, status, "/carts/{cart_id}/checkout", has
    )


def _order(cart: str, slug: str, quantity: int, **checkout: Any) -> list[KnownRequest]:
    return [_cart(cart), _add(cart, slug, quantity), _buy(cart, **checkout)]


_PRODUCT = "/products/{slug}"
_RECOMMEND = "/products/{slug}/recommendations"
_QUOTE = "/shipping/quote"
_STOCK = "/admin/products/{slug}/stock"
_CANCEL = "/orders/{order_id}/cancel"


def _quote(status: int = 200, has: str = "", **params: Any) -> KnownRequest:
    return KnownRequest("GET", _QUOTE, {"params": params}, status, _QUOTE, has)


def _stock(slug: str, body: Any, status: int = 200, has: str = "") -> KnownRequest:
    kwargs = {"json": body, "headers": ADMIN}
    return KnownRequest("PUT", f"/admin/products/{slug}/stock", kwargs, status, _STOCK, has)


def _cancel(order: int, status: int = 200, has: str = "") -> KnownRequest:
    return KnownRequest("POST", f"/orders/{order}/cancel", {}, status, _CANCEL, has)


# The seed has orders 1 to 8, so the first order here is number 9. A checkout
# that fails takes its number back with its transaction.
KNOWN: tuple[KnownRequest, ...] = (
    # browsing
    _get("/", "/", has="Moon lamp</a> 39.90 (only 3 left)"),
    KnownRequest("GET", "/health", {}, 200, "/health", "ok"),
    KnownRequest("GET", "/static/shop.css", {}, 200, "/static/{path}", "font"),
    KnownRequest("GET", "/static/missing.css", {}, 404, "/static/{path}"),
    KnownRequest("GET", "/no/such/page", {}, 404),
    KnownRequest("POST", "/search", {}, 405, "/search"),
    _get("/products", "/products", has='"total":15'),
    _get("/products", "/products", has="tea-atlas", params={"category": "books", "sort": "dearest"}),
    _get("/products", "/products", has='"page":3', params={"page": 3}),
    _get("/products", "/products", has="gas-cartridge", params={"max_cents": 900, "sort": "cheapest"}),
    _get("/products", "/products", 400, "category is", params={"category": "cars"}),
    _get("/products", "/products", 400, "sort is", params={"sort": "random"}),
    _get("/products", "/products", 400, "page", params={"page": 0}),
    _get("/products", "/products", 400, "page", params={"page": "two"}),
    _get("/products", "/products", 400, "max_cents", params={"max_cents": -1}),
    _get("/products/teapot", _PRODUCT, has="enamelled"),
    _get("/products/moon-lamp", _PRODUCT, has="only 3 left"),
    _get("/products/music-box", _PRODUCT, has="instead"),
    _get("/products/unicorn", _PRODUCT, 404, "no product"),
    _get("/products/teapot/recommendations", _RECOMMEND, has="bought together"),
    _get("/products/stand-mixer/recommendations", _RECOMMEND, has="same category"),
    _get("/products/unicorn/recommendations", _RECOMMEND, 404),
    _get("/search", "/search", has="teapot", params={"q": "tea lamps"}),
    _get("/search", "/search", has="music-box", params={"q": "tune"}),
    _get("/search", "/search", has='"products":[]', params={"q": "unicorn"}),
    _get("/search", "/search", 400, "no words", params={"q": "?!"}),
    _get("/search", "/search", 400, "longer", params={"q": "x" * 201}),
    # shipping
    _quote(country="DE", grams=1200, has="490"),
    _quote(country="DE", grams=1200, subtotal=10_000, has=":0"),
    _quote(country="FR", grams=2500, express=1, has="2960"),
    _quote(country="JP", grams=900, has="2990"),
    _quote(country="DE", grams=450_000, has="12420"),
    _quote(country="DE", grams=40_000, express=1, status=409, has="freight"),
    _quote(country="XX", grams=100, status=400, has="do not send"),
    _quote(country="DE", grams=0, status=400, has="weighs"),
    _quote(country="DE", status=400, has="grams"),
    _quote(country="IS", grams=2000, has="3130"),
    _quote(country="IS", grams=40_000, status=500),
    # carts
    _cart("cart-0001"),
    KnownRequest("PUT", "/carts/cart-0001", {}, 200, "/carts/{cart_id}", '"items":[]'),
    KnownRequest("PUT", "/carts/NO", {}, 400, "/carts/{cart_id}", "8 to 40"),
    _add("cart-0001", "teapot", 1, has="5490"),
    _add("cart-0001", "teapot", 2, has="16470"),
    _add("cart-0001", "tea-atlas", 1),
    _add("cart-0001", "unicorn", 1, 404),
    _add("cart-0001", "music-box", 1, 409, "sold out"),
    _add("cart-0001", "moon-lamp", 4, 409, "only 3"),
    _add("cart-0001", "teapot", 0, 400, "quantity"),
    _add("cart-0001", "teapot", "many", 400, "quantity"),
    _add("cart-0001", None, 1, 400, "slug"),
    _add("cart-none", "teapot", 1, 404, "no cart"),
    KnownRequest("POST", "/carts/cart-0001/items", {"content": b"{"}, 400, "/carts/{cart_id}/items", "error"),
    KnownRequest("DELETE", "/carts/cart-0001/items/tea-atlas", {}, 204, "/carts/{cart_id}/items/{slug}"),
    KnownRequest("DELETE", "/carts/cart-0001/items/tea-atlas", {}, 404, "/carts/{cart_id}/items/{slug}"),
    _get("/carts/cart-0001", "/carts/{cart_id}", has='"subtotal":16470'),
    _get("/carts/cart-none", "/carts/{cart_id}", 404),
    # checkout
    _buy("cart-0001", 400, "email", email="nobody"),
    _buy("cart-0001", 400, "not a card", card="4242424242424241"),
    _buy("cart-0001", 400, "country", country="Germany"),
    _buy("cart-0001", 400, "no coupon", coupon="NONSENSE"),
    _buy("cart-0001", 400, "expired", coupon="SUMMER2019"),
    _buy("cart-0001", 402, "insufficient", card=NO_FUNDS),
    _buy("cart-0001", 402, "blocked", card=STOLEN),
    _buy("cart-0001", 500, card=DOWN),
    _buy("cart-0001", has='"order":9', coupon="welcome10"),
    _buy("cart-0001", 409, "ordered already"),
    _add("cart-0001", "teapot", 1, 409, "ordered already"),
    _cart("cart-0002"),
    _buy("cart-0002", 400, "empty"),
    *_order("cart-0003", "espresso-cup", 12, card=FLAKY, has='"order":10'),
    *_order("cart-0004", "bread-knife", 3, coupon="THIRDFREE", has='"discount":3250'),
    *_order("cart-0005", "bread-book", 1, coupon="FIVER", status=400, has="needs an order"),
    *_order("cart-0006", "wool-blanket", 1, coupon="FIVER", country="FR", express=True, has='"discount":500'),
    *_order("cart-0007", "rain-jacket", 1, country="US", has='"vat":0'),
    *_order("cart-0008", "gas-cartridge", 2, country="JP", status=409, has="do not fly"),
    *_order("cart-0009", "gas-cartridge", 2, express=True, status=409, has="express"),
    *_order("cart-0010", "gas-cartridge", 2, has='"shipping":740'),
    *_order("cart-0011", "oak-table", 10, has='"state":"review"'),
    *_order("cart-0012", "oak-table", 1, country="IS", status=500),
    *_order("cart-0013", "espresso-cup", 60, email="ada@shop.example", has='"order":16'),
    *_order("cart-0014", "oak-table", 1, email="ada@shop.example", country="AT", has='"discount":1298'),
    _cart("cart-0015"),
    _add("cart-0015", "moon-lamp", 3),
    *_order("cart-0016", "moon-lamp", 1),
    _buy("cart-0015", 409, "while you were shopping"),
    # orders
    _get("/orders/9", "/orders/{order_id}", has='"teapot":3'),
    _get("/orders/999", "/orders/{order_id}", 404),
    _cancel(9, has="refunded"),
    _cancel(9, 409, "cancelled before"),
    _cancel(1, 409, "on its way"),
    _cancel(15, has="waits for approval"),
    _cancel(999, 404),
    # administration
    _get("/admin/report", "/admin/report", 403, "X-Admin-Token"),
    _get("/admin/report", "/admin/report", has='"by":"country"', headers=ADMIN),
    _get("/admin/report", "/admin/report", has="music-box", headers=ADMIN, params={"by": "category"}),
    _get("/admin/report", "/admin/report", 400, headers=ADMIN, params={"by": "moon"}),
    _get("/admin/orders.csv", "/admin/orders.csv", has="9,eve@shop.example,DE,cancelled", headers=ADMIN),
    _get("/admin/orders.csv", "/admin/orders.csv", has="1,ada", headers=ADMIN, params={"limit": 1}),
    _get("/admin/orders.csv", "/admin/orders.csv", 400, "limit", headers=ADMIN, params={"limit": 0}),
    _get("/admin/orders.csv", "/admin/orders.csv", 403),
    _stock("music-box", {"stock": 20}, has="back in stock"),
    _stock("music-box", {"stock": 19}, has="in stock"),
    _stock("music-box", {"stock": 0}, has="sold out"),
    _stock("music-box", {"stock": -1}, 400),
    _stock("music-box", {}, 400, "stock"),
    _stock("unicorn", {"stock": 1}, 404),
)


@contextmanager
def shop_module(framework: str, database: os.PathLike[str]) -> Iterator[Any]:
    """The module ``fastapi_app`` or ``flask_app``, imported afresh on a database of its own.

    Its ``create_app(database)`` makes bare apps, its ``app`` is a measured
    one. Afterwards neither the modules nor the path entry are left behind.
    """

    def forget() -> None:
        for name in [n for n in sys.modules if n in ("shop", f"{framework}_app") or n.startswith("shop.")]:
            del sys.modules[name]

    before = os.environ.get("SHOP_DATABASE")
    os.environ["SHOP_DATABASE"] = os.fspath(database)
    sys.path.insert(0, str(SHOP))
    forget()
    try:
        yield importlib.import_module(f"{framework}_app")
    finally:
        sys.path.remove(str(SHOP))
        forget()
        if before is None:
            del os.environ["SHOP_DATABASE"]
        else:
            os.environ["SHOP_DATABASE"] = before
