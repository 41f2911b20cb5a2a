"""The ``requestcov`` command as a person meets it: answers, mistakes, exit codes."""

from __future__ import annotations

import gc
import json
import sqlite3
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

import requestcov
from requestcov.cli import main
from tests.reports.shop_store import SHIPPED, SHOWN, VIEWS, record, shop, write_store


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("REQUESTCOV_SINKS", raising=False)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    try:
        code = main(arguments)
    except SystemExit as left:  # argparse, after --help and --version
        code = int(left.code or 0)
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"requestcov {requestcov.__version__}\n", "")


@pytest.mark.parametrize("threshold", [700, 0, 90_000])
def test_garbage_is_seldom_looked_for_while_a_command_runs_and_as_before_when_it_is_done(
    monkeypatch, threshold
):
    during = []
    monkeypatch.setattr("requestcov.cli.load", lambda name: during.append(gc.get_threshold()))
    before = gc.get_threshold()
    gc.set_threshold(threshold, 11, 12)
    try:
        with pytest.raises(AttributeError):  # There is no such command.
            main(["report"])
        assert gc.get_threshold() == (threshold, 11, 12)
        assert during == [(threshold and max(threshold, 50_000), 11, 12)]
    finally:
        gc.set_threshold(*before)


def test_help_names_the_commands(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "report" in out
    assert "show" in out


def test_the_default_store_is_the_default_sink(capsys):
    shop(Path("requestcov.db"))
    code, out, err = run(capsys, "report")
    assert (code, err) == (0, "")
    assert "GET /orders/{id}" in out


def test_the_first_sqlite_sink_of_the_environment_is_read(capsys, monkeypatch):
    shop(Path("other.db"))
    monkeypatch.setenv("REQUESTCOV_SINKS", "file:///x.jsonl,sqlite:///other.db,sqlite:///third.db")
    code, out, _ = run(capsys, "report")
    assert code == 0
    assert "sqlite:///other.db" in out


def test_a_bad_environment_is_refused_by_name(capsys, monkeypatch):
    monkeypatch.setenv("REQUESTCOV_SINK", "x")
    code, _, err = run(capsys, "report")
    assert code == 2
    assert "REQUESTCOV_SINK is not an option of requestcov: did you mean REQUESTCOV_SINKS?" in err


def test_a_named_store_needs_no_sound_environment(capsys, monkeypatch):
    shop(Path("s.db"))
    monkeypatch.setenv("REQUESTCOV_SINK", "x")
    assert run(capsys, "report", "--store", "s.db")[0] == 0


def test_json_is_what_the_documentation_says(capsys):
    shop(Path("requestcov.db"))
    code, out, err = run(capsys, "report", "--format", "json")
    data = json.loads(out)
    assert (code, err, data["v"]) == (0, "", 1)
    assert list(data) == ["v", "selection", "footing", "endpoints", "union"]
    first = data["endpoints"][1]
    assert (first["endpoint"], first["method"], first["route"]) == ("GET /orders/{id}", "GET", "/orders/{id}")
    assert (first["executed"], first["executable"], first["coverage"]) == (3, 3, 1.0)
    assert first["functions"] == [
        {
            "path": "shop/views.py",
            "name": "show",
            "line": 6,
            "executed": 3,
            "executable": 3,
            "taken": None,
            "branches": None,
            "coverage": 1.0,
            "branch_coverage": None,
        }
    ]
    assert data["footing"]["dropped"] == {"queue_full": 2}
    assert data["footing"]["first"] == "2026-11-20T10:00:00.000000Z"
    code, out, err = run(capsys, "report", "--format", "json", "--by", "file")
    (file,) = json.loads(out)["files"]
    assert (file["path"], file["endpoints"]) == ("shop/views.py", ["GET /orders/{id}", "POST /orders"])


def test_every_key_of_the_json_is_documented(capsys):
    """docs/cli.md names each of them in code quotes."""
    shop(Path("requestcov.db"))
    documented = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()

    def keys(value: object) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(keys, value))
        if isinstance(value, dict):
            return set(value).union(*map(keys, value.values())) - {"queue_full", "aborted"}
        return set()

    for by in ("endpoint", "file", "function", "release"):
        _, out, _ = run(capsys, "report", "--format", "json", "--by", by)
        assert not [key for key in keys(json.loads(out)) if f"`{key}`" not in documented]


