"""The ASGI app bare and wrapped, side by side in one process under one server.

The header ``X-Way`` chooses: ``bare``, ``sampled``, ``nested``, ``unsampled``,
``off``. ``recorded`` and ``recorded_double`` are for a server to be given itself.
"""

from __future__ import annotations

from typing import Any

from requestcov import ASGIMiddleware
from tests.servers.asgi_app import bare

recorded = ASGIMiddleware(bare, sample_rate=1.0, max_per_second=0, exclude=(), sinks=())
nested = ASGIMiddleware(recorded, sample_rate=1.0, max_per_second=0, exclude=(), sinks=())
unsampled = ASGIMiddleware(bare, sample_rate=0.0, first=0, exclude=(), sinks=())
off = ASGIMiddleware(bare, enabled=False)

WAYS = {"bare": bare, "sampled": recorded, "nested": nested, "unsampled": unsampled, "off": off}


class Double:
    """``bare`` as ASGI 2 has it: called with the scope first."""

    def __init__(self, scope: Any) -> None:
        self.scope = scope

    async def __call__(self, receive: Any, send: Any) -> None:
        await bare(self.scope, receive, send)


recorded_double = ASGIMiddleware(Double, sample_rate=1.0, max_per_second=0, exclude=(), sinks=())


async def app(scope: Any, receive: Any, send: Any) -> Any:
    """The way that the request asks for."""
    way = dict(scope.get("headers", [])).get(b"x-way", b"bare").decode()
    return await WAYS[way](scope, receive, send)
