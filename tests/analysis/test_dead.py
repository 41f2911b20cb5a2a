"""What is called dead, what is not, and on which days it was watched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from requestcov._source import digest_of, parse
from requestcov.analysis.dead import Kind, Verdict
from requestcov.analysis.dead import dead as judge
from requestcov.analysis.gather import gather, holders
from tests.analysis.traffic_by_hand import DAY, EVERYTHING, traffic, with_sources
from tests.reports.shop_store import MISSING, SHIPPED, SHOWN, START, VIEWS, record, write_store


def tree(**texts: str):
    """``tree(shop__views=VIEWS)``: the working tree's files."""
    paths = {name.replace("__", "/") + ".py": text for name, text in texts.items()}
    return {path: parse(path, digest_of(text.encode()), text) for path, text in paths.items()}


def judged(tmp_path, records, files, *, texts=None, bound=0.01, min_days=7, selection=EVERYTHING):
    url = write_store(tmp_path / "s.db", records, texts=texts)
    evidence = gather(url, selection, None)
    return judge(evidence, holders(url, selection), tree=files, bound=bound, min_days=min_days), evidence


def dead(evidence, files, **more):
    """Of evidence whose every line two requests ran, or where it does not matter."""
    return judge(evidence, lambda endpoint, blocks: 0, tree=files, **more)


def only(items, name):
    (item,) = [item for item in items if item.name == name]
    return item


def test_a_function_that_no_request_of_ten_days_ran_is_dead(tmp_path):
    result, _ = judged(tmp_path, traffic(range(10)), tree(shop__views=VIEWS))
    ship = only(result.functions, "ship")
    assert (ship.path, ship.line, ship.end, ship.size) == ("shop/views.py", 14, 17, 3)
    assert (ship.kind, ship.verdict, ship.reason) == (Kind.UNRUN, Verdict.DEAD, None)
    assert (ship.watch.requests, ship.watch.days, ship.watch.since) == (1000, 10, START.replace(hour=0))
    assert ship.watch.bound == pytest.approx(1 - 0.05 ** (1 / 1000))
    assert result.enough


def test_lines_inside_a_live_function_come_apart(tmp_path):
    result, _ = judged(tmp_path, traffic(range(10)), tree(shop__views=VIEWS))
    (lines,) = result.lines
    assert (lines.name, lines.lines, lines.size, lines.requests) == ("show", "8", 1, 1000)
    assert (lines.verdict, lines.days) == (Verdict.DEAD, 10)


def test_lines_of_a_function_that_few_requests_ran_are_not_called_dead(tmp_path):
    """Their bound is of the function's own requests."""
    records = traffic(range(10), ran=SHIPPED) + traffic(range(10), 2, SHOWN)
    result, _ = judged(tmp_path, records, tree(shop__views=VIEWS))
    assert result.enough
    lines = only(result.lines, "show")
    assert (lines.requests, lines.verdict) == (20, Verdict.UNSURE)
    assert lines.bound == pytest.approx(1 - 0.05 ** (1 / 20))


def test_few_requests_or_days_call_nothing_dead(tmp_path):
    few, _ = judged(tmp_path, traffic(range(10), 5), tree(shop__views=VIEWS))
    assert not few.enough
    assert not any(item.verdict is Verdict.DEAD for item in (*few.functions, *few.lines))


def test_many_requests_of_one_day_call_nothing_dead(tmp_path):
    """A monthly job is not seen in a day, however many requests that has."""
    result, _ = judged(tmp_path, traffic(range(1), 1000), tree(shop__views=VIEWS))
    assert not result.enough


def test_weights_count_as_the_least_sampled_requests_do(tmp_path):
    """1,000 requests kept whole beside 20 of one in a hundred: these decide."""
    records = traffic(range(10)) + traffic(range(10), 2, weight=100.0, endpoint="GET /rare")
    result, _ = judged(tmp_path, records, tree(shop__views=VIEWS))
    assert result.watch.effective == pytest.approx(3000 / 100)
    assert result.watch.kish == pytest.approx(3000**2 / (1000 + 20 * 10_000))
    assert not result.enough


EDITED = VIEWS.replace("order.sent = True", "order.sent = 1")


