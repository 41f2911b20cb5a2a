"""Stored records: what each kind of database can be asked.

Law: opening a store reads only; whatever is wrong with it is said in one
sentence that tells what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from requestcov.storage.sqlite import Store


def open_store(place: str) -> Store:
    """Open what a sink wrote, for reading.

    Args:
        place: a path, or the sink's URL (``sqlite:///requestcov.db``).

    Raises:
        StoreError: it is missing, empty, corrupt, newer, or not a store.
    """
    # The live half imports this package for its writes, and needs none of the reads.
    from requestcov.storage.sqlite import Store

    return Store(place)
