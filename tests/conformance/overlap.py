"""Thousands of overlapping requests with known, different line sets, half of them recorded.

    python -m tests.conformance.overlap threads|tasks|workers|greenlets COUNT [branch]

Prints one JSON object: how many requests were sent and recorded, and what was
lost or borrowed. Each request labels its recording with its case; what a case
runs was learned beforehand under a plain trace function, alone.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and sys.argv[1] == "greenlets":
    from gevent import monkey

    monkey.patch_all()

import asyncio
import contextlib
import importlib.util
import json
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from requestcov import ASGIMiddleware, Config, WSGIMiddleware, annotate, flush
from requestcov.reading import record_from_json

CASES = 40
HEAD = """import asyncio, contextlib, time

def pause():
    time.sleep(0)
"""
CASE = """
def leaf{i}(x):
    if x % 2:
        y = x + {i}
        pause()
    else:
        y = x - {i}
    for k in range(3):
        y += k
        pause()
    return y

@contextlib.contextmanager
def guard{i}():
    try:
        yield {i}
    except ValueError:
        caught = 1
    finally:
        pause()

def steps{i}(n):
    for j in range(n):
        yield j
        pause()
    done = True

def sync{i}(x):
    a = leaf{i}(x)
    b = [leaf{m}(k) for k in range(x + 1)]
    with guard{i}():
        c = 1
        raise ValueError
    d = sum(steps{i}(2))
    return a

async def child{i}(x):
    await asyncio.sleep(0)
    r = leaf{i}(x)
    await asyncio.sleep(0)
    return r

async def stuck{i}():
    try:
        await asyncio.sleep(100)
    except asyncio.CancelledError:
        q = 1
        raise
    finally:
        r = 2

async def async{i}(x):
    a = leaf{i}(x)
    await asyncio.sleep(0)
    task = asyncio.create_task(child{n}(x))
    with guard{i}():
        await asyncio.sleep(0)
        raise ValueError
    b = sum(steps{i}(3))
    c = await task
    waiting = asyncio.create_task(stuck{i}())
    await asyncio.sleep(0)
    waiting.cancel()
    try:
        await waiting
    except asyncio.CancelledError:
        d = 5
    return a

async def worker{i}(x):
    a = await asyncio.to_thread(sync{i}, x)
    b = await asyncio.gather(asyncio.to_thread(leaf{m}, x), child{n}(x + 1))
    return a
"""


def make_module(directory: Path) -> ModuleType:
    """The measured code: functions alike in shape, each on lines of its own."""
    text = HEAD + "".join(CASE.format(i=i, m=(i + 3) % CASES, n=(i + 7) % CASES) for i in range(CASES))
    path = directory / "cases.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("cases", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def alone(run: Callable[[], object], file: str) -> set[int]:
    """The line events of a call, in this thread and in those it starts."""
    lines: set[int] = set()

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename != file:
            return None
        if event == "line":
            lines.add(frame.f_lineno)
        return trace

    threading.settrace(trace)
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
    return lines


def wsgi_app(module: ModuleType) -> Any:
    """``/sync/<case>/<x>``, the work done partly while the body is iterated."""

    def app(environ: Any, start_response: Any) -> Any:
        _, kind, case, x = environ["PATH_INFO"].split("/")
        annotate(case=f"{kind}/{case}/{x}")
        start_response("200 OK", [])
        yield b"x"
        yield str(getattr(module, f"{kind}{case}")(int(x))).encode()

    return app


def asgi_app(module: ModuleType) -> Any:
    """``/async/<case>/<x>`` and ``/worker/<case>/<x>``."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        _, kind, case, x = scope["path"].split("/")
        annotate(case=f"{kind}/{case}/{x}")
        result = await getattr(module, f"{kind}{case}")(int(x))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(result).encode()})

    return app


def call_wsgi(app: Any, path: str) -> None:
    """One request, as a server makes it."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "SCRIPT_NAME": ""}
    result = app(environ, lambda status, headers, exc_info=None: None)
    for _ in result:
        pass
    result.close()


async def call_asgi(app: Any, path: str) -> None:
    """One request, as a server makes it."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    await app({"type": "http", "method": "GET", "path": path, "headers": []}, receive, send)


