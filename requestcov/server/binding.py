"""Where a server listens.

Laws: this machine alone unless told otherwise; anything wider only with tokens.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from requestcov.errors import ConfigError

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""Names in a Host header by which a machine calls itself."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def hosts(host: str, allowed: Iterable[str]) -> tuple[str, ...]:
    """The names by which a server may be asked for: those allowed, else what fits where it listens.

    One that only this machine reaches is asked for by this machine's own names; one that others reach
    asks for a token, which a page of another site does not have.
    """
    return tuple(allowed) or (LOOPBACK_HOSTS if is_loopback(host) else ("*",))


def require_tokens(host: str, tokens: object, kind: str) -> None:
    """Before listening.

    Args:
        tokens: the tokens that the server asks for; false in a condition when there are none.
        kind: ``"write"`` or ``"read"``.

    Raises:
        ConfigError: other machines could reach the server, and it would ask for no token.
    """
    if not tokens and not is_loopback(host):
        raise ConfigError(
            f"--host {host} can be reached by other machines, and no {kind} token is set: set"
            f" REQUESTCOV_{kind.upper()}_TOKENS or --{kind}-token-file, or leave --host out to listen on"
            " this machine alone."
        )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        port: 0: one that is free.

    Raises:
        ConfigError: it cannot be had; says why and what to do.
    """
    name = host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(2048)
        except BaseException:
            listening.close()
            raise
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"Cannot listen on {host} port {port}: {why}; choose another with --host and --port."
        ) from None
    listening.set_inheritable(True)
    return listening


def address(listening: socket.socket) -> str:
    """The URL of a socket that listens on http."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
