"""What ran, in the forms that other tools read: one module a form."""

from __future__ import annotations


def count(requests: int, weight: float, weights: bool) -> int:
    """Hits as these forms have them, whole numbers: recorded requests, or what they stand for."""
    return max(1, round(weight)) if weights and requests else requests


def legible(text: str) -> str:
    """A text without characters that would end a line, or that XML and UTF-8 do not have."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
