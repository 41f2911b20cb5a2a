"""How often the line at fault is among the first that ``requestcov suspects`` names.

    python -m tests.bench.bench_localisation [--faults 60] [--requests 400] [--json FILE]

One-line faults (tests/bench/mutation) are seeded into the domain code of the
shop, served by FastAPI and by Flask, and into the Django test app; each is run
in a process of its own, under the same shoppers, recorded in full by this
package. A fault counts if it makes between 1 % and 60 % of the requests to
some endpoint end in an exception that they do not end in without it, twice at
least. Of the endpoint with most of them, the requests answered with 500 are
held against those that did not fail: all of them, and one in ten, by chance, of
ten times as many.

The rank of the line, or of its function, is the middle of the places that its
tie shares, so that a tie of ten is worth its sixth place (a function's rank is
that of its first line among the first lines of all functions). The rival is
what people have today: the last line of their own code in the traceback.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from tests.bench.mutation import Fault, faults, seeded

ROOT = Path(__file__).parents[2]
APPS = {
    "shop on FastAPI": ["shop/catalogue.py", "shop/orders.py", "shop/payments.py", "shop/pricing.py",
                        "shop/recommend.py", "shop/reports.py", "shop/shipping.py"],
    "shop on Flask": ["shop/catalogue.py", "shop/orders.py", "shop/payments.py", "shop/pricing.py",
                      "shop/recommend.py", "shop/reports.py", "shop/shipping.py"],
    "Django app": ["tests/apps/django_app.py"],
}  # fmt: skip
TOP = (1, 3, 5, 10)
SEED = 20
SELDOM = ("arithmetic", "comparison", "constant")


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


def serve(app: str, tree: str, requests: int, raised: Raised, options: dict[str, Any]) -> None:
    """Send the app in a tree its requests, recorded."""
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
            for _ in range(requests):
                one = chance.choice(django_app.REQUESTS)
                path = one.path
                for word in ("7", "8", "101"):  # as many orders as there are numbers
                    if path == f"/shop/orders/{word}/":
                        path = f"/shop/orders/{chance.randrange(1, 120)}/"
                client.request(one.method, path, **one.kwargs)


def child(app: str, tree: str, requests: int) -> None:
    """Run one tree and print what its endpoints' failing requests point at."""
    warnings.simplefilter("ignore")
    raised = Raised(tree)
    database = os.path.join(tree, "records.db")
    url = f"sqlite:///{database}"
    options = {
        "enabled": True,
        "sample_rate": 1.0, "first": 0, "max_per_second": 0, "queue_size": 100_000, "max_in_flight": 1000,
        "source": [os.path.join(tree, "shop" if app.startswith("shop") else "tests")],
        "sinks": [url], "branch": True,
    }  # fmt: skip
    os.chdir(tree)
    serve(app, tree, requests, raised, options)
    import requestcov

    assert requestcov.flush(60)
    print(json.dumps({"last": [[*place, count] for place, count in raised.last.most_common()],
                      "endpoints": answers(url)}))  # fmt: skip


def answers(url: str) -> dict[str, Any]:
    """By endpoint, how many failed with 500, and the rankings of what they ran."""
    from requestcov.analysis.evidence import Selection
    from requestcov.analysis.gather import gather, gather_traffic
    from requestcov.analysis.suspects import by_status

    found: dict[str, Any] = {}
    evidence = gather(url, Selection(), None)
    broken = Counter[str]()
    for outcome in evidence.outcomes:
        broken[outcome.endpoint] += outcome.requests * (outcome.status == 500)
    for endpoint, failing in broken.items():
        if not failing:
            continue
        traffic = gather_traffic(url, Selection(endpoint=endpoint), None)
        chance = random.Random(SEED)
        tenth = replace(traffic, samples=[s for s in traffic.samples if chance.random() < 0.1])
        found[endpoint] = {
            "failing": failing,
            "requests": len(traffic.samples),
            "full": rankings(traffic, by_status(500)),
            "tenth": rankings(tenth, by_status(500)),
            "sampled": len(tenth.samples),
        }
    return found


def rankings(traffic: Any, division: Any) -> dict[str, Any] | None:
    """Formula -> ties as [first, last, [[path, function, lines, branches]]]; None: too few requests."""
    from requestcov.analysis.ranking import FORMULAS
    from requestcov.analysis.suspects import suspects

    result = {}
    for formula in FORMULAS:
        answer = suspects(traffic, division, formula)
        if answer.too_few:
            return None
        result[formula] = [
            [tie.first, tie.last, [[p.path, p.function, p.lines, list(p.branches)] for p in tie.parts]]
            for tie in answer.ran
        ]
    return result


