"""What one request costs: bare, wrapped and not sampled, sampled, and under the rivals.

Every variant is a process of its own, for some instrument bytecode at import;
they serve in turn, a few requests each, in every round another one first, so
that a machine whose speed drifts is slow for all. Quoted are medians over the
rounds, and of ratios the median of the ratios round by round. Measured is the
request's own time; the drainer writes between the rounds.

    python tests/bench/bench_engine.py [--rounds 60] [--requests 20] [--json FILE]

The app is a Flask hello-world; Flask, Werkzeug and what they need are the
measured code, about 600 lines of it a request. They are copied out of
site-packages, where every tool would take them for third-party code.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import io
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

SOURCE = ["flask", "werkzeug", "jinja2", "click", "blinker", "itsdangerous", "markupsafe"]


def make_app() -> Any:
    """The app; imported late, for ddtrace must come first."""
    from flask import Flask, url_for

    app = Flask("hello_world")

    @app.route("/hello/<name>")
    def hello(name: str) -> str:
        return f"Hello, {name}! {url_for('hello', name='you')}"

    @app.route("/loop")
    def loop() -> str:
        total = 0
        for number in range(1_000_000):
            total += number
        return str(total)

    return app


def serve(app: Callable[..., Any], path: str) -> int:
    """One request as a server makes it; returns the length of the body."""
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "HTTP_HOST": "localhost",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        assert status == "200 OK", status
        return None

    result = app(environ, start_response)
    length = sum(map(len, result))
    if hasattr(result, "close"):
        result.close()
    return length


def copy_packages(to: Path) -> None:
    """Put the measured packages into a directory of their own."""
    for name in SOURCE:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        shutil.copytree(Path(spec.origin).parent, to / name)


def bare(store: str) -> Callable[..., Any]:
    """The app alone."""
    return make_app().wsgi_app


class PassThrough:
    """The least that a wrapper can be."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app = app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)


def pass_through(store: str) -> Callable[..., Any]:
    """The app in a wrapper that does nothing."""
    return PassThrough(make_app().wsgi_app)


def wrapped(store: str, **options: Any) -> Callable[..., Any]:
    """The app under requestcov."""
    from requestcov import Config, WSGIMiddleware

    config = Config(source=(sys.path[0],), sinks=(f"sqlite:///{store}",), **options)
    return WSGIMiddleware(make_app().wsgi_app, config)


def unsampled(store: str) -> Callable[..., Any]:
    """Wrapped; no request is taken."""
    return wrapped(store, sample_rate=0, first=0)


def sampled(store: str) -> Callable[..., Any]:
    """Wrapped; every request is taken and stored."""
    return wrapped(store, sample_rate=1, first=0, max_per_second=0, queue_size=100_000)


def branches(store: str) -> Callable[..., Any]:
    """Wrapped; every request is taken, with its branches."""
    return wrapped(store, sample_rate=1, first=0, max_per_second=0, queue_size=100_000, branch=True)


def started_coverage(store: str) -> Callable[..., Any]:
    """One Coverage object, started and stopped around every request; nobody reads what it found."""
    from coverage import Coverage

    app = make_app().wsgi_app
    coverage = Coverage(data_file=None, source=[sys.path[0]], config_file=False)

    def call(environ: Any, start_response: Any) -> Any:
        coverage.start()
        try:
            return app(environ, start_response)
        finally:
            coverage.stop()

    return call


def shared_coverage(store: str) -> Callable[..., Any]:
    """One Coverage object; after every request its lines are read and erased."""
    from coverage import Coverage

    app = make_app().wsgi_app
    coverage = Coverage(data_file=None, source=[sys.path[0]], config_file=False)

    def call(environ: Any, start_response: Any) -> Any:
        coverage.start()
        try:
            return app(environ, start_response)
        finally:
            coverage.stop()
            read_lines(coverage)
            coverage.erase()

    return call


def fresh_coverage(store: str) -> Callable[..., Any]:
    """A new Coverage object for every request, and its lines."""
    from coverage import Coverage

    app = make_app().wsgi_app

    def call(environ: Any, start_response: Any) -> Any:
        coverage = Coverage(data_file=None, source=[sys.path[0]], config_file=False)
        coverage.start()
        try:
            return app(environ, start_response)
        finally:
            coverage.stop()
            read_lines(coverage)

    return call


def read_lines(coverage: Any) -> None:
    """What a request ran, by coverage.py's API."""
    data = coverage.get_data()
    lines = {name: data.lines(name) for name in data.measured_files()}
    assert len(lines) > 10


