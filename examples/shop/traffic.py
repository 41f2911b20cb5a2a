"""Shoppers for the shop: thousands of requests over HTTP, the same for the same seed.

    python traffic.py http://127.0.0.1:8000 --requests 3000 --seed 1

Each visit is one of a few stories (looking around, buying, running the shop,
guessing addresses) and has a random generator of its own, so what a visitor
does never depends on how the visits overlap. What still can differ between
two runs is what the visitors leave each other: stock and order numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

ADMIN = {"X-Admin-Token": "open-sesame"}
PRODUCTS = (
    *("espresso-cup", "teapot", "bread-knife", "stand-mixer", "sql-primer", "tea-atlas", "bread-book"),
    *("desk-lamp", "wool-blanket", "oak-table", "camp-stove", "gas-cartridge", "rain-jacket", "moon-lamp"),
    "music-box",
)
GOOD, NO_FUNDS, STOLEN = "4242424242424242", "4000000000009995", "4000000000009979"
PROVIDER_DOWN, FLAKY, MISTYPED = "4000000000000119", "4000000000000259", "4242424242424241"
CARDS = {GOOD: 80, NO_FUNDS: 5, STOLEN: 1, PROVIDER_DOWN: 8, FLAKY: 4, MISTYPED: 2}
COUNTRIES = {"DE": 53, "FR": 12, "AT": 10, "NL": 6, "US": 5, "CH": 3, "JP": 3, "IS": 7, "XX": 1}
COUPONS = {None: 78, "WELCOME10": 10, "FIVER": 6, "THIRDFREE": 3, "SUMMER2019": 2, "NONSENSE": 1}
QUERIES = ("tea", "bread book", "lamps", "stove", "warm wool", "knife", "table", "sql", "unicorn", "?!")
GIVE_UP = 20
PROBES = ("/wp-login.php", "/.env", "/admin.php", "/old/catalogue/17", "/products/teapot/reviews/3")


@dataclass
class Tally:
    """What came back: status codes by count, requests nobody answered, seconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        """Everything that was sent."""
        return self.statuses.total() + self.unanswered


class Enough(Exception):
    """As many requests as asked for have been sent, or nobody answers any more."""


class Visitors:
    """All visits on one server: counts what they send, and stops them in time."""

    def __init__(self, client: httpx.AsyncClient, requests: int, advance: Callable[[], object]) -> None:
        self.tally = Tally()
        self._client = client
        self._left = requests
        self._silent = 0
        self._advance = advance

    async def send(self, method: str, path: str, **kwargs: Any) -> httpx.Response | None:
        """One request; None when there was no answer."""
        if self._left == 0:
            raise Enough
        self._left -= 1
        try:
            response = await self._client.request(method, path, **kwargs)
        except httpx.HTTPError:
            self.tally.unanswered += 1
            self._silent += 1
            if self._silent == GIVE_UP:  # the shop is gone
                self._left = 0
            return None
        finally:
            self._advance()
        self._silent = 0
        self.tally.statuses[response.status_code] += 1
        return response

    async def visit(self, number: int, random: Random) -> None:
        """One visitor's story."""
        story = _draw(random, {self.look: 52, self.buy: 36, self.run_the_shop: 4, self.probe: 8})
        await story(f"visit-{number:06d}", random)

    async def look(self, name: str, random: Random) -> None:
        """Look around and leave."""
        if random.random() < 0.5:
            await self.send("GET", "/")
            await self.send("GET", "/static/shop.css")
        for _ in range(random.randint(1, 6)):
            slug = random.choice(PRODUCTS)
            await random.choice((self.browse, self.search, self.product))(slug, random)

    async def browse(self, slug: str, random: Random) -> None:
        """A page of the catalogue."""
        params: dict[str, Any] = {}
        if random.random() < 0.6:
            params["category"] = random.choice(("kitchen", "books", "home", "outdoor"))
        if random.random() < 0.4:
            params["sort"] = random.choice(("cheapest", "dearest", "newest"))
        if random.random() < 0.3:
            params["page"] = random.randint(1, 3)
        if random.random() < 0.1:
            params["max_cents"] = random.choice((1_000, 5_000))
        if random.random() < 0.02:
            params["page"] = "last"
        await self.send("GET", "/products", params=params)

    async def search(self, slug: str, random: Random) -> None:
        """A search."""
        await self.send("GET", "/search", params={"q": random.choice(QUERIES)})

    async def product(self, slug: str, random: Random) -> None:
        """A product's page, which asks for recommendations by itself."""
        await self.send("GET", f"/products/{slug}")
        await self.send("GET", f"/products/{slug}/recommendations")

    async def buy(self, name: str, random: Random) -> None:
        """Fill a cart, perhaps think again, pay, look at the order, perhaps cancel it."""
        cart = f"/carts/{name}-{random.getrandbits(32):08x}"
        await self.send("PUT", cart)
        slug = PRODUCTS[0]
        for _ in range(random.randint(1, 3)):
            slug = random.choice(PRODUCTS)
            quantity = _draw(random, {1: 60, 2: 20, 3: 10, 12: 6, 60: 2, 0: 2})
            await self.send("POST", f"{cart}/items", json={"slug": slug, "quantity": quantity})
        if random.random() < 0.15:
            await self.send("DELETE", f"{cart}/items/{slug}")
        await self.send("GET", cart)
        country = _draw(random, COUNTRIES)
        if random.random() < 0.5:
            grams = _draw(random, {800: 40, 4_000: 30, 45_000: 20, 450_000: 10})
            await self.send("GET", "/shipping/quote", params={"country": country, "grams": grams})
        if random.random() < 0.1:
            return
        regular = random.random() < 0.2
        details = {
            "email": f"regular-{random.randint(1, 5)}@shop.example" if regular else f"{name}@shop.example",
            "country": country,
            "card": _draw(random, CARDS),
            "coupon": _draw(random, COUPONS),
            "express": random.random() < 0.15,
        }
        answer = await self.send("POST", f"{cart}/checkout", json=details)
        if answer is not None and answer.status_code == 201:
            order = f"/orders/{answer.json()['order']}"
            await self.send("GET", order)
            if random.random() < 0.08:
                await self.send("POST", f"{order}/cancel")

    async def run_the_shop(self, name: str, random: Random) -> None:
        """What the people behind the counter do."""
        task = random.random()
        if task < 0.4:
            by = random.choice(("country", "category"))
            await self.send("GET", "/admin/report", params={"by": by}, headers=ADMIN)
        elif task < 0.6:
            await self.send("GET", "/admin/orders.csv", headers=ADMIN)
        elif task < 0.9:
            slug = random.choice(PRODUCTS[:-2])
            await self.send("PUT", f"/admin/products/{slug}/stock", json={"stock": 50_000}, headers=ADMIN)
        else:
            await self.send("GET", "/admin/report")

    async def probe(self, name: str, random: Random) -> None:
        """A robot trying addresses, and a monitor asking for health."""
        await self.send("GET", random.choice(PROBES))
        await self.send("GET", f"/products/{name}")
        await self.send("GET", "/orders/99999999")
        await self.send("GET", "/health")