def paths(kind: str, count: int) -> list[str]:
    """Every case in turn, in an order that brings different ones together."""
    return [f"/{kind}/{j * 7 % CASES}/{j // CASES % 2}" for j in range(count)]


def by_threads(app: Any, count: int) -> None:
    """Eight threads, switched as often as the interpreter can."""
    shares = [paths("sync", count)[n::8] for n in range(8)]
    threads = [threading.Thread(target=lambda s=s: [call_wsgi(app, p) for p in s]) for s in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def by_greenlets(app: Any, count: int) -> None:
    """Fifty greenlets at a time; ``pause`` is patched to switch."""
    import gevent.pool

    pool = gevent.pool.Pool(50)
    for path in paths("sync", count):
        pool.spawn(call_wsgi, app, path)
    pool.join()


def by_tasks(kind: str) -> Callable[[Any, int], None]:
    """Fifty tasks at a time on one event loop."""

    async def everything(app: Any, count: int) -> None:
        todo = iter(paths(kind, count))

        async def some() -> None:
            for path in todo:
                await call_asgi(app, path)

        await asyncio.gather(*[some() for _ in range(50)])

    return lambda app, count: asyncio.run(everything(app, count))


def main(how: str, count: int, branch: bool) -> dict[str, Any]:
    """Send, record, compare."""
    kinds = {"threads": "sync", "greenlets": "sync", "tasks": "async", "workers": "worker"}
    kind = kinds[how]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        module = make_module(directory)
        file = str(module.__file__)
        expected = {}
        for case in range(CASES):
            for x in (0, 1):
                function = getattr(module, f"{kind}{case}")
                run = (
                    (lambda f=function, x=x: f(x))
                    if kind == "sync"
                    else (lambda f=function, x=x: asyncio.run(f(x)))
                )
                expected[f"{kind}/{case}/{x}"] = alone(run, file)
        assert len({frozenset(lines) for lines in expected.values()}) == 2 * CASES
        store = directory / "records.jsonl"
        config = Config(
            sample_rate=0.5,
            first=0,
            max_per_second=0,
            max_in_flight=1000,
            queue_size=100_000,
            source=(name,),
            sinks=(f"file:///{store}",),
            branch=branch,
        )
        app = (
            WSGIMiddleware(wsgi_app(module), config)
            if kind == "sync"
            else ASGIMiddleware(asgi_app(module), config)
        )
        drive = {"threads": by_threads, "greenlets": by_greenlets}.get(how) or by_tasks(kind)
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            drive(app, count)
        finally:
            sys.setswitchinterval(before)
        assert flush(60)
        lines = [json.loads(line) for line in store.read_text().splitlines()]
        records = [record_from_json(line) for line in lines if "id" in line]
        ledgers = [line["ledger"] for line in lines if "ledger" in line]
        # In a file, a later line names only the endpoints whose count has changed.
        seen = {endpoint: number for ledger in ledgers for endpoint, number in ledger["seen"].items()}
        ledger = {**ledgers[-1], "seen": seen}
    result: dict[str, Any] = {"sent": count, "recorded": len(records), "lost": 0, "borrowed": 0, "wrong": []}
    result["ledger"] = {key: ledger[key] for key in ("sampled", "stored", "dropped", "pending", "seen")}
    result["engine"] = records[0].engine
    for record in records:
        found = set().union(*(block.lines for block in record.blocks))
        want = expected[record.labels["case"]]
        if found != want:
            result["lost"] += len(want - found)
            result["borrowed"] += len(found - want)
            result["wrong"].append([record.labels["case"], sorted(want - found), sorted(found - want)])
    result["wrong"] = result["wrong"][:5]
    return result


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        outcome = main(sys.argv[1], int(sys.argv[2]), "branch" in sys.argv[3:])
    print(json.dumps(outcome))