def ddtrace(store: str) -> Callable[..., Any]:
    """ddtrace's collector of lines for one context."""
    os.environ["DD_TRACE_ENABLED"] = "false"
    # Its default on 3.12 and later notes files only; this is its line coverage.
    os.environ["_DD_COVERAGE_FILE_LEVEL"] = "false"
    from ddtrace.internal.coverage.code import ModuleCodeCollector
    from ddtrace.internal.coverage.installer import install

    install(include_paths=[Path(sys.path[0])], collect_import_time_coverage=False)
    app = make_app().wsgi_app

    def call(environ: Any, start_response: Any) -> Any:
        with ModuleCodeCollector.CollectInContext() as collector:
            result = app(environ, start_response)
            covered = collector.get_covered_lines()
            assert len(covered) > 10, "ddtrace collected nothing"
            return result

    return call


VARIANTS = {
    f.__name__: f
    for f in (
        bare,
        pass_through,
        unsampled,
        sampled,
        branches,
        started_coverage,
        shared_coverage,
        fresh_coverage,
        ddtrace,
    )
}


def child(pipe: Connection, name: str, path: str, copies: str, store: str) -> None:
    """Serve as many requests as the parent says, and tell how long each took, in microseconds."""
    sys.path.insert(0, copies)
    app = VARIANTS[name](store)
    for _ in range(3 if path == "/loop" else 30):
        serve(app, path)
    gc.collect()
    gc.freeze()
    pipe.send("ready")
    while (count := pipe.recv()) is not None:
        times = []
        for _ in range(count):
            start = time.perf_counter()
            serve(app, path)
            times.append((time.perf_counter() - start) * 1e6)
        if "requestcov" in sys.modules:
            # What the drainer does is measured apart, by bench_storage.
            sys.modules["requestcov"].flush(60)
        pipe.send(statistics.fmean(times))
    pipe.close()


def measure(names: list[str], path: str, rounds: int, requests: int) -> dict[str, list[float]]:
    """Microseconds a request, by variant and round."""
    spawn = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    children = []
    with tempfile.TemporaryDirectory() as directory:
        copies = Path(directory, "copies")
        copy_packages(copies)
        for name in names:
            ours, theirs = spawn.Pipe()
            process = spawn.Process(
                target=child, args=(theirs, name, path, str(copies), f"{directory}/{name}.db")
            )
            process.start()
            theirs.close()  # so that a child that dies is noticed
            assert ours.recv() == "ready"
            pipes[name] = ours
            children.append(process)
        result: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                pipes[name].send(requests)
                result[name].append(pipes[name].recv())
        for pipe in pipes.values():
            pipe.send(None)
        for process in children:
            process.join()
    return result


def ratio(a: list[float], b: list[float]) -> float:
    """The median of a/b, pair by pair."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--only", default=",".join(VARIANTS))
    parser.add_argument("--json")
    options = parser.parse_args()
    names = options.only.split(",")
    hello = measure(names, "/hello/world", options.rounds, options.requests)
    print(
        f"Python {sys.version.split()[0]}, hello-world, "
        f"{options.rounds} rounds of {options.requests} requests"
    )
    report: dict[str, Any] = {"python": sys.version.split()[0], "hello": {}, "loop": {}}
    added = {name: [a - b for a, b in zip(hello[name], hello["bare"], strict=True)] for name in names}
    for name in names:
        median, extra = statistics.median(hello[name]), statistics.median(added[name])
        times = ratio(hello[name], hello["bare"])
        report["hello"][name] = {"us": median, "added_us": extra, "ratio": times}
        print(f"  {name:16} {median:9.1f} us  added {extra:9.1f} us  {times:7.3f} of bare")
    if "sampled" in names:
        for rival in ("ddtrace", "started_coverage", "shared_coverage", "fresh_coverage"):
            if rival in names:
                share = statistics.median(added["sampled"]) / statistics.median(added[rival])
                report["hello"][f"sampled_added_of_{rival}"] = share
                print(f"  sampled adds {share:.1%} of what {rival} adds")
    both = [name for name in names if name in ("bare", "sampled", "unsampled")]
    if len(both) > 1:
        loop = measure(both, "/loop", max(5, options.rounds // 4), 2)
        for name in both:
            times = ratio(loop[name], loop["bare"])
            report["loop"][name] = {"ratio": times}
            print(f"  {name:16} {times:.3f} of bare, a request that loops a million times")
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