def line_rank(ties: Sequence[Any], path: str, line: int) -> float | None:
    """The middle of the places of the first tie that has the line, or a branch out of it."""
    from requestcov.record import parse_lines

    for first, last, parts in ties:
        for part_path, _, lines, branches in parts:
            starts = {int(branch.split("-")[0]) for branch in branches}
            if part_path == path and line in parse_lines(lines) | starts:
                return float(first + last) / 2
    return None


def function_rank(ties: Sequence[Any], path: str, name: str) -> float | None:
    """The middle of the places that a function shares, among functions by their first tie."""
    above: set[tuple[str, str]] = set()
    place = None
    for first, last, _ in ties:
        if (first, last) != place:
            place, before = (first, last), len(above)
            level = {(p[0], p[1]) for f, e, ps in ties if (f, e) == place for p in ps} - above
            if (path, name) in level:
                return before + (1 + len(level)) / 2
            above |= level
    return None


def make_tree(app: str, folder: Path, file: str, text: str | None) -> None:
    """A copy of what the app needs, with one file's text replaced."""
    if app.startswith("shop"):
        shutil.copytree(ROOT / "examples" / "shop", folder, ignore=shutil.ignore_patterns("*.db*", "__pyc*"))
    else:
        shutil.copytree(ROOT / "tests" / "apps", folder / "tests" / "apps",
                        ignore=shutil.ignore_patterns("__pyc*"))  # fmt: skip
    if text is not None:
        (folder / file).write_text(text)


