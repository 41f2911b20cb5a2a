"""Reports for the people who run the shop."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from shop.db import Database
from shop.errors import Invalid

CHUNK = 200
_COLUMNS = ("id", "email", "country", "state", "subtotal", "discount", "shipping", "vat", "total")


def summary(conn: sqlite3.Connection, by: str = "country") -> dict[str, Any]:
    """Orders and revenue in cents, by country or category.

    Raises:
        Invalid: any other grouping.
    """
    if by == "country":
        rows = conn.execute(
            "SELECT country AS name, count(*) AS orders, sum(total) AS cents FROM purchase"
            " WHERE state <> 'cancelled' GROUP BY country ORDER BY cents DESC, name"
        ).fetchall()
    elif by == "category":
        rows = conn.execute(
            "SELECT category AS name, count(DISTINCT purchase_id) AS orders,"
            " sum(quantity * purchase_item.cents) AS cents FROM purchase_item"
            " JOIN product ON product.id = product_id JOIN purchase ON purchase.id = purchase_id"
            " WHERE state <> 'cancelled' GROUP BY category ORDER BY cents DESC, name"
        ).fetchall()
    else:
        raise Invalid("by is country or category")
    revenue = sum(row["cents"] for row in rows)
    groups = []
    for row in rows:
        share = 100 * row["cents"] / revenue if revenue else 0.0
        groups.append(
            {"name": row["name"], "orders": row["orders"], "cents": row["cents"], "share": round(share, 1)}
        )
    low = conn.execute("SELECT slug FROM product WHERE stock <= 5 ORDER BY stock, slug").fetchall()
    return {"by": by, "revenue": revenue, "groups": groups, "low_stock": [row["slug"] for row in low]}


def orders_page(database: Database, after: int, limit: int) -> tuple[str, int]:
    """CSV of up to ``limit`` orders behind order ``after``, and the last order's number.

    An empty text means that there are no more. Each page has a connection of
    its own, so that a slow reader of the export holds nothing open.
    """
    with database.read() as conn:
        rows = conn.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM purchase WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
        ).fetchall()
    if not rows:
        return "", after
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue(), int(rows[-1]["id"])


def csv_header() -> str:
    """The first line of the export."""
    return ",".join(_COLUMNS) + "\r\n"


def orders_csv(database: Database, limit: int = 100_000) -> Iterator[str]:
    """All orders as CSV (RFC 4180), a page at a time."""
    yield csv_header()
    last = 0
    while limit > 0:
        text, last = orders_page(database, last, min(CHUNK, limit))
        if not text:
            return
        yield text
        limit -= CHUNK


def orders_xml(conn: sqlite3.Connection) -> str:
    """The export the old accounting system read. It was switched off years ago."""
    root = ElementTree.Element("orders")
    for row in conn.execute("SELECT id, state, total FROM purchase ORDER BY id"):
        order = ElementTree.SubElement(root, "order", id=str(row["id"]))
        order.set("state", row["state"])
        if row["total"] >= 100_000:
            order.set("large", "yes")
        order.text = f"{row['total'] / 100:.2f}"
    return ElementTree.tostring(root, encoding="unicode")
