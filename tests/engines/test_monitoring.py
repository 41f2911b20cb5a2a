"""The engine on sys.monitoring: exact, cheap in loops, and not to be noticed by the app."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import logging
import signal
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from requestcov import Config, engines
from requestcov.engines.collection import LIMBO
from requestcov.engines.monitoring import TOOL, TOOL_IDS, MonitoringEngine
from requestcov.recorder import Recorder
from tests.engines.laboratory import Laboratory, laboratory, make_module, needs_monitoring, oracle

pytestmark = needs_monitoring

monitoring: Any = getattr(sys, "monitoring", None)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Laboratory]:
    with laboratory("monitoring", tmp_path) as made:
        yield made


@pytest.fixture
def take() -> Iterator[Callable[[int], None]]:
    """Take a tool id as somebody else does; given back at the end."""
    taken: list[int] = []

    def use(tool: int) -> None:
        monitoring.use_tool_id(tool, "somebody else")
        taken.append(tool)

    yield use
    for tool in taken:
        if monitoring.get_tool(tool) == "somebody else":
            monitoring.free_tool_id(tool)


def tool_of(engine: Any) -> int:
    assert isinstance(engine, MonitoringEngine)
    assert engine._tool is not None
    return engine._tool


SMALL = """
def f(x):
    if x:
        return 1
    return 2

def loop(n):
    total = 0
    for i in range(n):
        if i % 2:
            total += i
        else:
            total -= i
    return total
