"""Greenlets share their thread's trace function but not its call stack.

Laws: while a thread is watched, each of its greenlets finds, when it runs on,
the trace function it had when it was switched away from, as long as that is
ours: a debugger's stays the thread's. Outside of that no switch is looked at,
and greenlet is found through sys.modules, never imported. A greenlet that is
abandoned is not kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from requestcov.native import new_local


def current_greenlet() -> object:
    """The current greenlet, or None where there is no greenlet library."""
    greenlet: Any = sys.modules.get("greenlet")
    return None if greenlet is None else greenlet.getcurrent()


class Switches:
    """The switches of the current thread's greenlets.

    Args:
        ours: whether a trace function is one of ours; None is.
        newcomer: a tracer for a greenlet that has none yet, asked in its context; or None.
    """

    def __init__(self, ours: Callable[[Any], bool], newcomer: Callable[[], Any]) -> None:
        self._ours = ours
        self._newcomer = newcomer
        self._here = new_local()

    def watch(self) -> bool:
        """Watch this thread until ``unwatch`` was called as often; False without greenlets."""
        greenlet: Any = sys.modules.get("greenlet")
        if greenlet is None:
            return False
        here = self._here.__dict__
        watchers = here.get("watchers", 0)
        if not watchers:
            here["before"] = before = greenlet.gettrace()
            greenlet.settrace(self._callback(before))
        here["watchers"] = watchers + 1
        return True

    def unwatch(self) -> None:
        """What ``watch`` began is over."""
        here = self._here.__dict__
        watchers = here.get("watchers", 0)
        if watchers:
            here["watchers"] = watchers - 1
        if watchers == 1:
            sys.modules["greenlet"].settrace(here.pop("before"))

    def forget(self) -> None:
        """Watch this thread no more, however often ``watch`` was called."""
        if self._here.__dict__.get("watchers"):
            self._here.watchers = 1
            self.unwatch()

    def _callback(self, before: Callable[..., Any] | None) -> Callable[..., None]:
        suspended: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

        def switched(event: str, parties: tuple[Any, Any]) -> None:
            function: Any = sys.gettrace()
            if event in ("switch", "throw") and self._ours(function):
                origin, target = parties
                if function is not None:
                    function.stop()
                    if not origin.dead:
                        suspended[origin] = function
                tracer = suspended.pop(target, None)
                if tracer is None:
                    # A context may come to a greenlet without enter: SQLAlchemy's way.
                    tracer = self._newcomer()
                if tracer is None:
                    sys.settrace(None)
                else:
                    tracer.start()
            if before is not None:
                before(event, parties)

        return switched
