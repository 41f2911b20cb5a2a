"""Which requests are recorded: small policies, in one order, each with its weight.

Laws: a request that is not sampled pays for one look-up and one count;
everything learned is bounded, however many paths a client
invents; a weight is the reciprocal of the probability the request was taken
with (Horvitz and Thompson, JASA 47, 1952), so that the sum of an endpoint's
weights estimates its requests without bias; what a cap turns away was never
sampled. Counts are exact: docs/sampling.md says why. No lock is taken.

The order: exclusion, forced, first, boost, rate; the cap stands behind the last three.
"""

from __future__ import annotations

import fnmatch
import hmac
import math
import os
import random
import re
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from requestcov._entry import Entry
from requestcov._names import METHODS, NOT_FOUND, fallback, known_method
from requestcov._templates import MAX_PATH, Templates
from requestcov.config import Config

FORCE_HEADER = "x-requestcov-force"

FORCED_PER_SECOND = 1.0
"""Forced recordings a second and process; ``max_per_second`` when that is less."""
FORCED_BURST = 5.0

BOOST_RATE = 0.25
"""Share of requests taken of an endpoint that has just failed, when the rate is lower."""
BOOST_REQUESTS = 40
"""A boost ends after this many requests of the endpoint,"""
BOOST_SECONDS = 60.0
"""or after this long."""
BOOST_PAUSE = 300.0
"""Seconds from a boost's start in which the same endpoint is not boosted again."""

MAX_ENDPOINTS = 2000
"""Learned endpoints, and as many names made from paths; the rest share one entry."""
MAX_CACHED_PATHS = 4096
_MAX_FORMS = 8  # templates of one endpoint: with prefixes, with and without a tail
_MAX_CACHED_PATH = 256
_FOR_EVER = 2**62

OTHER = "(other)"
UNKNOWN = "(unknown route)"
"""Under this name a method's requests are counted whose route no recording has told."""


class Decision(NamedTuple):
    """Why a request is recorded.

    Attributes:
        policy: ``"forced"``, ``"first"``, ``"boost"`` or ``"rate"``.
        weight: how many requests this one stands for, >= 1.
        shape: the route it most likely belongs to, or a safe name made from its path.
    """

    policy: str
    weight: float
    shape: str


