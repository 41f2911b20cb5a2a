"""One app with a fault in it, run under shoppers and recorded: what its failing requests point at.

Laws: a process serves one app and ends; what it found leaves as one line of
JSON. The app under it is a copy in a tree of its own. This package records all
requests; that one in ten had been recorded is a draw among them afterwards,
each with the same probability, as sampling by rate draws them, but repeatable.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import sys
import warnings
from collections import Counter
from dataclasses import replace
from types import TracebackType
from typing import Any

import httpx

SEED = 20


class Raised:
    """Where exceptions came from: the last line of the tree in each traceback."""

    def __init__(self, tree: str) -> None:
        self.tree = tree + os.sep
        self.last: Counter[tuple[str, int]] = Counter()

    def note(self, traceback: TracebackType | None) -> None:
        """One exception."""
        last = None
        while traceback is not None:
            name = traceback.tb_frame.f_code.co_filename
            if name.startswith(self.tree):
                last = name.removeprefix(self.tree), traceback.tb_lineno
            traceback = traceback.tb_next
        if last is not None:
            self.last[last] += 1


class _Handler(logging.Handler):
    """Frameworks log the exceptions that they answer with 500."""

    def __init__(self, raised: Raised) -> None:
        super().__init__(logging.ERROR)
        self._raised = raised

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._raised.note(record.exc_info[2])


class _Sync(httpx.AsyncBaseTransport):
    """A WSGI app for a client that awaits."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx.WSGITransport(app=app, raise_app_exceptions=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        response = self._inner.handle_request(request)
        return httpx.Response(response.status_code, headers=response.headers, content=response.read())


async def shoppers(transport: httpx.AsyncBaseTransport, requests: int) -> None:
    """The visits of examples/shop/traffic.py, one after the other."""
    import traffic

    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        visitors = traffic.Visitors(client, requests, lambda: None)
        number = 0
        try:
            while True:
                number += 1
                await visitors.visit(number, random.Random(f"{SEED}:{number}"))
        except traffic.Enough:
            return


NAMES = ("Ada", "Zoë", "Łukasz", "李", "Bo", "Cy")
SLUGS = ("teapot", "cheap-cup", "cup", "oak-table", "lamp", "blanket", "knives", "moonlamp")
NOTES = ("milk", "Müsli", "", "bread and tea", "crème")


def varied(client: httpx.Client, requests: int) -> None:
    """Requests to the Django app with many values, as people send them."""
    chance = random.Random(SEED)
    for _ in range(requests):
        kind = chance.randrange(7)
        if kind == 0:
            client.get("/", params={"name": chance.choice(NAMES)} if chance.random() < 0.7 else {})
        elif kind in (1, 2):
            client.get(f"/shop/orders/{chance.randrange(1, 120)}/")
        elif kind == 3:
            client.get(f"/shop/products/{chance.choice(SLUGS)}/")
        elif kind == 4:
            client.get(f"/shop/baskets/{chance.randrange(13)}/")
        elif kind == 5:
            client.post("/note/", data={"text": chance.choice(NOTES)})
        else:
            client.get(f"/archive/{chance.randrange(1990, 2027)}/")


def serve(
    app: str, tree: str, requests: int, raised: Raised, options: dict[str, Any], values: bool = False
) -> None:
    """Send the app in a tree its requests, recorded; ``values``: the Django app those of many values."""
    from requestcov import ASGIMiddleware, WSGIMiddleware

    sys.path[:0] = [tree, os.path.join(tree, "examples")]
    os.environ["SHOP_DATABASE"] = os.path.join(tree, "shop.db")
    os.environ["REQUESTCOV_ENABLED"] = "false"  # the wrapper in the app's own file
    logging.getLogger().addHandler(_Handler(raised))
    if app == "shop on FastAPI":
        import fastapi_app

        inner = fastapi_app.create_app(os.environ["SHOP_DATABASE"])

        async def noting(scope: Any, receive: Any, send: Any) -> None:
            try:
                await inner(scope, receive, send)
            except Exception as error:
                raised.note(error.__traceback__)
                raise

        wrapped = ASGIMiddleware(noting, **options)
        asyncio.run(shoppers(httpx.ASGITransport(app=wrapped, raise_app_exceptions=False), requests))
    elif app == "shop on Flask":
        import flask_app

        flask = flask_app.create_app(os.environ["SHOP_DATABASE"])
        asyncio.run(shoppers(_Sync(WSGIMiddleware(flask.wsgi_app, **options)), requests))
    else:
        from tests.apps import django_app

        logging.getLogger("django.request").setLevel(logging.ERROR)
        transport = httpx.WSGITransport(
            app=WSGIMiddleware(django_app.wsgi_application(), **options), raise_app_exceptions=False
        )
        chance = random.Random(SEED)
        with httpx.Client(transport=transport, base_url="http://app.test") as client:
            if values:
                varied(client, requests)
                return
            for _ in range(requests):
                one = chance.choice(django_app.REQUESTS)
                path = one.path
                for word in ("7", "8", "101"):  # as many orders as there are numbers
                    if path == f"/shop/orders/{word}/":
                        path = f"/shop/orders/{chance.randrange(1, 120)}/"
                client.request(one.method, path, **one.kwargs)


