"""Questions to a store that have been answered, and those that are being worked on.

Laws: a question is computed once at a time, whoever asks it; an answer to the
store as it is now is given at once, an older one at once too, with its age,
while a newer one is made; nobody waits longer than the patience they bring;
what is worked out before anybody asks rests while anybody waits. Only so many
answers are kept, those asked for last.

A live store changes every second. An answer that took a second to make is
therefore good for some seconds more, else the machine would do nothing else.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")

WORKERS = 3
"""One of them may be resting in the middle of what nobody waits for."""
MOST = {"evidence": 24, "timings": 2}
"""Answers that are kept, by kind of question; those of evidence and single requests are large."""
MOST_OTHERS = 200
REST = 4.0
"""For so many times the seconds it took to make, an answer is good although the store has changed."""

SOON, LATER = 0, 1
"""What somebody waits for comes before what somebody may ask for."""


@dataclass(frozen=True)
class Question(Generic[T]):
    """Something to be worked out from the store.

    Attributes:
        kind: its name, by which answers are counted.
        key: all that the answer depends on but the store.
        compute: works it out; is given a :class:`Desk`.
    """

    kind: str
    key: Hashable
    compute: Callable[[Any], T] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What was worked out.

    Attributes:
        value: the result.
        state: of the store when it was begun.
        at: when that was, by the clock of these answers, in seconds.
        took: seconds of a processor that it took, however busy the machine was.
    """

    value: T
    state: str
    at: float
    took: float


@dataclass(frozen=True)
class Found(Generic[T]):
    """What can be said now.

    Attributes:
        answer: the newest there is; None: there is none yet.
        current: whether it is of the store as it is now.
        waiting: seconds since work on a first answer began; 0 when there is an answer.
    """

    answer: Answer[T] | None
    current: bool
    waiting: float


class _Flight:
    """A question on its way to an answer.

    Attributes:
        begun: when.
        wanted: whether somebody waits for it.
        ground: the answers that its own stands on.
    """

    def __init__(self, question: Question[Any], begun: float) -> None:
        self.question = question
        self.begun = begun
        self.wanted = False
        self.ground: list[Answer[Any]] = []
        self.done: Future[Answer[Any]] = Future()
        self._taken = threading.Lock()

    def take(self) -> bool:
        """True for the one who is to compute it."""
        return self._taken.acquire(blocking=False)


