"""Send an app its known requests and write down what each ran, by one of several measures.

    python -m tests.conformance.measure APP MEASURE OUT

Every measure wraps the app at the same place and sees the same requests in the
same order, alone in a process of its own. OUT becomes a JSON list, a request
an entry: ``{"lines": {file: [line]}, "branches": {file: [[from, to]]}}``.

The oracle is deliberately simple: a trace function that notes each line event,
in this thread while the app runs a request, and in every other thread. The
second reference is coverage.py itself, told before each request which one it is.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
Ran = dict[str, Any]


class Oracle:
    """Line events, request by request."""

    def __init__(self, scope: str) -> None:
        self.scope = scope + os.sep
        self.ran: list[Ran] = []
        self.lines: dict[str, set[int]] | None = None
        threading.settrace(self.trace)

    def trace(self, frame: FrameType, event: str, arg: object) -> Callable[..., Any] | None:
        if not frame.f_code.co_filename.startswith(self.scope):
            return None
        if event == "line" and self.lines is not None:
            self.lines.setdefault(frame.f_code.co_filename, set()).add(frame.f_lineno)
        return self.trace

    def start(self) -> None:
        self.lines = {}
        sys.settrace(self.trace)

    def stop(self) -> None:
        sys.settrace(None)
        assert self.lines is not None
        self.ran.append({"lines": {_name(f): sorted(n) for f, n in self.lines.items()}})
        self.lines = None

    def finish(self) -> list[Ran]:
        threading.settrace(None)  # type: ignore[arg-type]
        return self.ran


class Coverage:
    """coverage.py's C tracer over the whole process, with a context for each request."""

    def __init__(self, scope: str, branch: bool) -> None:
        os.environ["COVERAGE_CORE"] = "ctrace"
        import coverage

        self.branch = branch
        self.count = 0
        self.coverage = coverage.Coverage(data_file=None, source=[scope], branch=branch, config_file=False)
        self.coverage.start()

    def start(self) -> None:
        self.coverage.switch_context(f"request {self.count}")

    def stop(self) -> None:
        self.coverage.switch_context("between")
        self.count += 1

    def finish(self) -> list[Ran]:
        self.coverage.stop()
        data = self.coverage.get_data()
        # A reporter parses its file once; _analyze alone would for every request.
        reporters = {file: self.coverage._get_file_reporter(file) for file in data.measured_files()}
        result: list[Ran] = []
        for number in range(self.count):
            data.set_query_contexts([f"^request {number}$"])
            ran: Ran = {"lines": {}, "branches": {}}
            for file, reporter in reporters.items():
                lines = data.lines(file)
                if lines:
                    ran["lines"][_name(file)] = sorted(lines)
                if self.branch and lines:
                    analysis = self.coverage._analyze(file, reporter)
                    taken = [[a, b] for a, ends in analysis.executed_branch_arcs().items() for b in ends]
                    if taken:
                        ran["branches"][_name(file)] = sorted(taken)
            result.append(ran)
        data.set_query_contexts(None)
        return result


Measure = Oracle | Coverage


def measured_wsgi(app: Any, measure: Measure) -> Any:
    """The app under a reference; its whole result is made within the call."""

    def call(environ: Any, start_response: Any) -> Any:
        measure.start()
        try:
            result = app(environ, start_response)
            try:
                return list(result)
            finally:
                if hasattr(result, "close"):
                    result.close()
        finally:
            measure.stop()

    return call


