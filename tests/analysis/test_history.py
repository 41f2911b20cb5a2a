"""Functions keep their history when they move, and begin a new one when they are edited."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from requestcov._source import Source, digest_of, parse
from requestcov.analysis.history import History

BODIES = [
    f"    total = {n}\n    for item in order:\n        total += {n}\n    return total\n" for n in range(6)
]


def source(path: str, *functions: tuple[str, str], gap: int = 1) -> Source:
    text = ("\n" * gap).join(f"def {name}(order):\n{body}" for name, body in functions)
    return parse(path, digest_of(text.encode()), text)


def named(source: Source, name: str):
    return next(function for function in source.functions if function.name == name)


def spots(history: History, old: Source, name: str):
    """Where the body lines of an old function stand now."""
    return history.placed(old.path, old.digest, named(old, name).body)


FILES = st.permutations([(f"f{n}", body) for n, body in enumerate(BODIES)])


@given(FILES, FILES, st.integers(0, 5))
def test_moving_functions_within_a_file_keeps_their_history(before, after, gap):
    old, new = source("a.py", *before), source("a.py", *after, gap=gap)
    history = History({"a.py": new}, [old, new])
    for name, _ in before:
        assert spots(history, old, name) == {("a.py", line) for line in named(new, name).body}
        assert {past.digest for past in history.past("a.py", named(new, name))} == {old.digest, new.digest}


@given(FILES, st.integers(1, 5))
def test_moving_functions_to_another_file_keeps_their_history(functions, cut):
    old = source("a.py", *functions)
    here, there = source("a.py", *functions[:cut]), source("b.py", *functions[cut:])
    history = History({"a.py": here, "b.py": there}, [old, here, there])
    for name, _ in functions[cut:]:
        assert spots(history, old, name) == {("b.py", line) for line in named(there, name).body}
        paths = {past.path for past in history.past("b.py", named(there, name))}
        assert paths == {"a.py", "b.py"}


@given(FILES, st.integers(0, 5))
def test_renaming_a_function_keeps_its_history(functions, at):
    old = source("a.py", *functions)
    name, body = functions[at]
    new = source("a.py", *functions[:at], ("other", body), *functions[at + 1 :])
    assert spots(History({"a.py": new}, [old]), old, name) == {
        ("a.py", line) for line in named(new, "other").body
    }


@given(FILES, st.integers(0, 5))
def test_editing_a_function_starts_a_new_history_and_leaves_the_others(functions, at):
    old = source("a.py", *functions)
    name, body = functions[at]
    new = source("a.py", *functions[:at], (name, body.replace("+=", "-=")), *functions[at + 1 :])
    history = History({"a.py": new}, [old])
    assert history.past("a.py", named(new, name)) == ()
    assert spots(history, old, name) == set()
    for other, _ in functions:
        assert other == name or len(history.past("a.py", named(new, other))) == 1


def test_a_move_into_a_class_is_a_move():
    old = source("a.py", ("total", BODIES[0]))
    text = "class Cart:\n    def total(order):\n" + "".join(
        f"    {line}\n" for line in BODIES[0].splitlines()
    )
    new = parse("b.py", digest_of(text.encode()), text)
    assert spots(History({"b.py": new}, [old]), old, "total") == {("b.py", line) for line in (3, 4, 5, 6)}


def test_a_body_that_could_be_either_of_two_is_neither():
    old = source("a.py", ("one", BODIES[0]))
    new = source("b.py", ("two", BODIES[0]), ("three", BODIES[0]))
    assert spots(History({"b.py": new}, [old]), old, "one") == set()
    both = source("a.py", ("one", BODIES[0]), ("two", BODIES[0]))
    new = source("b.py", ("three", BODIES[0]))
    assert spots(History({"b.py": new}, [both]), both, "one") == set()


DAYS = [datetime(2026, 11, day, tzinfo=UTC) for day in range(1, 10)]


def spans(**days: tuple[int, int]):
    """File -> the days on which its only version with the function ran."""
    return {path: (DAYS[first], DAYS[last]) for path, (first, last) in days.items()}


def moved_twice(days):
    """A function that stood in a.py, then in b.py, and is now in c.py."""
    one, two, three = (source(path, ("one", BODIES[0])) for path in ("a.py", "b.py", "c.py"))
    known = {(s.path, s.digest): days[s.path[0]] for s in (one, two, three)} if days else None
    history = History({"c.py": three}, [one, two, three], known)
    return {past.path for past in history.past("c.py", named(three, "one"))}


def test_a_function_that_moves_twice_keeps_all_its_history():
    assert moved_twice(spans(a=(0, 2), b=(3, 5), c=(6, 8))) == {"a.py", "b.py", "c.py"}
    # The day of a move is in both.
    assert moved_twice(spans(a=(0, 2), b=(2, 5), c=(5, 8))) == {"a.py", "b.py", "c.py"}


def test_two_copies_that_became_one_are_no_history_of_it():
    assert moved_twice(spans(a=(0, 4), b=(2, 5), c=(6, 8))) == {"c.py"}
    assert moved_twice(spans(a=(2, 2), b=(2, 2), c=(3, 8))) == {"c.py"}
    assert moved_twice(None) == {"c.py"}  # nobody knows when


def test_a_function_renamed_twice_in_its_file_keeps_all_its_history():
    names = [source("a.py", (name, BODIES[0]), ("other", BODIES[n])) for n, name in enumerate("xyz", 1)]
    history = History({"a.py": names[-1]}, names)
    assert {past.function.name for past in history.past("a.py", named(names[-1], "z"))} == {"x", "y", "z"}
    for old, name in zip(names, "xyz", strict=True):
        assert spots(history, old, name) == {("a.py", line) for line in named(names[-1], "z").body}


@given(st.lists(FILES, min_size=1, max_size=4), st.data())
def test_history_carries_over_whichever_versions_there_are(orders, data):
    """Moved within its file at each of several deploys, seen in any of the versions."""
    versions = [source("a.py", *order, gap=number) for number, order in enumerate(orders)]
    seen = data.draw(st.lists(st.sampled_from(versions), min_size=1, unique_by=lambda one: one.digest))
    history = History({"a.py": versions[-1]}, seen)
    for name, _ in orders[0]:
        now = named(versions[-1], name)
        assert {past.digest for past in history.past("a.py", now)} == {version.digest for version in seen}
        for old in seen:
            assert spots(history, old, name) == {("a.py", line) for line in now.body}


def test_a_function_that_changes_and_changes_back_keeps_what_it_was_both_times():
    edited = BODIES[0].replace("+=", "-=")
    first = source("a.py", ("one", BODIES[0]))
    between = source("a.py", ("two", BODIES[1]), ("one", edited))
    last = source("a.py", ("two", BODIES[1]), ("one", BODIES[0]))
    history = History({"a.py": last}, [first, between, last])
    assert [past.digest for past in history.past("a.py", named(last, "one"))] == [first.digest, last.digest]
    assert spots(history, first, "one") == {("a.py", line) for line in named(last, "one").body}
    assert spots(history, between, "one") == set()


def test_a_function_that_moves_and_moves_back_keeps_both():
    here, there = source("a.py", ("one", BODIES[0])), source("b.py", ("one", BODIES[0]))
    history = History({"a.py": here}, [here, there])
    assert {past.path for past in history.past("a.py", named(here, "one"))} == {"a.py", "b.py"}


def test_a_copy_has_no_history():
    old = source("a.py", ("one", BODIES[0]))
    copy = source("b.py", ("one", BODIES[0]))
    history = History({"a.py": old, "b.py": copy}, [old])
    assert history.past("b.py", named(copy, "one")) == ()
    assert spots(history, old, "one") == {("a.py", line) for line in named(old, "one").body}


def test_a_body_of_one_statement_moves_only_under_its_own_name():
    old = source("a.py", ("one", "    return True\n"))
    renamed = source("b.py", ("two", "    return True\n"))
    moved = source("b.py", ("one", "    return True\n"))
    assert spots(History({"b.py": renamed}, [old]), old, "one") == set()
    assert spots(History({"b.py": moved}, [old]), old, "one") == {("b.py", 2)}


def test_the_inner_lines_of_a_statement_move_with_it():
    text = "def show(order):\n    limit = 1\n    return render(\n        order,\n        limit,\n    )\n"
    old = parse("a.py", digest_of(text.encode()), text)
    new = parse("a.py", digest_of(b"\n\n" + text.encode()), "\n\n" + text)
    assert History({"a.py": new}, [old]).placed("a.py", old.digest, {4, 5}) == {("a.py", 5)}
