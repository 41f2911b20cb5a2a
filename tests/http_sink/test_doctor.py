"""What ``requestcov doctor`` says of a collector: it asks it, stores nothing and shows no secret."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path

import pytest
import trustme

from requestcov.cli import main
from requestcov.doctor import SinkCheck, diagnose
from tests.http_sink.app import TOKEN, App, until
from tests.http_sink.collector import collector, free_port, status


@pytest.fixture(autouse=True)
def _app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("REQUESTCOV_")]:
        monkeypatch.delenv(name)
    (tmp_path / "views.py").write_text("x = 1\n")


def check(url: str, **more: str) -> SinkCheck:
    options = {"SINKS": url, "TOKEN": TOKEN, "SINK_TIMEOUT": "2"} | more
    (found,) = diagnose({f"REQUESTCOV_{name}": value for name, value in options.items()}).sinks
    return found


def test_a_collector_that_would_take_batches_has_no_problem(tmp_path: Path) -> None:
    """It refuses the empty body, as it has to, and so nothing is stored."""
    with collector() as there:
        assert check(there.url) == SinkCheck(there.url, None)
        assert there.kept.batches == {}
    assert [path.name for path in tmp_path.iterdir()] == ["views.py"]


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (status(401, TOKEN.encode()), r"refuses the token \(401\); see the option token"),
        (status(403), r"refuses the token \(403\); see the option token"),
        (
            status(403, b'{"error": "The server is not called by this host name."}'),
            "answered 403: The server is not called by this host name$",
        ),
        (status(404), "answered 404"),
        (status(302), "a redirect"),
        (status(200, b"<html>", Content_Type="text/html"), "is that a collector"),
    ],
    ids=["wrong token", "a read token", "another host name", "another server", "a redirect", "a web site"],
)
def test_a_collector_that_would_not_is_a_problem(behaviour, said: str) -> None:
    with collector() as there:
        there.unreadable = behaviour
        found = check(there.url)
    assert found.problem is not None
    assert re.search(said, found.problem)
    assert TOKEN not in str(found)


def test_a_collector_that_asks_for_a_token_which_is_not_set_is_a_problem() -> None:
    with collector() as there:
        there.unreadable = status(401)
        found = check(there.url, TOKEN="")
    assert found.problem == "the collector asks for a token (401), and the option token is not set"


def test_a_collector_that_is_not_there_is_a_problem() -> None:
    found = check(f"http://127.0.0.1:{free_port()}")
    assert found.problem is not None
    assert "refused" in found.problem
    assert found.note == "until it takes them, records wait in the spool"


def test_a_proxy_that_is_not_there_is_told_from_the_collector() -> None:
    with collector() as there:
        found = check(there.url, PROXY=f"http://127.0.0.1:{free_port()}")
    assert found.problem is not None
    assert "refused, by way of the proxy" in found.problem


def test_a_server_without_tls_is_said() -> None:
    with collector() as there:
        found = check(there.url.replace("http:", "https:"))
    assert found.problem is not None
    assert found.problem.endswith("; what listens there speaks no TLS")


def test_an_authority_that_is_not_known_is_said() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with collector(context) as there:
        found = check(there.url)
    assert found.problem is not None
    assert found.problem.endswith("; its authority is not known here: see the option ca_file")


@pytest.mark.parametrize(
    ("url", "more", "name", "problem"),
    [
        ("https://joe:hunter2@c.example", {}, "https://***@c.example", "it has a user name or password"),
        (
            "https://c.example",
            {"CA_FILE": "none.pem"},
            "https://c.example",
            "ca_file='none.pem' cannot be used",
        ),
    ],
)
def test_a_sink_that_cannot_be_made_is_named_once(
    url: str, more: dict[str, str], name: str, problem: str
) -> None:
    found = check(url, **more)
    assert found.name == name
    assert found.problem is not None
    assert found.problem.startswith(problem)


def test_a_spool_on_a_disk_with_less_room_than_it_may_take_is_said() -> None:
    with collector() as there:
        found = check(there.url, SPOOL_SIZE=str(2**50))
    assert found.note is not None
    assert re.fullmatch("only [0-9]+ MB are free for the spool, which may take [0-9]+", found.note)


def test_what_waits_in_the_spool_is_said(tmp_path: Path) -> None:
    port = free_port()
    with App(f"http://127.0.0.1:{port}", "requestcov-spool") as app:
        app.put(7)
        until(lambda: app.state.held == 7)
    note = check(f"http://127.0.0.1:{port}").note
    assert note is not None
    assert "with 7 records wait in " in note


def test_a_spool_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with collector() as there:
        found = check(there.url, SPOOL=str(tmp_path / "file"))
    assert found.note is not None
    assert "is not a directory: what cannot be sent at once stays in memory" in found.note


def test_a_token_that_anybody_could_read_on_the_way_is_said() -> None:
    note = check("http://collector.invalid").note
    assert note is not None
    assert "unencrypted" in note


def test_the_command_says_what_waits_also_of_a_collector_that_is_not_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTCOV_SINKS", f"http://127.0.0.1:{free_port()}")
    assert main(["doctor"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "Connection refused; until it takes them, records wait in the spool" in shown


def test_the_command_shows_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as there:
        monkeypatch.setenv("REQUESTCOV_SINKS", there.url)
        monkeypatch.setenv("REQUESTCOV_TOKEN", TOKEN)
        monkeypatch.setenv("REQUESTCOV_PROXY", f"http://joe:hunter2@127.0.0.1:{there.port}")
        main(["doctor"])
    shown = "".join(capsys.readouterr())
    assert there.url in shown
    assert TOKEN not in shown
    assert "hunter2" not in shown
