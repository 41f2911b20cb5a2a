"""Products: browsing, searching, stock."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from shop.errors import Invalid, NotFound

PAGE = 6
CATEGORIES = ("kitchen", "books", "home", "outdoor")
_ORDER = {"name": "name", "cheapest": "cents, name", "dearest": "cents DESC, name", "newest": "id DESC"}


def browse(
    conn: sqlite3.Connection,
    category: str | None = None,
    sort: str = "name",
    page: int = 1,
    max_cents: int | None = None,
) -> dict[str, Any]:
    """One page of products.

    Raises:
        Invalid: an unknown category or order, or a page below 1.
    """
    if sort not in _ORDER:
        raise Invalid(f"sort is one of {', '.join(_ORDER)}")
    if page < 1:
        raise Invalid("page starts at 1")
    where, values = ["1"], list[Any]()
    if category is not None:
        if category not in CATEGORIES:
            raise Invalid(f"category is one of {', '.join(CATEGORIES)}")
        where.append("category = ?")
        values.append(category)
    if max_cents is not None:
        if max_cents <= 0:
            raise Invalid("max_cents is above 0")
        where.append("cents <= ?")
        values.append(max_cents)
    condition = " AND ".join(where)
    total = conn.execute(f"SELECT count(*) FROM product WHERE {condition}", values).fetchone()[0]
    rows = conn.execute(
        f"SELECT * FROM product WHERE {condition} ORDER BY {_ORDER[sort]} LIMIT ? OFFSET ?",
        [*values, PAGE, (page - 1) * PAGE],
    ).fetchall()
    return {"total": total, "page": page, "pages": -(-total // PAGE), "products": [card(row) for row in rows]}


def card(row: sqlite3.Row) -> dict[str, Any]:
    """What a list shows of a product."""
    shown = {"slug": row["slug"], "name": row["name"], "cents": row["cents"], "available": row["stock"] > 0}
    if 0 < row["stock"] <= 5:
        shown["notice"] = f"only {row['stock']} left"
    return shown


def find(conn: sqlite3.Connection, slug: str) -> sqlite3.Row:
    """The row of one product.

    Raises:
        NotFound: no product has this slug.
    """
    row: sqlite3.Row | None = conn.execute("SELECT * FROM product WHERE slug = ?", (slug,)).fetchone()
    if row is None:
        raise NotFound(f"no product {slug!r}")
    return row


def details(conn: sqlite3.Connection, slug: str) -> dict[str, Any]:
    """Everything a product's own page shows.

    Raises:
        NotFound: no product has this slug.
    """
    row = find(conn, slug)
    shown = card(row) | {"category": row["category"], "grams": row["grams"], "text": row["text"]}
    if row["stock"] == 0:
        others = conn.execute(
            "SELECT slug FROM product WHERE category = ? AND stock > 0 ORDER BY abs(cents - ?) LIMIT 3",
            (row["category"], row["cents"]),
        )
        shown["instead"] = [other["slug"] for other in others]
    return shown


def words(query: str) -> list[str]:
    """The search words of a query, lower case, plurals cut.

    Raises:
        Invalid: nothing to search for, or far too much of it.
    """
    if len(query) > 200:
        raise Invalid("the query is longer than 200 characters")
    found = []
    for word in re.findall(r"[^\W\d_]+", query.lower()):
        if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
            word = word[:-1]
        if word not in found:
            found.append(word)
    if not found:
        raise Invalid("the query has no words")
    return found


def search(conn: sqlite3.Connection, query: str) -> list[dict[str, Any]]:
    """Products that contain a word of the query, the best match first."""
    wanted = words(query)
    hits = []
    for row in conn.execute("SELECT * FROM product ORDER BY id"):
        name, text = row["name"].lower(), row["text"].lower()
        score = 0
        for word in wanted:
            if word in name:
                score += 5 if name.startswith(word) else 3
            elif word in text:
                score += 1
            elif word == row["category"]:
                score += 2
        if score == 0:
            continue
        if row["stock"] == 0:
            score -= 1
        hits.append((-score, row["name"], card(row)))
    return [shown for _, _, shown in sorted(hits, key=lambda hit: hit[:2])]


def suggest_categories(conn: sqlite3.Connection, query: str) -> list[str]:
    """Categories in which a word of the query is at home."""
    wanted = words(query)
    counts: dict[str, int] = {}
    for row in conn.execute("SELECT category, name FROM product"):
        if any(word in row["name"].lower() for word in wanted):
            counts[row["category"]] = counts.get(row["category"], 0) + 1
    return sorted(counts, key=lambda category: (-counts[category], category))


def set_stock(conn: sqlite3.Connection, slug: str, stock: int) -> dict[str, Any]:
    """Correct a product's stock after counting the shelves.

    Raises:
        NotFound: no product has this slug.
        Invalid: a stock below 0 or above a million.
    """
    row = find(conn, slug)
    if not 0 <= stock <= 1_000_000:
        raise Invalid("stock is 0 to 1000000")
    conn.execute("UPDATE product SET stock = ? WHERE id = ?", (stock, row["id"]))
    change = stock - row["stock"]
    if row["stock"] == 0 and stock > 0:
        state = "back in stock"
    elif stock == 0:
        state = "sold out"
    else:
        state = "in stock"
    return {"slug": slug, "stock": stock, "change": change, "state": state}