def _draw(random: Random, weights: dict[Any, int]) -> Any:
    return random.choices(list(weights), list(weights.values()))[0]


async def send(
    base: str,
    requests: int,
    seed: int = 1,
    concurrency: int = 8,
    advance: Callable[[], object] = lambda: None,
) -> Tally:
    """Send ``requests`` requests to ``base`` by ``concurrency`` visitors at a time.

    Fewer only when GIVE_UP of them in a row got no answer.
    """
    # No connection is used twice: after a request that failed, uvicorn closes it
    # without saying so, and the next request on it may or may not get through.
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=base, limits=limits, timeout=30, trust_env=False) as client:
        visitors = Visitors(client, requests, advance)
        numbers = _numbers()

        async def keep_visiting() -> None:
            try:
                async for number in numbers:
                    await visitors.visit(number, Random(f"{seed}:{number}"))
            except Enough:
                return

        start = time.perf_counter()
        await asyncio.gather(*(keep_visiting() for _ in range(concurrency)))
        visitors.tally.seconds = time.perf_counter() - start
        return visitors.tally


async def _numbers() -> AsyncIterator[int]:
    number = 0
    while True:
        number += 1
        yield number


def summary(tally: Tally) -> Table:
    """The tally as a table."""
    table = Table(title=f"{tally.requests} requests, {tally.requests / tally.seconds:.0f}/s", min_width=28)
    table.add_column("Status", justify="right")
    table.add_column("Responses", justify="right")
    for status, count in sorted(tally.statuses.items()):
        table.add_row(str(status), str(count), style="red" if status >= 500 else None)
    if tally.unanswered:
        table.add_row("none", str(tally.unanswered), style="bold red")
    return table


def main() -> int:
    """The command line; exit code 1 when a request got no answer."""
    parser = argparse.ArgumentParser(description="Send shoppers to the example shop.")
    parser.add_argument("base", help="address of the shop, e.g. http://127.0.0.1:8000")
    parser.add_argument("--requests", type=int, default=3000, help="how many to send (default: 3000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same shoppers")
    parser.add_argument("--concurrency", type=int, default=8, help="visitors at a time (default: 8)")
    args = parser.parse_args()
    if args.requests < 1 or args.concurrency < 1:
        parser.error("--requests and --concurrency are at least 1")
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("requests", total=args.requests)
        tally = asyncio.run(
            send(args.base, args.requests, args.seed, args.concurrency, lambda: progress.advance(task))
        )
    console.print(summary(tally))
    if tally.unanswered:
        print(f"{tally.unanswered} requests got no answer: is the shop at {args.base}?", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
