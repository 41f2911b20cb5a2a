"""Names made from paths: plain words and placeholders, nothing else."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from requestcov._names import fallback, known_method


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "/"),
        ("", "/"),
        ("*", "/{token}"),
        ("/orders/123/x", "/orders/{id}/x"),
        ("/api/v2/users/me/", "/api/v2/users/me/"),
        ("/getUserById/reset-password/index.html", "/getUserById/reset-password/index.html"),
        ("/u/123e4567-e89b-12d3-a456-426614174000", "/u/{uuid}"),
        ("/commit/3f2c1a9d/DEADBEEF", "/commit/{hex}/{hex}"),
        ("/mail/ann@example.com", "/mail/{token}"),
        ("/day/2026-11-22", "/day/{token}"),
        ("/day/22.11.2026", "/day/{token}"),
        ("/call/+49-30-1234567", "/call/{token}"),
        ("/t/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0", "/t/{token}"),
        ("/t/QWxhZGRpbjpvcGVu", "/t/{token}"),
        ("/a1b2c3", "/{token}"),
        ("/x%2fy/%41bc", "/{token}/{token}"),
        ("/größe/中文", "/{token}/{token}"),
        ("/a b/<script>/'--", "/{token}/{token}/{token}"),
        ("/x\n/y\x00", "/{token}/{token}"),
        ("/١٢٣", "/{token}"),
        ("/one/two/three/four/five/six/seven/eight/nine", "/one/two/three/four/five/six/seven/eight"),
        ("/this-is-a-very-long-title-of-a-page-about-ann", "/{token}"),
        ("//a//b", "//a//b"),
    ],
)
def test_words_stay_and_the_rest_becomes_a_placeholder(path: str, name: str) -> None:
    assert fallback(path) == name


SEGMENTS = st.one_of(
    st.text(max_size=60),
    st.text(string.ascii_letters + string.digits + "-_.@%{}", max_size=60),
    st.text(string.digits + "abcdef-", max_size=40),
    st.sampled_from(["orders", "{id}", "{token}", "v1", "", ".."]),
)
PATHS = st.one_of(
    st.text(max_size=400), st.lists(SEGMENTS, max_size=14).map(lambda parts: "/" + "/".join(parts))
)


@given(PATHS)
@example("/" + "9" * 100_000)
@example("/" * 1000)
@example("/" + "-".join(["aB"] * 10_000))
def test_a_name_is_bounded_ascii_and_stable(path: str) -> None:
    name = fallback(path)
    assert name.startswith("/")
    assert name.isascii()
    assert name.isprintable()
    assert len(name) <= 256
    assert name.count("/") <= 8
    assert fallback(name) == name


@given(PATHS)
def test_no_number_leaks(path: str) -> None:
    """At most three digits a segment: no part of an id, a phone number or a date is readable."""
    for segment in fallback(path).split("/"):
        assert len(re.findall("[0-9]", segment)) <= 3


@given(PATHS)
def test_every_segment_is_a_word_or_a_placeholder(path: str) -> None:
    word = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,30}|\{(id|uuid|hex|token)\}|")
    assert all(word.fullmatch(segment) for segment in fallback(path).split("/"))


@given(st.emails())
def test_an_e_mail_address_never_shows(address: str) -> None:
    local = address.partition("@")[0]
    name = fallback(f"/users/{address}")
    assert "@" not in name
    assert name.startswith("/users/{token}") or "/" in local


def test_a_method_that_a_client_invented_is_not_kept() -> None:
    assert known_method("GET") == "GET"
    assert known_method("WEBSOCKET") == "WEBSOCKET"
    assert known_method("GET" * 100) == known_method("get") == "(other)"
