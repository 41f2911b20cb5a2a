"""Options: what is refused, with which words; where a value comes from; what is never shown."""

from __future__ import annotations

import math
from dataclasses import fields
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requestcov.config import DEFAULT_EXCLUDE, OPTIONS, Config, redact
from requestcov.errors import ConfigError, RequestcovError

HUGE = 10**5000

REFUSED = [
    ("sample_rate", -0.1, "a number from 0 to 1"),
    ("sample_rate", 1.1, "a number from 0 to 1"),
    ("sample_rate", math.nan, "a number from 0 to 1"),
    ("sample_rate", math.inf, "a number from 0 to 1"),
    ("sample_rate", "nan", "a number from 0 to 1"),
    ("sample_rate", "50%", "a number from 0 to 1"),
    ("sample_rate", "0,5", "a number from 0 to 1"),
    ("sample_rate", "0_1", "a number from 0 to 1"),
    ("sample_rate", "\u0660", "a number from 0 to 1"),
    ("sample_rate", True, "a number from 0 to 1"),
    ("sample_rate", None, "a number from 0 to 1"),
    ("sample_rate", HUGE, "a number from 0 to 1"),
    ("queue_size", 0, "a whole number from 1 to 1000000 records"),
    ("queue_size", -1, "a whole number from 1 to 1000000 records"),
    ("queue_size", 10**12, "a whole number from 1 to 1000000 records"),
    ("queue_size", HUGE, "a whole number from 1 to 1000000 records"),
    ("queue_size", "9" * 5000, "a whole number from 1 to 1000000 records"),
    ("queue_size", 1.5, "a whole number from 1 to 1000000 records"),
    ("queue_size", "1e3", "a whole number from 1 to 1000000 records"),
    ("queue_size", True, "a whole number from 1 to 1000000 records"),
    ("first", -1, "a whole number from 0 to 10000"),
    ("max_in_flight", 0, "a whole number from 1 to 10000 recordings"),
    ("batch_size", 0, "a whole number from 1 to 100000 records"),
    ("max_per_second", -1, "a number from 0 to 100000 recordings a second"),
    ("max_duration", 0, "a number from 0.001 to 86400 seconds"),
    ("max_duration", math.inf, "a number from 0.001 to 86400 seconds"),
    ("max_duration", "5s", "a number from 0.001 to 86400 seconds"),
    ("flush_interval", 0, "a number from 0.01 to 3600 seconds"),
    ("flush_interval", "inf", "a number from 0.01 to 3600 seconds"),
    ("enabled", "maybe", "one of 1, true, yes, on or 0, false, no, off"),
    ("enabled", 1, "one of 1, true, yes, on or 0, false, no, off"),
    ("enabled", None, "one of 1, true, yes, on or 0, false, no, off"),
    ("source", 3, "a comma-separated list (write \\, for a comma inside an item)"),
    ("source", ["src", 3], "a comma-separated list (write \\, for a comma inside an item)"),
    ("source", b"src", "a comma-separated list (write \\, for a comma inside an item)"),
    ("source", "src\0", "without control characters"),
    ("sinks", "file:///a.jsonl\r\nX: y", "without control characters"),
    ("exclude_methods", "GET /", "a comma-separated list of HTTP methods, such as HEAD,OPTIONS"),
    ("exclude", "health", "patterns for the whole path, each from its first /"),
    ("service", "shop\n", "a UTF-8 text of at most 200 characters without control characters"),
    ("service", "shop\udcff", "a UTF-8 text of at most 200 characters without control characters"),
    ("release", "x" * 201, "a UTF-8 text of at most 200 characters without control characters"),
    ("release", 7, "a UTF-8 text of at most 200 characters without control characters"),
    ("labels", "region", "a comma-separated list of key=value"),
    ("labels", {"1st": "x"}, "a key is a letter and up to 63 letters, digits, _ . -"),
    ("labels", {"a": "x\ny"}, "a value is a UTF-8 text of at most 200 characters"),
    ("labels", {"a": 1}, "a value is a UTF-8 text of at most 200 characters"),
    ("labels", {2: "x"}, "a key is a letter"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), REFUSED, ids=count())
