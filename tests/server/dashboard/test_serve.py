"""``requestcov serve`` as people start it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.server.dashboard.conftest import begin, page_of, serving
from tests.server.dashboard.stores import shop


def test_the_address_is_printed_and_answers(tmp_path: Path):
    process = begin("--store", shop(tmp_path / "s.db"), "--port", "0")
    assert process.stdout is not None
    line = process.stdout.readline()
    told = re.fullmatch(r"requestcov shows its pages at (http://127\.0\.0\.1:\d+/) until Ctrl-C\.\n", line)
    assert told
    assert page_of(told[1]).status_code == 200
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=30)
    assert rest == ""


def test_the_store_of_the_app_here_is_taken_unless_another_is_named(tmp_path: Path):
    shop(tmp_path / "here.db")
    process = begin("--port", "0", environ={"REQUESTCOV_SINKS": "sqlite:///here.db"}, cwd=tmp_path)
    assert process.stdout is not None
    address = process.stdout.readline().split()[5]
    assert "here.db" in page_of(address).text
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


def test_a_browser_is_opened_when_that_is_wished_for(tmp_path: Path):
    """BROWSER is what Python's webbrowser starts."""
    browser, told = tmp_path / "browser", tmp_path / "told"
    browser.write_text(f'#!/bin/sh\necho "$1" > {told}.part && mv {told}.part {told}\n')
    browser.chmod(0o755)
    with serving(shop(tmp_path / "s.db"), "--open", environ={"BROWSER": str(browser)}) as address:
        for _ in range(200):
            if told.exists():
                break
            httpx.get(address + "/live")
        assert told.read_text().strip() == address + "/"


def test_a_wrong_flag_is_a_sentence(tmp_path: Path):
    process = begin("--port", "http", cwd=tmp_path)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "--port='http' cannot be used: allowed is a whole number from 0 to 65535." in said


def test_the_help_names_the_port_it_takes():
    process = begin("--help")
    said, _ = process.communicate(timeout=30)
    assert "Default: 8321." in " ".join(said.split())


def test_a_store_that_is_not_there_is_said_where_the_server_was_started(tmp_path: Path):
    process = begin("--store", str(tmp_path / "none.db"), "--port", "0")
    assert process.stdout is not None
    assert "requestcov shows its pages at" in process.stdout.readline()
    assert process.stdout.readline().startswith(f"requestcov: There is no store '{tmp_path}/none.db'")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "jinja2", "rich"])
@pytest.mark.parametrize("command", ["serve", "collect"])
def test_without_the_extra_one_sentence_says_what_to_install(command: str, package: str, tmp_path: Path):
    code = f"import sys; sys.modules[{package!r}] = None; from requestcov.cli import main; sys.exit(main())"
    process = subprocess.run(
        [sys.executable, "-c", code, command, "--store", str(tmp_path / "s.db"), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert process.returncode == 2
    said = f"requestcov: the server needs the package {package}: pip install 'requestcov[server]'\n"
    assert process.stderr == said
