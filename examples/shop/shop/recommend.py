"""What else a customer may like."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from typing import Any

from shop import catalogue

LIMIT = 4


def recommend(conn: sqlite3.Connection, slug: str) -> dict[str, Any]:
    """Products bought together with this one, filled up from its category.

    Raises:
        NotFound: no product has this slug.
    """
    product = catalogue.find(conn, slug)
    together = conn.execute(
        "SELECT other.product_id AS id, count(*) AS times FROM purchase_item AS this"
        " JOIN purchase_item AS other ON other.purchase_id = this.purchase_id"
        " AND other.product_id <> this.product_id"
        " WHERE this.product_id = ? GROUP BY other.product_id ORDER BY times DESC, id LIMIT ?",
        (product["id"], LIMIT),
    ).fetchall()
    chosen = [row["id"] for row in together]
    reason = "bought together" if chosen else "same category"
    if len(chosen) < LIMIT:
        for row in conn.execute(
            "SELECT id FROM product WHERE category = ? AND id <> ? AND stock > 0 ORDER BY cents, id",
            (product["category"], product["id"]),
        ):
            if row["id"] in chosen:
                continue
            chosen.append(row["id"])
            if len(chosen) == LIMIT:
                break
    marks = ",".join("?" * len(chosen))
    rows = {row["id"]: row for row in conn.execute(f"SELECT * FROM product WHERE id IN ({marks})", chosen)}
    return {"reason": reason, "products": [catalogue.card(rows[number]) for number in chosen]}


def similarity(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    """The cosine of two customers' purchases. An experiment that never went live."""
    shared = one.keys() & other.keys()
    if not shared:
        return 0.0
    product = sum(one[slug] * other[slug] for slug in shared)
    lengths = math.sqrt(sum(n * n for n in one.values())) * math.sqrt(sum(n * n for n in other.values()))
    return product / lengths
