"""What ``requestcov doctor`` says of a collector: it asks it, stores nothing and shows no secret."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

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
        (status(404), "answered 404"),
        (status(302), "a redirect"),
        (status(200, b"<html>", Content_Type="text/html"), "is that a collector"),
    ],
    ids=["wrong token", "another server", "a redirect", "a web site"],
)
def test_a_collector_that_would_not_is_a_problem(behaviour, said: str) -> None:
    with collector() as there:
        there.unreadable = behaviour
        found = check(there.url)
    assert found.problem is not None
    assert re.search(said, found.problem)
    assert TOKEN not in str(found)


def test_a_collector_that_is_not_there_is_a_problem() -> None:
    found = check(f"http://127.0.0.1:{free_port()}")
    assert found.problem is not None
    assert "refused" in found.problem


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