def test_an_edited_function_is_watched_from_the_day_after_the_deploy(tmp_path):
    """On the day of the deploy it is not known which requests met the new text."""
    old, new = {"shop/views.py": VIEWS}, {"shop/views.py": EDITED}
    records = traffic(range(5), texts=old) + traffic(range(4, 10), texts=new)
    url = write_store(tmp_path / "s.db", records, texts=old)
    evidence = gather(url, EVERYTHING, None)
    texts = {digest_of(VIEWS.encode()): VIEWS, digest_of(EDITED.encode()): EDITED}
    evidence = with_sources(evidence, texts)
    result = dead(evidence, tree(shop__views=EDITED))
    ship, show = only(result.functions, "ship"), only(result.lines, "show")
    assert (ship.kind, ship.watch.days, ship.watch.requests) == (Kind.CHANGED, 5, 500)
    assert ship.watch.since == (START + 5 * DAY).replace(hour=0)
    # The function beside it did not change, and was watched all the time.
    assert (show.days, show.requests, show.since) == (10, 1100, START.replace(hour=0))


def test_code_that_was_never_deployed_was_never_watched(tmp_path):
    result, _ = judged(tmp_path, traffic(range(10)), tree(shop__views=EDITED))
    ship = only(result.functions, "ship")
    assert (ship.kind, ship.verdict) == (Kind.CHANGED, Verdict.UNSURE)
    assert (ship.watch.days, ship.watch.bound, ship.watch.since) == (0, 1, None)


def test_a_function_that_moved_to_another_file_keeps_its_days(tmp_path):
    head, _, tail = VIEWS.partition("def ship")
    new = {"shop/views.py": head, "shop/ship.py": "def ship" + tail}
    records = traffic(range(10)) + traffic([10], texts=new)
    url = write_store(tmp_path / "s.db", records)
    texts = {digest_of(text.encode()): text for text in (VIEWS, *new.values())}
    result = dead(
        with_sources(gather(url, EVERYTHING, None), texts),
        tree(shop__views=head, shop__ship=new["shop/ship.py"]),
    )
    ship = only(result.functions, "ship")
    assert (ship.path, ship.kind, ship.watch.days) == ("shop/ship.py", Kind.UNRUN, 10)
    assert ship.verdict is Verdict.DEAD


def test_a_function_that_ran_before_it_moved_is_not_dead(tmp_path):
    head, _, tail = VIEWS.partition("def ship")
    records = traffic(range(10), ran=SHIPPED)
    result, _ = judged(tmp_path, records, tree(shop__views=head, shop__ship="def ship" + tail))
    assert not [item for item in result.functions if item.name == "ship"]


def test_files_that_never_ran_or_were_only_imported_are_told_apart(tmp_path):
    records = traffic(range(10), ran={"shop/views.py": {7, 9}, "shop/late.py": {1}})
    late = "def late(order):\n    return order\n"
    files = tree(shop__views=VIEWS, shop__late=late, shop__cold="def cold(order):\n    return 1\n")
    result, _ = judged(tmp_path, records, files, texts={"shop/views.py": VIEWS})
    reasons = {item.name: (item.kind, item.verdict) for item in result.functions}
    assert reasons["cold"] == (Kind.FILE, Verdict.UNWATCHED)
    assert reasons["ship"] == (Kind.UNRUN, Verdict.DEAD)
    # late.py ran in a version whose text is unknown.
    assert reasons["late"] == (Kind.CHANGED, Verdict.UNSURE)
    records = traffic(
        range(10), ran={"shop/views.py": {7, 9}, "shop/late.py": {1}}, texts={"shop/late.py": late}
    )
    (tmp_path / "second").mkdir()
    result, _ = judged(
        tmp_path / "second", records, files, texts={"shop/views.py": VIEWS, "shop/late.py": late}
    )
    assert only(result.functions, "late").kind is Kind.IMPORTED
    assert only(result.functions, "late").verdict is Verdict.DEAD


def test_excluded_functions_are_not_judged(tmp_path):
    text = VIEWS + (
        "\n\ndef skipped(order):  # pragma: no cover\n    return 1\n\n\ndef told(order):\n    '''Docs.'''\n"
    )
    result, _ = judged(tmp_path, traffic(range(10)), tree(shop__views=text))
    assert [item.name for item in result.excluded] == ["skipped"]
    assert "skipped" not in {item.name for item in (*result.functions, *result.lines)}
    assert "told" not in {item.name for item in result.functions}


def test_the_working_tree_of_another_project_is_not_judged(tmp_path):
    result, _ = judged(tmp_path, traffic(range(10)), tree(other="def f(x):\n    return x + 1\n"))
    assert not result.tree
    assert {item.path for item in result.functions} == {"shop/views.py"}