def test_a_value_that_cannot_be_used_is_refused_by_name_with_what_is_allowed(name, value, allowed):
    """In code the option is named; the value is shown, cut to a readable length."""
    with pytest.raises(ConfigError) as refused:
        Config(**{name: value})
    message = str(refused.value)
    assert message.startswith(f"{name}=")
    assert allowed in message
    assert len(message) < 700
    if isinstance(value, (str, float)) and len(str(value)) < 50:
        assert repr(value) in message


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [case for case in REFUSED if isinstance(case[1], str) and case[1] == case[1].strip()],
    ids=count(),
)
def test_the_same_value_in_the_environment_is_refused_by_the_variables_name(name, value, allowed):
    """Values with blanks around them are left out: those are not part of a variable's value."""
    with pytest.raises(ConfigError) as refused:
        Config.load({f"REQUESTCOV_{name.upper()}": value})
    assert str(refused.value).startswith(f"REQUESTCOV_{name.upper()}=")
    assert allowed in str(refused.value)


@pytest.mark.parametrize(
    "secret",
    ["short", "with a space in the text", "line\nbreak-line-break", "pässwörd-pässwörd", "x" * 201, 5],
)
def test_a_refused_secret_is_not_in_the_message(secret):
    with pytest.raises(ConfigError) as refused:
        Config(force_secret=secret)
    assert str(secret) not in str(refused.value)
    assert str(refused.value).startswith(
        "force_secret=(hidden) cannot be used: allowed is 16 to 200 printable"
    )


def test_a_misspelt_variable_is_refused_with_the_nearest_name():
    with pytest.raises(
        ConfigError, match=r"REQUESTCOV_SAMPLERATE is not an option.*REQUESTCOV_SAMPLE_RATE\?"
    ):
        Config.load({"REQUESTCOV_SAMPLERATE": "1"})


def test_a_variable_like_no_option_is_refused_with_all_names():
    with pytest.raises(ConfigError) as refused:
        Config.load({"REQUESTCOV_ZZZ": "1"})
    for option in OPTIONS:
        assert option.variable in str(refused.value)


def test_a_variable_in_the_wrong_case_is_refused():
    with pytest.raises(ConfigError, match="did you mean REQUESTCOV_FIRST"):
        Config.load({"REQUESTCOV_First": "1"})


def test_a_misspelt_keyword_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"sample_rat is not an option.*sample_rate\?"):
        Config.load({}, sample_rat=1)


def test_other_variables_are_none_of_our_business():
    assert Config.load({"REQUEST": "x", "requestcov_first": "x", "PATH": "/bin"}) == Config()


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
@pytest.mark.parametrize("empty", ["", "  ", "\t"])
def test_a_variable_that_is_set_but_empty_is_unset(option, empty):
    """Deployment files set variables to nothing to switch them off."""
    assert Config.load({option.variable: empty}) == Config()


def test_code_wins_over_environment_wins_over_default():
    environ = {"REQUESTCOV_FIRST": "7", "REQUESTCOV_SERVICE": "shop"}
    config = Config.load(environ, first=9)
    assert (config.first, config.service, config.batch_size) == (9, "shop", 500)


def test_a_bad_variable_is_refused_even_when_code_overrides_it():
    """The override may be gone tomorrow; the mistake should be seen today."""
    with pytest.raises(ConfigError, match="REQUESTCOV_FIRST='x'"):
        Config.load({"REQUESTCOV_FIRST": "x"}, first=9)


def test_the_constructor_does_not_read_the_environment(monkeypatch):
    monkeypatch.setenv("REQUESTCOV_FIRST", "7")
    assert Config().first == 5
    assert Config.load().first == 7


@pytest.mark.parametrize("text", ["1", "true", "TRUE", "Yes", "on", " on "])
def test_what_counts_as_true(text):
    assert Config.load({"REQUESTCOV_BRANCH": text}).branch is True


@pytest.mark.parametrize("text", ["0", "false", "False", "NO", "off"])
def test_what_counts_as_false(text):
    """The word false is false: a plain truth test would read it as true."""
    assert Config.load({"REQUESTCOV_ENABLED": text}).enabled is False


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("a,b", ("a", "b")),
        (" a , b ,", ("a", "b")),
        (r"a\,b,c", ("a,b", "c")),
        (",", ()),
        ("ä b,c", ("ä b", "c")),
    ],
)
def test_lists_are_split_at_commas_and_trimmed(text, items):
    assert Config.load({"REQUESTCOV_SOURCE": text}).source == items


