"""annotate, current and flush: harmless anywhere, whatever they are given."""

from __future__ import annotations

import sqlite3
import threading

import pytest

import requestcov
from requestcov._values import has_controls
from requestcov.recording import MAX_KEY, MAX_LABEL, MAX_LABELS
from requestcov.storage import open_store
from tests.recorder.conftest import no_header, serve


@pytest.fixture
def annotated(bench):
    """The labels that are kept of a request that annotates so, in a file and in a database."""

    def labels_of(*calls, **options):
        database = bench.directory / "records.db"
        sinks = (f"file:///{bench.path}", f"sqlite:///{database}")
        recorder = bench.recorder(sinks=sinks, **options)
        serve(recorder, lambda: [requestcov.annotate(**labels) for labels in calls])
        (record,) = bench.records(recorder)
        with open_store(str(database)) as store:
            (stored,) = store.records()
        assert stored.labels == record.labels
        return dict(record.labels)

    return labels_of


def test_labels_are_kept_with_the_request(annotated):
    assert annotated({"plan": "free"}, {"items": 3, "plan": "paid"}) == {"plan": "paid", "items": "3"}


def test_a_request_adds_to_and_overrides_the_labels_of_its_process(annotated):
    labels = annotated({"zone": "b"}, labels={"zone": "a", "colour": "blue"})
    assert labels == {"zone": "b", "colour": "blue"}


def test_outside_a_request_they_do_nothing(bench):
    bench.recorder()
    requestcov.annotate(plan="free")
    assert requestcov.current() is None
    assert requestcov.flush(1.0)


def test_in_a_request_that_is_not_recorded_they_do_nothing(bench):
    recorder = bench.recorder(sample_rate=0.0, first=0)
    found = []
    serve(recorder, lambda: found.append((requestcov.annotate(plan="free"), requestcov.current())))
    assert found == [(None, None)]


def test_the_current_recording_is_the_one_that_will_be_kept(bench):
    recorder = bench.recorder()
    found = []
    serve(recorder, lambda: found.append(requestcov.current()))
    assert found == [record.id for record in bench.records(recorder)]


class Mute:
    def __str__(self):
        raise RuntimeError("has nothing to say")


class Wrong:
    def __str__(self):
        return 7


class Endless:
    def __str__(self):
        return str(self)


class Odd(str):
    """A text whose parts are no texts."""

    def __getitem__(self, key):
        return 7

    def __str__(self):
        return self


@pytest.mark.parametrize(
    "value", [Mute(), Wrong(), Endless(), 10**10_000], ids=["raises", "no text", "recursion", "too long"]
)
def test_a_value_that_cannot_be_said_labels_nothing(annotated, value):
    assert annotated({"bad": value, "good": 1}) == {"good": "1"}


def test_a_kind_of_text_with_parts_of_its_own_labels_as_the_text_it_is(annotated):
    assert annotated({"odd": Odd("odd"), "good": 1}) == {"odd": "odd", "good": "1"}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("a\r\nSet-Cookie: b\x00\x1b[2J\x7f", "aSet-Cookie: b[2J"),
        ("x" * 100_000, "x" * MAX_LABEL),
        ("", ""),
        (None, "None"),
        (b"\xff", "b'\\xff'"),
        ("naïve 😀", "naïve 😀"),
    ],
)
def test_a_value_is_kept_as_a_bounded_text_without_control_characters(annotated, value, kept):
    assert annotated({"label": value}) == {"label": kept}


@pytest.mark.parametrize("text", ["\ud800", "caf\udce9", "\udcff" * 300])
def test_a_text_that_is_not_unicode_costs_no_record(annotated, text):
    """As os.fsdecode gives for a file's name."""
    assert annotated({"file": text, "good": 1}) == {"file": text[:MAX_LABEL], "good": "1"}


@pytest.mark.parametrize("key", ["a\r\nb", "\x1b[2J", "\ud800", "k" * 1000, "", "Ключ"])
def test_a_key_is_as_harmless_as_a_value(annotated, key):
    labels = annotated({key: "text", "good": 1})
    assert labels.pop("good") == "1"
    for name in labels:
        assert len(name) <= MAX_KEY
        assert not has_controls(name)


def test_labels_have_a_limit_and_the_first_ones_stay(annotated):
    labels = annotated(*({f"label{number}": number} for number in range(1000)), {"label3": "again"})
    assert len(labels) == MAX_LABELS
    assert labels["label3"] == "again"
    assert set(labels) == {f"label{number}" for number in range(MAX_LABELS)}


def test_annotating_from_many_threads_stays_within_the_limit_and_raises_nothing(bench):
    recorder = bench.recorder()
    recording = recorder.begin("GET", "/", no_header)
    errors = []

    def work(name):
        _, entered = recorder.enter(recording)
        try:
            for number in range(200):
                requestcov.annotate(**{f"{name}{number}": number})
        except Exception as error:
            errors.append(error)
        finally:
            recorder.leave(recording, entered)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    recorder.finish(recording)
    assert errors == []
    (record,) = bench.records(recorder)
    assert MAX_LABELS <= len(record.labels) <= MAX_LABELS + len(threads)


def test_a_flush_that_cannot_be_done_in_time_says_so(bench):
    database = bench.directory / "records.db"
    recorder = bench.recorder(sinks=(f"sqlite:///{database}",))
    serve(recorder, bench.shop.order)
    assert requestcov.flush(10.0)
    lock = sqlite3.connect(database, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
        serve(recorder, bench.shop.order)
        assert not requestcov.flush(0.1)
    finally:
        lock.close()
    assert requestcov.flush(10.0)