"""


# Tool ids


def test_a_tool_id_that_is_taken_is_passed_over(tmp_path: Path, take: Callable[[int], None]) -> None:
    take(TOOL_IDS[0])
    take(TOOL_IDS[1])
    module = make_module(tmp_path, SMALL)
    with laboratory("monitoring", tmp_path) as lab:
        assert tool_of(lab.engine) == TOOL_IDS[2]
        assert lab.record(lambda: module.f(1)) == {3, 4}


def test_without_a_free_tool_id_nothing_is_collected_and_the_app_runs_on(
    tmp_path: Path, take: Callable[[int], None]
) -> None:
    for tool in TOOL_IDS:
        take(tool)
    module = make_module(tmp_path, SMALL)
    with laboratory("monitoring", tmp_path) as lab:
        from requestcov.engines import Collection

        assert lab.engine.begin(Collection()) == "no_tool_id"
        assert module.f(1) == 1
        assert all(monitoring.get_tool(tool) == "somebody else" for tool in TOOL_IDS)


def test_without_a_free_tool_id_there_is_one_warning_and_every_request_is_counted(
    tmp_path: Path, take: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    """And once an id is free, requests are recorded without a restart."""
    for tool in TOOL_IDS:
        take(tool)
    recorder = Recorder(
        Config(
            source=(str(tmp_path),),
            sample_rate=1.0,
            first=0,
            max_per_second=0,
            sinks=(f"file:///{tmp_path}/records.jsonl",),
        )
    )
    try:
        with caplog.at_level(logging.WARNING):
            for _ in range(5):
                assert recorder.begin("GET", "/", lambda name: None) is None
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == 1
        assert "every sys.monitoring tool id is taken by other tools" in said[0]
        (ledger,) = recorder.pipeline.ledgers()
        assert ledger.dropped == {"no_tool_id": 5}
        monitoring.free_tool_id(TOOL_IDS[-1])
        recording = recorder.begin("GET", "/", lambda name: None)
        assert recording is not None
        recorder.finish(recording)
    finally:
        recorder.close()


def test_a_tool_id_that_somebody_frees_is_taken_again_at_the_next_request(
    lab: Laboratory, tmp_path: Path
) -> None:
    module = make_module(tmp_path, SMALL)
    expected = oracle(lambda: module.loop(3), module.__file__)
    assert lab.record(lambda: module.loop(3)) == expected
    monitoring.free_tool_id(tool_of(lab.engine))
    module.loop(3)
    assert lab.record(lambda: module.loop(3)) == expected
    assert lab.record(lambda: module.f(0)) == {3, 5}


def test_a_tool_id_freed_and_taken_by_another_is_left_to_it(
    lab: Laboratory, tmp_path: Path, take: Callable[[int], None]
) -> None:
    module = make_module(tmp_path, SMALL)
    lab.record(lambda: module.f(1))
    lost = tool_of(lab.engine)
    monitoring.free_tool_id(lost)
    take(lost)
    assert lab.record(lambda: module.f(1)) == {3, 4}
    assert tool_of(lab.engine) != lost
    lab.engine.close()
    assert monitoring.get_tool(lost) == "somebody else"


def test_a_tool_id_freed_within_a_request_costs_lines_and_nothing_else(
    lab: Laboratory, tmp_path: Path
) -> None:
    module = make_module(tmp_path, SMALL)

    def run() -> None:
        module.f(1)
        monitoring.free_tool_id(tool_of(lab.engine))
        assert module.loop(3) == -1

    assert {3, 4} <= lab.record(run)
    assert lab.record(lambda: module.f(1)) == {3, 4}


def test_close_gives_everything_back(lab: Laboratory, tmp_path: Path) -> None:
    module = make_module(tmp_path, SMALL)
    lab.record(lambda: module.f(1))
    tool = tool_of(lab.engine)
    lab.engine.close()
    assert monitoring.get_tool(tool) is None
    monitoring.use_tool_id(tool, "next")
    try:
        assert monitoring.get_events(tool) == 0
        assert monitoring.get_local_events(tool, module.f.__code__) == 0
        for event in (monitoring.events.LINE, monitoring.events.PY_START):
            assert monitoring.register_callback(tool, event, None) is None
    finally:
        monitoring.free_tool_id(tool)


# Cost


@pytest.fixture
def events(lab: Laboratory) -> Counter[tuple[str, int]]:
    """How often the LINE callback is called, a line."""
    counted: Counter[tuple[str, int]] = Counter()
    tool = tool_of(lab.engine)
    line = monitoring.events.LINE
    callback = monitoring.register_callback(tool, line, None)

    def counting(code: CodeType, number: int) -> object:
        counted[code.co_name, number] += 1
        return callback(code, number)

    monitoring.register_callback(tool, line, counting)
    return counted


def test_a_line_of_a_loop_costs_one_event_a_request(
    lab: Laboratory, tmp_path: Path, events: Counter[tuple[str, int]]
) -> None:
    module = make_module(tmp_path, SMALL)
    assert lab.record(lambda: module.loop(100_000)) == {8, 9, 10, 11, 13, 14}
    # One a place: the interpreter has two instructions for the head of a loop.
    assert max(events.values()) <= 2
    assert sum(events.values()) <= 9
    before = events.total()
    lab.record(lambda: module.loop(100_000))
    assert events.total() <= 2 * before


def test_between_requests_nothing_costs_an_event(
    lab: Laboratory, tmp_path: Path, events: Counter[tuple[str, int]]
) -> None:
    """What a request armed and did not run fires once at most, outside of it."""
    module = make_module(tmp_path, SMALL)
    lab.record(lambda: module.f(1))
    for _ in range(3):
        module.loop(1000)
        module.f(0)
    before = events.total()
    for _ in range(100):
        module.loop(1000)
        module.f(0)
    assert events.total() == before


def test_overlapping_requests_keep_their_lines_though_that_costs_events(
    lab: Laboratory, tmp_path: Path, events: Counter[tuple[str, int]]
) -> None:
    module = make_module(tmp_path, SMALL)
    first, second = lab.begin(), lab.begin()
    for collection in (first, second, first):
        with lab.inside(collection):
            module.f(1)
    assert lab.end(first) == {module.__file__: {3, 4}}
    with lab.inside(second):
        module.loop(1000)
    assert lab.end(second) == {module.__file__: {3, 4, 8, 9, 10, 11, 13, 14}}
    assert max(events.values()) <= 3


def test_code_out_of_scope_is_never_armed(lab: Laboratory) -> None:
    def elsewhere() -> int:
        return 1

    assert lab.record(elsewhere) == set()
    assert monitoring.get_local_events(tool_of(lab.engine), elsewhere.__code__) == 0


# Transparency

DEEP = """
depth = 0

def deeper():
    global depth
    depth += 1
    deeper()

def reach():
    global depth
    depth = 0
    try:
        deeper()
    except RecursionError as error:
        return depth
