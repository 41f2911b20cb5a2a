"""The working tree is walked as the scope says."""

from __future__ import annotations

from requestcov._source import parse
from requestcov.analysis import tree
from requestcov.analysis.tree import walk
from requestcov.config import Config
from requestcov.scope import Scope


def test_files_in_scope_are_found_and_hidden_ones_and_environments_are_not(tmp_path, monkeypatch):
    for name in ("shop/a.py", "shop/deep/b.py", ".git/c.py", "env/d.py", "shop/e.txt", "left/f.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("def f(x):\n    return x\n")
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    monkeypatch.chdir(tmp_path)
    found = walk(Scope(Config.load(omit=["left/*"])))
    assert sorted(found) == ["shop/a.py", "shop/deep/b.py"]
    assert [function.name for function in found["shop/a.py"].functions] == ["f"]


def test_a_file_is_parsed_when_it_is_first_looked_at(tmp_path, monkeypatch):
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    parsed = []
    monkeypatch.setattr(tree, "parse", lambda path, *rest: parsed.append(path) or parse(path, *rest))
    found = walk(Scope(Config.load()))
    assert (len(found), parsed) == (2, [])
    assert found["b.py"] is found["b.py"]
    assert parsed == ["b.py"]


def test_a_file_that_cannot_be_parsed_is_found_with_its_problem(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    (source,) = walk(Scope(Config.load())).values()
    assert source.problem
