"""The engine on coverage.py's C tracer, on every Python: it is the one for branches."""

from __future__ import annotations

import asyncio
import concurrent.futures
import concurrent.futures.thread
import gc
import importlib.util
import inspect
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from types import FrameType, FunctionType, MethodType, ModuleType
from typing import Any

import pytest
from asgiref import current_thread_executor

from requestcov import Config
from requestcov.engines import Collection, Found
from requestcov.engines.trace import TraceEngine
from requestcov.recorder import Recorder
from tests.engines.laboratory import Laboratory, laboratory, make_module

TEXT = """
import asyncio

def f(x):
    if x:
        return 1
    return 2

def outer(call):
    a = f(1)
    b = call()
    return a

async def sleeps(event):
    a = 1
    await event.wait()
    b = 2
    return f(0)

def fail(kind):
    raise kind("mine")

def steps():
    yield 1
    yield 2

def nest(call):
    try:
        return outer(call)
    except ValueError:
        return None
"""


@pytest.fixture(params=["trace", "trace-arcs"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["alone", "in turns"])
def lab(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> Iterator[Laboratory]:
    """Steps that have their stack to themselves, and such as an event loop's, one after the other here."""
    with laboratory(kind, tmp_path) as made:
        made.alone = request.param == "alone"
        yield made


@pytest.fixture
def module(tmp_path: Path) -> ModuleType:
    return make_module(tmp_path, TEXT)


def test_no_trace_function_is_left_nor_seen_between_steps(lab: Laboratory, module: ModuleType) -> None:
    collection = lab.begin()
    assert sys.gettrace() is None
    with lab.inside(collection):
        assert sys.gettrace() is not None
        module.f(1)
    assert sys.gettrace() is None
    module.f(0)
    with lab.inside(collection):
        module.f(1)
    assert sys.gettrace() is None
    assert lab.end(collection) == {module.__file__: {5, 6}}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exceptions_pass_and_leave_no_trace_function(
    lab: Laboratory, module: ModuleType, error: type[BaseException]
) -> None:
    with pytest.raises(error) as caught:
        lab.record(lambda: module.fail(error))
    assert caught.value.__context__ is None
    assert sys.gettrace() is None


def test_a_trace_function_already_set_wins(lab: Laboratory, module: ModuleType) -> None:
    """A debugger's: it keeps seeing every line, and nothing is collected."""
    seen: list[int] = []

    def debugger(frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename != module.__file__:
            return None
        if event == "line":
            seen.append(frame.f_lineno)
        return debugger

    sys.settrace(debugger)
    try:
        reason = lab.engine.begin(Collection())
        module.f(1)
        kept = sys.gettrace()
    finally:
        sys.settrace(None)
    assert reason == "trace_function_taken"
    assert kept is debugger
    assert seen == [5, 6]


def test_a_trace_function_set_within_a_request_stays(lab: Laboratory, module: ModuleType) -> None:
    """``breakpoint()`` in a view: the debugger is not thrown out at the end of the step."""

    def debugger(frame: FrameType, event: str, arg: object) -> Any:
        return None

    collection = lab.begin()
    try:
        with lab.inside(collection):
            module.f(1)
            sys.settrace(debugger)
        kept = sys.gettrace()
        with lab.inside(collection):
            module.f(0)
        kept_again = sys.gettrace()
    finally:
        sys.settrace(None)
    assert kept is debugger
    assert kept_again is debugger
    assert lab.end(collection) == {module.__file__: {5, 6}}


def test_requests_under_a_debugger_are_dropped_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(
        Config(
            source=(str(tmp_path),),
            sample_rate=1.0,
            first=0,
            max_per_second=0,
            branch=True,
            sinks=(f"file:///{tmp_path}/records.jsonl",),
        )
    )

    def debugger(frame: FrameType, event: str, arg: object) -> Any:
        return None

    try:
        with caplog.at_level(logging.WARNING):
            sys.settrace(debugger)
            begun = [recorder.begin("GET", "/", lambda name: None) for _ in range(3)]
            sys.settrace(None)
        assert begun == [None] * 3
        assert len(caplog.records) == 1
        assert "has the thread's trace function" in caplog.records[0].getMessage()
        (ledger,) = recorder.pipeline.ledgers()
        assert ledger.dropped == {"trace_function_taken": 3}
    finally:
        sys.settrace(None)
        recorder.close()


# Worker threads


def test_the_hooks_are_put_on_once_and_taken_off_at_the_end(lab: Laboratory, module: ModuleType) -> None:
    item = concurrent.futures.thread._WorkItem
    before = item.run
    lab.record(lambda: module.f(1))
    hooked = item.run
    assert hooked is not before
    lab.record(lambda: module.f(1))
    assert item.run is hooked
    assert inspect.signature(hooked) == inspect.signature(before)
    assert hooked.__name__ == before.__name__
    lab.engine.close()
    assert item.run is before


def test_a_library_that_is_loaded_later_is_hooked_by_the_next_request(
    lab: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run_sync(function: Callable[..., Any]) -> Any:
        return function()

    monkeypatch.delitem(sys.modules, "trio.to_thread", raising=False)
    lab.end(lab.begin())
    library = ModuleType("trio.to_thread")
    library.run_sync = run_sync  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trio.to_thread", library)
    lab.end(lab.begin())
    assert library.run_sync is not run_sync  # type: ignore[attr-defined]
    lab.engine.close()
    assert library.run_sync is run_sync  # type: ignore[attr-defined]


def test_a_hook_that_somebody_else_covered_is_left_alone(lab: Laboratory, module: ModuleType) -> None:
    """Taking it off would take theirs off too; it does nothing any more."""
    item = concurrent.futures.thread._WorkItem
    before = item.run
    lab.record(lambda: module.f(1))
    hooked = item.run

    def theirs(*args: Any) -> None:
        hooked(*args)

    item.run = theirs  # type: ignore[method-assign]
    try:
        lab.engine.close()
        assert item.run is theirs
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            assert pool.submit(module.f, 1).result(10) == 1
    finally:
        item.run = before  # type: ignore[method-assign]


def test_work_in_threads_is_followed_with_its_results_and_exceptions(
    lab: Laboratory, module: ModuleType
) -> None:
    traced: list[object] = []

    async def main() -> None:
        assert await asyncio.to_thread(module.f, 1) == 1
        with pytest.raises(KeyError, match="mine"):
            await asyncio.to_thread(module.fail, KeyError)
        # Without the context the work is nobody's.
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, module.f, 0) == 2
        traced.append(await loop.run_in_executor(None, sys.gettrace))

    collection = lab.begin()

    async def request() -> None:
        with lab.inside(collection, alone=False):
            await main()

    asyncio.run(request())
    assert lab.end(collection) == {module.__file__: {5, 6, 21}}


def test_a_worker_thread_keeps_no_trace_function(lab: Laboratory, module: ModuleType) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        collection = lab.begin()
        with lab.inside(collection):
            context = copy_context()
            assert pool.submit(context.run, module.f, 1).result() == 1
        assert lab.end(collection) == {module.__file__: {5, 6}}
        assert pool.submit(sys.gettrace).result() is None


# Requests in requests, tasks, threads


@pytest.fixture(params=["inner alone", "inner in turns"])
def inner_alone(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "inner alone")


def test_a_request_within_a_request_of_the_same_recorder_parts_their_lines(
    lab: Laboratory, module: ModuleType, inner_alone: bool
) -> None:
    """Also those of frames that had begun when the inner one came, and go on when it has gone."""
    inner = Collection()

    def call() -> None:
        assert lab.engine.begin(inner) is None
        with lab.inside(inner, inner_alone):
            module.f(0)

    outer = lab.begin()
    with lab.inside(outer):
        module.nest(lambda: module.outer(call))
    assert sys.gettrace() is None
    assert lab.end(inner) == {module.__file__: {5, 7}}
    assert lab.end(outer) == {module.__file__: {5, 6, 10, 11, 12, 28, 29}}


def test_an_exception_through_both_brackets_of_a_nested_request_keeps_the_lines_apart(
    lab: Laboratory, module: ModuleType, inner_alone: bool
) -> None:
    inner = Collection()

    def call() -> None:
        assert lab.engine.begin(inner) is None
        with lab.inside(inner, inner_alone):
            module.fail(ValueError)

    outer = lab.begin()
    with lab.inside(outer):
        module.nest(call)
        module.f(0)
    assert sys.gettrace() is None
    assert lab.end(inner) == {module.__file__: {21}}
    assert lab.end(outer) == {module.__file__: {5, 6, 7, 10, 11, 28, 29, 30, 31}}


def test_a_request_on_an_event_loop_within_a_request_leaves_the_outer_one_exact(
    lab: Laboratory, module: ModuleType
) -> None:
    """A view that calls an ASGI app of its own process."""
    inner = Collection()

    def call() -> None:
        assert lab.engine.begin(inner) is None

        async def request() -> None:
            with lab.inside(inner, alone=False):
                module.f(0)

        asyncio.run(request())

    outer = lab.begin()
    with lab.inside(outer):
        module.nest(lambda: module.outer(call))
    assert sys.gettrace() is None
    assert lab.end(inner) == {module.__file__: {5, 7}}
    assert lab.end(outer) == {module.__file__: {5, 6, 10, 11, 12, 28, 29}}


def test_an_outer_request_that_is_cut_meanwhile_is_traced_no_more(
    lab: Laboratory, module: ModuleType, inner_alone: bool
) -> None:
    inner = Collection()
    found: list[dict[str, set[int]]] = []
    after: list[object] = []

    def call() -> None:
        assert lab.engine.begin(inner) is None
        with lab.inside(inner, inner_alone):
            thread = threading.Thread(target=lambda: found.append(lab.end(outer)))
            thread.start()
            thread.join()
            module.f(0)
        after.append(sys.gettrace())

    outer = lab.begin()
    with lab.inside(outer):
        module.nest(call)
    after.append(sys.gettrace())
    assert after == [None, None]
    assert found == [{module.__file__: {5, 6, 10, 11, 28, 29}}]
    assert lab.end(inner) == {module.__file__: {5, 7}}
    assert lab.record(lambda: module.outer(lambda: None)) == {5, 6, 10, 11, 12}


def test_a_generators_steps_belong_to_the_requests_that_take_them(
    lab: Laboratory, module: ModuleType
) -> None:
    """A request that is left half-way keeps nothing of what its generator does later."""
    generator = module.steps()
    first = lab.begin()
    with lab.inside(first):
        next(generator)
    found = lab.engine.end(first)
    kept = lab.lines(found)
    assert kept == {module.__file__: {24}}
    assert lab.record(lambda: next(generator)) == {25}
    assert list(generator) == []
    assert lab.lines(found) == kept


def test_a_generator_that_is_closed_between_steps_is_nobodys(lab: Laboratory, module: ModuleType) -> None:
    collection = lab.begin()
    with lab.inside(collection):
        generator = module.steps()
        next(generator)
    generator.close()
    with lab.inside(collection):
        module.f(1)
    assert lab.end(collection) == {module.__file__: {5, 6, 24}}


def test_a_request_within_a_request_of_another_recorder_leaves_the_outer_one_exact(
    lab: Laboratory, module: ModuleType, tmp_path: Path
) -> None:
    """The inner engine finds a trace function that is not its own, and stands aside."""
    with laboratory("trace", tmp_path) as other:
        reasons = []

        def call() -> None:
            reasons.append(other.engine.begin(Collection()))
            module.f(0)

        assert lab.record(lambda: module.outer(call)) == {5, 6, 7, 10, 11, 12}
        assert reasons == ["trace_function_taken"]


def test_sequential_requests_in_one_step_of_a_task_keep_their_lines_apart(
    lab: Laboratory, module: ModuleType
) -> None:
    async def main() -> tuple[set[int], ...]:
        return (
            lab.record(lambda: module.f(1)),
            lab.record(lambda: module.f(0)),
            lab.record(lambda: module.outer(lambda: None)),
        )

    assert asyncio.run(main()) == ({5, 6}, {5, 7}, {5, 6, 10, 11, 12})


def test_interleaved_tasks_keep_their_lines_apart(lab: Laboratory, module: ModuleType) -> None:
    async def main() -> None:
        event = asyncio.Event()

        async def request(run: Callable[[], Any]) -> dict[str, set[int]]:
            collection = lab.begin()
            with lab.inside(collection, alone=False):
                await run()
            return lab.end(collection)

        async def short() -> None:
            module.f(1)

        waiting = asyncio.create_task(request(lambda: module.sleeps(event)))
        await asyncio.sleep(0)
        module.f(0)
        assert await asyncio.create_task(request(short)) == {module.__file__: {5, 6}}
        event.set()
        assert await waiting == {module.__file__: {5, 7, 15, 16, 17, 18}}

    asyncio.run(main())
    assert sys.gettrace() is None


def test_a_cut_from_another_thread_ends_tracing_on_the_loops_thread(
    lab: Laboratory, module: ModuleType
) -> None:
    """The drainer cuts a request that runs too long; its thread goes on untraced."""
    collection = lab.begin()
    found: list[dict[str, set[int]]] = []

    def cut() -> None:
        thread = threading.Thread(target=lambda: found.append(lab.end(collection)))
        thread.start()
        thread.join()
        module.f(0)
        function = sys.gettrace()
        assert function is None

    with lab.inside(collection):
        module.outer(cut)
    assert sys.gettrace() is None
    assert found == [{module.__file__: {5, 6, 10, 11}}]
    # The next request of the thread is whole.
    assert lab.record(lambda: module.outer(lambda: None)) == {5, 6, 10, 11, 12}


def test_what_was_handed_over_changes_no_more(lab: Laboratory, module: ModuleType) -> None:
    collection = lab.begin()
    with lab.inside(collection):
        found: list[Found] = []

        def end() -> None:
            found.append(lab.engine.end(collection))

        module.outer(end)
        kept = lab.lines(found[0])
        module.f(0)
    assert lab.lines(found[0]) == kept


def test_what_ran_before_the_mark_and_what_runs_after_it_are_told_apart(
    lab: Laboratory, module: ModuleType
) -> None:
    collection = lab.begin()
    with lab.inside(collection):
        module.f(1)
    lab.engine.mark(collection)
    with lab.inside(collection):
        module.f(0)
        lab.engine.mark(collection)
    after = lab.end(collection)
    assert collection.before is not None
    assert lab.lines(collection.before) == {module.__file__: {5, 6}}
    assert 7 in after[str(module.__file__)]


def test_a_mark_within_a_step_parts_its_lines(lab: Laboratory, module: ModuleType) -> None:
    """The frames on the stack hold the sets that were there before: those are copied."""
    collection = lab.begin()
    with lab.inside(collection):
        module.outer(lambda: lab.engine.mark(collection))
    after = lab.end(collection)
    assert collection.before is not None
    assert lab.lines(collection.before) == {module.__file__: {5, 6, 10, 11}}
    assert 12 in after[str(module.__file__)]


def test_requests_that_are_over_leave_nothing_in_memory(lab: Laboratory, module: ModuleType) -> None:
    """coverage.py's tracer is unknown to the garbage collector: a cycle through it would stay for ever."""

    def tracked() -> int:
        gc.collect()
        return sum(type(thing) in (set, dict, FunctionType, MethodType) for thing in gc.get_objects())

    def requests() -> None:
        for _ in range(100):
            lab.record(lambda: module.outer(lambda: lab.record(lambda: module.f(0))))

    requests()
    before = tracked()
    requests()
    assert tracked() < before + 50


def test_an_app_that_puts_the_trace_function_back_elsewhere_harms_one_step_only(
    lab: Laboratory, module: ModuleType
) -> None:
    """It takes it off in a call and puts it back after the call, as some test runners do."""

    def off() -> Any:
        function = sys.gettrace()
        sys.settrace(None)
        return function

    def meddle() -> None:
        sys.settrace(off())

    lab.record(lambda: module.outer(meddle))
    assert sys.gettrace() is None
    assert lab.record(lambda: module.outer(lambda: None)) == {5, 6, 10, 11, 12}


def test_a_debugger_set_within_a_frame_of_the_request_is_left_alone(
    lab: Laboratory, module: ModuleType
) -> None:
    """Python then calls our tracer for the frames it knows, though it is not the trace function."""

    def debugger(frame: FrameType, event: str, arg: object) -> Any:
        return None

    collection = lab.begin()
    try:
        with lab.inside(collection):
            module.outer(lambda: sys.settrace(debugger))
        kept = sys.gettrace()
    finally:
        sys.settrace(None)
    assert kept is debugger
    assert not vars(debugger)
    lab.end(collection)
    assert lab.record(lambda: module.outer(lambda: None)) == {5, 6, 10, 11, 12}


def test_work_done_in_the_requests_own_thread_is_the_requests(lab: Laboratory, module: ModuleType) -> None:
    """asgiref hands work back to the thread that waits for it."""
    collection = lab.begin()
    with lab.inside(collection):
        context = copy_context()
        task = current_thread_executor._WorkItem(concurrent.futures.Future(), context.run, module.f, 0)
        module.outer(task.run)
    assert sys.gettrace() is None
    assert lab.end(collection) == {module.__file__: {5, 6, 7, 10, 11, 12}}


def test_leave_in_another_context_or_without_enter_does_nothing(lab: Laboratory, module: ModuleType) -> None:
    collection = lab.begin()
    lab.engine.leave(collection, None)
    for alone in (True, False):
        _, entered = lab.engine.enter(collection, alone)
        thread = threading.Thread(target=lambda entered=entered: lab.engine.leave(collection, entered))
        thread.start()
        thread.join()
        lab.engine.leave(collection, entered)
        lab.engine.leave(collection, entered)
        assert sys.gettrace() is None
    lab.end(collection)


def test_forgetting_in_a_child_stops_the_parents_tracing(lab: Laboratory, module: ModuleType) -> None:
    collection = lab.begin()
    with lab.inside(collection):
        lab.engine.forget()
        assert sys.gettrace() is None
        module.f(1)
    assert not collection.open
    assert lab.record(lambda: module.f(0)) == {5, 7}


def test_code_that_generates_file_names_without_end_fills_no_memory(
    lab: Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> None:
        for number in range(200):
            exec(compile("x = 1\n", f"<generated {number}>", "exec"), {})

    lab.record(run)
    assert isinstance(lab.engine, TraceEngine)
    assert len(lab.engine._cache) <= 50_001


# Greenlets

needs_greenlet = pytest.mark.skipif(
    importlib.util.find_spec("greenlet") is None, reason="greenlet is not installed for this Python"
)


@needs_greenlet
def test_greenlets_of_two_requests_keep_their_lines_apart(lab: Laboratory, module: ModuleType) -> None:
    import greenlet

    found: dict[int, dict[str, set[int]]] = {}
    main = greenlet.getcurrent()

    def request(x: int) -> None:
        collection = lab.begin()
        with lab.inside(collection):
            main.switch()
            module.outer(lambda: (main.switch(), module.f(x)))
        found[x] = lab.end(collection)

    greenlets = [greenlet.greenlet(request) for _ in range(2)]
    for x, one in enumerate(greenlets):
        one.switch(x)
    while any(not one.dead for one in greenlets):
        for one in greenlets:
            if not one.dead:
                one.switch()
        assert sys.gettrace() is None
    assert found == {
        0: {module.__file__: {5, 6, 7, 10, 11, 12}},
        1: {module.__file__: {5, 6, 10, 11, 12}},
    }


@needs_greenlet
def test_a_greenlet_trace_function_of_somebody_else_is_called_and_restored(
    lab: Laboratory, module: ModuleType
) -> None:
    import greenlet

    seen: list[str] = []

    def theirs(event: str, parties: tuple[object, object]) -> None:
        seen.append(event)

    before = greenlet.settrace(theirs)
    try:
        collection = lab.begin()
        with lab.inside(collection):
            greenlet.greenlet(lambda: module.f(1)).switch()
        found = lab.end(collection)
        left = greenlet.gettrace()
    finally:
        greenlet.settrace(before)
    assert left is theirs
    assert seen == ["switch", "switch"]
    # A greenlet starts with a context of its own, and so outside of the request.
    assert found in ({}, {module.__file__: set()})


@needs_greenlet
def test_a_greenlet_within_a_request_keeps_its_lines_and_its_requests(
    lab: Laboratory, module: ModuleType, inner_alone: bool
) -> None:
    """SQLAlchemy's way: a greenlet with the request's context, in and out of it, at other depths."""
    import greenlet

    main = greenlet.getcurrent()

    def work() -> None:
        module.outer(lambda: (main.switch(), module.f(0)))

    collection = lab.begin()
    inner = lab.begin()
    with lab.inside(collection):
        spawned = greenlet.greenlet(work)
        spawned.gr_context = copy_context()

        def call() -> None:
            spawned.switch()
            with lab.inside(inner, inner_alone):
                spawned.switch()
                module.fail(KeyError)

        with pytest.raises(KeyError):
            module.outer(call)
    assert sys.gettrace() is None
    assert greenlet.gettrace() is None
    assert lab.end(inner) == {module.__file__: {21}}
    assert lab.end(collection) == {module.__file__: {5, 6, 7, 10, 11, 12}}


@needs_greenlet
def test_a_debugger_is_not_switched_with_the_greenlets(lab: Laboratory, module: ModuleType) -> None:
    import greenlet

    def debugger(frame: FrameType, event: str, arg: object) -> Any:
        return None

    collection = lab.begin()
    try:
        with lab.inside(collection):
            sys.settrace(debugger)
            greenlet.greenlet(lambda: module.f(1)).switch()
            kept = sys.gettrace()
    finally:
        sys.settrace(None)
    assert kept is debugger
    lab.end(collection)


@needs_greenlet
def test_a_greenlet_that_is_abandoned_within_a_request_is_not_kept(
    lab: Laboratory, module: ModuleType
) -> None:
    import greenlet

    main = greenlet.getcurrent()
    collection = lab.begin()
    with lab.inside(collection):
        abandoned = greenlet.greenlet(lambda: module.outer(main.switch))
        abandoned.gr_context = copy_context()
        abandoned.switch()
        gone = weakref.ref(abandoned)
        del abandoned
        gc.collect()
        assert gone() is None
    assert sys.gettrace() is None
    assert lab.end(collection) == {module.__file__: {5, 6, 10, 11}}
