"""The server half: the collector that receives batches, and the dashboard, as ASGI apps.

Laws: it needs the extra ``server``; whatever is sent, the answer is no 5xx; nothing is shown
or logged of a token, a query or a body.
"""

from __future__ import annotations

from requestcov.server.dashboard.app import dashboard

__all__ = ["dashboard"]
