"""From the items of a cart to what the customer pays: discounts, shipping, tax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from shop import shipping
from shop.errors import Invalid

_VAT = {"DE": 19, "AT": 20, "BE": 21, "ES": 21, "FR": 20, "IT": 22, "NL": 21, "PL": 23}
_REDUCED = {"DE": 7, "AT": 10, "BE": 6, "ES": 4, "FR": 5, "IT": 4, "NL": 9, "PL": 5}


@dataclass(frozen=True)
class Item:
    """One position of a cart, with what the product is like."""

    product_id: int
    slug: str
    category: str
    cents: int
    grams: int
    quantity: int

    @property
    def total(self) -> int:
        """Cents before any discount."""
        return self.cents * self.quantity


@dataclass(frozen=True)
class Coupon:
    """A code on a leaflet: percent or cents off, or every third item of a kind free."""

    kind: str
    amount: int
    until: date
    from_cents: int = 0


COUPONS = {
    "WELCOME10": Coupon("percent", 10, date(2099, 12, 31)),
    "FIVER": Coupon("cents", 500, date(2099, 12, 31), from_cents=3_000),
    "THIRDFREE": Coupon("third", 0, date(2099, 12, 31)),
    "SUMMER2019": Coupon("percent", 25, date(2019, 9, 1)),
}


@dataclass(frozen=True)
class Quote:
    """What an order costs, in cents."""

    subtotal: int
    discount: int
    shipping: int
    vat: int
    total: int


def quote(
    items: Sequence[Item],
    country: str,
    coupon: str | None = None,
    express: bool = False,
    earlier: int = 0,
    today: date | None = None,
) -> Quote:
    """The price of an order.

    Args:
        earlier: how many orders the customer has placed before.

    Raises:
        Invalid: an empty cart, an unknown country or coupon.
        Conflict: the goods cannot be sent there this way.
    """
    if not items:
        raise Invalid("the cart is empty")
    subtotal = sum(item.total for item in items)
    discount = bulk_discount(items)
    if coupon:
        # The better of the two: discounts do not add up.
        discount = max(discount, coupon_discount(items, coupon, today or date.today()))
    discount += loyalty_discount(subtotal - discount, earlier)
    grams = sum(item.grams * item.quantity for item in items)
    flammable = any(item.slug == "gas-cartridge" for item in items)
    postage = shipping.cost(country, grams, subtotal - discount, express, flammable)
    tax = vat(items, country, subtotal, discount)
    total = subtotal - discount + postage
    if country not in _VAT:
        total -= vat_inside(items, subtotal, discount)
    return Quote(subtotal, discount, postage, tax, total)


def bulk_discount(items: Sequence[Item]) -> int:
    """Five per cent off a position of ten pieces, ten per cent from fifty; books have fixed prices."""
    off = 0
    for item in items:
        if item.category == "books":
            continue
        if item.quantity >= 50:
            off += item.total * 10 // 100
        elif item.quantity >= 10:
            off += item.total * 5 // 100
    return off


def coupon_discount(items: Sequence[Item], code: str, today: date) -> int:
    """Cents off for a coupon.

    Raises:
        Invalid: unknown, expired, or the order is too small for it.
    """
    coupon = COUPONS.get(code.strip().upper())
    if coupon is None:
        raise Invalid(f"no coupon {code!r}")
    if today > coupon.until:
        raise Invalid(f"coupon {code!r} has expired")
    eligible = [item for item in items if item.category != "books"]
    worth = sum(item.total for item in eligible)
    if worth < coupon.from_cents:
        raise Invalid(f"coupon {code!r} needs an order of {coupon.from_cents} cents")
    if coupon.kind == "percent":
        return worth * coupon.amount // 100
    if coupon.kind == "cents":
        return min(coupon.amount, worth)
    return sum(item.cents * (item.quantity // 3) for item in eligible)


def loyalty_discount(cents: int, earlier: int) -> int:
    """Two per cent after five orders, three after twenty, at most 20.00."""
    if earlier < 5:
        return 0
    percent = 3 if earlier >= 20 else 2
    off = cents * percent // 100
    if off > 2_000:
        off = 2_000
    return off


def vat(items: Sequence[Item], country: str, subtotal: int, discount: int) -> int:
    """The tax inside the prices, for countries whose tax we collect; 0 for exports."""
    if country not in _VAT:
        return 0
    tax = 0
    for item in items:
        # The discount is spread over the positions by their value.
        gross = item.total - discount * item.total // subtotal
        rate = _REDUCED[country] if item.category == "books" else _VAT[country]
        tax += gross * rate // (100 + rate)
    return tax


def vat_inside(items: Sequence[Item], subtotal: int, discount: int) -> int:
    """The home tax that list prices contain, taken off for exports."""
    return vat(items, "DE", subtotal, discount)


def legacy_discount(items: Sequence[Item], year: int) -> int:
    """The staircase discount of the old shop. Nothing calls it since the coupons came."""
    worth = sum(item.total for item in items)
    if year < 2015:
        return 0
    if worth > 50_000:
        off = worth * 8 // 100
    elif worth > 20_000:
        off = worth * 5 // 100
    elif worth > 10_000:
        off = worth * 3 // 100
    else:
        off = 0
    if year >= 2018:
        off = min(off, 5_000)
    return off