def test_report_counts_functions_and_releases_too(capsys):
    shop(Path("requestcov.db"))
    code, out, _ = run(capsys, "report", "--by", "function", "--format", "json")
    functions = json.loads(out)["functions"]
    assert code == 0
    assert [(f["name"], f["executed"], f["endpoints"]) for f in functions] == [
        ("show", 3, ["GET /orders/{id}"]),
        ("ship", 3, ["POST /orders"]),
    ]
    code, out, _ = run(capsys, "report", "--by", "release")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[2:4]] == ["r1", "r2"]
    assert "all by the newest" in " ".join(out.split())
    assert "show" in run(capsys, "report", "--by", "function")[1]


def test_report_narrows_to_one_endpoint_and_a_period(capsys):
    shop(Path("requestcov.db"))
    code, out, _ = run(capsys, "report", "--endpoint", "get /ord", "--by", "file", "--format", "json")
    data = json.loads(out)
    assert (code, data["selection"]["endpoint"]) == (0, "GET /orders/{id}")
    assert (data["files"][0]["executed"], data["union"]["recorded"]) == (3, 4)
    code, out, _ = run(capsys, "report", "--endpoint", "get /ord", "--since", "2026-11-21")
    assert code == 0
    assert "endpoint GET /orders/{id}" in out
    assert "2/3" in out
    code, _, err = run(capsys, "report", "--endpoint", "orders")
    assert code == 1
    assert "could be any of these" in err


def test_show_finds_endpoints_and_files(capsys):
    shop(Path("requestcov.db"))
    for target in ("GET /orders/{id}", "get /orders", "/orders/{id}"):
        code, out, _ = run(capsys, "show", target)
        assert (code, out.splitlines()[0]) == (0, "GET /orders/{id}")
    for target in ("shop/views.py", "views.py", str(Path.cwd() / "shop/views.py")):
        code, out, _ = run(capsys, "show", target)
        assert (code, out.splitlines()[0]) == (0, "shop/views.py")


def test_what_is_ambiguous_or_unknown_is_answered_with_names(capsys):
    shop(Path("requestcov.db"))
    code, out, err = run(capsys, "show", "orders")
    assert (code, out) == (1, "")
    assert err.splitlines()[1:] == ["  GET /orders/{id}", "  POST /orders"]
    code, _, err = run(capsys, "show", "POST /oders")
    assert code == 1
    assert "near it are:\n  POST /orders" in err


def test_an_endpoint_may_begin_with_a_dash(capsys):
    write_store(Path("requestcov.db"), [record("-x /odd", SHOWN)])
    assert run(capsys, "show", "-x /odd")[0] == 0
    assert run(capsys, "show", "--", "-x")[0] == 0


def test_an_endpoint_that_was_only_seen_has_nothing_to_show(capsys):
    shop(Path("requestcov.db"))
    code, _, err = run(capsys, "show", "/quiet")
    assert code == 1
    assert "GET /quiet was seen, but no request to it" in err


def test_an_older_version_is_chosen_by_the_beginning_of_its_digest(capsys):
    texts = {"shop/views.py": VIEWS.replace("sent", "gone")}
    records = [record("GET /a", SHIPPED), record("GET /a", SHIPPED, texts=texts, at=timedelta(hours=1))]
    write_store(Path("requestcov.db"), records)
    old = records[0].blocks[0].digest
    for target in ("views.py", "GET /a"):
        code, out, _ = run(capsys, "show", target, "--digest", old[:6])
        assert code == 0
        assert "an older one of 2" in out
        assert "order.sent = True" in out
    code, _, err = run(capsys, "show", "views.py", "--digest", "zz")
    assert code == 1
    assert old[:12] in err


