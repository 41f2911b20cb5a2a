"""An app at the interpreter's recursion limit: its RecursionError is its own, and recording goes on."""

from __future__ import annotations

import sys

import pytest

from tests.recorder.conftest import ORDER, load, serve

DEEP = """\
def dive(depth):
    try:
        return dive(depth + 1)
    except RecursionError:
        return depth


def fall(depth):
    return fall(depth + 1)
"""


@pytest.fixture
def deep(bench):
    """A module that recurses as deep as it can, and a low limit."""
    file = bench.file.with_name("deep.py")
    file.write_text(DEEP)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    yield load(file, "deep")
    sys.setrecursionlimit(limit)


def test_an_app_gets_almost_as_deep_as_without_us(bench, deep):
    recorder = bench.recorder()
    reached = []

    def dive():
        reached.append(deep.dive(0))

    recording = recorder.begin("GET", "/", lambda name: None)
    _, entered = recorder.enter(recording)
    dive()
    recorder.leave(recording, entered)
    recorder.finish(recording)
    dive()
    recorded, bare = reached
    assert bare - 2 <= recorded <= bare
    (record,) = bench.records(recorder)
    assert {line for block in record.blocks for line in block.lines} == {2, 3, 4, 5}


def test_an_apps_own_recursionerror_leaves_it_and_the_next_request_is_recorded_whole(bench, deep):
    recorder = bench.recorder()
    with pytest.raises(RecursionError):
        serve(recorder, deep.fall, 0)
    serve(recorder, bench.shop.order)
    recorder.close(1.0)
    assert bench.lines(max(bench.records(), key=lambda record: record.seq)) == ORDER


@pytest.mark.parametrize("room", range(1, 12))
def test_a_request_that_begins_near_the_limit_breaks_nothing(bench, deep, room):
    """With room for so many calls, ours may fail, the one that counts a loss too: then it stays pending."""
    recorder = bench.recorder()
    depth = 0
    frame = sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back

    sys.setrecursionlimit(depth + room + 10)
    try:
        recording = recorder.begin("GET", "/", lambda name: None)
        if recording is not None:
            recorder.finish(recording)
    finally:
        sys.setrecursionlimit(400)
    serve(recorder, bench.shop.order)
    assert bench.lines(bench.records(recorder)[-1]) == ORDER
    (ledger,) = recorder.pipeline.ledgers()
    assert ledger.sampled in (1, 2)
    assert ledger.pending <= 1