"""


@pytest.mark.parametrize("overlapping", [False, True])
def test_the_recursion_limit_is_met_at_most_one_frame_earlier(
    lab: Laboratory, tmp_path: Path, overlapping: bool
) -> None:
    """With another request in flight every line of every frame is an event."""
    module = make_module(tmp_path, DEEP)
    depths: list[int] = []

    def in_new_thread(run: Callable[[], object]) -> None:
        """From the same depth of stack each time."""
        thread = threading.Thread(target=copy_context().run, args=(run,))
        thread.start()
        thread.join()

    in_new_thread(lambda: depths.append(module.reach()))
    other = lab.begin() if overlapping else None
    collection = lab.begin()

    def recorded() -> None:
        with lab.inside(collection):
            depths.append(module.reach())

    in_new_thread(recorded)
    found = lab.end(collection)
    if other is not None:
        lab.end(other)
    bare, under = depths
    assert bare - 1 <= under <= bare
    assert found == {module.__file__: {6, 7, 11, 12, 13, 14, 15}}


def test_what_a_signal_handler_raises_reaches_the_app_unchanged_and_once(
    lab: Laboratory, tmp_path: Path
) -> None:
    """Most signals arrive inside callbacks here: two requests in flight make every line one."""
    module = make_module(
        tmp_path,
        """
        def spin(waiting):
            while waiting():
                n = 1
                m = 2

        def work(kind, arm, waiting):
            caught = []
            for n in range(200):
                try:
                    arm()
                    spin(waiting)
                except kind as error:
                    caught.append(error)
            return caught
        """,
    )

    class Alarm(BaseException):
        pass

    raised: list[BaseException] = []

    def handler(number: int, frame: object) -> None:
        raised.append(Alarm())
        raise raised[-1]

    def arm() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.0005)

    end = time.monotonic() + 20
    first, second = lab.begin(), lab.begin()
    before = signal.signal(signal.SIGALRM, handler)
    try:
        with lab.inside(first):
            caught = module.work(Alarm, arm, lambda: time.monotonic() < end)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(caught) == 200
    assert caught == raised
    assert lab.end(first)[str(module.__file__)] == {3, 4, 5, *range(8, 16)}
    assert lab.end(second) == {}


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exceptions_of_every_kind_pass(lab: Laboratory, tmp_path: Path, kind: type[BaseException]) -> None:
    module = make_module(tmp_path, "def fail(kind):\n    raise kind('mine')\n")
    with pytest.raises(kind) as caught:
        lab.record(lambda: module.fail(kind))
    assert caught.value.__context__ is None
    files = [str(entry.path) for entry in caught.traceback]
    assert files[-1] == module.__file__
    assert MonitoringEngine.__module__ not in {
        entry.frame.f_globals["__name__"] for entry in caught.traceback
    }


# Code that comes and goes


def generate(directory: Path, number: int) -> Callable[[int], int]:
    """A new function each time, of a file in scope."""
    text = "\n" * number + "def made(x):\n    y = x + 1\n    return y\n"
    scope: dict[str, Any] = {}
    exec(compile(text, str(directory / "generated.py"), "exec"), scope)
    function: Callable[[int], int] = scope["made"]
    return function


def test_generated_functions_can_be_collected(lab: Laboratory, tmp_path: Path) -> None:
    """No code object is kept alive, neither by what was armed nor by a finished request."""
    functions = [generate(tmp_path, 0)]
    assert lab.record(lambda: functions[0](1)) == {2, 3}
    gone = weakref.ref(functions.pop().__code__)
    gc.collect()
    assert gone() is None
    assert isinstance(lab.engine, MonitoringEngine)
    assert not [ref for ref in lab.engine._armed.values() if ref() is None]


def test_code_that_takes_the_place_of_other_code_is_recorded(lab: Laboratory, tmp_path: Path) -> None:
    """Memory is used again: the new code object often has the id of one that was armed."""
    ids = set()
    again = 0
    for number in range(300):
        function = generate(tmp_path, number)
        again += id(function.__code__) in ids
        ids.add(id(function.__code__))
        assert lab.record(lambda f=function: f(1)) == {number + 2, number + 3}  # type: ignore[misc]
        del function
    assert again > 0
    assert isinstance(lab.engine, MonitoringEngine)
    gc.collect()
    assert len(lab.engine._armed) < 10


SUSPENDED = """
import asyncio

def numbers():
    a = 1
    yield a
    b = 2
    yield b

async def waits(event):
    c = 3
    await event.wait()
    d = 4

