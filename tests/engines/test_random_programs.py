"""Random small programs: every engine collects the line set that a plain trace function sees."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engines.laboratory import KINDS, Laboratory, laboratory, make_module, oracle

FUNCTIONS = 4

SIMPLE = st.sampled_from(["x += 1", "x = [\n    x,\n    1,\n][0]", "y = [i for i in range(x % 3)]", "pass"])
LEAVING = st.sampled_from(["return x", "raise ValueError(x)", "raise KeyError(x)"])


def indented(lines: str) -> str:
    return "\n".join("    " + line for line in lines.splitlines())


def calls(asynchronous: bool) -> st.SearchStrategy[str]:
    """To functions further down only, so that every program ends."""
    target = st.integers(1, FUNCTIONS)
    plain = st.one_of(
        target.map(lambda n: f"x += call(f, {n}, x)"),
        target.map(lambda n: f"x += sum(g(n + {n}, x))"),
    )
    if not asynchronous:
        return plain
    return st.one_of(
        plain,
        st.just("await asyncio.sleep(0)"),
        target.map(
            lambda n: (
                f"x += len(await asyncio.gather(a(n + {n}, x), a(n + {n}, x + 1), return_exceptions=True))"
            )
        ),
    )


def blocks(asynchronous: bool, generator: bool = False) -> st.SearchStrategy[str]:
    """One or more statements, nested a few deep."""
    call = calls(asynchronous).map(lambda text: text.replace("call(f, ", "f(n + "))
    leaf = st.one_of(SIMPLE, call, *([st.just("yield x")] if generator else []))

    def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        body = inner.map(indented)
        return st.one_of(
            st.tuples(body, body).map(lambda b: f"if x % 2:\n{b[0]}\nelse:\n{b[1]}"),
            body.map(lambda b: f"for i in range(x % 3):\n{b}"),
            st.tuples(body, body, body).map(
                lambda b: f"try:\n{b[0]}\nexcept ValueError:\n{b[1]}\nfinally:\n{b[2]}"
            ),
            st.tuples(body, LEAVING).map(lambda b: f"if x % 3 == 0:\n{b[0]}\n    {b[1]}"),
            st.lists(inner, min_size=2, max_size=3).map("\n".join),
        )

    return st.recursive(leaf, compound, max_leaves=6)


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Functions f, generators g and coroutines a, each in FUNCTIONS levels."""
    parts = ["import asyncio"]
    for kind, level in itertools.product("fga", range(FUNCTIONS)):
        body = indented(draw(blocks(kind == "a", kind == "g")))
        head = "async def" if kind == "a" else "def"
        tail = "    yield x" if kind == "g" else "    return x"
        parts.append(f"{head} {kind}{level}(n, x):\n{body}\n{tail}")
    for kind, end in (("f", "0"), ("g", "[]")):
        names = ", ".join(f"{kind}{n}" for n in range(FUNCTIONS))
        parts.append(
            f"def {kind}(n, x):\n    if n >= {FUNCTIONS}:\n        return {end}\n"
            f"    return [{names}][n](n, x % 7)"
        )
    names = ", ".join(f"a{n}" for n in range(FUNCTIONS))
    parts.append(
        f"async def a(n, x):\n    if n >= {FUNCTIONS}:\n        return 0\n"
        f"    return await [{names}][n](n, x % 7)"
    )
    return "\n\n".join(parts) + "\n"


def run(module: Any, x: int) -> None:
    """Everything, whatever it raises."""
    for call in (
        lambda: module.f(0, x),
        lambda: list(module.g(0, x)),
        lambda: asyncio.run(module.a(0, x)),
    ):
        try:
            call()
        except (ValueError, KeyError):
            continue


@pytest.fixture(params=KINDS)
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with laboratory(request.param, tmp_path) as made:
        yield made


# Python 3.14 warns of it, and it is just what is worth trying.
@pytest.mark.filterwarnings("ignore:'return' in a 'finally' block:SyntaxWarning")
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(program=programs(), x=st.integers(0, 6), other=st.integers(0, 6))
def test_the_lines_of_a_program_equal_the_oracles(
    lab: Laboratory, tmp_path: Path, program: str, x: int, other: int
) -> None:
    """Twice in a row with different arguments: nothing of the first is missing in the second."""
    module = make_module(tmp_path, program)
    for argument in (x, other):
        expected = oracle(lambda a=argument: run(module, a), module.__file__)  # type: ignore[misc]
        assert lab.record(lambda a=argument: run(module, a)) == expected  # type: ignore[misc]