def measured_asgi(app: Any, measure: Measure) -> Any:
    """The app under a reference."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        measure.start()
        try:
            await app(scope, receive, send)
        finally:
            measure.stop()

    return call


def recorded(app: Any, asgi: bool, scope: str, branch: bool, out: Path) -> Any:
    """The app under requestcov, every request taken."""
    from requestcov import ASGIMiddleware, Config, WSGIMiddleware

    config = Config(
        sample_rate=1.0,
        first=0,
        max_per_second=0,
        exclude=(),
        source=(scope,),
        sinks=(f"file:///{out}",),
        branch=branch,
        queue_size=100_000,
    )
    return (ASGIMiddleware if asgi else WSGIMiddleware)(app, config)


def records(out: Path) -> list[Ran]:
    """What requestcov wrote, by request."""
    from requestcov import flush
    from requestcov.reading import record_from_json

    assert flush(10)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    found = [record_from_json(line) for line in lines if "id" in line]
    found.sort(key=lambda record: record.seq)
    assert all(record.partial is None for record in found)
    return [
        {
            "lines": {block.path: sorted(block.lines) for block in record.blocks},
            "branches": {b.path: sorted(map(list, b.branches)) for b in record.blocks if b.branches},
        }
        for record in found
    ]


@contextmanager
def known_app(name: str) -> Iterator[tuple[Any, bool, str, Any]]:
    """``(app, is it ASGI, its source directory, its requests)``."""
    if name.startswith("shop-"):
        from tests.examples.known_requests import KNOWN, SHOP, shop_module

        framework = name.removeprefix("shop-")
        with tempfile.TemporaryDirectory() as directory, shop_module(framework, Path(directory, "bare.db")):
            module = sys.modules[f"{framework}_app"]
            app = module.create_app(Path(directory, "shop.db"))
            yield app, framework == "fastapi", str(SHOP), KNOWN
    elif name == "starlette":
        from tests.apps import starlette_app

        known = (*starlette_app.REQUESTS, *starlette_app.WEBSOCKETS)
        yield starlette_app.make_app(), True, str(ROOT / "tests" / "apps"), known
    else:
        from tests.apps import django_app

        app = django_app.asgi_application() if name == "django-asgi" else django_app.wsgi_application()
        yield app, name == "django-asgi", str(ROOT / "tests" / "apps"), django_app.REQUESTS


def send(app: Any, asgi: bool, requests: Any) -> None:
    """One request after the other; an ASGI app gets an event loop for each."""

    async def one(request: Any) -> None:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            response = await client.request(request.method, request.path, **request.kwargs)
            assert response.status_code == request.status, (str(request), response.text[:300])

    if asgi:
        for request in requests:
            asyncio.run(connect(app, request) if hasattr(request, "texts") else one(request))
        return
    transport = httpx.WSGITransport(app=app, raise_app_exceptions=False)
    with httpx.Client(transport=transport, base_url="http://app.test") as client:
        for request in requests:
            response = client.request(request.method, request.path, **request.kwargs)
            assert response.status_code == request.status, (str(request), response.text[:300])


async def connect(app: Any, websocket: Any) -> None:
    """One websocket, from its handshake to its end."""
    texts = ({"type": "websocket.receive", "text": text} for text in websocket.texts)
    coming = iter([{"type": "websocket.connect"}, *texts, {"type": "websocket.disconnect", "code": 1000}])
    answers = []

    async def receive() -> Any:
        return next(coming)

    async def send(message: Any) -> None:
        if message["type"] == "websocket.send":
            answers.append(message["text"])

    scope = {"type": "websocket", "path": websocket.path, "query_string": b"", "headers": []}
    await app(scope, receive, send)
    assert tuple(answers) == websocket.answers


def _name(file: str) -> str:
    return os.path.relpath(file, ROOT)


def main(name: str, how: str, out: Path) -> None:
    """Measure one app one way."""
    with known_app(name) as (app, asgi, scope, requests):
        if how.startswith("requestcov"):
            store = out.with_suffix(".jsonl")
            send(recorded(app, asgi, scope, how.endswith("-branch"), store), asgi, requests)
            ran = records(store)
        else:
            measure = Oracle(scope) if how == "oracle" else Coverage(scope, how.endswith("-branch"))
            wrapped = measured_asgi(app, measure) if asgi else measured_wsgi(app, measure)
            send(wrapped, asgi, requests)
            ran = measure.finish()
    assert len(ran) == len(requests), (len(ran), len(requests))
    out.write_text(json.dumps(ran))


if __name__ == "__main__":
    os.chdir(ROOT)
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]).absolute())