async def agen():
    yield 1
    e = 5
    yield 2

class Switch:
    def __await__(self):
        yield
        f = 6

async def switches():
    await Switch()
    g = 7
"""


def test_generators_that_were_started_before_the_engine_are_recorded_when_resumed(tmp_path: Path) -> None:
    """They resume without a start event, which is how code is found otherwise."""
    module = make_module(tmp_path, SUSPENDED)
    numbers = module.numbers()
    next(numbers)
    with laboratory("monitoring", tmp_path) as lab:
        assert lab.record(lambda: next(numbers)) == {7, 8}
    numbers.close()


def test_coroutines_that_were_started_before_the_engine_are_recorded_when_resumed(tmp_path: Path) -> None:
    """Also what they await, and asynchronous generators."""
    module = make_module(tmp_path, SUSPENDED)
    coroutine = module.switches()
    coroutine.send(None)
    agen = module.agen()
    with pytest.raises(StopIteration):
        agen.asend(None).send(None)

    def resume() -> None:
        with pytest.raises(StopIteration):
            coroutine.send(None)
        with pytest.raises(StopIteration):
            agen.asend(None).send(None)

    with laboratory("monitoring", tmp_path) as lab:
        assert lab.record(resume) == {17, 18, 23, 27}
    with pytest.raises(StopIteration):
        agen.aclose().send(None)


def test_a_task_that_was_waiting_before_the_engine_keeps_its_own_context(tmp_path: Path) -> None:
    """A request that wakes it does not own its lines."""
    module = make_module(tmp_path, SUSPENDED)

    async def main() -> set[int]:
        event = asyncio.Event()
        task = asyncio.create_task(module.waits(event))
        await asyncio.sleep(0)
        with laboratory("monitoring", tmp_path) as lab:
            collection = lab.begin()
            with lab.inside(collection):
                event.set()
                await task
                list(module.numbers())
            return lab.end(collection)[str(module.__file__)]

    assert asyncio.run(main()) == {5, 6, 7, 8}


def test_functions_on_the_stack_when_the_engine_starts_are_recorded(tmp_path: Path) -> None:
    """The first request of a process makes the engine, with the app's frames below it."""
    module = make_module(tmp_path, "def calls(f):\n    a = f()\n    b = 2\n    return a, b\n")
    labs: list[Laboratory] = []

    def start() -> Any:
        lab = Laboratory("monitoring", tmp_path)
        labs.append(lab)
        collection = lab.begin()
        lab.active.set(collection)
        return collection

    def run() -> tuple[Any, int]:
        answer: tuple[Any, int] = module.calls(start)
        return answer

    try:
        collection, _ = copy_context().run(run)
        assert labs[0].end(collection) == {module.__file__: {3, 4}}
    finally:
        labs[0].engine.close()


def test_modules_imported_within_a_request_are_recorded_as_the_oracle_sees_them(
    lab: Laboratory, tmp_path: Path
) -> None:
    path = tmp_path / "late.py"
    path.write_text(
        "import os\n\nclass A:\n    x = 1\n\n    def m(self):\n        return 2\n\n"
        "if os.sep == '?':\n    y = 1\nelse:\n    y = [i for i in range(3)]\nA().m()\n"
    )

    def load() -> None:
        spec = importlib.util.spec_from_file_location("late", path)
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))

    expected = oracle(load, str(path))
    assert expected == {1, 3, 4, 6, 7, 9, 12, 13}
    assert lab.record(load) == expected


# After the end


def test_lines_after_the_end_go_nowhere(lab: Laboratory, tmp_path: Path) -> None:
    """A task that outlives its request still has it in its context."""
    module = make_module(
        tmp_path,
        "async def late(event):\n    a = 1\n    await event.wait()\n    for i in range(3):\n        b = i\n",
    )

    async def main() -> None:
        event = asyncio.Event()
        collection = lab.begin()
        with lab.inside(collection):
            task = asyncio.create_task(module.late(event))
            await asyncio.sleep(0)
        found = lab.engine.end(collection)
        kept = lab.lines(found)
        assert kept == {module.__file__: {2, 3}}
        event.set()
        await task
        assert lab.lines(found) == kept
        assert collection.lines is LIMBO
        # Nor do they come to a request in flight at that time.
        event.clear()
        task = asyncio.create_task(module.late(event))
        await asyncio.sleep(0)
        other = lab.begin()
        event.set()
        await task
        assert lab.end(other) == {}

    asyncio.run(main())