class _Bucket:
    """A token bucket: at most ``rate`` a second on average, ``burst`` at once."""

    __slots__ = ("_burst", "_clock", "_last", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens = burst
        self._last = clock()

    def take(self) -> bool:
        now = self._clock()
        # From here on nothing is called: no other thread can come in between.
        if now > self._last:
            self._tokens += (now - self._last) * self._rate
            self._last = now
            if self._tokens > self._burst:
                self._tokens = self._burst
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Sampler:
    """Decides about every request of a process.

    Args:
        config: of it the rate, ``first``, the exclusions, ``force_secret`` and ``max_per_second``.
        rng: give a seeded one for repeatable decisions. A forked child reseeds it.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        config: Config,
        *,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rng = random.Random() if rng is None else rng
        self._random = self._rng.random
        self._clock = clock
        self._rate = config.sample_rate
        self._first = config.first
        self._secret = config.force_secret.encode()
        limit = config.max_per_second
        self._limit = _Bucket(limit, max(1.0, limit), clock) if limit else None
        forced = min(FORCED_PER_SECOND, limit or FORCED_PER_SECOND)
        self._forced_limit = _Bucket(forced, FORCED_BURST, clock)
        self._exclude = _exclusion(config.exclude)
        self._exclude_methods = frozenset(config.exclude_methods)
        self._excluded = Entry("", "", 0)
        self._other = Entry(OTHER, OTHER, 0)
        self._other.endpoint = OTHER
        self.known: Mapping[str, dict[str, Entry]] = {method: {} for method in METHODS}
        """By method and path, as far as cached: all that most requests look at. See Entry.left."""
        self._cached = 0
        self._shapes: dict[tuple[str, str], Entry] = {}
        self._routes: dict[tuple[str, str], Entry] = {}
        self._templates: dict[str, Templates[Entry]] = {}
        self._capped = 0
        self._pid = os.getpid()
        _at_fork(self)

    def decide(self, method: str, path: str, header: Callable[[str], str | None]) -> Decision | None:
        """Count a request and decide about it.

        Args:
            method: HTTP method or ``WEBSOCKET``.
            path: decoded, without query.
            header: a request header by its lower-case name; asked only when a
                secret is configured.

        Returns:
            None: the request is not recorded.
        """
        paths = self.known.get(method)
        entry = None if paths is None else paths.get(path)
        if entry is None:
            entry = self._find(method, path)
        if entry.left > 0:
            # Another thread has drawn anew since this request found none left.
            entry.left -= 1
            return None
        entry.count()
        if entry is self._excluded:
            entry.leave(_FOR_EVER)
            return None
        if self._secret and self._is_forced(header):
            return self._take("forced", 1.0, entry, self._forced_limit)
        if entry.quiet:
            # Taken before anything is called: of threads that come at once one has the hit that
            # was drawn, and the others draw for themselves below.
            entry.quiet = False
            entry.leave(self._skip())
            entry.quiet = True
            return self._take("rate", 1.0 / self._rate, entry, self._limit)
        return self._decide(entry)

    def _decide(self, entry: Entry) -> Decision | None:
        """For a request of which the rate alone may not decide, or has not drawn yet."""
        if entry.first > 0:
            entry.first -= 1
            decision = self._take("first", 1.0, entry, self._limit)
            if decision is None:
                entry.first += 1
            return decision
        if entry.boost > 0:
            if self._clock() < entry.boost_end:
                entry.boost -= 1
                if self._random() < BOOST_RATE:
                    return self._take("boost", 1.0 / BOOST_RATE, entry, self._limit)
                return None
            entry.boost = 0
        if self._secret:  # every request's header is looked at
            hit = self._random() < self._rate
        else:
            skip = self._skip()
            hit = skip == 0
            entry.leave(self._skip() if hit else skip - 1)
            entry.quiet = True
        return self._take("rate", 1.0 / self._rate, entry, self._limit) if hit else None

    def _skip(self) -> int:
        """How many requests go by before the next is recorded at the rate.

        The number of failures before the first success of independent trials: a geometric
        variate by inversion (Devroye 1986, Non-Uniform Random Variate Generation, X.2).
        """
        if self._rate >= 1:
            return 0
        if self._rate <= 0:
            return _FOR_EVER
        skip = math.log(1.0 - self._random()) / math.log1p(-self._rate)
        return int(skip) if skip < _FOR_EVER else _FOR_EVER

    def _is_forced(self, header: Callable[[str], str | None]) -> bool:
        given = header(FORCE_HEADER)
        return given is not None and hmac.compare_digest(given.encode("utf-8", "replace"), self._secret)

    def _take(self, policy: str, weight: float, entry: Entry, limit: _Bucket | None) -> Decision | None:
        # Asking for the pid is a system call: hooks tell of a fork, and native forks, which
        # run none, are noticed here.
        if os.getpid() != self._pid:
            self._forked()
            entry.count()
        if limit is not None and not limit.take():
            self._capped += 1
            return None
        return Decision(policy, weight, entry.shape)

    def _entry(self, method: str, path: str) -> Entry:
        paths = self.known.get(method)
        entry = None if paths is None else paths.get(path)
        return self._find(method, path) if entry is None else entry

    def _cache(self, method: str, path: str, entry: Entry) -> None:
        if len(path) <= _MAX_CACHED_PATH and method in self.known:
            if self._cached >= MAX_CACHED_PATHS:
                self._forget_paths()
            self._cached += path not in self.known[method]
            self.known[method][path] = entry

    def _forget_paths(self) -> None:
        for paths in self.known.values():
            paths.clear()
        self._cached = 0

    def _find(self, method: str, path: str) -> Entry:
        """The entry of a path not seen lately; never raises, never grows past the bounds."""
        known = known_method(method)
        if method in self._exclude_methods or (self._exclude is not None and self._exclude(path)):
            entry = self._excluded
        else:
            templates = self._templates.get(known)
            found = None if templates is None else templates.find(path)
            if found is None or (found.probes and self._first):
                entry = self._shape(known, path, found)
            else:
                entry = found
        self._cache(method, path, entry)
        return entry

    def _shape(self, method: str, path: str, behind: Entry | None) -> Entry:
        """The entry of the path's name; the endpoint's whose template it is behind, unless it is new."""
        shape = fallback(path[:MAX_PATH])
        entry = self._shapes.get((method, shape))
        if entry is not None:
            return behind or entry
        if len(self._shapes) >= MAX_ENDPOINTS:
            return behind or self._other
        entry = Entry(method, shape, self._first)
        if behind is not None:
            behind.probes -= 1
            entry.into = behind
        return self._shapes.setdefault((method, shape), entry)

    def learned(self, method: str, path: str, route: str) -> None:
        """A recorded request's route is known: later paths of the same template share its entry.

        Args:
            method, path: as given to :meth:`decide`.
            route: the template in its framework's notation, or ``NOT_FOUND``.
        """
        # Mostly it is known already.
        paths = self.known.get(method)
        entry = None if paths is None else paths.get(path)
        if entry is None or not entry.routed or entry.shape != route:
            self._learn(known_method(method), path, route)

    def _learn(self, method: str, path: str, route: str) -> None:
        entry = self._entry(method, path)
        target = self._routes.get((method, route))
        if entry is self._excluded or entry is target:
            return
        shape = self._shapes.get((method, fallback(path[:MAX_PATH])))
        if target is None:
            if len(self._routes) >= MAX_ENDPOINTS:
                return
            # What was taken under the path's name counts as taken of the endpoint.
            new = Entry(method, route, entry.first if entry is shape else self._first)
            new.routed = True
            target = self._routes.setdefault((method, route), new)
        if route != NOT_FOUND:
            self._learn_template(method, path, route, target)
        if entry is shape:
            entry.into = target
            entry.first = 0
        self._cache(method, path, target)

    def unrouted(self, method: str, shape: str) -> None:
        """A recorded request has no route: its record carries the name made from its path.

        Args:
            method: as given to :meth:`decide`.
            shape: of the decision that took it.
        """
        entry = self._shapes.get((known_method(method), shape))
        if entry is not None:
            entry.named = True

    def _learn_template(self, method: str, path: str, route: str, target: Entry) -> None:
        templates = self._templates.setdefault(method, Templates())
        if templates.find(path) is target or target.forms >= _MAX_FORMS:
            return
        if not templates.add(route, path, target):
            return
        target.forms += 1
        self._forget_paths()  # some may belong to the new template
        for (of, name), entry in list(self._shapes.items()):
            if of == method and (entry.into is None or entry.into.shape == NOT_FOUND):
                found = templates.find(name)
                if found is not None:
                    entry.into = found
                    entry.first = 0

    def failed(self, method: str, path: str, route: str | None) -> None:
        """A request, recorded or not, has failed: its endpoint is sampled more for a while.

        Nothing changes when the rate is 0 or is not lower than BOOST_RATE.
        """
        if not 0 < self._rate < BOOST_RATE:
            return
        method = known_method(method)
        entry = None if route is None else self._routes.get((method, route))
        if entry is None:
            entry = self._entry(method, path)
        now = self._clock()
        if entry is not self._excluded and now >= entry.again:
            entry.again = now + BOOST_PAUSE
            entry.boost_end = now + BOOST_SECONDS
            entry.boost = BOOST_REQUESTS
            entry.quiet = False
            entry.leave(0)

    def seen(self) -> dict[str, int]:
        """Requests by endpoint since the process started, sampled or not, without excluded ones.

        An endpoint is ``GET /orders/{id}``. A name made from a path stands here only
        once a record carries it: until then a word in it may be a person's, for all we
        know, and it is counted as ``GET (unknown route)``. ``(other)`` is what came
        after MAX_ENDPOINTS names.
        """
        if os.getpid() != self._pid:
            self._forked()
        total: Counter[str] = Counter()
        for entry in [*list(self._routes.values()), self._other]:
            total[entry.endpoint] += entry.seen
        for (method, _), entry in list(self._shapes.items()):
            told = entry.into or (entry if entry.named else None)
            total[told.endpoint if told else f"{method} {UNKNOWN}"] += entry.seen
        return {endpoint: count for endpoint, count in total.items() if count}

    @property
    def excluded(self) -> int:
        """Requests on an excluded path since the process started."""
        return 0 if os.getpid() != self._pid else self._excluded.seen

    @property
    def capped(self) -> int:
        """How often a cap has turned away what a policy had taken."""
        return 0 if os.getpid() != self._pid else self._capped

    def _forked(self) -> None:
        """In a child: its own random numbers and counts; what was learned of routes stays true."""
        self._pid = os.getpid()
        self._rng.seed()
        self._capped = 0
        for entry in [*self._routes.values(), *self._shapes.values(), self._other, self._excluded]:
            entry.clear()
            if entry is not self._other and entry is not self._excluded and entry.into is None:
                entry.first = self._first


def _at_fork(sampler: Sampler) -> None:
    reference = weakref.ref(sampler)

    def in_child() -> None:
        alive = reference()
        if alive is not None:
            alive._forked()

    os.register_at_fork(after_in_child=in_child)


def _exclusion(patterns: tuple[str, ...]) -> Callable[[str], object] | None:
    """One expression for all patterns: * and ? only, each for the whole path."""
    if not patterns:
        return None
    return re.compile("|".join(fnmatch.translate(pattern.replace("[", "[[]")) for pattern in patterns)).match
