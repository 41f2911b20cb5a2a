"""Where batches go: the Sink protocol, and from a URL to a sink.

Laws: ``write`` returning means the batch is kept (COMMIT or fsync returned);
anything raised means it is not, and the same batch comes again. Opening a
sink checks its URL and touches no file, starts no thread: files are opened at
the first write, in the process that writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from requestcov.errors import ConfigError
from requestcov.record import Batch
from requestcov.sinks.path import refuse

ENTRY_POINTS = "requestcov.sinks"
"""Group of entry points: name = URL scheme, object = callable(url: str) -> Sink."""

_BUILT_IN = {
    "file": ("requestcov.sinks.file", "open_file"),
    "sqlite": ("requestcov.sinks.sqlite", "open_sqlite"),
}


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


def open_sink(url: str) -> Sink:
    """The sink that a URL names: a built-in scheme, or an installed package's.

    Raises:
        ConfigError: the URL cannot be used; says why and what is known.
    """
    scheme, mark, _ = url.partition("://")
    if not mark or not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
        raise refuse(url, f"it does not begin with a scheme and ://; known are {', '.join(_known())}")
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
    return sorted({*_BUILT_IN, *entry_points(group=ENTRY_POINTS).names})


def _installed(url: str, scheme: str) -> Callable[[str], Sink]:
    found = entry_points(group=ENTRY_POINTS, name=scheme)
    if not found:
        raise refuse(url, f"no sink is called {scheme!r}; known are {', '.join(_known())}")
    try:
        factory: Callable[[str], Sink] = next(iter(found)).load()
    except Exception as error:
        raise refuse(url, f"its package cannot be loaded ({type(error).__name__}: {error})") from error
    return factory