def test_limbo_is_bounded_by_the_measured_code(lab: Laboratory, tmp_path: Path) -> None:
    module = make_module(tmp_path, SMALL)
    for _ in range(20):
        collection = lab.begin()
        lab.end(collection)
        with lab.inside(collection):
            module.loop(10)
    assert len(LIMBO.get(str(module.__file__), ())) <= 6


def test_memory_is_bounded_by_the_lines_that_ran_however_often_they_are_armed_again(
    lab: Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request that begins beside a long one makes its lines come again."""
    monkeypatch.setattr(engines.monitoring, "MAX_LOG", 40)
    module = make_module(tmp_path, SMALL)
    long = lab.begin()
    longest = 0
    with lab.inside(long):
        for number in range(100):
            lab.end(lab.begin())
            module.loop(3) if number % 2 else module.f(1)
            longest = max(longest, len(long.log))
            if number == 60:
                lab.engine.mark(long)
    assert 40 < longest <= 40 + 2 * 8
    assert long.before is not None
    assert lab.lines(long.before) == lab.end(long) == {module.__file__: {3, 4, 8, 9, 10, 11, 13, 14}}


def test_a_request_that_stays_open_is_settled_while_it_runs_alone(
    lab: Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another tool may arm its lines again as often as it likes."""
    monkeypatch.setattr(engines.monitoring, "MAX_LOG", 40)
    module = make_module(tmp_path, SMALL)
    collection = lab.begin()
    with lab.inside(collection):
        for _ in range(30):
            monitoring.restart_events()
            module.f(1)
        assert len(collection.log) == 2 * 30 * 2
        lab.engine.settle()
        assert collection.log == []
        module.f(0)
    assert lab.end(collection) == {module.__file__: {3, 4, 5}}


def test_a_generated_functions_code_is_let_go_with_the_request(lab: Laboratory, tmp_path: Path) -> None:
    """What is handed over holds it until it is sorted; what stays in a context does not."""
    functions = [generate(tmp_path, 0)]
    collection = lab.begin()
    with lab.inside(collection):
        functions[0](1)
    gone = weakref.ref(functions.pop().__code__)
    assert gone() is not None
    lab.end(collection)
    gc.collect()
    assert gone() is None


def test_mark_parts_what_ran_before_the_response_from_what_ran_after(lab: Laboratory, tmp_path: Path) -> None:
    module = make_module(tmp_path, SMALL)
    collection = lab.begin()
    with lab.inside(collection):
        module.f(1)
        lab.engine.mark(collection)
        lab.engine.mark(collection)
        module.f(0)
    after = lab.end(collection)
    assert collection.before is not None
    assert lab.lines(collection.before) == {module.__file__: {3, 4}}
    # Line 3 is disabled by then or comes again: either way it is in ``before``.
    assert after[str(module.__file__)] - {3} == {5}


def test_the_tool_is_named_for_people(lab: Laboratory) -> None:
    assert monitoring.get_tool(tool_of(lab.engine)) == TOOL == "requestcov"


# Beside another tool


def test_another_tool_that_disables_its_lines_sees_the_same_lines_and_keeps_its_id(
    lab: Laboratory, tmp_path: Path, take: Callable[[int], None]
) -> None:
    """A restart enables the other's lines again as well: more events for it, never fewer lines."""
    module = make_module(tmp_path, SMALL, "beside")
    tool = 5 if tool_of(lab.engine) != 5 else 2
    take(tool)
    seen: set[int] = set()

    def note(code: CodeType, line: int) -> Any:
        if code.co_filename == module.__file__:
            seen.add(line)
        return monitoring.DISABLE

    events = monitoring.events
    monitoring.register_callback(tool, events.LINE, note)
    monitoring.set_events(tool, events.LINE)
    try:
        for run in (lambda: module.f(0), lambda: module.loop(3), lambda: module.f(1)):
            lab.record(run)
    finally:
        monitoring.set_events(tool, 0)
        monitoring.register_callback(tool, events.LINE, None)
    assert seen == oracle(lambda: (module.f(0), module.loop(3), module.f(1)), module.__file__)
    assert monitoring.get_tool(tool) == "somebody else"
