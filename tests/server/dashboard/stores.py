"""Stores for dashboards: a small shop, one whose every name is hostile, and one that grows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from requestcov._source import digest_of
from requestcov.record import Batch, Ledger, RequestRecord, SourceFile
from requestcov.sinks import open_sink
from tests.reports.shop_store import MISSING, SHIPPED, SHOWN, START, VIEWS, record, write_store

ELEMENT = '<img src=x onerror="document.title=1"><script>document.title=1</script>'
HOSTILE = [
    f"GET /{ELEMENT}",
    "GET /\"'onclick=alert(1)><b>",
    "GET /a\x00\x1b[31mred",
    "GET /invoice\u202efdp.exe",
    "GET /half\ud800",
    "GET /{{ 7 * 7 }}{% raw %}",
    "GET /?a=b&c=d#e%2f",
    "GET /~abc",
    "GET /" + "long" * 100,
]
HOSTILE_PATH = f"shop/{ELEMENT.replace('/', '')}\u202e.py"
HOSTILE_TEXT = VIEWS + f"\n\ndef late():\n    return '{ELEMENT}\u202e\t\x07</code></div></style>'\n"


def shop(path: Path) -> str:
    """Three endpoints, two releases, three days, failures of two kinds, and lost requests."""
    hour = timedelta(hours=1)
    records = [
        *(record("GET /orders/{id}", SHOWN, weight=10.0, at=n * hour) for n in range(20)),
        *(record("GET /orders/{id}", MISSING, at=n * hour) for n in range(5)),
        *(record("GET /orders/{id}", SHOWN, at=(26 + n) * hour, release="r2") for n in range(5)),
        *(
            replace(record("POST /orders", SHIPPED, status=500, at=n * hour), error="KeyError")
            for n in range(3)
        ),
        record("POST /orders", SHIPPED, status=503, at=50 * hour, release="r2"),
        *(record("POST /orders", SHIPPED, at=n * hour, release="r2", service="desk") for n in range(4)),
    ]
    return write_store(
        path,
        records,
        seen={"GET /orders/{id}": 1200, "POST /orders": 30, "GET /quiet": 7},
        dropped={"queue_full": 2},
    )


def hostile(path: Path) -> str:
    """A store that holds everything that should never become part of a page."""
    texts = {"shop/views.py": VIEWS, HOSTILE_PATH: HOSTILE_TEXT}
    ran = {**SHOWN, HOSTILE_PATH: {7, 9, 22}}
    records = []
    for endpoint in HOSTILE:
        records += [
            record(endpoint, ran, texts=texts, release=ELEMENT, service=ELEMENT),
            replace(
                record(endpoint, {HOSTILE_PATH: {7, 8}}, texts=texts, status=500, release="", service=""),
                error=ELEMENT,
                trace_id=ELEMENT,
                worker=ELEMENT,
            ),
        ]
    return write_store(
        path, records, texts=texts, seen=dict.fromkeys(HOSTILE, 3), dropped={ELEMENT: 1, "a\x07\u202e": 2}
    )


class Growing:
    """A store that requests come to."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self._sink = open_sink(self.url)
        self._stored = 0
        self._batches = 0

    def add(self, *records: RequestRecord) -> None:
        """Write them."""
        self._stored += len(records)
        self._batches += 1
        ledger = Ledger(
            worker="web-1:1",
            boot="b0",
            service="shop",
            release="r1",
            started=START,
            updated=datetime.now(UTC),
            seen={record.method + " " + record.route: self._stored for record in records},
            excluded=0,
            sampled=self._stored,
            stored=self._stored,
            dropped={},
            pending=0,
        )
        text = VIEWS.encode()
        source = SourceFile("shop/views.py", digest_of(text), text)
        self._sink.write(
            Batch(id=f"{self._batches:032x}", records=tuple(records), ledger=ledger, sources=(source,))
        )

    def close(self) -> None:
        """No more come."""
        self._sink.close()


CART = """\
LIMIT = 3


def total(cart, coupon=None):
    price = sum(cart)
    if coupon:
        price -= coupon.worth
    log(price)
    return price


def ship(cart):
    if len(cart) > LIMIT:
        wait()
    return cart


def forget(cart):
    cart.clear()
    return None


def audit(cart):
    return sorted(cart)


def debug(cart):  # pragma: no cover
    print(cart)
"""
# Body lines: total 5 to 9, ship 13 to 15, forget 19 and 20, audit 24; debug is excluded.
CART_2 = CART.replace("cart.clear()\n", "del cart[:]\n")
LEGACY = """\
from shop import cart


def legacy(cart):
    return cart
"""


def troubled(path: Path) -> str:
    """One endpoint that fails with a coupon and is slow with a large cart, over nine days and two releases.

    ``forget`` is never run and was edited by the second release; of ``legacy.py`` only the import ran.
    """
    texts = {"shop/cart.py": CART, "shop/legacy.py": LEGACY}
    texts_2 = {**texts, "shop/cart.py": CART_2}
    records = []
    for n in range(450):
        at = timedelta(hours=n // 2)
        later = n >= 400
        ran = {5, 6, 8, 9, 13, 15}
        coupon, large = n % 15 == 3, n % 6 == 5 and not later
        if coupon:
            ran = ran - {8, 9, 13, 15} | {7}
        elif large:
            ran = ran | {14}
        record_ = record(
            "POST /cart",
            {"shop/cart.py": ran, "shop/legacy.py": {1}},
            texts=texts_2 if later else texts,
            at=at,
            status=500 if coupon else 200,
            release="v2" if later else "v1",
            service="desk" if n % 50 == 1 else "shop",
        )
        records.append(
            replace(
                record_,
                error="shop.errors.CouponError" if coupon else None,
                duration_ms=900.0 + n if large and not coupon else 10.0 + n % 7,
                labels={"plan": "gold"} if n % 15 == 3 and n % 2 else {},
                trace_id=f"{n:032x}",
            )
        )
    records += [
        record("GET /audit", {"shop/cart.py": {24}}, texts=texts, service="cron", release="v1"),
    ]
    text = CART.encode()
    return write_store(
        path,
        records,
        texts=texts_2,
        seen={"POST /cart": 450, "GET /audit": 1},
        earlier=[SourceFile("shop/cart.py", digest_of(text), text)],
    )
