"""Addresses are read strictly, and written so that they read the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requestcov.server.dashboard.desk import Desk
from requestcov.server.dashboard.filters import (
    Refused,
    Unknown,
    choice,
    named,
    read,
    selection,
    sort,
    tag,
    text,
    whole,
    written,
)
from requestcov.server.dashboard.view import View
from tests.reports.shop_store import SHOWN, record, write_store

HOUR = timedelta(hours=1)
FIELDS = (text("q"), sort("-size", "name"), whole("at", 1), choice("by", ("a", "b")))
NAMES = st.text(st.characters(), max_size=60)
"""Also with control characters, unpaired surrogates and none at all."""


@given(NAMES, st.lists(NAMES, max_size=5))
def test_every_name_survives_an_address(name: str, others: list[str]):
    query = written({"service": tag(name)})
    query.encode("ascii")
    asked = read(query.encode(), FIELDS)
    assert selection(asked, [*others, name], ()).service == name


@given(NAMES)
def test_a_tag_prints_and_is_one_line(name: str):
    shown = tag(name)
    assert shown.isprintable()
    assert shown == shown.strip() != ""
    assert tag(shown) == shown or name.startswith("~") or shown.startswith("~")


def test_a_tag_of_nothing_known_is_unknown():
    with pytest.raises(Unknown, match="No service here is called ~abc"):
        named("~abc", ["shop"], "service")


@given(st.binary(max_size=200))
def test_any_query_is_read_or_refused(query: bytes):
    try:
        asked = read(query, FIELDS)
    except Refused:
        return
    assert set(asked.given) <= {"q", "sort", "at", "by", "service", "release", "since", "until"}


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "q": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50),
            "sort": st.sampled_from(["-size", "size", "name", "-name"]),
            "at": st.integers(1, 999_999_999),
            "by": st.sampled_from(["a", "b"]),
            "since": st.just("2026-11-22"),
            "release": st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=50),
        },
    )
)
def test_what_is_written_reads_the_same(values: dict[str, object]):
    asked = read(written(values).encode(), FIELDS)
    assert asked.given == {name: str(value) for name, value in values.items()}


def test_what_is_not_said_has_a_default():
    asked = read(b"", FIELDS)
    assert (asked["q"], asked["sort"], asked["at"], asked["by"], asked["since"]) == (
        None,
        "-size",
        1,
        "a",
        None,
    )
    assert read(b"q=&since=&until=&service=", FIELDS).values == asked.values


def test_days_are_whole_ones_of_utc():
    asked = read(b"since=2026-11-22&until=2026-11-22", FIELDS)
    assert asked["since"] == datetime(2026, 11, 22, tzinfo=UTC)
    assert asked.kept == {"since": "2026-11-22", "until": "2026-11-22"}


@pytest.mark.parametrize(
    "query",
    [
        "since=2026-1-2",
        "since=20261122",
        "since=2026-11-22T00:00",
        "since=0000-00-00",
        "at=-1",
        "at=1.0",
        "at=%D9%A1",
        "at=9999999999",
        "sort=",
        "sort=--size",
        "by=c",
        "unknown=1",
        "q=1&q=2",
        "q=%ED%A0%80",
        "q=%FF",
        "q=" + "a" * 5000,
        "&".join(f"a{n}=1" for n in range(100)),
        "é",
    ],
)
def test_what_cannot_be_used_is_refused(query: str):
    with pytest.raises(Refused):
        read(query.encode(), FIELDS)


def test_a_refusal_is_not_longer_than_a_reader_wants():
    with pytest.raises(Refused) as refused:
        read(f"by={quote('x' * 3000)}".encode(), FIELDS)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("services", "narrowed"), [(["shop"], None), (["shop", "desk"], "shop"), (["shop", ""], "shop")]
)
def test_of_the_only_service_the_answers_are_those_of_everything(
    tmp_path: Path, services: list[str], narrowed: str | None
):
    """They need not be worked out again."""
    records = [record("GET /orders", SHOWN, service=name, at=n * HOUR) for n, name in enumerate(services)]
    desk = Desk(write_store(tmp_path / "s.db", records), None)
    try:
        view = View(desk, read(written({"service": "shop"}).encode(), ()), "", "endpoints")
        assert view.selection.service == narrowed
    finally:
        desk.close()