def test_files_gone_from_the_tree_are_named(tmp_path):
    records = traffic(range(10), ran={"shop/views.py": {7, 9}, "shop/old.py": {2}})
    result, _ = judged(tmp_path, records, tree(shop__views=VIEWS))
    assert result.gone == ("shop/old.py",)


def test_of_one_endpoint_only_what_it_reached_is_judged(tmp_path):
    url = write_store(tmp_path / "s.db", traffic(range(10)))
    result = dead(gather(url, EVERYTHING, None), tree(shop__views=VIEWS), reached_only=True)
    assert result.functions == ()
    assert [item.name for item in result.lines] == ["show"]


class Looked(dict):
    """A tree that notes which of its files were looked at."""

    def __init__(self, files):
        super().__init__(files)
        self.at = set()

    def __getitem__(self, path):
        self.at.add(path)
        return super().__getitem__(path)


BROKEN, SKIPPED = "def f(:\n", "def skipped(order):  # pragma: no cover\n    return 1\n"


def test_of_one_endpoint_files_that_it_did_not_reach_are_not_looked_at(tmp_path):
    url = write_store(tmp_path / "s.db", traffic(range(10)))
    files = Looked(tree(shop__views=VIEWS + SKIPPED, shop__skipped=SKIPPED, shop__broken=BROKEN))
    result = dead(gather(url, EVERYTHING, None), files, reached_only=True)
    assert files.at == {"shop/views.py"}
    assert [item.path for item in result.excluded] == ["shop/views.py"]
    assert result.unread == ()


def test_of_one_endpoint_a_function_that_moved_to_a_file_it_did_not_reach_is_judged_there(tmp_path):
    url = write_store(tmp_path / "s.db", traffic(range(10)))
    at = VIEWS.index("def show")
    end = VIEWS.index("def ship")
    moved = tree(shop__views=VIEWS[:at] + VIEWS[end:], shop__new=VIEWS[at:end], shop__broken=BROKEN)
    result = dead(gather(url, EVERYTHING, None), moved, reached_only=True)
    assert [(item.path, item.name) for item in result.lines] == [("shop/new.py", "show")]
    assert result.unread == ()


def test_more_requests_never_raise_the_bound(tmp_path):
    bounds = []
    for number, days in enumerate((3, 6, 9)):
        (tmp_path / str(number)).mkdir()
        result, _ = judged(tmp_path / str(number), traffic(range(days)), tree(shop__views=VIEWS))
        bounds.append(only(result.functions, "ship").watch.bound)
    assert bounds == sorted(bounds, reverse=True)


def test_the_chance_of_something_new_is_counted_by_requests_not_by_files(tmp_path):
    """Two files run once each by one and the same request: one of four, not two."""
    other = "def pack(order):\n    order.packed = True\n"
    both = {"shop/views.py": {7, 8}, "shop/pack.py": {2}}
    texts = {"shop/pack.py": other}
    records = [record("GET /orders/{id}", SHOWN, at=n * DAY) for n in range(3)]
    records.append(record("GET /orders/{id}", both, texts=texts))
    result, _ = judged(tmp_path, records, None, texts={"shop/views.py": VIEWS, **texts})
    (endpoint,) = result.endpoints
    for found in (result.overall, endpoint):
        # Lines 8 and pack's 2 ran once, line 9 thrice, 7 four times.
        assert (found.requests, found.lines, found.once, found.twice) == (4, 4, 2, 0)
        assert (found.pioneers, found.novelty) == (1, 0.25)
        assert found.unseen == pytest.approx(3 / 4 * 2 * 1 / 2)


def test_in_all_a_line_is_new_only_if_no_endpoint_ran_it(tmp_path):
    records = [record("GET /a", MISSING), record("GET /b", MISSING), record("GET /b", SHOWN)]
    result, _ = judged(tmp_path, records, None)
    a, b = result.endpoints
    assert (a.once, b.once, result.overall.once, result.overall.twice) == (2, 2, 1, 1)
    assert (a.novelty, b.novelty, result.overall.novelty) == (1.0, 1.0, pytest.approx(1 / 3))


def test_requests_that_a_person_forced_do_not_watch(tmp_path):
    records = [replace(one, sampled_by="forced") for one in traffic(range(10))]
    result, _ = judged(tmp_path, records, tree(shop__views=VIEWS))
    assert (result.watch.requests, result.watch.bound, result.enough) == (0, 1, False)
