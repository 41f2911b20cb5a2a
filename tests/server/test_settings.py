"""The server's settings: one table, checked at start-up, and known by name to the app's own options."""

from __future__ import annotations

import argparse
import dataclasses

import pytest

from requestcov.config import SERVER_VARIABLES, Config
from requestcov.errors import ConfigError
from requestcov.server.binding import hosts, is_loopback, listen, require_tokens
from requestcov.server.settings import SETTINGS, Settings, add_flags, given

TOKEN = "a-token-of-these-tests"


def test_the_table_the_fields_and_the_names_an_app_lets_pass_are_the_same():
    assert {setting.variable for setting in SETTINGS} == SERVER_VARIABLES
    fields = {field.name: field.default for field in dataclasses.fields(Settings)}
    assert fields == {setting.name: setting.default for setting in SETTINGS}


def test_an_app_starts_beside_the_servers_variables():
    assert Config.load(dict.fromkeys(SERVER_VARIABLES, "anything")) == Config()


def test_the_server_starts_beside_an_apps_variables():
    assert Settings.load({"REQUESTCOV_SAMPLE_RATE": "0.5"}) == Settings()


def test_what_kubernetes_tells_of_a_service_called_after_us_stops_nobody():
    environ = {
        "REQUESTCOV_COLLECTOR_SERVICE_HOST": "10.0.0.7",
        "REQUESTCOV_COLLECTOR_SERVICE_PORT": "8650",
        "REQUESTCOV_COLLECTOR_SERVICE_PORT_HTTP": "8650",
        "REQUESTCOV_COLLECTOR_PORT": "tcp://10.0.0.7:8650",
        "REQUESTCOV_COLLECTOR_PORT_8650_TCP": "tcp://10.0.0.7:8650",
        "REQUESTCOV_COLLECTOR_PORT_8650_TCP_ADDR": "10.0.0.7",
        "REQUESTCOV_PORT": "tcp://10.0.0.7:8650",
        "REQUESTCOV_SERVICE_HOST": "10.0.0.7",
    }
    assert Config.load(environ) == Config()
    assert Settings.load(environ) == Settings()


@pytest.mark.parametrize("name", ["REQUESTCOV_PORT", "REQUESTCOV_BIND_PORTS", "REQUESTCOV_COLLECTOR_PORT"])
def test_a_port_that_a_person_set_under_a_wrong_name_is_refused(name):
    with pytest.raises(ConfigError, match=name):
        Settings.load({name: "8650"})
    with pytest.raises(ConfigError, match=name):
        Config.load({name: "8650"})


def test_a_flag_wins_over_the_environment_and_that_over_the_default():
    environ = {"REQUESTCOV_BIND_PORT": "81", "REQUESTCOV_STORE": " a.db ", "REQUESTCOV_BIND_HOST": ""}
    settings = Settings.load(environ, bind_port=82)
    assert (settings.bind_port, settings.store, settings.bind_host) == (82, "a.db", "127.0.0.1")


def test_a_variable_nobody_knows_is_refused_with_the_one_meant():
    with pytest.raises(ConfigError, match="did you mean REQUESTCOV_WRITE_TOKENS"):
        Settings.load({"REQUESTCOV_WRITE_TOKEN": TOKEN})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BIND_PORT", "-1"),
        ("BIND_PORT", "65536"),
        ("BIND_PORT", "80x"),
        ("BIND_PORT", "٨٠"),
        ("BIND_HOST", "a\r\nb"),
        ("STORE", "a\0b"),
        ("ALLOWED_HOSTS", "http://a"),
        ("ALLOWED_HOSTS", "a:80"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_what_is_allowed(variable, value):
    with pytest.raises(ConfigError, match=f"REQUESTCOV_{variable}=.* cannot be used: allowed is "):
        Settings.load({f"REQUESTCOV_{variable}": value})


def test_a_token_is_never_shown():
    with pytest.raises(ConfigError) as refused:
        Settings.load({"REQUESTCOV_WRITE_TOKENS": f"{TOKEN},\x01"})
    assert TOKEN not in str(refused.value)
    assert TOKEN not in repr(Settings(write_tokens=(TOKEN,)))


def test_settings_pass_to_another_process_by_its_environment():
    settings = Settings(store="a.db", allowed_hosts=("a", "b"), write_tokens=(TOKEN,), bind_port=0)
    assert Settings.load(settings.environment()) == settings


def test_flags_that_are_not_given_leave_the_environment_alone():
    parser = argparse.ArgumentParser()
    add_flags(parser, [setting.name for setting in SETTINGS])
    assert given(parser.parse_args([])) == {}
    assert given(parser.parse_args(["--port", "0", "--allowed-hosts", "A,b"])) == {
        "bind_port": 0,
        "allowed_hosts": ("a", "b"),
    }
    with pytest.raises(ConfigError, match="--port='x' cannot be used"):
        given(parser.parse_args(["--port", "x"]))


def test_no_token_is_a_flag():
    """The list of processes shows command lines to every user of the machine."""
    assert not [setting.flag for setting in SETTINGS if setting.secret and setting.flag]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_this_machine_alone_needs_no_token(host):
    assert is_loopback(host)
    require_tokens(host, (), "write")
    assert "localhost" in hosts(host, ())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "localhost.evil.example", "example.org"])
def test_a_wider_address_without_a_token_is_refused_with_what_to_do(host):
    with pytest.raises(ConfigError, match="REQUESTCOV_WRITE_TOKENS or --write-token-file"):
        require_tokens(host, (), "write")
    require_tokens(host, (TOKEN,), "write")


def test_a_port_that_is_taken_is_named():
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"Cannot listen on 127\.0\.0\.1 port {port}: .*--port"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["host.invalid", "a" * 300, "ä" * 70])
def test_a_host_that_cannot_be_listened_on_is_named(host):
    with pytest.raises(ConfigError, match="Cannot listen on"):
        listen(host, 0)
