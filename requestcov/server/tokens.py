"""Tokens: who may write batches, and who may read.

Laws: a token comes from a variable or a file, and from a client in the Authorization header
alone, never in a URL, which is logged; it is compared with every known one in constant time,
as digests of bytes, so that neither the time nor an exception tells anything of it; it is
never shown, and a weak one is refused at start-up.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from hashlib import sha256

from requestcov.errors import ConfigError

SHORTEST = 16
"""Characters of a token, at least: 16 random letters and digits are 95 bits."""

_TOKEN = re.compile(rf"[!-~]{{{SHORTEST},200}}")
_SCHEME = re.compile(rb"bearer +", re.IGNORECASE)


class Tokens:
    """A set of tokens. False in a condition when there is none.

    Args:
        tokens: as they are configured.
        said: how a message calls where they come from, such as ``REQUESTCOV_WRITE_TOKENS``.

    Raises:
        ConfigError: one is too short, or holds what no header can.
    """

    def __init__(self, tokens: Iterable[str] = (), said: str = "the tokens") -> None:
        self._names: dict[bytes, str] = {}
        for number, token in enumerate(tokens, 1):
            if not _TOKEN.fullmatch(token):
                raise ConfigError(
                    f"Token {number} of {said} cannot be used: allowed are {SHORTEST} to 200 printable ASCII"
                    " characters without spaces. One can be made by:"
                    " python -c 'import secrets; print(secrets.token_urlsafe(32))'"
                )
            digest = sha256(token.encode()).digest()
            self._names[digest] = digest.hex()[:16]

    def __bool__(self) -> bool:
        return bool(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def find(self, token: bytes | None) -> str | None:
        """The name of a token that is known: 16 hex digits of its SHA-256; None for any other."""
        asked = sha256(token or b"").digest()
        found = None
        for digest, name in self._names.items():  # All of them, also once it is found.
            if hmac.compare_digest(asked, digest):
                found = name
        return found

    def keys(self, purpose: bytes) -> dict[str, bytes]:
        """A key for each token, by its name, that signs for one purpose; no token follows from it."""
        return {name: hmac.digest(digest, purpose, "sha256") for digest, name in self._names.items()}


def bearer(authorization: bytes | None) -> bytes | None:
    """The token in an Authorization header's value (RFC 6750 §2.1); None when it holds none."""
    scheme = _SCHEME.match(authorization or b"")
    return None if authorization is None or scheme is None else authorization[scheme.end() :].strip()


def load_tokens(tokens: Iterable[str], file: str, said: str) -> Tokens:
    """The tokens that are configured: of a variable, and of a file with one a line.

    Args:
        file: its path; ``""``: none. A line that is empty or begins with ``#`` is none.
        said: the variable's name.

    Raises:
        ConfigError: the file cannot be read, holds none, or a token is weak.
    """
    known = list(tokens)
    if file:
        try:
            with open(file, encoding="ascii") as lines:
                found = [text for line in lines if (text := line.strip()) and not text.startswith("#")]
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is not ASCII text"
            raise ConfigError(f"The token file {file!a} cannot be read: {why}.") from None
        if not found:
            raise ConfigError(f"The token file {file!a} holds no token: write one a line.")
        known += found
        said = f"{said} and {file!a}"
    return Tokens(known, said)