class Answers:
    """The answers about one store.

    Args:
        state: what the store says of itself now; differs after a write.
        desk: what a question's ``compute`` is given.
        clock: seconds that never go back.
        work: seconds that the calling thread has kept a processor busy.
    """

    def __init__(
        self,
        state: Callable[[], str],
        desk: object,
        clock: Callable[[], float] = time.monotonic,
        work: Callable[[], float] = time.thread_time,
    ) -> None:
        self._state = state
        self._desk = desk
        self._clock = clock
        self._work_done = work
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._known: dict[str, OrderedDict[Question[Any], Answer[Any]]] = {}
        self._flights: dict[Question[Any], _Flight] = {}
        self._queue: queue.PriorityQueue[tuple[int, int, _Flight | None]] = queue.PriorityQueue()
        self._numbers = count()
        self._threads: list[threading.Thread] = []
        self._ahead: deque[Question[Any]] = deque()
        self._going_ahead = False
        self._attended, self._wanted = 0, 0
        self._closed = False
        self._inside = threading.local()

    def ask(self, question: Question[T], patience: float) -> Found[T]:
        """The newest answer that can be had within so many seconds.

        Raises:
            StoreError: the store cannot be read.
            Exception: whatever the question's ``compute`` raised.
        """
        state = self._state()
        known = self._get(question)
        if known is not None and self._good(known, state):
            return Found(known, known.state == state, 0.0)
        flight = self._start(question, SOON)
        try:
            return Found(flight.done.result(timeout=max(0.0, patience)), True, 0.0)
        except TimeoutError:
            if flight.done.done():  # it was the question that timed out
                raise
        return Found(known, False, 0.0 if known is not None else self._clock() - flight.begun)

    def begin(self, question: Question[Any]) -> None:
        """Work it out unless it is known; it will be asked for in a moment."""
        known = self._get(question)
        if known is None or not self._good(known, self._state()):
            self._start(question, SOON)

    def prepare(self, *questions: Question[Any]) -> None:
        """Work these out, one after the other, when there is nothing else to do."""
        with self._lock:
            self._ahead.extend(questions)
        self._go_ahead()

    @contextmanager
    def attending(self) -> Iterator[None]:
        """While somebody waits for what is made of answers."""
        with self._lock:
            self._attended += 1
        try:
            yield
        finally:
            with self._lock:
                self._attended -= 1
                self._changed.notify_all()
            self._go_ahead()

    def give_way(self) -> None:
        """For a ``compute``, every now and then: rests while others are waited for, and this is not."""
        mine = self._mine()
        if not mine or not self._busy():
            return
        with self._lock:
            while self._busy() and not self._closed and not any(flight.wanted for flight in mine):
                self._changed.wait()

    def within(self, question: Question[T]) -> T:
        """For a ``compute``: the answer to a question that its own stands on, however long it takes."""
        answer, mine = self._get(question), self._mine()
        if answer is None or not self._good(answer, self._state()):
            flight = self._flight(question, wanted=any(flight.wanted for flight in mine))
            if flight.take():
                self._compute(flight)
            answer = flight.done.result()
        if mine:
            mine[-1].ground.append(answer)
        return answer.value

    def close(self) -> None:
        """End the threads once what they are at is done."""
        with self._lock:
            self._ahead.clear()
            self._closed = True
            self._changed.notify_all()
        for _ in self._threads:
            self._queue.put((-1, next(self._numbers), None))
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _good(self, answer: Answer[Any], state: str) -> bool:
        return answer.state == state or self._clock() - answer.at < answer.took * (1 + REST)

    def _get(self, question: Question[T]) -> Answer[T] | None:
        with self._lock:
            kept = self._known.get(question.kind)
            if kept is None or question not in kept:
                return None
            kept.move_to_end(question)
            return cast("Answer[T]", kept[question])

    def _keep(self, question: Question[T], answer: Answer[T]) -> None:
        with self._lock:
            kept = self._known.setdefault(question.kind, OrderedDict())
            kept[question] = answer
            kept.move_to_end(question)
            while len(kept) > MOST.get(question.kind, MOST_OTHERS):
                kept.popitem(last=False)

    def _flight(self, question: Question[Any], *, wanted: bool) -> _Flight:
        with self._lock:
            flight = self._flights.setdefault(question, _Flight(question, self._clock()))
            if wanted and not flight.wanted:
                flight.wanted = True
                self._wanted += 1
                self._changed.notify_all()
            return flight

    def _mine(self) -> list[_Flight]:
        """What the calling thread is working out, each for the one before."""
        flights: list[_Flight] = self._inside.__dict__.setdefault("flights", [])
        return flights

    def _busy(self) -> bool:
        """Whether anybody waits."""
        return self._attended > 0 or self._wanted > 0

    def _go_ahead(self) -> None:
        """The next of those that nobody has asked for yet: one at a time, while nobody waits."""
        with self._lock:
            if not self._ahead or self._going_ahead or self._busy():
                return
            self._going_ahead = True
            question = self._ahead.popleft()
        self._start(question, LATER).done.add_done_callback(lambda done: self._went_ahead())

    def _went_ahead(self) -> None:
        with self._lock:
            self._going_ahead = False
        self._go_ahead()

    def _start(self, question: Question[Any], priority: int) -> _Flight:
        flight = self._flight(question, wanted=priority == SOON)
        # Also when it is in the queue already: perhaps with a lower priority. Only one takes it.
        self._queue.put((priority, next(self._numbers), flight))
        with self._lock:
            if len(self._threads) < WORKERS:
                thread = threading.Thread(target=self._work, name="requestcov-answers", daemon=True)
                self._threads.append(thread)
                thread.start()
        return flight

    def _work(self) -> None:
        while True:
            _, _, flight = self._queue.get()
            if flight is None:
                return
            if flight.take():
                self._compute(flight)

    def _compute(self, flight: _Flight) -> None:
        mine = self._mine()
        mine.append(flight)
        begun, worked = self._clock(), self._work_done()
        try:
            state = self._state()
            # Perhaps it was done just before this flight was begun.
            answer = self._get(flight.question)
            if answer is None or not self._good(answer, state):
                value = flight.question.compute(self._desk)
                took = self._work_done() - worked
                # No answer is newer than what it stands on.
                oldest = min(flight.ground, key=lambda answer: answer.at, default=None)
                if oldest is not None and oldest.state != state:
                    state, begun = oldest.state, oldest.at
                answer = Answer(value, state, begun, took)
                self._keep(flight.question, answer)
        except BaseException as error:
            self._done(flight)
            flight.done.set_exception(error)
        else:
            self._done(flight)
            flight.done.set_result(answer)
        finally:
            mine.pop()
        self._go_ahead()

    def _done(self, flight: _Flight) -> None:
        with self._lock:
            del self._flights[flight.question]
            self._wanted -= flight.wanted
            self._changed.notify_all()
