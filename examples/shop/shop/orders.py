"""Carts and orders: filling, checkout, cancelling, the confirmation afterwards."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import asdict
from typing import Any

from shop import catalogue, payments, pricing
from shop.errors import Conflict, Invalid, NotFound

MAX_QUANTITY = 2_000
_CART_ID = re.compile(r"[a-z0-9-]{8,40}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[a-z]{2,}")


def open_cart(conn: sqlite3.Connection, cart_id: str) -> bool:
    """Make a cart under a name the client chose. False: it was there already.

    Raises:
        Invalid: not 8 to 40 lower-case letters, digits and hyphens.
    """
    if not _CART_ID.fullmatch(cart_id):
        raise Invalid("a cart id is 8 to 40 of a-z, 0-9 and -")
    cursor = conn.execute("INSERT OR IGNORE INTO cart(id) VALUES (?)", (cart_id,))
    return cursor.rowcount == 1


def _open_cart_state(conn: sqlite3.Connection, cart_id: str) -> None:
    row = conn.execute("SELECT state FROM cart WHERE id = ?", (cart_id,)).fetchone()
    if row is None:
        raise NotFound(f"no cart {cart_id!r}")
    if row["state"] != "open":
        raise Conflict("the cart has been ordered already")


def items(conn: sqlite3.Connection, cart_id: str) -> list[pricing.Item]:
    """The positions of a cart, in the order of the catalogue."""
    rows = conn.execute(
        "SELECT product.id, slug, category, cents, grams, quantity FROM cart_item"
        " JOIN product ON product.id = product_id WHERE cart_id = ? ORDER BY product.id",
        (cart_id,),
    )
    return [pricing.Item(*row) for row in rows]


def show_cart(conn: sqlite3.Connection, cart_id: str) -> dict[str, Any]:
    """A cart as its page shows it.

    Raises:
        NotFound: no such cart.
    """
    row = conn.execute("SELECT state FROM cart WHERE id = ?", (cart_id,)).fetchone()
    if row is None:
        raise NotFound(f"no cart {cart_id!r}")
    held = items(conn, cart_id)
    return {
        "id": cart_id,
        "state": row["state"],
        "items": [{"slug": i.slug, "quantity": i.quantity, "cents": i.total} for i in held],
        "subtotal": sum(i.total for i in held),
    }


def add_item(conn: sqlite3.Connection, cart_id: str, slug: str, quantity: int) -> dict[str, Any]:
    """Put pieces of a product into a cart, on top of those already there.

    Raises:
        NotFound: no such cart or product.
        Conflict: the cart was ordered, or the stock is too small.
        Invalid: no sensible quantity.
    """
    _open_cart_state(conn, cart_id)
    product = catalogue.find(conn, slug)
    held = conn.execute(
        "SELECT quantity FROM cart_item WHERE cart_id = ? AND product_id = ?", (cart_id, product["id"])
    ).fetchone()
    wanted = quantity if held is None else held["quantity"] + quantity
    if quantity < 1 or wanted > MAX_QUANTITY:
        raise Invalid(f"quantity is 1 to {MAX_QUANTITY}")
    if product["stock"] == 0:
        raise Conflict(f"{slug} is sold out")
    if wanted > product["stock"]:
        raise Conflict(f"only {product['stock']} of {slug} left")
    conn.execute(
        "INSERT INTO cart_item(cart_id, product_id, quantity) VALUES (?, ?, ?)"
        " ON CONFLICT(cart_id, product_id) DO UPDATE SET quantity = excluded.quantity",
        (cart_id, product["id"], wanted),
    )
    return show_cart(conn, cart_id)


def remove_item(conn: sqlite3.Connection, cart_id: str, slug: str) -> None:
    """Take a product out of a cart.

    Raises:
        NotFound: no such cart, or the product is not in it.
        Conflict: the cart was ordered.
    """
    _open_cart_state(conn, cart_id)
    cursor = conn.execute(
        "DELETE FROM cart_item WHERE cart_id = ? AND product_id = (SELECT id FROM product WHERE slug = ?)",
        (cart_id, slug),
    )
    if cursor.rowcount == 0:
        raise NotFound(f"no {slug!r} in this cart")


def checkout(
    conn: sqlite3.Connection,
    cart_id: str,
    email: str,
    country: str,
    card: str,
    coupon: str | None = None,
    express: bool = False,
) -> dict[str, Any]:
    """Turn a cart into a paid order, all or nothing.

    Raises:
        ShopError: whatever the customer can put right.
        payments.ProviderDown: the payment provider did not answer.
    """
    _open_cart_state(conn, cart_id)
    if not _EMAIL.fullmatch(email):
        raise Invalid("not an email address")
    held = items(conn, cart_id)
    earlier = conn.execute(
        "SELECT count(*) FROM purchase WHERE email = ? AND state <> 'cancelled'", (email,)
    ).fetchone()[0]
    price = pricing.quote(held, country, coupon, express, earlier)
    cursor = conn.execute(
        "INSERT INTO purchase"
        "(cart_id, email, country, state, subtotal, discount, shipping, vat, total, payment) VALUES"
        " (:cart, :email, :country, 'new', :subtotal, :discount, :shipping, :vat, :total, '')",
        {"cart": cart_id, "email": email, "country": country, **asdict(price)},
    )
    order_id = int(cursor.lastrowid or 0)
    for item in held:
        cursor = conn.execute(
            "UPDATE product SET stock = stock - :n WHERE id = :id AND stock >= :n",
            {"n": item.quantity, "id": item.product_id},
        )
        if cursor.rowcount == 0:
            raise Conflict(f"{item.slug} was sold while you were shopping")
        conn.execute(
            "INSERT INTO purchase_item(purchase_id, product_id, quantity, cents) VALUES (?, ?, ?, ?)",
            (order_id, item.product_id, item.quantity, item.cents),
        )
    receipt = payments.charge(card, price.total, order_id)
    conn.execute(
        "UPDATE purchase SET state = ?, payment = ? WHERE id = ?",
        (receipt.state, receipt.reference, order_id),
    )
    conn.execute("UPDATE cart SET state = 'ordered' WHERE id = ?", (cart_id,))
    return {"order": order_id, "state": receipt.state, **asdict(price)}


def show_order(conn: sqlite3.Connection, order_id: int) -> dict[str, Any]:
    """An order as its page shows it.

    Raises:
        NotFound: no such order.
    """
    row = conn.execute("SELECT * FROM purchase WHERE id = ?", (order_id,)).fetchone()
    if row is None:
        raise NotFound(f"no order {order_id}")
    bought = conn.execute(
        "SELECT slug, quantity FROM purchase_item JOIN product ON product.id = product_id"
        " WHERE purchase_id = ? ORDER BY product.id",
        (order_id,),
    )
    return {
        "order": order_id,
        "state": row["state"],
        "total": row["total"],
        "items": {item["slug"]: item["quantity"] for item in bought},
    }


def cancel(conn: sqlite3.Connection, order_id: int) -> dict[str, Any]:
    """Cancel an order that has not left the house; stock and money go back.

    Raises:
        NotFound: no such order.
        Conflict: shipped or cancelled before.
    """
    row = conn.execute("SELECT * FROM purchase WHERE id = ?", (order_id,)).fetchone()
    if row is None:
        raise NotFound(f"no order {order_id}")
    if row["state"] == "shipped":
        raise Conflict("the parcel is on its way; please send it back")
    if row["state"] == "cancelled":
        raise Conflict("cancelled before")
    conn.execute(
        "UPDATE product SET stock = stock + item.quantity FROM purchase_item AS item"
        " WHERE item.purchase_id = ? AND item.product_id = product.id",
        (order_id,),
    )
    conn.execute("UPDATE purchase SET state = 'cancelled' WHERE id = ?", (order_id,))
    return {"order": order_id, "state": "cancelled", "refund": payments.refund(row["payment"], row["total"])}


def confirm(conn: sqlite3.Connection, order_id: int) -> None:
    """Write the confirmation mail into the outbox: work for after the response."""
    row = conn.execute("SELECT * FROM purchase WHERE id = ?", (order_id,)).fetchone()
    lines = [f"Thank you for your order {order_id}.", ""]
    for slug, quantity in show_order(conn, order_id)["items"].items():
        lines.append(f"{quantity:5} x {slug}")
    lines.append("")
    if row["discount"]:
        lines.append(f"You save {row['discount'] / 100:.2f}.")
    if row["state"] == "review":
        lines.append("We check large orders by hand and write again today.")
    lines.append(f"Total {row['total'] / 100:.2f}")
    conn.execute(
        "INSERT INTO outbox(recipient, subject, body) VALUES (?, ?, ?)",
        (row["email"], f"Order {order_id}", "\n".join(lines)),
    )
