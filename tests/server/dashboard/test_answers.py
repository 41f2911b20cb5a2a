"""Answers are worked out once, kept, renewed, and never waited for longer than somebody will."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from requestcov.server.dashboard.answers import MOST, MOST_OTHERS, REST, Answers, Question

LONG = 10.0


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Store:
    """A store whose state is said, with answers about it."""

    def __init__(self) -> None:
        self.state = "a"
        self.clock = Clock()
        self.answers = Answers(lambda: self.state, self, self.clock, self.clock)
        self.computed: list[str] = []

    def question(self, name: str, takes: float = 0.0, kind: str = "any") -> Question[str]:
        """Answered with its name and the state."""

        def compute(store: Store) -> str:
            store.computed.append(name)
            store.clock.now += takes
            return f"{name} {store.state}"

        return Question(kind, name, compute)


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.answers.close()


def until(condition: object) -> None:
    deadline = time.monotonic() + LONG
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_an_answer_is_worked_out_once_while_the_store_stays_as_it_is(store: Store):
    for _ in range(5):
        found = store.answers.ask(store.question("q"), LONG)
        assert found.answer is not None
        assert (found.answer.value, found.current) == ("q a", True)
    assert store.computed == ["q"]


def test_many_who_ask_at_once_get_one_computation(store: Store):
    gate = threading.Event()
    count: list[int] = []

    def compute(_: object) -> int:
        count.append(1)
        assert gate.wait(LONG)
        return len(count)

    question = Question("slow", 0, compute)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(store.answers.ask, question, LONG) for _ in range(8)]
        until(lambda: count)
        gate.set()
        assert {future.result().answer.value for future in asked} == {1}  # type: ignore[union-attr]
    assert count == [1]


def test_nobody_waits_longer_than_their_patience(store: Store):
    gate = threading.Event()
    question = Question("slow", 0, lambda _: gate.wait(LONG))
    begun = time.monotonic()
    found = store.answers.ask(question, 0.05)
    assert time.monotonic() - begun < 5
    assert found.answer is None
    assert not found.current
    store.clock.now += 3
    assert store.answers.ask(question, 0.0).waiting == 3
    gate.set()
    assert store.answers.ask(question, LONG).answer is not None


def test_an_older_answer_is_given_while_a_newer_one_is_made(store: Store):
    gate = threading.Event()
    gate.set()

    def compute(asked: Store) -> str:
        state = asked.state
        assert gate.wait(LONG)
        return state

    question = Question("any", 0, compute)
    store.answers.ask(question, LONG)
    gate.clear()
    store.state = "b"
    old = store.answers.ask(question, 0.0)
    assert old.answer is not None
    assert (old.answer.value, old.answer.state, old.current) == ("a", "a", False)
    gate.set()
    new = store.answers.ask(question, LONG)
    assert new.answer is not None
    assert (new.answer.value, new.current) == ("b", True)


def test_what_took_long_is_good_for_some_time_although_the_store_changes(store: Store):
    question = store.question("q", takes=2.0)
    store.answers.ask(question, LONG)
    store.state = "b"
    store.clock.now += 2.0 * REST - 0.1
    found = store.answers.ask(question, LONG)
    assert found.answer is not None
    assert (found.answer.value, found.current) == ("q a", False)
    store.clock.now += 0.2
    assert store.answers.ask(question, LONG).answer.value == "q b"  # type: ignore[union-attr]


def test_a_failure_is_told_to_who_asked_and_is_not_kept(store: Store):
    failing = [True]

    def compute(_: object) -> str:
        if failing[0]:
            raise LookupError("no")
        return "yes"

    question = Question("any", 0, compute)
    with pytest.raises(LookupError, match="no"):
        store.answers.ask(question, LONG)
    failing[0] = False
    assert store.answers.ask(question, LONG).answer.value == "yes"  # type: ignore[union-attr]


def test_an_answer_is_no_newer_than_what_it_stands_on(store: Store):
    ground = store.question("ground", takes=10.0)
    above = Question("any", "above", lambda asked: asked.answers.within(ground))
    store.answers.ask(ground, LONG)
    store.state = "b"
    found = store.answers.ask(above, LONG)
    assert found.answer is not None
    assert (found.answer.value, found.answer.state, found.answer.at) == ("ground a", "a", 0.0)


def test_questions_that_stand_on_each_other_never_wait_in_a_circle(store: Store):
    """All workers wait for an answer that is still in the queue behind them."""
    base = store.question("base")
    tops = [Question("any", n, lambda asked: asked.answers.within(base)) for n in range(8)]
    for top in tops:
        store.answers.begin(top)
    for top in tops:
        assert store.answers.ask(top, LONG).answer.value == "base a"  # type: ignore[union-attr]
    assert store.computed == ["base"]


@pytest.mark.parametrize(("kind", "most"), [("any", MOST_OTHERS), *MOST.items()])
def test_only_so_many_answers_are_kept_those_asked_for_last(store: Store, kind: str, most: int):
    questions = [store.question(str(n), kind=kind) for n in range(most + 1)]
    for question in questions[:most]:
        store.answers.ask(question, LONG)
    store.answers.ask(questions[0], LONG)
    store.answers.ask(questions[most], LONG)
    assert len(store.computed) == most + 1
    store.answers.ask(questions[0], LONG)
    assert len(store.computed) == most + 1
    store.answers.ask(questions[1], LONG)
    assert len(store.computed) == most + 2


def test_what_somebody_waits_for_does_not_stand_behind_what_is_prepared(store: Store):
    gate = threading.Event()
    ahead = [Question("any", f"ahead {n}", lambda _: gate.wait(LONG)) for n in range(5)]
    store.answers.prepare(*ahead)
    assert store.answers.ask(store.question("now"), LONG).answer is not None
    gate.set()
    for question in ahead:
        assert store.answers.ask(question, LONG).answer is not None


def test_everything_prepared_is_worked_out_in_the_end(store: Store):
    def compute(asked: Store) -> None:
        asked.answers.prepare(store.question("third"), store.question("first"))

    store.answers.prepare(store.question("first"), Question("any", "second", compute))
    until(lambda: store.computed == ["first", "third"])


def test_a_failure_ahead_does_not_hold_up_the_rest(store: Store):
    store.answers.prepare(Question("any", 0, lambda _: 1 // 0), store.question("next"))
    until(lambda: store.computed == ["next"])


def test_nothing_is_begun_ahead_while_somebody_waits(store: Store):
    gate = threading.Event()
    waited_for = Question("any", "waited for", lambda _: gate.wait(LONG))
    store.answers.begin(waited_for)
    with store.answers.attending():
        store.answers.prepare(store.question("ahead"))
        assert store.answers.ask(store.question("now"), LONG).answer is not None
    # The page is made, and the rest of it is still being worked out.
    assert store.answers.ask(store.question("soon"), LONG).answer is not None
    assert store.computed == ["now", "soon"]
    gate.set()
    until(lambda: store.computed == ["now", "soon", "ahead"])


def test_what_is_worked_out_ahead_rests_while_somebody_waits(store: Store):
    begun, go_on, over = threading.Event(), threading.Event(), threading.Event()

    def compute(asked: Store) -> None:
        begun.set()
        assert go_on.wait(LONG)
        asked.answers.give_way()
        over.set()

    store.answers.prepare(Question("any", "ahead", compute))
    assert begun.wait(LONG)
    with store.answers.attending():
        go_on.set()
        assert store.answers.ask(store.question("now"), LONG).answer is not None
        assert not over.is_set()
    assert over.wait(LONG)


def test_what_was_begun_ahead_goes_on_once_somebody_waits_for_it_or_for_what_stands_on_it(store: Store):
    begun, go_on = threading.Event(), threading.Event()

    def compute(asked: Store) -> str:
        begun.set()
        assert go_on.wait(LONG)
        asked.answers.give_way()
        return "done"

    ground = Question("any", "ground", compute)
    store.answers.prepare(ground)
    assert begun.wait(LONG)
    above = Question("any", "above", lambda asked: asked.answers.within(ground))
    with store.answers.attending():
        go_on.set()
        assert store.answers.ask(above, LONG).answer.value == "done"  # type: ignore[union-attr]


def test_closing_does_not_wait_for_what_rests(store: Store):
    begun, go_on = threading.Event(), threading.Event()

    def compute(asked: Store) -> None:
        begun.set()
        assert go_on.wait(LONG)
        asked.answers.give_way()

    store.answers.prepare(Question("any", "ahead", compute))
    assert begun.wait(LONG)
    with store.answers.attending():
        go_on.set()
        store.answers.close()
