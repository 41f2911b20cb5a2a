"""Which requests ran any of some blocks: each once, exact while their rows are kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from requestcov.storage import open_store
from requestcov.storage.results import Selection
from tests.reports.shop_store import MISSING, SHOWN, record, shop, write_store

LINES = st.frozensets(st.integers(1, 3), min_size=1)
REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["GET /a", "GET /b"]),
        st.dictionaries(st.sampled_from(["x.py", "y.py"]), LINES, min_size=1),
        st.integers(0, 50),
        st.sampled_from([1.0, 4.0]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=REQUESTS, wanted=st.tuples(st.sampled_from(["x.py", "y.py"]), st.integers(1, 3)))
def test_counts_weights_and_times_are_those_of_the_requests_one_by_one(tmp_path_factory, requests, wanted):
    """Blocks of several files at once: those that hold the wanted line, and all of x.py that hold line 1."""
    records = [record(e, ran, at=timedelta(hours=h), weight=w) for e, ran, h, w in requests]
    place = write_store(tmp_path_factory.mktemp("ran") / "s.db", records, texts={})
    path, line = wanted

    def holds(name, lines):
        return (name == path and line in lines) or (name == "x.py" and 1 in lines)

    with open_store(place) as store:
        blocks = {n for n, block in store.blocks().items() if holds(block.path, block.lines)}
        for endpoint in ("GET /a", "GET /b", None):
            found = store.ran(blocks, Selection(endpoint=endpoint))
            mine = [
                r
                for r in records
                if endpoint in (None, f"{r.method} {r.route}")
                and any(holds(block.path, block.lines) for block in r.blocks)
            ]
            assert sum(part.requests for part in found) == len(mine)
            assert sum(part.weight for part in found) == sum(r.weight for r in mine)
            assert all(part.exact for part in found)
            if mine:
                assert min(part.first for part in found) == min(r.time for r in mine)
                assert max(part.last for part in found) == max(r.time for r in mine)
                spectra = frozenset().union(*(part.spectra for part in found))
                rows = list(store.requests(Selection(endpoint=endpoint), spectra=spectra))
                assert {row.id for row in rows} == {r.id for r in mine}


def test_where_rows_are_gone_the_day_tells(tmp_path):
    place = shop(tmp_path / "s.db")
    with closing(sqlite3.connect(tmp_path / "s.db")) as database, database:
        database.execute("DELETE FROM request WHERE time = (SELECT min(time) FROM request)")
    with open_store(place) as store:
        shown = {n for n, block in store.blocks().items() if block.lines == frozenset(SHOWN["shop/views.py"])}
        missing = {
            n for n, block in store.blocks().items() if block.lines == frozenset(MISSING["shop/views.py"])
        }
        first, second = store.ran(shown)
        assert (first.requests, first.weight, first.exact, f"{first.first:%H:%M}") == (
            2,
            198.0,
            False,
            "10:00",
        )
        assert (second.requests, second.exact) == (1, True)
        [rare] = store.ran(missing)
        assert (rare.requests, rare.exact, f"{rare.first:%H:%M}") == (1, True, "12:00")
