"""Who may look: nobody without a read token, where any is configured.

Laws: a token comes in the Authorization header, or once in the login form; a
browser then holds a cookie with a signed time of expiry, from which the token
cannot be had; it is for this site alone, and no script can read it. Whoever has
not logged in is told nothing of the store: neither a name, nor whether it is there.

The signature is HMAC-SHA256 (RFC 2104), by a key made from the token itself: it
is valid in every process of a server, and no longer than the token is.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from hashlib import sha256

from starlette.requests import Request

from requestcov.server.tokens import Tokens, bearer

COOKIE = "requestcov_session"
LASTS = 12 * 3600
"""Seconds that a login is good for."""


class Session:
    """Tells who may look.

    Args:
        tokens: the read tokens; none: everybody may.
        clock: seconds since 1970.
    """

    def __init__(self, tokens: Tokens, clock: Callable[[], float] = time.time) -> None:
        self.tokens = tokens
        self._keys = tokens.keys(b"requestcov session")
        self._clock = clock

    def allows(self, request: Request) -> bool:
        """Whether the request may see anything."""
        if not self.tokens:
            return True
        told = request.headers.get("authorization")
        if told is not None:
            # A header's value is bytes, which Starlette gives as latin-1.
            return self.tokens.find(bearer(told.encode("latin-1"))) is not None
        return self._valid(request.cookies.get(COOKIE, ""))

    def cookie(self, token: str) -> str | None:
        """The value of the cookie for a token that is known; None for any other."""
        name = self.tokens.find(token.encode("utf-8", "surrogatepass"))
        if name is None:
            return None
        expires = str(int(self._clock()) + LASTS)
        return f"{expires}.{_sign(self._keys[name], expires)}"

    def _valid(self, cookie: str) -> bool:
        expires, _, signature = cookie.partition(".")
        given = signature.encode("utf-8", "replace")
        # Every key is tried, also once one fits: the time tells nothing.
        fits = [hmac.compare_digest(_sign(key, expires).encode(), given) for key in self._keys.values()]
        if not any(fits):
            return False
        return self._clock() < int(expires)  # signed, so we wrote it


def _sign(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode("utf-8", "replace"), sha256).hexdigest()
