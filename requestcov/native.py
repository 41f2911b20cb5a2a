"""Operating-system threads and waits that no monkey patch reaches.

Laws: a thread started here is a real one, also where gevent or eventlet has
replaced ``_thread``, ``threading`` and ``time.sleep`` by cooperative versions,
before or after this module was imported; none of those packages is imported
or asked. A greenlet that burns CPU starves cooperative threads, not these.

How: ``_thread`` is a built-in module with multi-phase initialisation (PEP
489), so a second instance of it can be made. The patches change the instance
in ``sys.modules``; nobody else holds ours.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import signal
import threading
from _queue import Empty, SimpleQueue
from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol


class LockLike(Protocol):
    """The part of a ``_thread.lock`` that is used here."""

    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool:
        """True when taken."""

    def release(self) -> None:
        """Give it back."""

    def __enter__(self) -> bool: ...
    def __exit__(self, *exc: object) -> None: ...


def _own_thread_module() -> ModuleType:
    spec = importlib.machinery.BuiltinImporter.find_spec("_thread")
    if spec is None or spec.loader is None:
        raise ImportError("this Python has no built-in _thread module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_thread = _own_thread_module()

get_ident: Callable[[], int] = _thread.get_ident
"""Identifies the operating-system thread, never a greenlet."""

new_lock: Callable[[], LockLike] = _thread.allocate_lock
"""A lock between operating-system threads. Waiting for it stalls a gevent hub."""

new_reentrant_lock: Callable[[], LockLike] = _thread.RLock
"""The same, that its owner may take again: what a finaliser needs."""

new_local: Callable[[], Any] = _thread._local
"""Attributes for each operating-system thread, shared by its greenlets."""


def start_thread(function: Callable[..., None], *args: Any) -> int:
    """Run a function in a new daemon thread; returns the thread's ident.

    The thread takes no signals: they are the app's and its server's. uWSGI ends
    Python in its handler and dies if that runs in a thread it does not know.

    Raises:
        RuntimeError: the system or the finalizing interpreter refuses another thread.
    """
    masked = None
    if hasattr(signal, "pthread_sigmask"):
        # Blocked here, for a thread inherits its creator's mask: there is no moment without.
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        ident: int = _thread.start_new_thread(_run, (function, args))
    finally:
        if masked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
    return ident


def _run(function: Callable[..., None], args: tuple[Any, ...]) -> None:
    try:
        function(*args)
    finally:
        # Whoever asked threading for the current thread, as logging does, made it note a dummy for
        # this one; before Python 3.13 it would list that dummy for ever.
        noted: dict[int, threading.Thread] = getattr(threading, "_active", {})
        if isinstance(noted.get(get_ident()), threading._DummyThread):
            noted.pop(get_ident(), None)


def sleep(seconds: float) -> None:
    """Block this operating-system thread."""
    try:
        SimpleQueue[None]().get(timeout=seconds)
    except Empty:
        return
