"""``requestcov impact`` as a person and a CI meet it: a real store, real git repositories."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from requestcov.cli import main
from tests.reports.shop_store import SHIPPED, SHOWN, VIEWS, record, shop, write_store

HOUR = timedelta(hours=1)
MODELS = "def load():\n    return 1\n\n\ndef save():\n    return 2\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REQUESTCOV_SINKS", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)


def git(*arguments: str) -> str:
    run = ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments]
    return subprocess.run(run, check=True, capture_output=True, text=True).stdout


def commit(files: dict[str, str | None]) -> None:
    for name, text in files.items():
        if text is None:
            Path(name).unlink()
        else:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text)
    git("init", "-q", ".")
    git("add", "-A", *files)
    git("commit", "-qm", "change")


def ask(capsys, *arguments, store="requestcov.db"):
    """Exit code, the answer, errors."""
    code = main(["impact", "--store", store, "--format", "json", *arguments])
    captured = capsys.readouterr()
    return code, json.loads(captured.out)["impact"] if captured.out else None, captured.err


def lines(answer, path="shop/views.py"):
    [file] = [file for file in answer["files"] if file["path"] == path]
    return {line["line"]: (line["through"], line["requests"], line["unrun"]) for line in file["lines"]}


def changed(old, new, *, text=VIEWS):
    assert old in text
    return text.replace(old, new)


def test_endpoints_their_share_and_when_last(capsys):
    """Line 8 was run by one request of weight 1, of 200 of the endpoint and 201 in all."""
    shop(Path("requestcov.db"))
    commit({"shop/views.py": VIEWS})
    commit({"shop/views.py": changed("return 404", "return 410")})
    code, answer, err = ask(capsys, "--git", "HEAD~1..HEAD")
    assert (code, err) == (0, "")
    [one] = answer["endpoints"]
    assert (one["endpoint"], one["requests"], one["weight"], one["lines"]) == ("GET /orders/{id}", 1, 1.0, 1)
    assert one["of_endpoint"] == pytest.approx(1 / 200)
    assert one["share"] == answer["share"] == pytest.approx(1 / 201)
    assert one["last"].startswith("2026-11-20T12:00:00")
    assert lines(answer) == {8: ("line", 1, False)}
    assert answer["unrun"] == 0


def test_a_diff_in_a_file_on_standard_input_and_a_range_give_the_same(capsys, monkeypatch):
    shop(Path("requestcov.db"))
    commit({"shop/views.py": VIEWS})
    commit({"shop/views.py": changed("order.sent = True", "order.sent = 1")})
    content = git("diff", "HEAD~1")
    Path("it.diff").write_text(content)
    by_range = ask(capsys, "--git", "HEAD~1..")
    by_file = ask(capsys, "it.diff")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    by_input = ask(capsys, "-")
    assert by_range == by_file == by_input
    assert [one["endpoint"] for one in by_range[1]["endpoints"]] == ["POST /orders"]


def test_a_diff_that_is_not_yet_applied_fits_the_file_as_it_is(capsys):
    shop(Path("requestcov.db"))
    commit({"shop/views.py": VIEWS})
    commit({"shop/views.py": changed("pack(item)", "wrap(item)")})
    Path("it.diff").write_text(git("diff", "HEAD~1"))
    Path("shop/views.py").write_text(VIEWS)
    _, answer, _ = ask(capsys, "it.diff")
    assert lines(answer) == {17: ("line", 1, False)}


def test_a_diff_that_fits_no_side_is_told_not_guessed(capsys):
    shop(Path("requestcov.db"))
    commit({"shop/views.py": VIEWS})
    commit({"shop/views.py": changed("pack(item)", "wrap(item)")})
    Path("it.diff").write_text(git("diff", "HEAD~1"))
    Path("shop/views.py").write_text("# entirely\n# different\n")
    code, answer, _ = ask(capsys, "it.diff")
    assert code == 0
    [file] = answer["files"]
    assert "fits neither" in file["problem"]
    assert file["lines"] == answer["endpoints"] == []


def test_lines_that_moved_since_they_ran_are_found_by_their_function(capsys):
    """Requests ran VIEWS; the change is made to a text in which everything stands 40 lines lower."""
    shop(Path("requestcov.db"))
    moved = "# more\n" * 40 + VIEWS
    commit({"shop/views.py": moved})
    commit({"shop/views.py": changed("return 404", "return 410", text=moved)})
    _, answer, _ = ask(capsys, "--git", "HEAD~1..HEAD")
    assert lines(answer) == {48: ("line", 1, False)}


def test_a_function_changed_since_it_ran_is_told_as_unplaced(capsys):
    """The bare number would name a line of another meaning."""
    shop(Path("requestcov.db"))
    other = changed("if order is None", "if not order")
    commit({"shop/views.py": other})
    commit({"shop/views.py": changed("return 404", "return 410", text=other)})
    _, answer, _ = ask(capsys, "--git", "HEAD~1..HEAD")
    assert lines(answer) == {8: ("line", 0, True)}
    assert answer["files"][0]["unplaced"] == 4


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("    order.sent = True\n", "    order.sent = True\n    log(order)\n", {15: ("around", 1, False)}),
        ("        return 404\n", "        log()\n        return 404\n", {7: ("around", 4, False)}),
        ("        order,\n", "        order,\n        now,\n", {10: ("line", 3, False)}),
        ("def ship(order):", "def ship(order, by=None):", {14: ("function", 1, False)}),
        ("def ship(order):", "@logged\ndef ship(order):", {13: ("function", 1, False)}),
        ("LIMIT = 3", "LIMIT = 4", {3: ("import", 0, False)}),
        ("def ship", "# Sends.\ndef ship", {13: ("nothing", 0, False)}),
        ("def ship", "def both():\n    return 2\n\n\ndef ship", {13: ("import", 0, False)}),
        ("        pack(item)\n", "        pack(item)\n    return 1\n", {17: ("around", 1, False)}),
        (
            "        pack(item)\n",
            "        pack(item)\n\n\ndef last():\n    return 1\n",
            {17: ("import", 0, False)},
        ),
    ],
    ids=["after", "branch", "inside", "def", "decorator", "module", "comment", "function", "end", "below"],
)
def test_through_what_a_change_is_counted(capsys, old, new, found):
    shop(Path("requestcov.db"))
    commit({"shop/views.py": VIEWS})
    commit({"shop/views.py": changed(old, new)})
    _, answer, _ = ask(capsys, "--git", "HEAD~1..HEAD")
    assert lines(answer) == found


def test_a_request_counts_once_however_many_files_it_ran(capsys):
    """Two requests ran one changed file each, a third both: three of weight 6, not four of weight 8."""
    texts = {"shop/views.py": VIEWS, "shop/models.py": MODELS}
    records = [
        record("GET /", {**SHOWN, "shop/models.py": {2}}, texts=texts, weight=2.0),
        record("GET /", SHOWN, texts=texts, weight=2.0, at=HOUR),
        record("GET /", {"shop/models.py": {2}}, texts=texts, weight=2.0, at=2 * HOUR),
        record("GET /", {"shop/models.py": {6}}, texts=texts, weight=2.0, at=3 * HOUR),
    ]
    write_store(Path("requestcov.db"), records, texts=texts)
    commit(texts)
    commit(
        {
            "shop/views.py": changed("render(", "draw("),
            "shop/models.py": MODELS.replace("return 1", "return 3"),
        }
    )
    _, answer, _ = ask(capsys, "--git", "HEAD~1..HEAD")
    [one] = answer["endpoints"]
    assert (one["requests"], one["weight"], one["share"], one["lines"]) == (3, 6.0, 0.75, 2)
    assert one["last"].startswith("2026-11-20T12:00:00")


def test_renamed_deleted_new_binary_and_foreign_files(capsys):
    texts = {"shop/views.py": VIEWS, "shop/models.py": MODELS}
    records = [record("POST /", {**SHIPPED, "shop/models.py": {6}}, texts=texts)]
    write_store(Path("requestcov.db"), records, texts=texts)
    commit({**texts, "bin": "\0", "README": "a\n"})
    git("mv", "shop/views.py", "shop/pages.py")
    renamed = changed("pack(item)", "wrap(item)")
    new = {
        "shop/pages.py": renamed,
        "shop/new.py": "x = 1\n",
        "shop/models.py": None,
        "bin": "\0\1",
        "README": "b\n",
    }
    commit(new)
    _, answer, _ = ask(capsys, "--git", "HEAD~1..HEAD")
    files = {file["path"]: file for file in answer["files"]}
    assert {path: file["status"] for path, file in files.items()} == {
        "shop/views.py": "renamed",
        "shop/models.py": "deleted",
        "shop/new.py": "new",
        "bin": "binary",
        "README": "modified",
    }
    assert files["shop/views.py"]["new_path"] == "shop/pages.py"
    assert lines(answer) == {17: ("line", 1, False)}
    assert lines(answer, "shop/models.py")[2] == ("line", 0, True)
    assert lines(answer, "shop/models.py")[6] == ("line", 1, False)
    assert "outside of what is measured" in files["README"]["problem"]
    assert "binary" in files["bin"]["problem"]


def test_a_file_that_no_request_ran_has_lines_that_nobody_runs(capsys):
    shop(Path("requestcov.db"))
    commit({"shop/models.py": MODELS})
    commit({"shop/models.py": MODELS.replace("return 1", "return 3")})
    _, answer, _ = ask(capsys, "--git", "HEAD~1..HEAD")
    assert not answer["files"][0]["ran"]
    assert lines(answer, "shop/models.py") == {2: ("line", 0, True)}


def test_crlf_files_are_the_version_that_ran(capsys):
    text = VIEWS.replace("\n", "\r\n")
    texts = {"shop/views.py": text}
    write_store(Path("requestcov.db"), [record("POST /", SHIPPED, texts=texts)], texts=texts)
    git("init", "-q", ".")
    git("config", "core.autocrlf", "false")
    Path("shop").mkdir()
    for content in (text, text.replace("pack(", "wrap(").removesuffix("\r\n")):
        Path("shop/views.py").write_bytes(content.encode())
        git("add", "shop")
        git("commit", "-qm", "change")
    Path("it.diff").write_bytes(
        subprocess.run(["git", "diff", "HEAD~1"], check=True, capture_output=True).stdout
    )
    _, by_range, _ = ask(capsys, "--git", "HEAD~1..HEAD")
    _, by_file, _ = ask(capsys, "it.diff")
    assert by_range == by_file
    assert lines(by_range) == {17: ("line", 1, False)}


def test_a_repository_above_the_project(capsys, monkeypatch):
    """Names in a diff begin at the repository, in the store at the project; a range knows which is which."""
    commit({"apps/shop-1/shop/views.py": VIEWS, "shop/views.py": "x = 1\n"})
    commit({"apps/shop-1/shop/views.py": changed("return 404", "return 410")})
    monkeypatch.chdir("apps/shop-1")
    shop(Path("requestcov.db"))
    Path("it.diff").write_text(git("diff", "HEAD~1"))
    _, by_file, _ = ask(capsys, "it.diff")
    _, by_range, _ = ask(capsys, "--git", "HEAD~1..HEAD")
    assert lines(by_file) == lines(by_range) == {8: ("line", 1, False)}


def test_the_diff_of_two_folders_by_diff_itself(capsys):
    shop(Path("requestcov.db"))
    for folder, text in (("old", VIEWS), ("new", changed("return 404", "return 410")), (".", VIEWS)):
        Path(folder, "shop").mkdir(parents=True)
        Path(folder, "shop/views.py").write_text(text)
    made = subprocess.run(["diff", "-ru", "old", "new"], capture_output=True, check=False)
    Path("it.diff").write_bytes(made.stdout)
    _, answer, _ = ask(capsys, "it.diff")
    assert lines(answer) == {8: ("line", 1, False)}


@pytest.mark.parametrize(
    ("change", "fail_on", "code"),
    [
        (("return 404", "return 410"), "none", 0),
        (("return 404", "return 410"), "endpoints", 3),
        (("return 404", "return 410"), "unrun", 0),
        (("LIMIT = 3", "LIMIT = 4"), "endpoints", 0),
    ],
)
def test_exit_codes_for_ci(capsys, change, fail_on, code):
    shop(Path("requestcov.db"))
    commit({"shop/views.py": VIEWS})
    commit({"shop/views.py": changed(*change)})
    found, answer, err = ask(capsys, "--git", "HEAD~1..HEAD", "--fail-on", fail_on)
    assert found == code
    assert answer is not None
    assert ("GET /orders/{id}" in err) == (code == 3)


def test_lines_that_nobody_runs_can_fail_too(capsys):
    write_store(Path("requestcov.db"), [record("GET /", SHOWN)])
    commit({"shop/views.py": VIEWS})
    commit({"shop/views.py": changed("return 404", "return 410")})
    code, answer, err = ask(capsys, "--git", "HEAD~1..HEAD", "--fail-on", "unrun")
    assert (code, answer["unrun"]) == (3, 1)
    assert "1 of the changed lines" in err


def test_changed_tests_are_not_expected_to_be_run_by_requests(capsys):
    write_store(Path("requestcov.db"), [record("GET /", SHOWN)])
    commit({"shop/views.py": VIEWS, "tests/test_views.py": "def test_it():\n    assert 1\n"})
    commit({"tests/test_views.py": "def test_it():\n    assert 2\n"})
    code, answer, _ = ask(capsys, "--git", "HEAD~1..HEAD", "--fail-on", "unrun")
    assert (code, answer["unrun"]) == (0, 1)


def test_an_empty_diff_concerns_nobody(capsys):
    shop(Path("requestcov.db"))
    Path("it.diff").write_text("")
    code, answer, _ = ask(capsys, "it.diff", "--fail-on", "endpoints")
    assert code == 0
    assert answer["endpoints"] == answer["files"] == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["missing.diff"], "cannot be read"),
        (["requestcov.db"], "diff"),
        (["--git", "nowhere..HEAD"], "no commit 'nowhere'"),
        (["--git", "--output=x"], "expected one argument"),
        (["--git=--output=x"], "no range"),
        (["x.diff", "--git", "A..B"], "not both"),
    ],
)
def test_mistakes_are_one_sentence(capsys, arguments, why):
    shop(Path("requestcov.db"))
    commit({"shop/views.py": VIEWS})
    code, answer, err = ask(capsys, *arguments)
    assert (code, answer) == (2, None)
    assert why in err
    assert err.count("\n") == 1
    assert not Path("x").exists()


def test_outside_of_a_repository_git_says_so(capsys, monkeypatch):
    shop(Path("requestcov.db"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(Path.cwd().parent))
    code, _, err = ask(capsys, "--git", "A..B")
    assert code == 2
    assert "not a git repository" in err


def test_without_git_a_range_is_refused(capsys, monkeypatch):
    shop(Path("requestcov.db"))
    monkeypatch.setenv("PATH", "")
    code, _, err = ask(capsys, "--git", "A..B")
    assert (code, "not installed" in err) == (2, True)


def test_an_empty_store_is_nothing_to_show(capsys):
    write_store(Path("requestcov.db"), [])
    Path("it.diff").write_text("")
    assert ask(capsys, "it.diff")[0] == 1


def test_the_text(capsys):
    shop(Path("requestcov.db"))
    commit({"shop/views.py": VIEWS})
    commit(
        {"shop/views.py": changed("return 404", "return 410").replace("pack(item)", "wrap(item)\n    go()")}
    )
    assert main(["impact", "--git", "HEAD~1..HEAD"]) == 0
    out = capsys.readouterr().out
    assert "POST /orders" in out
    assert "shop/views.py (modified)" in out
    assert "       1   <1%    8 -           return 404" in out
    assert "records   5 here, standing for 201 requests" in out


def test_hostile_names_are_shown_harmlessly(capsys):
    name = "shop/\x1b[31mred.py"
    texts = {name: VIEWS}
    write_store(Path("requestcov.db"), [record("GET /\x1b[2J", {name: {8}}, texts=texts)], texts=texts)
    commit(texts)
    commit({name: changed("return 404", "return '\x1b[1m'")})
    assert main(["impact", "--git", "HEAD~1..HEAD"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "return 404" in out
