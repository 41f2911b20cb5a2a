"""``requestcov doctor``: what it finds, and that it finds what would stop recording."""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from requestcov.cli import main
from requestcov.doctor import Diagnosis, diagnose, try_engine
from requestcov.errors import ConfigError
from tests.storage.processes import run_as_nobody


@pytest.fixture(autouse=True)
def _app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("REQUESTCOV_", "COVERAGE_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/views.py").write_text("def f():\n    return 1\n")
    (tmp_path / "shop/models.py").write_text("x = 1\n")


def problems(**variables: str) -> str:
    return "\n".join(diagnose({f"REQUESTCOV_{name}": value for name, value in variables.items()}).problems)


def test_a_sound_place_has_no_problems(tmp_path: Path):
    found = diagnose({"REQUESTCOV_SOURCE": "shop", "REQUESTCOV_RELEASE": "r1"})
    assert found.problems == ()
    assert found.measured.files == 2
    assert found.measured.sources == (str(tmp_path / "shop"),)
    assert [sink.name for sink in found.sinks] == ["sqlite:///requestcov.db"]


def test_nothing_is_left_behind(tmp_path: Path):
    before = sorted(path.name for path in tmp_path.rglob("*"))
    diagnose({})
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("branch", [False, True])
def test_the_engine_is_chosen_and_tried(branch: bool):
    found = diagnose({"REQUESTCOV_BRANCH": str(branch).lower()})
    expected = "monitoring" if sys.version_info >= (3, 12) and not branch else "trace"
    assert found.engine.name == expected
    assert list(found.engine.rejected) == [{"monitoring": "trace", "trace": "monitoring"}[expected]]
    assert try_engine(branch) is None


def test_a_trace_function_that_stops_the_trace_engine_is_a_problem():
    """As under a debugger."""

    def debugger(frame, event, argument):
        return None

    before = sys.gettrace()
    sys.settrace(debugger)
    try:
        found = diagnose({"REQUESTCOV_BRANCH": "true"})
    finally:
        sys.settrace(before)
    assert "a debugger or another coverage tool has the thread's trace function" in "\n".join(found.problems)
    assert "test_doctor" in "\n".join(found.notes)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with Python 3.12")
def test_tool_ids_that_are_all_taken_are_a_problem():
    taken = []
    for tool in range(6):
        if sys.monitoring.get_tool(tool) is None:
            sys.monitoring.use_tool_id(tool, f"other {tool}")
            taken.append(tool)
    try:
        found = diagnose({})
    finally:
        for tool in taken:
            sys.monitoring.free_tool_id(tool)
    assert "every sys.monitoring tool id is taken by other tools" in "\n".join(found.problems)
    assert "4 by other 4" in "\n".join(found.notes)


def test_every_option_is_told_with_where_it_came_from():
    found = diagnose(
        {
            "REQUESTCOV_SAMPLE_RATE": "0.5",
            "REQUESTCOV_FORCE_SECRET": "0123456789abcdef0",
            "REQUESTCOV_FIRST": " ",
        }
    )
    settings = {setting.name: (setting.value, setting.origin) for setting in found.settings}
    assert settings["sample_rate"] == ("0.5", "REQUESTCOV_SAMPLE_RATE")
    assert settings["force_secret"] == ("set", "REQUESTCOV_FORCE_SECRET")
    assert settings["first"] == ("5", "default")


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"ENABLED": "off"}, "enabled is off"),
        ({"SAMPLE_RATE": "0", "FIRST": "0"}, "no request is ever sampled"),
        ({"OMIT": "*"}, "No Python file is in scope"),
        ({"SINKS": "sqlite:///shop"}, "its path is a directory"),
        ({"SINKS": "nothing://x"}, "no sink is called 'nothing'"),
        ({"SINKS": "file:///shop/views.py/x.jsonl"}, "is not a directory"),
        ({"SINKS": "sqlite:///foreign.db"}, "it is a database of another program"),
    ],
)
def test_what_would_stop_recording_is_a_problem(variables, problem):
    connection = sqlite3.connect("foreign.db")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    assert problem in problems(**variables)


def test_a_directory_that_cannot_be_written_is_a_problem():
    """Looked at by a user without rights: root may write everywhere."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "views.py").write_text("def f():\n    return 1\n")
        (directory / "closed").mkdir()
        (directory / "closed").chmod(0o500)
        directory.chmod(0o555)
        code = f"""
os.chdir({name!r})
print(*diagnose({{"REQUESTCOV_SINKS": "sqlite:///closed/s.db,sqlite:///s.db"}}).problems, sep="\\n")
"""
        found = run_as_nobody(code, imports="from requestcov.doctor import diagnose")
        assert len(found.splitlines()) == 2, found
        assert all("cannot be written" in problem for problem in found.splitlines())


def test_what_is_left_out_of_scope_is_counted_by_reason():
    found = diagnose({"REQUESTCOV_OMIT": "*/models.py"})
    assert found.measured.files == 1
    assert found.measured.left_out == {"matches an omit pattern": 1}


def test_other_tools_are_noted(monkeypatch: pytest.MonkeyPatch):
    def hook(frame, event, argument):
        return None

    before = threading.gettrace()
    threading.settrace(hook)
    try:
        notes = "\n".join(diagnose({"COVERAGE_PROCESS_START": "x"}).notes)
    finally:
        threading.settrace(before)  # type: ignore[arg-type]
    assert "Every new thread has a trace function" in notes
    assert "COVERAGE_PROCESS_START is set" in notes


def test_an_option_that_cannot_be_used_is_refused():
    with pytest.raises(ConfigError, match="REQUESTCOV_SAMPLE_RATE"):
        diagnose({"REQUESTCOV_SAMPLE_RATE": "50%"})


def test_the_command_prints_it_and_its_exit_code_tells(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "Requests would be recorded here." in out
    assert max(map(len, out.splitlines())) <= 80
    monkeypatch.setenv("REQUESTCOV_ENABLED", "no")
    assert main(["doctor"]) == 1
    captured = capsys.readouterr()
    assert "Problem: enabled is off" in captured.out
    assert "requests would not be recorded here" in captured.err
    monkeypatch.setenv("REQUESTCOV_SAMPLE_RATE", "2")
    assert main(["doctor"]) == 2


def test_modules_beside_the_app_are_found_as_its_server_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command is started from elsewhere; uvicorn and gunicorn import from the working directory."""
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one not in ("", str(tmp_path))])
    (tmp_path / "beside_the_app.py").write_text("x = 1\n")
    monkeypatch.setenv("REQUESTCOV_SOURCE", "beside_the_app")
    assert main(["doctor"]) == 0
    assert "1 Python file" in capsys.readouterr().out
    assert str(tmp_path) not in sys.path


def test_secrets_and_control_characters_do_not_show(capsys, monkeypatch):
    monkeypatch.setenv("REQUESTCOV_FORCE_SECRET", "open-sesame-0123456789")
    monkeypatch.setenv("REQUESTCOV_SINKS", "http://user:hunter2@example.org/?token=hunter2")
    main(["doctor"])
    captured = capsys.readouterr()
    assert "sesame" not in captured.out + captured.err
    assert "hunter2" not in captured.out + captured.err


def test_a_diagnosis_is_plain_data():
    assert isinstance(diagnose({}), Diagnosis)
    assert diagnose({}) == diagnose({})
