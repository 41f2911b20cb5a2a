"""The options as keywords, for editors and type checkers: what the wrappers take beside the app.

Law: the same names as the table in ``config``, which alone checks values; a
test compares the two.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TypedDict


class Options(TypedDict, total=False):
    """What may be given to a wrapper; a text is read as in an environment variable."""

    enabled: bool | str
    sample_rate: float | str
    first: int | str
    source: Iterable[str]
    include: Iterable[str]
    omit: Iterable[str]
    branch: bool | str
    sinks: Iterable[str]
    keep_sources: bool | str
    exclude: Iterable[str]
    exclude_methods: Iterable[str]
    service: str
    release: str
    force_secret: str
    max_per_second: float | str
    max_in_flight: int | str
    max_duration: float | str
    queue_size: int | str
    batch_size: int | str
    flush_interval: float | str
    token: str
    spool: str | os.PathLike[str]
    spool_size: int | str
    sink_timeout: float | str
    proxy: str
    ca_file: str | os.PathLike[str]
    labels: Mapping[str, str] | Iterable[str]