def run(app: str, file: str, text: str | None, requests: int) -> dict[str, Any] | None:
    """What one tree answers; None when the app does not start or hangs."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(os.path.realpath(directory), "tree")
        make_tree(app, folder, file, text)
        code = (
            f"from tests.bench.bench_localisation import child; child({app!r}, {str(folder)!r}, {requests})"
        )
        # The tree's own tests.apps comes before the checkout's.
        path = os.pathsep.join([str(folder), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            done = subprocess.run(
                [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": path},
                capture_output=True, text=True, timeout=120,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None
    if done.returncode:
        if text is None:  # without a fault in it, it must run
            sys.exit(f"{app} does not run:\n{done.stderr}")
        return None
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def judge(app: str, file: str, fault: Fault, healthy: dict[str, Any], requests: int) -> dict[str, Any] | None:
    """The ranks of one fault; None when it is none that makes some requests fail."""
    from requestcov._source import parse

    text = (ROOT / ("examples/shop" if app.startswith("shop") else ".") / file).read_text()
    broken = seeded(text, fault)
    answer = run(app, file, broken, requests)
    if answer is None:
        return None
    # The shop has two faults of its own, which fail a request now and then without any seeded.
    known = {name: found["failing"] for name, found in healthy["endpoints"].items()}
    new = {
        name: found
        for name, found in answer["endpoints"].items()
        if found["failing"] - known.get(name, 0) >= 2 and 0.01 <= found["failing"] / found["requests"] <= 0.6
    }
    if not new:
        return None
    endpoint = max(new, key=lambda name: new[name]["failing"] - known.get(name, 0))
    source = parse(file, "", broken)
    line = source.first.get(fault.line, fault.line)
    owner = source.owner.get(line)
    if owner is None:
        return None
    before = {tuple(place[:2]) for place in healthy["last"]}
    raised = [place for place in answer["last"] if tuple(place[:2]) not in before]
    result: dict[str, Any] = {
        "app": app, "file": file, "line": fault.line, "kind": fault.kind, "after": fault.after.strip(),
        "function": owner.name, "endpoint": endpoint, "failing": new[endpoint]["failing"],
        "requests": new[endpoint]["requests"],
        "traceback": bool(raised) and source.first.get(raised[0][1], raised[0][1]) == line
        and raised[0][0] == file,
        "traceback_function": bool(raised) and raised[0][0] == file and raised[0][1] in
        range(owner.line, owner.end + 1),
    }  # fmt: skip
    again = run(app, file, broken, 10 * requests) or {"endpoints": {}}
    for sampling, found in (("full", answer), ("tenth", again)):
        ranked = found["endpoints"].get(endpoint, {}).get(sampling)
        result[sampling] = None if ranked is None else {
            formula: [line_rank(ties, file, line), function_rank(ties, file, owner.name)]
            for formula, ties in ranked.items()
        }  # fmt: skip
    return result


def _judge(app: str, healthy: dict[str, Any], requests: int, one: tuple[str, Fault]) -> dict[str, Any] | None:
    return judge(app, *one, healthy, requests)


def within(results: Sequence[dict[str, Any]], sampling: str, formula: str, best: Callable[[Any], Any]) -> str:
    """Shares of faults whose rank is up to 1, 3, 5, 10."""
    ranks = [best(r[sampling][formula]) for r in results if r[sampling] is not None]
    shares = (
        [sum(rank is not None and rank <= top for rank in ranks) / len(ranks) for top in TOP] if ranks else []
    )
    return "  ".join(f"{share:6.0%}" for share in shares) + f"   of {len(ranks)}"


def either(ranks: Sequence[float | None]) -> float | None:
    """The better of the line's and its function's."""
    return min((rank for rank in ranks if rank is not None), default=None)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--faults", type=int, default=60, help="how many to find, over all apps")
    parser.add_argument("--requests", type=int, default=400, help="sent to each")
    parser.add_argument("--minutes", type=float, default=30, help="look for faults no longer than this")
    parser.add_argument("--json")
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    tried = 0
    share = {"shop on FastAPI": 0.4, "shop on Flask": 0.4, "Django app": 0.2}
    for app, files in APPS.items():
        healthy = run(app, files[0], None, options.requests)
        assert healthy is not None
        base = ROOT / ("examples/shop" if app.startswith("shop") else ".")
        candidates = [(file, fault) for file in files for fault in faults((base / file).read_text())]
        random.Random(f"{SEED}:{app}").shuffle(candidates)
        # Another operator or constant changes an answer and seldom fails a request: those come last.
        candidates.sort(key=lambda one: one[1].kind in SELDOM)
        wanted, here = round(options.faults * share[app]), 0
        end = time.monotonic() + options.minutes * 60 * share[app]
        with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
            while candidates and here < wanted and time.monotonic() < end:
                some, candidates = candidates[:8], candidates[8:]
                tried += len(some)
                for found in pool.map(partial(_judge, app, healthy, options.requests), some):
                    if found is not None and here < wanted:
                        results.append(found)
                        here += 1
                print(f"\r{app}: {here} of {wanted} faults, {tried} tried in all", end="", file=sys.stderr)
        print(file=sys.stderr)
    counts = Counter(result["app"] for result in results)
    print(f"{len(results)} faults that make some requests fail, of {tried} seeded: "
          + ", ".join(f"{count} in {app}" for app, count in counts.items()))  # fmt: skip
    for sampling, words in (("full", "every request recorded"), ("tenth", "one request in ten recorded")):
        print(f"\n{words}: share of faults in the top" + "".join(f"{top:>8}" for top in TOP))
        for formula in ("ochiai", "tarantula", "dstar", "jaccard"):
            print(f"  {formula:10} the line             ", within(results, sampling, formula, lambda r: r[0]))
            print(f"  {'':10} its function         ", within(results, sampling, formula, lambda r: r[1]))
            print(f"  {'':10} either               ", within(results, sampling, formula, either))
    lines = sum(result["traceback"] for result in results) / len(results)
    functions = sum(result["traceback_function"] for result in results) / len(results)
    print(
        f"\nthe traceback's last line of the app's own code: the line {lines:.0%},"
        f" its function {functions:.0%}"
    )
    by_kind: defaultdict[str, list[bool]] = defaultdict(list)
    print("\nnot in the top 5 by Ochiai, line or function, with every request recorded:")
    for result in results:
        rank = either(result["full"]["ochiai"]) if result["full"] else None
        by_kind[result["kind"]].append(rank is not None and rank <= 5)
        if rank is None or rank > 5:
            place = f"{result['app']} {result['file']}:{result['line']} {result['function']}"
            failing = f"{result['failing']} of {result['requests']} requests to {result['endpoint']} fail"
            ranks = result["full"] and result["full"]["ochiai"]
            print(f"  {place}: {result['after']}")
            print(f"      {result['kind']}; {failing}; ranks {ranks}")
    print("\nby kind: " + ", ".join(f"{kind} {sum(ok)}/{len(ok)}" for kind, ok in sorted(by_kind.items())))
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
