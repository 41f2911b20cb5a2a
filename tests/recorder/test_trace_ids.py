"""The trace id of a W3C traceparent (https://www.w3.org/TR/trace-context/): kept when it is one."""

from __future__ import annotations

import pytest

from tests.recorder.conftest import serve

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def kept(bench, header):
    """The trace id of the record of a request with this header."""
    recorder = bench.recorder()
    serve(recorder, bench.shop.order, header=lambda name: header if name == "traceparent" else None)
    (record,) = bench.records(recorder)
    return record.trace_id


@pytest.mark.parametrize(
    "header",
    [
        f"00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-00",
        f"00-{TRACE}-{PARENT}-ff",
        f"01-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like",
        f"fe-{TRACE}-{PARENT}-01-",
    ],
)
def test_a_trace_id_is_kept_also_of_a_later_version(bench, header):
    assert kept(bench, header) == TRACE


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01-",
        f"cc-{TRACE}-{PARENT}-01.more",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT.upper()}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-1",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
        f"00-{TRACE}-{PARENT}-01,00-{TRACE}-{PARENT}-01",
        f"00-{TRACE.replace('4', '٤')}-{PARENT}-01",
        pytest.param("-" * 100_000, id="dashes"),
        pytest.param("0" * 1_000_000, id="zeros"),
        f"01-{TRACE}-{PARENT}-01\r\nSet-Cookie: a=b",
    ],
)
def test_what_is_no_traceparent_has_no_trace_id(bench, header):
    assert kept(bench, header) is None


def test_of_an_oversized_header_nothing_but_the_trace_id_is_kept(bench):
    header = f"cc-{TRACE}-{PARENT}-01-" + "x" * 100_000
    assert kept(bench, header) in (TRACE, None)
    assert bench.path.stat().st_size < 5000
