"""The SQLite database: schema, seed data, connections.

A connection lives as long as one piece of work, so no request sees another
one's transaction and it does not matter which thread serves it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

SCHEMA = """
CREATE TABLE IF NOT EXISTS product (
    id INTEGER PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    category TEXT NOT NULL,
    cents INTEGER NOT NULL CHECK (cents > 0),
    grams INTEGER NOT NULL CHECK (grams > 0),
    stock INTEGER NOT NULL CHECK (stock >= 0),
    text TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS cart (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL DEFAULT 'open'
);
CREATE TABLE IF NOT EXISTS cart_item (
    cart_id TEXT NOT NULL REFERENCES cart(id),
    product_id INTEGER NOT NULL REFERENCES product(id),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (cart_id, product_id)
);
CREATE TABLE IF NOT EXISTS purchase (
    id INTEGER PRIMARY KEY,
    cart_id TEXT,
    email TEXT NOT NULL,
    country TEXT NOT NULL,
    state TEXT NOT NULL,
    subtotal INTEGER NOT NULL,
    discount INTEGER NOT NULL,
    shipping INTEGER NOT NULL,
    vat INTEGER NOT NULL,
    total INTEGER NOT NULL,
    payment TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS purchase_item (
    purchase_id INTEGER NOT NULL REFERENCES purchase(id),
    product_id INTEGER NOT NULL REFERENCES product(id),
    quantity INTEGER NOT NULL,
    cents INTEGER NOT NULL,
    PRIMARY KEY (purchase_id, product_id)
);
CREATE INDEX IF NOT EXISTS purchase_item_product ON purchase_item(product_id);
CREATE INDEX IF NOT EXISTS purchase_email ON purchase(email);
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL
);
"""

# slug, name, category, cents, grams, stock, text
PRODUCTS = (
    (
        "espresso-cup",
        "Espresso cup",
        "kitchen",
        890,
        210,
        50_000,
        "A thick cup; keeps the espresso warm.",
    ),
    (
        "teapot",
        "Cast iron teapot",
        "kitchen",
        5_490,
        1_450,
        50_000,
        "Holds a litre; enamelled inside.",
    ),
    ("bread-knife", "Bread knife", "kitchen", 3_250, 180, 50_000, "A serrated blade and a beech handle."),
    ("stand-mixer", "Stand mixer", "kitchen", 28_900, 7_800, 50_000, "Kneads two kilograms of bread dough."),
    (
        "sql-primer",
        "A primer of SQL",
        "books",
        2_990,
        620,
        50_000,
        "From select to window functions.",
    ),
    ("tea-atlas", "The atlas of tea", "books", 4_200, 1_300, 50_000, "Gardens, leaves, water and patience."),
    (
        "bread-book",
        "Bread in ten days",
        "books",
        2_450,
        540,
        50_000,
        "One loaf a day, up to sourdough.",
    ),
    ("desk-lamp", "Desk lamp", "home", 6_900, 1_900, 50_000, "Warm light, a long arm, no buzzing."),
    (
        "wool-blanket",
        "Wool blanket",
        "home",
        8_900,
        1_200,
        50_000,
        "Wool of old sheep breeds.",
    ),
    ("oak-table", "Oak table", "home", 64_900, 38_000, 20_000, "Seats six and will outlive you."),
    ("camp-stove", "Camping stove", "outdoor", 4_990, 480, 50_000, "Boils a litre of water in four minutes."),
    ("gas-cartridge", "Gas cartridge", "outdoor", 690, 380, 50_000, "For the camping stove; flammable."),
    ("rain-jacket", "Rain jacket", "outdoor", 11_900, 410, 50_000, "Keeps out a week of rain."),
    ("moon-lamp", "Moon lamp", "home", 3_990, 700, 3, "The last three of a small series."),
    ("music-box", "Music box", "home", 2_190, 260, 0, "Plays one tune; sold out for now."),
)

# email, country, [(slug, quantity), ...]: a history for the recommendations to learn from
PURCHASES = (
    ("ada@shop.example", "DE", (("teapot", 1), ("tea-atlas", 1))),
    ("ada@shop.example", "DE", (("espresso-cup", 4),)),
    ("ada@shop.example", "DE", (("sql-primer", 1),)),
    ("ada@shop.example", "DE", (("teapot", 1), ("espresso-cup", 2))),
    ("ada@shop.example", "DE", (("desk-lamp", 1),)),
    ("bo@shop.example", "FR", (("bread-knife", 1), ("bread-book", 1))),
    ("bo@shop.example", "FR", (("camp-stove", 1), ("gas-cartridge", 3), ("rain-jacket", 1))),
    ("cy@shop.example", "US", (("teapot", 1), ("tea-atlas", 1), ("wool-blanket", 1))),
)


class Database:
    """One SQLite file, created and filled when it is new.

    Several worker processes may start on the same empty file at once: the
    first to take the write lock fills it, the others find it filled.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        with closing(self._open()) as conn:
            conn.execute("PRAGMA journal_mode=WAL")
            conn.execute("BEGIN IMMEDIATE")
            for statement in SCHEMA.split(";"):
                conn.execute(statement)
            if conn.execute("SELECT count(*) FROM product").fetchone()[0] == 0:
                _seed(conn)
            conn.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        conn = sqlite3.connect(self.path, timeout=20, isolation_level=None)
        conn.row_factory = sqlite3.Row
        conn.execute("PRAGMA foreign_keys=ON")
        conn.execute("PRAGMA synchronous=NORMAL")
        return conn

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection for queries."""
        with closing(self._open()) as conn:
            yield conn

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A connection in a write transaction: committed, or rolled back on any exception."""
        with closing(self._open()) as conn:
            # IMMEDIATE: a transaction that reads first and writes later would
            # fail at once, timeout or not, if another one wrote in between.
            conn.execute("BEGIN IMMEDIATE")
            try:
                yield conn
            except BaseException:
                conn.execute("ROLLBACK")
                raise
            conn.execute("COMMIT")


def _seed(conn: sqlite3.Connection) -> None:
    conn.executemany(
        "INSERT INTO product(slug, name, category, cents, grams, stock, text) VALUES (?, ?, ?, ?, ?, ?, ?)",
        PRODUCTS,
    )
    price = {slug: cents for slug, _, _, cents, *_ in PRODUCTS}
    for email, country, items in PURCHASES:
        subtotal = sum(price[slug] * quantity for slug, quantity in items)
        cursor = conn.execute(
            "INSERT INTO purchase(email, country, state, subtotal, discount, shipping, vat, total, payment)"
            " VALUES (?, ?, 'shipped', ?, 0, 0, 0, ?, 'seed')",
            (email, country, subtotal, subtotal),
        )
        conn.executemany(
            "INSERT INTO purchase_item(purchase_id, product_id, quantity, cents)"
            " SELECT ?, id, ?, cents FROM product WHERE slug = ?",
            [(cursor.lastrowid, quantity, slug) for slug, quantity in items],
        )