def child(app: str, tree: str, requests: int, branch: bool, values: bool) -> None:
    """Run one tree and print what its endpoints' failing requests point at."""
    warnings.simplefilter("ignore")
    raised = Raised(tree)
    url = f"sqlite:///{os.path.join(tree, 'records.db')}"
    sources = {
        "shop on FastAPI": ["shop"],
        "shop on Flask": ["shop", "flask_app.py"],
        "Django app": ["tests"],
    }
    options = {
        "enabled": True,
        "sample_rate": 1.0, "first": 0, "max_per_second": 0, "queue_size": 100_000, "max_in_flight": 1000,
        "source": [os.path.join(tree, source) for source in sources[app]],
        "sinks": [url], "branch": branch,
    }  # fmt: skip
    os.chdir(tree)
    serve(app, tree, requests, raised, options, values)
    import requestcov

    assert requestcov.flush(60)
    print(json.dumps({"last": [[*place, count] for place, count in raised.last.most_common()],
                      **answers(url)}))  # fmt: skip


def answers(url: str) -> dict[str, Any]:
    """What ran in each file, and by endpoint how many failed with 500 and the rankings of what they ran."""
    from requestcov.analysis.evidence import Selection
    from requestcov.analysis.gather import gather, gather_traffic

    found: dict[str, Any] = {}
    evidence = gather(url, Selection(), None)
    lines: dict[str, set[int]] = {}
    for run in evidence.runs:
        lines.setdefault(run.path, set()).update(run.lines)
    broken = Counter[str]()
    for outcome in evidence.outcomes:
        broken[outcome.endpoint] += outcome.requests * (outcome.status == 500)
    for endpoint, failing in broken.items():
        if not failing:
            continue
        traffic = gather_traffic(url, Selection(endpoint=endpoint), None)
        chance = random.Random(SEED)
        tenth = replace(traffic, samples=[thinned(sample, chance) for sample in traffic.samples])
        found[endpoint] = {
            "failing": failing,
            "requests": sum(sample.requests for sample in traffic.samples),
            "full": rankings(traffic),
            "tenth": rankings(tenth),
            "full lines": rankings(without_branches(traffic)),
            "tenth lines": rankings(without_branches(tenth)),
        }
    return {"ran": {path: sorted(ran) for path, ran in lines.items()}, "endpoints": found}


def thinned(sample: Any, chance: random.Random) -> Any:
    """Each of the requests with a chance of a tenth."""
    return sample._replace(requests=sum(chance.random() < 0.1 for _ in range(sample.requests)))


def without_branches(traffic: Any) -> Any:
    """The same requests, as if lines alone had been recorded."""
    return replace(traffic, blocks={n: replace(block, arcs=None) for n, block in traffic.blocks.items()})


def rankings(traffic: Any) -> dict[str, Any] | None:
    """What those answered with 500 ran; None: too few requests to tell.

    Returns:
        ``formulas``: name -> ties as [first, last, parts]; ``missing``: the same of what they did not run;
        ``counts``: all that either group ran, ranked
        or not, as [failing, healthy, parts]; a part is [path, function, lines, branches].
        ``failing``, ``healthy``: requests in the groups.
    """
    from requestcov.analysis.contrast import contrast, divide
    from requestcov.analysis.ranking import FORMULAS
    from requestcov.analysis.suspects import by_status, suspects

    def plain(parts: Any) -> list[Any]:
        return [[part.path, part.function, part.lines, list(part.branches)] for part in parts]

    formulas, missing = {}, {}
    for formula in FORMULAS:
        answer = suspects(traffic, by_status(500), formula)
        if answer.too_few:
            return None
        formulas[formula] = [[tie.first, tie.last, plain(tie.parts)] for tie in answer.ran]
        missing[formula] = [[tie.first, tie.last, plain(tie.parts)] for tie in answer.missing]
    whole = contrast(traffic, divide(traffic.samples, by_status(500).decide))
    return {
        "formulas": formulas,
        "missing": missing,
        "counts": [[tie.ef, tie.ep, plain(tie.parts)] for tie in whole.ties],
        "failing": whole.failing,
        "healthy": whole.healthy,
    }
