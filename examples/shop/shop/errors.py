"""What can go wrong for a customer, each kind with its HTTP status."""

from __future__ import annotations


class ShopError(Exception):
    """A failure to tell the customer about; anything else is a bug of ours."""

    status = 400


class Invalid(ShopError):
    """The request makes no sense as it is."""


class PaymentDeclined(ShopError):
    """The bank said no."""

    status = 402


class Forbidden(ShopError):
    """Not for this caller."""

    status = 403


class NotFound(ShopError):
    """There is no such product, cart or order."""

    status = 404


class Conflict(ShopError):
    """Possible in general, but not in the present state."""

    status = 409