def test_a_comma_in_a_list_given_in_code_needs_no_escape():
    assert Config(source=["a,b"]).source == ("a,b",)


@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\\"), min_size=1)))
def test_any_list_survives_the_environment(items):
    items = [item.strip() for item in items if item.strip()]
    text = ",".join(item.replace(",", "\\,") for item in items)
    assert Config.load({"REQUESTCOV_SOURCE": text}).source == tuple(items)


@pytest.mark.parametrize("given_labels", ["region = eu, tier=a=b", {"region": "eu", "tier": "a=b"}])
def test_labels_are_pairs(given_labels):
    assert Config(labels=given_labels).labels == {"region": "eu", "tier": "a=b"}


def test_a_given_mapping_of_labels_is_copied():
    labels = {"a": "1"}
    config = Config(labels=labels)
    labels["a"] = "2"
    assert config.labels == {"a": "1"}


def config_or_refusal(build):
    try:
        return build()
    except ConfigError as refused:
        return str(refused)


@given(st.sampled_from(OPTIONS), st.text(st.characters(exclude_characters="\0")))
def test_any_text_is_taken_or_refused_as_a_config_error(option, text):
    """Start-up has one kind of failure to report, whatever the deployment says."""
    config = config_or_refusal(lambda: Config.load({option.variable: text}))
    if isinstance(config, str):
        assert option.variable in config
    else:
        assert Config(**{row.name: getattr(config, row.name) for row in fields(config)}) == config


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.integers(5000, 6000).map(lambda n: 10**n),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(OPTIONS), VALUES)
def test_any_value_is_taken_or_refused_as_a_config_error(option, value):
    config = config_or_refusal(lambda: Config(**{option.name: value}))
    if isinstance(config, str):
        assert option.name in config
    else:
        hash(config)
        repr(config)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_the_tables_default_is_the_fields_default_and_passes_its_own_check(option):
    assert getattr(Config(), option.name) == option.default
    assert option.parse(option.default) == option.default


def test_the_table_and_the_fields_are_in_the_same_order():
    assert [row.name for row in fields(Config)] == [option.name for option in OPTIONS]


def test_equal_configs_are_one_key():
    """A process keeps one recorder for each distinct configuration."""
    first, second = Config(sample_rate=1, labels={"a": "b"}), Config(sample_rate=1.0, labels="a=b")
    assert first == second
    assert len({first, second}) == 1
    assert Config(labels={"a": "c"}) != first


def test_secrets_are_in_no_text_about_a_config():
    config = Config(
        force_secret="correct-horse-battery",
        sinks=["https://me:hunter2@collector/in?token=abc", "file:///a.jsonl"],
    )
    assert config.shown()["force_secret"] == "set"
    assert config.shown()["sinks"] == "https://(hidden)@collector/in?(hidden), file:///a.jsonl"
    for text in (repr(config), str(config), str(config.shown())):
        for word in ("horse", "hunter2", "abc"):
            assert word not in text


def test_an_unset_secret_is_shown_as_such():
    assert Config().shown()["force_secret"] == "not set"


def test_a_refused_sink_keeps_its_password_to_itself():
    with pytest.raises(ConfigError) as refused:
        Config(sinks="https://me:hunter2@collector/in?token=abc\x07")
    assert "hunter2" not in str(refused.value)
    assert "abc" not in str(refused.value)


@pytest.mark.parametrize("text", ["sqlite:////var/data/a@b.db", "/static/*?x", "plain"])
def test_redaction_leaves_what_is_no_credential(text):
    assert redact(text) == text


def test_every_option_is_shown():
    shown = Config(labels={"a": "b"}).shown()
    assert list(shown) == [option.name for option in OPTIONS]
    assert shown["labels"] == "a=b"
    assert shown["exclude"] == ", ".join(DEFAULT_EXCLUDE)


def test_a_config_error_can_be_caught_as_ours_and_as_a_value_error():
    assert issubclass(ConfigError, RequestcovError)
    assert issubclass(ConfigError, ValueError)
