"""Which lines belong to a function's body, and which run at import."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from textwrap import dedent

import coverage
from hypothesis import given
from hypothesis import strategies as st

from requestcov._coverage import parse as parse_source
from requestcov._source import Source, carried_branches, digest_of, parse


def source(text: str | bytes) -> Source:
    content = text if isinstance(text, bytes) else dedent(text).lstrip("\n").encode()
    return parse("shop/views.py", digest_of(content), content)


def bodies(text: str) -> dict[str, list[int]]:
    return {function.name: sorted(function.body) for function in source(text).functions}


def test_lines_that_run_at_import_belong_to_no_function():
    """Decorators, def lines, default values, class bodies and module level run at import."""
    assert bodies(
        """
        import os

        LIMIT = os.cpu_count()

        @cache
        def total(order, tax=rate(
            "full")):
            '''Sum.'''
            net = order.net
            return net * tax

        class Order:
            size = 3

            def ship(self):
                self.sent = True
        """
    ) == {"total": [9, 10], "Order.ship": [16]}


def test_a_nested_function_owns_its_body_and_the_outer_one_its_def_line():
    assert bodies(
        """
        def outer():
            @wraps
            def inner():
                return 1
            class Local:
                x = 1
                def method(self):
                    return 2
            return inner
        """
    ) == {
        "outer": [2, 3, 5, 6, 7, 9],
        "outer.<locals>.inner": [4],
        "outer.<locals>.Local.method": [8],
    }


def test_lambdas_and_comprehensions_belong_to_the_function_around_them():
    assert bodies(
        """
        double = lambda x: x * 2
        def f(xs):
            key = lambda x: (
                x + 1
            )
            return [
                key(x)
                for x in xs
            ]
        """
    ) == {"f": [3, 6]}


def test_a_function_on_one_line_has_no_body_of_its_own():
    """Its line runs at import too, so seeing it run proves nothing."""
    assert bodies("def f(): return 1\nasync def g(a,\n  b): return 2\n") == {"f": [], "g": []}


def test_inner_lines_count_as_their_statement():
    text = """
    def f():
        call(
            1,
            2,
        )
        # a comment
        return 3
    """
    assert source(text).statements([3, 4, 6, 7, 99]) == {2, 7}


def test_functions_are_found_in_every_kind_of_block():
    text = """
    if A:
        def a():
            return 1
    elif B:
        def b():
            return 1
    else:
        def c():
            return 1
    try:
        def d():
            return 1
    except E:
        def e():
            return 1
    finally:
        def f():
            return 1
    with X:
        for i in Y:
            while Z:
                def g():
                    return 1
    match M:
        case 1:
            def h():
                return 1
    """
    assert list(bodies(text)) == list("abcdefgh")


def test_excluded_lines_are_not_executable():
    assert bodies("def f():\n    a = 1\n    if a:  # pragma: no cover\n        b = 2\n    return a\n") == {
        "f": [2, 5]
    }


def test_form_feeds_and_line_separators_do_not_shift_lines():
    text = "def f():\n    a = '\u2028\x0c'\n\x0c\n    return a\n"
    understood = source(text.encode())
    assert understood.lines[3] == "    return a"
    assert sorted(understood.bodies) == [2, 4]


def test_windows_line_ends_and_declared_encodings_are_read_as_python_reads_them():
    understood = source("# coding: latin-1\r\ndef f():\r\n    return 'é'\r\n".encode("latin-1"))
    assert understood.lines[2] == "    return 'é'"
    assert understood.bodies == {3}


def test_a_text_this_python_cannot_parse_is_still_shown():
    understood = source("def f(:\n    pass\n")
    assert understood.problem is not None
    assert understood.problem.startswith("this Python cannot parse it")
    assert understood.lines == ("def f(:", "    pass")
    assert not understood.functions


def test_a_text_with_a_wrong_encoding_is_still_shown():
    understood = source(b"x = 1\ny = '\xff'\n")
    assert understood.lines[1].startswith("y = ")
    assert len(understood.lines) == 2


def test_null_bytes_are_a_problem_not_a_crash():
    assert source(b"x = 1\x00\n").problem is not None


def test_a_long_chain_of_elifs_is_walked():
    text = "def f(x):\n    if x == 0:\n        pass\n"
    text += "".join(f"    elif x == {i}:\n        y = {i}\n" for i in range(1, 80))
    assert len(source(text).functions) == 1


def test_an_empty_file_has_nothing():
    assert source("").executable == frozenset()


@given(
    st.lists(
        st.sampled_from(["a = 1", "def f():", "class C:", "    b = 2", "    def g():", "        return 3"])
    )
)
def test_every_executable_line_belongs_to_at_most_one_function(parts):
    understood = source("\n".join(parts).encode())
    owned = [line for function in understood.functions for line in function.body]
    assert len(owned) == len(set(owned))
    assert set(owned) <= understood.executable


WAYS = """
@cached(
    60)
def ship(order):
    for item in order:
        if item:  # nothing is shipped twice
            continue
    if order:
        return [i for i in order if i]
    if order.debug:  # pragma: no cover
        return None
    while order:
        if order.x:
            print(1)
"""


def test_branches_are_the_ways_on_from_body_lines_as_coverage_py_counts_them(tmp_path: Path):
    """Its own branch report is the oracle; line 7 has one way on that is not excluded, so is no branch."""
    file = tmp_path / "views.py"
    file.write_text(WAYS.lstrip())
    (function,) = source(WAYS).functions
    assert sorted(function.branches) == [
        (4, 5), (4, 7), (5, 4), (5, 6), (11, -1), (11, 12), (12, 11), (12, 13),
    ]  # fmt: skip
    oracle = coverage.Coverage(data_file=None, config_file=False, branch=True)
    oracle.get_data().add_arcs({str(file): [(-1, 1)]})
    stats = oracle._analyze(str(file)).branch_stats()
    oracle.get_data().close(force=True)
    found = Counter(line for line, _ in function.branches)
    assert {line: exits for line, (exits, _) in stats.items()} == dict(found)


def test_branches_at_module_level_and_into_excluded_lines_are_the_others():
    """Together they are all that coverage.py's parser names."""
    text = dedent(WAYS).lstrip("\n") + "if ship:\n    LIMIT = 1\n"
    found = source(text)
    last = text.count("\n") - 1
    assert found.other_branches >= {(last, last + 1)}
    assert not found.other_branches & found.branches
    assert found.other_branches | found.branches == parse_source(text, "views.py").branches


def test_branches_of_an_unchanged_function_are_carried_to_where_it_stands_now():
    """Its head has grown by a line, and it by two of the file's."""
    new = "import os\n" + dedent(WAYS).lstrip("\n").replace("60)", "60,\n    30)")
    moved = carried_branches(source(WAYS), source(new))
    assert len(moved) == 8
    assert moved[4, 5] == (6, 7)
    assert moved[11, -1] == (13, -2)
    assert set(moved.values()) == source(new).branches
    assert carried_branches(source(WAYS), source(new.replace("print(1)", "print(2)"))) == {}
