"""Taking money by card, through a provider that does not always answer.

The provider is simulated: like the test systems of real ones, it lets the
card number decide what happens.
"""

from __future__ import annotations

from dataclasses import dataclass

from shop.errors import Invalid, PaymentDeclined

GOOD_CARD = "4242424242424242"
NO_FUNDS = "4000000000009995"
STOLEN = "4000000000009979"
PROVIDER_DOWN = "4000000000000119"
FLAKY = "4000000000000259"
ATTEMPTS = 3
REVIEW_FROM_CENTS = 500_000


class ProviderDown(Exception):
    """The payment provider did not answer. Not the customer's fault, so not a ShopError."""


@dataclass(frozen=True)
class Receipt:
    """What the provider confirmed."""

    reference: str
    state: str


def luhn(number: str) -> bool:
    """Whether the check digit of a card number is right (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, char in enumerate(reversed(number)):
        digit = int(char)
        if place % 2:
            digit *= 2
            if digit > 9:
                digit -= 9
        total += digit
    return total % 10 == 0


def charge(card: str, cents: int, order: int) -> Receipt:
    """Take the money, asking a silent provider up to three times.

    Raises:
        Invalid: not a card number, or nothing to pay.
        PaymentDeclined: the bank refused.
        ProviderDown: no answer.
    """
    number = card.replace(" ", "").replace("-", "")
    if not (number.isascii() and number.isdigit() and 12 <= len(number) <= 19) or not luhn(number):
        raise Invalid("not a card number")
    if cents <= 0:
        raise Invalid("nothing to pay")
    attempt = 1
    while True:
        try:
            reference = _ask_provider(number, cents, order, attempt)
        except ProviderDown:
            if attempt == ATTEMPTS:
                raise
            attempt += 1
        else:
            break
    if cents >= REVIEW_FROM_CENTS:
        return Receipt(reference, "review")
    return Receipt(reference, "paid")


def _ask_provider(number: str, cents: int, order: int, attempt: int) -> str:
    if number == PROVIDER_DOWN:
        raise ProviderDown(f"no answer to attempt {attempt}")
    if number == FLAKY and attempt < 2:
        raise ProviderDown(f"no answer to attempt {attempt}")
    if number == NO_FUNDS:
        raise PaymentDeclined("insufficient funds")
    if number == STOLEN:
        raise PaymentDeclined("the card is blocked")
    return f"ch-{order:08d}-{cents}"


def refund(reference: str, cents: int) -> str:
    """Give the money back; seed orders were never charged."""
    if not reference.startswith("ch-"):
        return "nothing to refund"
    if cents >= REVIEW_FROM_CENTS:
        return f"refund of {cents} waits for approval"
    return f"refunded {cents}"


def pay_by_cheque(bank: str, cents: int) -> Receipt:
    """Cheques were accepted once; no request reaches this any more."""
    if cents > 100_000:
        raise Invalid("no cheques above 1000.00")
    reference = f"cheque-{bank.lower()}-{cents}"
    state = "waiting"
    if bank in ("HOME", "SAVINGS"):
        state = "paid"
    return Receipt(reference, state)
