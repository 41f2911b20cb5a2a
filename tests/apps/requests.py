"""What the test apps' lists of requests are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class AppRequest:
    """One request and what comes back.

    Attributes:
        kwargs: httpx's: ``json``, ``params``, ``headers``, ``content``, ``data``.
        status: of the response.
        route: the template as requestcov names it; None where no route matches.
        has: a text in the response's body.
        marks: names of some of the app's functions that this request runs, work
            after the response included.
    """

    method: str
    path: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    route: str | None = None
    has: str = ""
    marks: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.method} {self.path} {dict(self.kwargs) or ''} -> {self.status}"