def test_nothing_recorded_is_exit_code_1(capsys):
    shop(Path("requestcov.db"))
    code, out, err = run(capsys, "report", "--release", "none")
    assert code == 1
    assert "0 here" in out
    assert "no request is recorded here" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["repotr"], "'repotr' is not a command: did you mean report?"),
        (["xyz"], "'xyz' is not a command: known are"),
        ([], "See requestcov --help."),
        (["report", "--by", "line"], "invalid choice: 'line'"),
        (["report", "--stor", "x"], "unrecognized arguments: --stor"),
        (["report", "--since", "yesterday"], "'yesterday' is not a day like 2026-11-22"),
        (["report", "--since", "2026-02-30"], "'2026-02-30' is not a day like 2026-11-22"),
        (["report", "--since", "2026-11-22", "--until", "2026-11-21"], "--since is after --until"),
        (["show"], "the following arguments are required"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(capsys, arguments, said):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("requestcov: ")
    assert err.count("\n") == 1


def empty(path: Path) -> None:
    path.touch()


def corrupt(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)


def truncated(path: Path) -> None:
    shop(path)
    path.write_bytes(path.read_bytes()[:9000])


def newer(path: Path) -> None:
    shop(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")


def directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [None, empty, corrupt, truncated, newer, foreign, directory])
@pytest.mark.parametrize("command", [["report"], ["report", "--format", "json"], ["show", "x"]])
def test_a_store_that_cannot_be_read_is_one_sentence_and_exit_code_2(capsys, make, command):
    if make is not None:
        make(Path("bad.db"))
    code, out, err = run(capsys, *command, "--store", "bad.db")
    assert (code, out) == (2, "")
    assert "bad.db" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE source SET text = x'00'",
        "UPDATE text SET value = x'ff' WHERE value = 'POST /orders'",
        "UPDATE ledger SET dropped = '{'",
    ],
)
def test_damage_that_sqlite_cannot_see_is_one_sentence_too(capsys, damage):
    shop(Path("requestcov.db"))
    with closing(sqlite3.connect("requestcov.db")) as connection:
        connection.execute(damage)
        connection.commit()
    for command in (["report"], ["show", "views.py"]):
        code, out, err = run(capsys, *command)
        assert (code, out) == (2, "")
        assert "is damaged" in err
        assert err.count("\n") == 1


def test_a_store_url_of_another_kind_is_refused(capsys):
    code, _, err = run(capsys, "report", "--store", "file:///x.jsonl")
    assert code == 2
    assert "give the path of a SQLite store" in err


def test_hostile_names_reach_no_stream_unescaped(capsys):
    route = "GET /\x1b[31m[red]"
    write_store(Path("requestcov.db"), [record(route, SHOWN), record(route + "2", SHOWN)])
    for arguments in (
        ["report"],
        ["report", "--format", "json"],
        ["show", "red"],
        ["show", "\x1b"],
        ["\x1b]0;x"],
    ):
        _, out, err = run(capsys, *arguments)
        assert "\x1b" not in out + err


def test_without_rich_a_sentence_says_what_to_install(capsys, monkeypatch):
    shop(Path("requestcov.db"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("requestcov.reports.")]:
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr(name, raising=False)
    monkeypatch.setitem(sys.modules, "rich", None)
    for command in (["report"], ["show", "views.py"]):
        code, out, err = run(capsys, *command)
        assert (code, out) == (2, "")
        assert "pip install 'requestcov[cli]'" in err
    assert run(capsys, "report", "--format", "json")[0] == 0


def test_closed_standard_streams_are_no_error(monkeypatch):
    shop(Path("requestcov.db"))
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["report"]) == 0
    assert sys.stdout is sys.stderr
    sys.stdout.close()
