"""What it costs to send a parcel, by zone, weight and speed."""

from __future__ import annotations

from shop.errors import Conflict, Invalid

_EU = {"AT", "BE", "ES", "FR", "IT", "NL", "PL"}
_ZONES = {"DE": "home", "CH": "europe", "GB": "europe", "US": "world", "JP": "world", "IS": "islands"}
_BASE = {"home": 490, "eu": 990, "europe": 1_490, "islands": 2_490, "world": 2_990}
_PER_KILO = {"home": 0, "eu": 120, "europe": 180, "islands": 320, "world": 650}
_FREIGHT = {"home": 6_900, "eu": 14_900, "europe": 19_900, "world": 49_900}
PARCEL_GRAMS = 30_000
FREE_FROM = {"home": 10_000, "eu": 20_000}


def zone(country: str) -> str:
    """The zone of a two-letter country code.

    Raises:
        Invalid: not a country we send to.
    """
    if country in _EU:
        return "eu"
    if country not in _ZONES:
        raise Invalid(f"we do not send to {country!r}")
    return _ZONES[country]


def cost(country: str, grams: int, subtotal: int, express: bool = False, flammable: bool = False) -> int:
    """Shipping in cents.

    Raises:
        Invalid: an unknown country, or no weight.
        Conflict: these goods cannot go there this way.
    """
    where = zone(country)
    if grams <= 0:
        raise Invalid("a parcel weighs something")
    if flammable:
        if where in ("world", "islands"):
            raise Conflict("flammable goods do not fly")
        if express:
            raise Conflict("flammable goods do not go by express")
    if grams > PARCEL_GRAMS:
        if express:
            raise Conflict("freight does not go by express")
        return freight(where, grams)
    cents = _BASE[where] + _PER_KILO[where] * (grams // 1000)
    if express:
        cents = cents * 2 + 500
    elif subtotal >= FREE_FROM.get(where, subtotal + 1):
        cents = 0
    if flammable:
        cents += 250
    return cents


def freight(where: str, grams: int) -> int:
    """Cents for a pallet; a second one from 400 kg.

    The islands have no freight price: an order of this size from there fails.
    It is the kind of bug that waits years for its first customer.
    """
    pallets = -(-grams // 400_000)
    cents = _FREIGHT[where] * pallets
    if pallets > 1:
        cents = cents * 90 // 100
    return cents


def pickup_points(city: str, limit: int = 3) -> list[str]:
    """Where a parcel could be picked up. Planned for a partner who never signed."""
    points = []
    for number in range(1, limit + 1):
        name = f"{city.title()} {number}"
        if number == 1:
            name += " (main station)"
        points.append(name)
    return points
