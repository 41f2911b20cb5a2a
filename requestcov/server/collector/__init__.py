"""The collector: an ASGI app that takes batches over HTTP and keeps each record once.

Laws: a batch is acknowledged after the COMMIT that keeps it; memory is bounded whatever is
sent; any number of its processes may write to one store.
"""

from __future__ import annotations

from requestcov.server.collector.app import app

__all__ = ["app"]
