"""Where batches go: the Sink protocol, and from a URL to a sink.

Laws: ``write`` returning means the batch is kept (COMMIT or fsync returned);
anything raised means it is not, and the same batch comes again. A sink that
keeps a batch on this machine first, to send it on, says so by being a Holding. Opening a
sink checks its URL and touches no file, starts no thread: files are opened at
the first write, in the process that writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from requestcov.config import Config
from requestcov.errors import ConfigError
from requestcov.record import Batch
from requestcov.sinks.path import refuse

ENTRY_POINTS = "requestcov.sinks"
"""Group of entry points: name = URL scheme, object = callable(url: str) -> Sink."""

_BUILT_IN = {
    "file": ("requestcov.sinks.file", "open_file"),
    "sqlite": ("requestcov.sinks.sqlite", "open_sqlite"),
}
_CONFIGURED = {
    "http": ("requestcov.sinks.http", "open_http"),
    "https": ("requestcov.sinks.http", "open_http"),
}
"""Those that need more than their URL: a token does not belong in one."""


@runtime_checkable
class Sink(Protocol):
    """A destination of batches; used by one thread at a time.

    Attributes:
        name: the URL, with what is secret in it left out.
    """

    name: str

    def write(self, batch: Batch) -> None:
        """Keep a batch; keeping one twice is keeping it once.

        Raises:
            SinkError, OSError: it is not kept.
        """

    def close(self) -> None:
        """Let go of files and connections. A later write opens them again."""


@runtime_checkable
class Holding(Sink, Protocol):
    """A sink whose ``write`` keeps a batch for sending it on: kept is not yet stored.

    ``resume`` may be called by another thread than ``write``; the attributes
    are read by any thread, and never go down.

    Attributes:
        taken: batches written.
        through: so many of the first of them are held no more.
        delivered: records that have arrived.
        lost: records written that will never arrive, by reason.
    """

    @property
    def taken(self) -> int: ...
    @property
    def through(self) -> int: ...
    @property
    def delivered(self) -> int: ...
    @property
    def lost(self) -> Mapping[str, int]: ...

    def forgot_sources(self) -> bool:
        """Whether texts were lost since this was last asked, so that they have to come again."""

    def resume(self) -> float | None:
        """Send some of what is held.

        Returns:
            Seconds until it wants to be called again, None: not before the next ``write``.

        Raises:
            SinkError, OSError: that failed, and is to be tried again.
        """


def open_sink(url: str, config: Config | None = None) -> Sink:
    """The sink that a URL names: a built-in scheme, or an installed package's.

    Args:
        url: what the option ``sinks`` says.
        config: for a sink that needs more than its URL; None: every option's default.

    Raises:
        ConfigError: the URL cannot be used; says why and what is known.
    """
    scheme, mark, _ = url.partition("://")
    if not mark or not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
        raise refuse(url, f"it does not begin with a scheme and ://; known are {', '.join(_known())}")
    if scheme in _CONFIGURED:
        module, name = _CONFIGURED[scheme]
        configured: Sink = getattr(import_module(module), name)(url, config or Config())
        return configured
    if scheme in _BUILT_IN:
        module, name = _BUILT_IN[scheme]
        factory: Callable[[str], Sink] = getattr(import_module(module), name)
    else:
        factory = _installed(url, scheme)
    try:
        sink = factory(url)
    except ConfigError:
        raise
    except Exception as error:
        raise refuse(url, f"its package failed with {type(error).__name__}") from error
    if not isinstance(sink, Sink):
        raise refuse(url, f"its package gave a {type(sink).__name__}, which is not a sink")
    return sink


def _known() -> list[str]:
    return sorted({*_BUILT_IN, *_CONFIGURED, *entry_points(group=ENTRY_POINTS).names})


def _installed(url: str, scheme: str) -> Callable[[str], Sink]:
    found = entry_points(group=ENTRY_POINTS, name=scheme)
    if not found:
        raise refuse(url, f"no sink is called {scheme!r}; known are {', '.join(_known())}")
    try:
        factory: Callable[[str], Sink] = next(iter(found)).load()
    except Exception as error:
        raise refuse(url, f"its package cannot be loaded ({type(error).__name__}: {error})") from error
    return factory
