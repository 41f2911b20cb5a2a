"""Which lines are exported, where they stand in the working tree, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from requestcov._source import Source, digest_of, parse
from requestcov.analysis.evidence import Run, Sources
from requestcov.analysis.export import Export, export
from tests.analysis.evidence_by_hand import build

OLD = """\
LIMIT = 3


def show(order):
    if order is None:
        return 404
    return 200


def ship(order):
    order.sent = True
    return order
"""
NEW = "import os\n\n" + OLD.replace("True", "False")


def tree_of(texts: Mapping[str, str]):
    def tree(path: str) -> Source | None:
        if path not in texts:
            return None
        text = texts[path].encode()
        return parse(path, digest_of(text), text)

    return tree


def run(endpoint: str, lines: set[int], requests: int, text: str = OLD, arcs=None, path="a.py") -> Run:
    branches = None if arcs is None else frozenset(arcs)
    digest = digest_of(text.encode()) if text else ""
    return Run(endpoint, path, digest, frozenset(lines), requests, requests * 10.0, branches)


def exported(runs: list[Run], tree: str | None, known: tuple[str, ...] = (OLD, NEW), **how: bool) -> Export:
    texts = {digest_of(text.encode()): text for text in known}
    found = replace(build({}, []), runs=tuple(runs), source=Sources(lambda path, digest: texts.get(digest)))
    return export(found, tree_of({} if tree is None else {"a.py": tree}), **how)


def hits(found: Export) -> dict[int, int]:
    (file,) = found.files
    return {line.line: line.requests for line in file.lines}


def test_requests_are_summed_by_line_and_function_and_all_executable_lines_are_listed():
    runs = [run("GET /a", {5, 7}, 3), run("GET /a", {5, 6}, 1), run("GET /b", {5, 7}, 2)]
    found = exported(runs, OLD)
    assert hits(found) == {1: 0, 4: 0, 5: 6, 6: 1, 7: 5, 10: 0, 11: 0, 12: 0}
    (file,) = found.files
    assert file.lines[2].endpoints == {"GET /a": 4, "GET /b": 2}
    assert file.lines[2].weight == 60
    assert [(f.name, f.requests, f.weight) for f in file.functions] == [("show", 6, 60.0), ("ship", 0, 0.0)]
    assert file.ran == {"GET /a": {5, 6, 7}, "GET /b": {5, 7}}
    assert (found.left_out, found.branches, file.branches) == ((), False, None)


def test_lines_of_another_version_are_carried_by_unchanged_function_and_the_rest_is_named():
    runs = [run("GET /a", {1, 5, 7}, 3), run("GET /b", {11, 12}, 1), run("GET /a", {7, 8, 9}, 1, NEW)]
    found = exported(runs, NEW)
    assert hits(found) == {1: 0, 3: 0, 6: 0, 7: 4, 8: 1, 9: 4, 12: 0, 13: 0, 14: 0}
    (left,) = found.left_out
    assert (left.path, left.digest, left.lines) == ("a.py", digest_of(OLD.encode()), 3)
    assert "changed since" in left.why


def test_what_the_working_tree_or_the_store_lacks_is_left_out():
    runs = [run("GET /a", {5, 7}, 3)]
    for tree, known, why in (
        (None, (OLD,), "not in the working tree"),
        ("def (:", (OLD,), "this Python cannot parse it"),
        (NEW, (), "the text that ran is not known"),
    ):
        found = exported(runs, tree, known)
        assert found.files == ()
        assert [one.lines for one in found.left_out] == [2]
        assert why in found.left_out[0].why
    assert exported([run("GET /a", {5}, 1, text="")], OLD).left_out[0].digest == ""


def test_branches_are_exported_if_all_that_ran_has_them():
    runs = [
        run("GET /a", {5, 7}, 3, arcs={(5, 7)}),
        run("GET /a", {5, 6}, 1, arcs={(5, 6)}),
        run("GET /b", {5, 7}, 2, arcs={(5, 7)}),
    ]
    (file,) = exported(runs, OLD).files
    assert file.branches is not None
    assert [(b.line, b.to, b.requests) for b in file.branches] == [(5, 6, 1), (5, 7, 5)]
    assert file.arcs == {"GET /a": {(5, 6), (5, 7)}, "GET /b": {(5, 7)}}
    (file,) = exported(runs, NEW).files
    assert file.branches is not None
    assert [(b.line, b.to, b.requests) for b in file.branches] == [(7, 8, 1), (7, 9, 5)]
    assert exported(runs, OLD, branches=False).files[0].branches is None
    assert exported([*runs, run("GET /c", {5, 7}, 1)], OLD).branches is False


def test_a_branch_that_leaves_a_function_is_carried_with_it():
    old = "def run(items):\n    for item in items:\n        print(item)\n"
    new = "# moved\n" + old
    runs = [run("GET /a", {2, 3}, 1, old, arcs={(2, 3), (2, -1)})]
    (file,) = exported(runs, new, (old, new)).files
    assert file.branches is not None
    assert [(b.line, b.to, b.requests) for b in file.branches] == [(3, -2, 1), (3, 4, 1)]
