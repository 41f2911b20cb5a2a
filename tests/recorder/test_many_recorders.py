"""Wrappers with one configuration share a recorder; different ones live side by side."""

from __future__ import annotations

import gc

import pytest

import requestcov
from requestcov import WSGIMiddleware, exchange
from requestcov.config import Config
from requestcov.errors import ConfigError
from requestcov.exchange import MARKER
from requestcov.recorder import close_all, get_recorder
from tests.recorder.conftest import ORDER, PARCEL, load, no_header, serve


def app_of(work):
    def app(environ, start_response):
        work()
        start_response("200 OK", [])
        return [b"done"]

    return app


def ask(app):
    return app({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *args: None)


def test_wrappers_with_equal_options_share_one_recorder(bench):
    first = WSGIMiddleware(app_of(bench.shop.order), **bench.options(labels={"a": "1", "b": "2"}))
    second = WSGIMiddleware(app_of(bench.shop.parcel), Config(**bench.options(labels={"b": "2", "a": "1"})))
    assert first._recorder is second._recorder
    ask(first)
    ask(second)
    assert [bench.lines(record) for record in bench.records(first._recorder)] == [ORDER, PARCEL]
    assert bench.ledger(first._recorder).sampled == 2


def test_wrappers_with_other_options_record_side_by_side(bench):
    (bench.directory / "bakery").mkdir()
    file = bench.directory / "bakery" / "bakery.py"
    file.write_text(bench.file.read_text())
    bakery = load(file, "bakery")

    def both():
        bench.shop.order()
        bakery.order()

    shop = WSGIMiddleware(app_of(both), **bench.options(service="shop"))
    other = WSGIMiddleware(app_of(both), **bench.options(service="bakery", source=(str(file.parent),)))
    assert shop._recorder is not other._recorder
    for _ in range(2):
        ask(shop)
        ask(other)
    assert requestcov.flush(10.0)
    records = bench.records()
    files = {"shop": ["shop/shop.py"], "bakery": ["bakery/bakery.py"]}
    assert len(records) == 4
    for record in records:
        assert [block.path for block in record.blocks] == files[record.service]
        assert [block.lines for block in record.blocks] == [ORDER]


def test_a_request_inside_another_recorders_request_belongs_to_both(bench):
    """An app that calls another one in process, each wrapped in its own way.

    A thread has one trace function: where that is the engine, the inner request is counted, not recorded.
    """
    outer = bench.recorder(service="outer")
    inner = bench.recorder(service="inner")
    found = []

    def nested():
        bench.shop.order()
        serve(inner, bench.shop.parcel)
        found.append(requestcov.current())

    recording = serve(outer, nested)
    assert found == [recording.id]
    assert requestcov.flush(10.0)
    lines = {record.service: bench.lines(record) for record in bench.records()}
    assert lines["outer"] == ORDER | PARCEL
    (ledger,) = inner.pipeline.ledgers()
    if inner.engine.name == "trace":
        assert ledger.dropped == {"trace_function_taken": 1}
    else:
        assert lines["inner"] == PARCEL
        assert ledger.dropped == {}


def test_a_configuration_that_cannot_be_used_is_refused_and_leaves_nothing(bench):
    with pytest.raises(ConfigError):
        bench.recorder(source=(str(bench.directory / "absent"),))
    with pytest.raises(ConfigError):
        bench.recorder(sinks=("gopher://nowhere",))
    assert requestcov.flush(0.1)


def test_after_all_are_closed_the_same_configuration_makes_a_new_one(bench):
    config = Config(**bench.options())
    first = get_recorder(config)
    serve(first, bench.shop.order)
    close_all()
    assert serve(first, bench.shop.order) is None
    assert len(bench.records()) == 1
    second = get_recorder(config)
    assert second is not first
    serve(second, bench.shop.parcel)
    assert bench.lines(bench.records(second)[-1]) == PARCEL


def test_a_recorder_that_records_nothing_touches_no_file(bench):
    recorder = bench.recorder(sample_rate=0.0, first=0)
    assert recorder.begin("GET", "/", no_header) is None
    assert not bench.path.exists()


def marked(app, path="/"):
    """Whether a call of the app leaves a mark in its environ."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path}
    app(environ, lambda *args: None)
    return MARKER in environ


@pytest.fixture
def _no_other_wrapper():
    """Apps that other tests of this process have left wrapped do not count."""
    others = exchange._wrappers[:]
    exchange._wrappers.clear()
    exchange.several.clear()
    yield
    gc.collect()
    exchange._wrappers.extend(others)
    exchange.several[:] = exchange._wrappers[1:]


@pytest.mark.usefixtures("_no_other_wrapper")
def test_a_call_is_marked_only_while_it_could_meet_two_wrappers(bench):
    """One wrapper's unsampled calls leave the server's environ as it was."""
    options = bench.options(sample_rate=0.0, first=0)
    one = WSGIMiddleware(app_of(bench.shop.order), **options)
    marked(one)
    assert not marked(one)
    other = WSGIMiddleware(app_of(bench.shop.order), **options)
    assert marked(one)
    assert marked(other)
    del other
    gc.collect()
    assert not marked(one)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_call_that_meets_two_wrappers_counts_once(bench, rate):
    """Also where the outer one lets it go by unrecorded."""
    options = bench.options(sample_rate=rate, first=0)
    inner = WSGIMiddleware(app_of(bench.shop.order), **options)
    outer = WSGIMiddleware(inner, **options)
    for _ in range(5):
        ask(outer)
    assert requestcov.flush(10.0)
    assert len(bench.records(outer._recorder)) == 5 * rate
    assert sum(outer._recorder.sampler.seen().values()) == 5


def test_a_recording_that_a_server_left_in_the_context_gets_no_lines_of_a_later_call(bench):
    """A call that goes by beside an open recording is not taken for a part of it."""
    app = WSGIMiddleware(app_of(bench.shop.order), **bench.options(sample_rate=0.0, first=1))
    recorder = app._recorder
    ask(app)
    recording = recorder.begin("GET", "/stream", no_header)
    assert recording is not None
    for _ in range(3):
        recorder.active.set(recording)
        ask(app)
        assert recorder.active.get() is None
    recorder.finish(recording)
    assert requestcov.flush(10.0)
    stream = next(record for record in bench.records(recorder) if record.seq == recording.seq)
    assert stream.blocks == ()
