"""The end of the server, told to the app before the server waits for it.

Law: the server's own handlers of signals stay, and are called after ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def on_ending(hasten: Callable[[], None]) -> Iterator[None]:
    """Within it, SIGTERM and SIGINT call ``hasten`` in the running loop, then whoever had them before.

    Elsewhere than in the main thread, which alone handles signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def chain(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(hasten)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number in before:
        signal.signal(number, chain)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
