"""The faults written by hand still fit the texts that they were written for."""

from __future__ import annotations

import pytest

from requestcov._source import parse
from tests.bench import bench_localisation as bench
from tests.bench.mutation import seeded
from tests.bench.value_faults import value_faults


@pytest.mark.parametrize("app", bench.APPS)
def test_each_changes_one_line_of_a_function_and_compiles(app: str):
    some = bench.by_hand(app)
    assert len(some) >= 8
    for file, fault in some:
        text = (bench.base(app) / file).read_text()
        broken = seeded(text, fault)
        assert [a == b for a, b in zip(text.split("\n"), broken.split("\n"), strict=True)].count(False) == 1
        compile(broken, file, "exec")
        source = parse(file, "", text)
        assert source.first.get(fault.line, fault.line) in source.owner


def test_the_shops_faults_are_seeded_once_each():
    """By turns in the two apps that serve it."""
    fast, flask = (
        [(file, fault) for file, fault in bench.by_hand(app) if file.startswith("shop/")]
        for app in ("shop on FastAPI", "shop on Flask")
    )
    assert not {*fast} & {*flask}
    assert len(fast) + len(flask) == 17


def test_a_line_that_is_no_longer_there_is_named():
    with pytest.raises(ValueError, match=r"no line of flask_app.py has"):
        value_faults("flask", "flask_app.py", "nothing = 0\n")
