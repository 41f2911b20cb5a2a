"""What a spool lost after its batches' ledgers were made, and how that gets into them.

Laws: a batch's ledger says what will be true once that batch is acknowledged,
earlier ones having been acknowledged before it; so it is corrected by what was
lost of the batches up to it, and by nothing later. A correction moves records
from ``stored`` to ``dropped``: the balance of a ledger stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

FULL = "spool_full"
"""The spool had reached its size, and these records were its oldest."""

REJECTED = "rejected"
"""The collector will never take these records; they are in quarantine."""

LOST = "spool_lost"
"""A batch in the spool was removed or damaged by something else."""


class Losses:
    """Records lost, by the number of the batch they were in and by reason.

    Args:
        entries: ``(number, reason, records)``.
    """

    def __init__(self, entries: Iterable[tuple[int, str, int]] = ()) -> None:
        self._entries: dict[tuple[int, str], int] = {}
        for number, reason, count in entries:
            self.add(number, reason, count)

    def add(self, number: int, reason: str, count: int) -> None:
        """So many records of a batch are lost."""
        self._entries[number, reason] = self._entries.get((number, reason), 0) + count

    def upto(self, number: int) -> dict[str, int]:
        """What was lost of the batches up to a number, that one included, by reason."""
        found: dict[str, int] = {}
        for (at, reason), count in self._entries.items():
            if at <= number:
                found[reason] = found.get(reason, 0) + count
        return found

    def entries(self) -> list[tuple[int, str, int]]:
        """What :class:`Losses` is made of."""
        return [(number, reason, count) for (number, reason), count in sorted(self._entries.items())]

    def forget_before(self, number: int) -> None:
        """No batch below a number is left: tell what was lost of those apart no more."""
        for reason, count in self.upto(number - 1).items():
            for key in [key for key in self._entries if key[0] < number and key[1] == reason]:
                del self._entries[key]
            self._entries[number - 1, reason] = count


def correct(ledger: dict[str, Any], lost: Mapping[str, int]) -> bool:
    """Put what was lost into a ledger in its JSON form; whether anything was missing in it."""
    changed = False
    for reason, count in lost.items():
        missing = count - ledger["dropped"].get(reason, 0)
        if missing > 0:
            ledger["stored"] -= missing
            ledger["dropped"][reason] = count
            changed = True
    return changed
