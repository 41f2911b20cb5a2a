"""Where work crosses to a worker thread together with its context.

Laws: a thread has a trace function of its own, so the trace engine must be
told when such work starts; the hooks change no argument, result or exception,
cost two comparisons while nothing is recorded, are put on library classes
found through sys.modules, never imported, and are taken off again on close.

asyncio.to_thread, loop.run_in_executor and asgiref's sync_to_async run on a
ThreadPoolExecutor; anyio and trio have thread pools of their own.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Protocol

Unhook = dict[str, Callable[[], None]]
"""By module, how to take its hook off again."""


class Follower(Protocol):
    """The engine as seen from a worker thread."""

    def follow(self) -> object | None:
        """Start to trace this thread, if there is anything in flight."""

    def unfollow(self, guest: object) -> None:
        """Stop again."""


def followed(follower: Follower, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, traced where and while it runs."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        guest = follower.follow()
        if guest is None:
            return function(*args, **kwargs)
        try:
            return function(*args, **kwargs)
        finally:
            follower.unfollow(guest)

    return run


def hook(follower: Follower, unhook: Unhook) -> None:
    """Put the hooks on what is loaded and not hooked yet; ``unhook`` collects the undoing."""
    if "concurrent.futures" in sys.modules:
        # asyncio loads this at the first use of a worker thread, which would be too late.
        import concurrent.futures.thread  # noqa: F401
    for module_name, place in _PLACES:
        module = sys.modules.get(module_name)
        if module is not None and module_name not in unhook:
            unhook[module_name] = place(follower, module, unhook)


def _replace(owner: Any, name: str, new: Any) -> Callable[[], None]:
    old = vars(owner)[name]
    setattr(owner, name, new)

    def undo() -> None:
        if vars(owner).get(name) is new:
            setattr(owner, name, old)

    return undo


def _work_items(follower: Follower, module: Any, unhook: Unhook) -> Callable[[], None]:
    return _replace(module._WorkItem, "run", followed(follower, module._WorkItem.run))


def _anyio(follower: Follower, module: Any, unhook: Unhook) -> Callable[[], None]:
    backend = module.AsyncIOBackend
    original = vars(backend)["run_sync_in_worker_thread"].__func__

    @functools.wraps(original)
    async def run_sync(cls: Any, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await original(cls, followed(follower, func), *args, **kwargs)

    return _replace(backend, "run_sync_in_worker_thread", classmethod(run_sync))


def _anyio_dispatch(follower: Follower, module: Any, unhook: Unhook) -> Callable[[], None]:
    """anyio loads its backend at the first use of a worker thread: hook that in time."""
    original = module.get_async_backend

    @functools.wraps(original)
    def get_async_backend(*args: Any, **kwargs: Any) -> Any:
        backend = original(*args, **kwargs)
        hook(follower, unhook)
        return backend

    return _replace(module, "get_async_backend", get_async_backend)


def _trio(follower: Follower, module: Any, unhook: Unhook) -> Callable[[], None]:
    original = module.run_sync

    @functools.wraps(original)
    async def run_sync(sync_fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await original(followed(follower, sync_fn), *args, **kwargs)

    return _replace(module, "run_sync", run_sync)


_PLACES: tuple[tuple[str, Callable[[Follower, Any, Unhook], Callable[[], None]]], ...] = (
    ("concurrent.futures.thread", _work_items),
    ("asgiref.current_thread_executor", _work_items),
    ("anyio.to_thread", _anyio_dispatch),
    ("anyio._backends._asyncio", _anyio),
    ("trio.to_thread", _trio),
    ("anyio._backends._trio", _trio),
)
