"""What is worked out before anybody asks: the first page, and then the busiest endpoints.

Law: it is only ever done while nobody waits for anything.
"""

from __future__ import annotations

from contextlib import suppress

from requestcov.analysis.evidence import Selection
from requestcov.errors import StoreError
from requestcov.server.dashboard.desk import Desk
from requestcov.server.dashboard.pages import endpoints, files

EVERYTHING = Selection()


def prepare(desk: Desk) -> None:
    """Begin; a store that cannot be read is for the first page to tell of."""
    with suppress(StoreError):
        desk.state.now()
        desk.answers.prepare(endpoints.coverage_of(EVERYTHING))
        desk.answers.prepare(files.files_of(EVERYTHING))
