"""The shop under its real servers, wrapped, every request recorded: what arrives in the sinks."""

from __future__ import annotations

import ast
import importlib.util
import json
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from requestcov.record import parse_lines
from tests.examples.known_requests import KNOWN, SHOP, KnownRequest

NOT_FOUND = "(not found)"
FASTAPI, FLASK = "fastapi_app", "flask_app"
Record = dict[str, Any]


@cache
def demo() -> ModuleType:
    """examples/demo.py as a module: it knows how to start and stop the servers."""
    spec = importlib.util.spec_from_file_location("demo", SHOP.parent / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["demo"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=[FASTAPI, FLASK])
def recorded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, list[Record]]:
    """The known requests sent to one of the two servers: its app, the folder, the JSON Lines."""
    folder = tmp_path_factory.mktemp(request.param)
    shop = next(shop for shop in demo().SHOPS if shop.module == request.param)
    # One worker, so that one order of time holds for all records.
    shop = replace(shop, command=tuple("1" if part == "2" else part for part in shop.command))
    sinks = f"sqlite:///{folder}/records.db,file:///{folder}/records.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        settings = demo().settings
        patch.setattr(demo(), "settings", lambda *a: settings(*a) | {"REQUESTCOV_SINKS": sinks})
        with (
            demo().serving(shop, folder, 1.0) as base,
            # No connection is used twice: uvicorn closes it unannounced after a failed request.
            httpx.Client(
                base_url=base,
                trust_env=False,
                timeout=30,
                limits=httpx.Limits(max_keepalive_connections=0),
            ) as client,
        ):
            for known in KNOWN:
                assert client.request(known.method, known.path, **known.kwargs).status_code == known.status
    lines = (folder / "records.jsonl").read_text().splitlines()
    records = [record for record in map(json.loads, lines) if "route" in record]
    return shop.module, folder, sorted(records, key=lambda record: record["time"])


def measured() -> list[KnownRequest]:
    """What the default exclusions leave."""
    return [r for r in KNOWN if r.path != "/health" and not r.path.startswith("/static/")]


def test_every_request_arrives_once_under_its_route_template(recorded: Any) -> None:
    """In order, with method, template and status; excluded paths do not arrive at all."""
    module, _, records = recorded
    expected = []
    for known in measured():
        route = known.flask_route if module == FLASK else known.route
        expected.append((known.method, route or NOT_FOUND, known.status))
    # An exception that leaves the app is a 500 only further out, in the server's hands.
    found = [
        (r["method"], r["route"], 500 if r["status"] is None and r["error"] else r["status"]) for r in records
    ]
    assert found == expected


def test_sqlite_has_the_same_requests_as_the_json_lines(recorded: Any) -> None:
    """Both sinks got everything."""
    _, folder, records = recorded
    with closing(sqlite3.connect(folder / "records.db")) as conn:
        assert conn.execute("SELECT count(*) FROM request").fetchone()[0] == len(records) == len(measured())


@cache
def body(file: str, function: str) -> frozenset[int]:
    """The line numbers of a function's body."""
    tree = ast.parse((SHOP / file).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function:
            first = node.body[1] if ast.get_docstring(node) is not None else node.body[0]
            return frozenset(range(first.lineno, (node.end_lineno or 0) + 1))
    raise AssertionError(f"{file} has no function {function}")


def ran(record: Record, file: str, function: str) -> bool:
    """Whether a request ran a line of a function's body."""
    part = record["files"].get(file)
    return part is not None and not body(file, function).isdisjoint(parse_lines(part["lines"]))


def test_requests_run_what_they_should_and_nothing_else(recorded: Any) -> None:
    """A few functions, of which it is plain which requests run them."""
    module, _, records = recorded
    for known, record in zip(measured(), records, strict=True):
        bought = known.path.endswith("/checkout") and known.status == 201
        assert ran(record, "shop/orders.py", "confirm") == bought, known
        exported = known.path == "/admin/orders.csv" and known.status == 200
        assert ran(record, "shop/reports.py", "orders_page") == exported, known
        searched = known.path == "/search" and known.method == "GET"
        assert ran(record, "shop/catalogue.py", "words") == searched, known
        cancelled = known.path.endswith("/cancel") and known.status == 200
        assert ran(record, "shop/payments.py", "refund") == cancelled, known
        assert set(record["files"]) <= {
            f"{module}.py",
            *(f"shop/{p.name}" for p in (SHOP / "shop").glob("*.py")),
        }


def test_dead_code_is_in_no_record(recorded: Any) -> None:
    """Five functions that the example's README names."""
    _, _, records = recorded
    for file, function in (
        ("shop/pricing.py", "legacy_discount"),
        ("shop/payments.py", "pay_by_cheque"),
        ("shop/reports.py", "orders_xml"),
        ("shop/recommend.py", "similarity"),
        ("shop/shipping.py", "pickup_points"),
    ):
        assert not any(ran(record, file, function) for record in records), function


def test_failures_say_what_left_the_app(recorded: Any) -> None:
    """From FastAPI the exception comes out; Flask has made a response of it inside."""
    module, _, records = recorded
    failed = [record for record in records if record["error"] is not None]
    if module == FLASK:
        assert failed == []
    else:
        assert {record["error"].rpartition(".")[2] for record in failed} == {"KeyError", "ProviderDown"}
    broken = [record for record in records if record["status"] == 500 or record["error"]]
    assert [ran(record, "shop/shipping.py", "freight") for record in broken] == [True, False, True]


def test_the_confirmation_counts_as_background_work(recorded: Any) -> None:
    """A background task of FastAPI, a call on the response's close of Flask: told apart from the rest."""
    _, _, records = recorded
    confirmed = [record for record in records if ran(record, "shop/orders.py", "confirm")]
    assert confirmed
    for record in confirmed:
        late = parse_lines(record["background"]["shop/orders.py"]["lines"])
        assert late & body("shop/orders.py", "confirm")
        assert not late & body("shop/orders.py", "checkout")
