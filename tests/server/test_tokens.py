"""Tokens: what is taken for one, and that nothing sent makes a lookup fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requestcov.errors import ConfigError
from requestcov.server.tokens import Tokens, bearer, load_tokens

FIRST, SECOND = "first-token-of-a-test", "second-token-of-a-test"


def test_each_known_token_is_found_under_a_name_of_its_own():
    tokens = Tokens([FIRST, SECOND])
    names = {tokens.find(FIRST.encode()), tokens.find(SECOND.encode())}
    assert len(names) == len(tokens) == 2
    assert None not in names


def test_the_name_of_a_token_does_not_tell_it():
    name = Tokens([FIRST]).find(FIRST.encode())
    assert name is not None
    assert FIRST not in name


@given(st.binary(max_size=300))
def test_no_bytes_but_a_token_are_found_and_none_make_it_fail(sent):
    assert Tokens([FIRST]).find(sent) is None


@pytest.mark.parametrize(
    "sent", [None, b"", "tökén-of-a-test-x".encode(), b"\xff" * 30, FIRST.encode() + b"x"]
)
def test_what_is_no_token_is_not_found(sent):
    assert Tokens([FIRST, SECOND]).find(sent) is None


def test_without_tokens_nothing_is_found():
    assert not Tokens()
    assert Tokens().find(b"") is None


@pytest.mark.parametrize(
    "weak", ["", "short", "fifteen-letters", "with a space in it", "nicht-ässig-lang", "x" * 201]
)
def test_a_weak_token_is_refused_without_being_shown(weak):
    with pytest.raises(ConfigError, match="Token 2 of REQUESTCOV_READ_TOKENS cannot be used") as refused:
        Tokens([FIRST, weak], "REQUESTCOV_READ_TOKENS")
    assert len(weak) < 5 or weak not in str(refused.value)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"Bearer abc", b"abc"),
        (b"bearer  abc ", b"abc"),
        (b"Basic abc", None),
        (b"Bearer", None),
        (b"abc", None),
        (b"", None),
        (None, None),
    ],
)
def test_a_token_comes_in_the_bearer_scheme_alone(header, token):
    assert bearer(header) == token


def test_a_file_adds_its_lines_to_the_variables_tokens(tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"# of the shop\n\n{SECOND}  \n")
    tokens = load_tokens([FIRST], str(file), "REQUESTCOV_WRITE_TOKENS")
    assert tokens.find(FIRST.encode())
    assert tokens.find(SECOND.encode())
    assert len(tokens) == 2


@pytest.mark.parametrize("content", [None, b"", b"# nothing\n", b"\xff\xfe", b"weak\n"])
def test_a_file_without_a_good_token_is_refused(tmp_path, content):
    file = tmp_path / "tokens"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match="tokens"):
        load_tokens([], str(file), "REQUESTCOV_WRITE_TOKENS")
