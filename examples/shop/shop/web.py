"""What both web apps need: the home page, the admin's token, reading untyped input."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from shop.errors import Invalid


def admin_token() -> str:
    """The token of the admin endpoints, for an example that guards nothing."""
    return os.environ.get("SHOP_ADMIN_TOKEN", "open-sesame")


def home_page(products: Iterable[Mapping[str, Any]]) -> str:
    """The start page with some products."""
    rows = []
    for product in products:
        price = f"{product['cents'] / 100:.2f}"
        note = ""
        if not product["available"]:
            note = " (sold out)"
        elif "notice" in product:
            note = f" ({product['notice']})"
        rows.append(
            f'<li><a href="/products/{escape(product["slug"])}">{escape(product["name"])}</a>'
            f" {price}{escape(note)}</li>"
        )
    return (
        "<!doctype html><title>Shop</title><link rel=stylesheet href=/static/shop.css>"
        f"<h1>Shop</h1><ul>{''.join(rows)}</ul>"
    )


def integer(values: Mapping[str, Any], name: str, default: int | None = None) -> int | None:
    """A whole number out of a query or a JSON object.

    Raises:
        Invalid: something else stands there.
    """
    value = values.get(name, default)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    try:
        return int(str(value))
    except ValueError:
        raise Invalid(f"{name} is a whole number") from None


def text(values: Mapping[str, Any], name: str, longest: int, shortest: int = 0) -> str:
    """A text out of a query or a JSON object.

    Raises:
        Invalid: it is missing, too short, too long or no text.
    """
    value = values.get(name)
    if not isinstance(value, str):
        raise Invalid(f"{name} is missing")
    if not shortest <= len(value) <= longest:
        raise Invalid(f"{name} has {shortest} to {longest} characters")
    return value


def required(value: int | None, name: str) -> int:
    """The number itself.

    Raises:
        Invalid: there is none.
    """
    if value is None:
        raise Invalid(f"{name} is missing")
    return value
