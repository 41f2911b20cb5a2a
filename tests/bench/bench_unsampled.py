"""What a request that is not sampled pays, to a tenth of a per cent of a small one.

    python tests/bench/bench_unsampled.py [--processes 5] [--rounds 4000] [--callgrind] [--json FILE]

Two processes that do the same differ by several per cent, so everything is
compared in one: the same app object is called bare, in a wrapper that does
nothing, and in requestcov's, one request each a round in a random order, on
new environs with new strings as servers make them. Of every round the
differences to the bare call are taken. Quoted are their medians over all
rounds with a bootstrap interval of 95 %, resampled by process and by blocks of
rounds (rounds that follow each other are alike); beside them the differences of
medians and of means without the upper and lower fifth, which must agree. One
process alone would not do: where its objects happen to lie is worth half a per
cent.

``--callgrind`` counts instructions instead (valgrind must be there): that is
the same on every run, whatever else the machine does.

The app is the Flask hello-world of bench_engine, every option as in production
but for the rate: so low that no request of this run is taken by chance.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import multiprocessing
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench_engine import PassThrough, copy_packages, make_app

RATE = 1e-9
BLOCK = 50
RESAMPLES = 400

Application = Callable[..., Any]


def contestants(store: str) -> dict[str, Application]:
    """The same app three times."""
    from requestcov import Config, WSGIMiddleware

    app = make_app().wsgi_app
    config = Config(source=(sys.path[0],), sinks=(f"sqlite:///{store}",), sample_rate=RATE, first=0)
    return {"bare": app, "pass_through": PassThrough(app), "unsampled": WSGIMiddleware(app, config)}


def make_environ() -> dict[str, Any]:
    """A new environ; what a server reads from the socket is a new string each time."""
    line = b"GET /hello/world HTTP/1.1".decode("latin-1").split(" ")
    return {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REQUEST_METHOD": line[0],
        "SCRIPT_NAME": "",
        "PATH_INFO": line[1],
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": line[2],
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "HTTP_HOST": "localhost",
        "HTTP_ACCEPT": "*/*",
        "HTTP_USER_AGENT": "bench",
    }


def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
    """A server's."""
    assert status == "200 OK", status


def call(app: Application) -> int:
    """One request; returns its nanoseconds."""
    environ = make_environ()
    clock = time.perf_counter_ns
    begin = clock()
    result = app(environ, start_response)
    for _ in result:
        pass
    result.close()
    return clock() - begin


def child(pipe: Connection, copies: str, store: str, rounds: int, seed: int) -> None:
    """Nanoseconds of every contestant, round by round."""
    sys.path.insert(0, copies)
    apps = contestants(store)
    for _ in range(200):
        for app in apps.values():
            call(app)
    gc.collect()
    gc.freeze()
    gc.disable()
    order = list(apps)
    chance = random.Random(seed)
    times: dict[str, list[int]] = {name: [] for name in order}
    for turn in range(rounds):
        chance.shuffle(order)
        for name in order:
            times[name].append(call(apps[name]))
        if turn % 500 == 0:
            gc.collect()
    pipe.send(times)
    pipe.close()


def run(processes: int, rounds: int) -> list[dict[str, list[int]]]:
    """One process after the other."""
    spawn = multiprocessing.get_context("spawn")
    results = []
    with tempfile.TemporaryDirectory() as directory:
        copies = Path(directory, "copies")
        copy_packages(copies)
        for number in range(processes):
            ours, theirs = spawn.Pipe()
            store = f"{directory}/{number}.db"
            process = spawn.Process(target=child, args=(theirs, str(copies), store, rounds, number))
            process.start()
            theirs.close()  # so that a child that dies is noticed
            results.append(ours.recv())
            process.join()
    return results


def trimmed(values: list[int]) -> float:
    """The mean without the upper and the lower fifth."""
    ordered = sorted(values)
    cut = len(ordered) // 5
    return statistics.fmean(ordered[cut : len(ordered) - cut])


def summary(results: list[dict[str, list[int]]], name: str, chance: random.Random) -> dict[str, Any]:
    """What a contestant adds to the bare call, in per cent of it."""
    bare = [time for result in results for time in result["bare"]]
    its = [time for result in results for time in result[name]]
    base = statistics.median(bare)
    blocks = [
        [
            [
                a - b
                for a, b in zip(result[name][at : at + BLOCK], result["bare"][at : at + BLOCK], strict=True)
            ]
            for at in range(0, len(result["bare"]), BLOCK)
        ]
        for result in results
    ]
    each = [statistics.median(d for block in process for d in block) for process in blocks]
    drawn = sorted(
        statistics.median(
            d
            for process in chance.choices(blocks, k=len(blocks))
            for b in chance.choices(process, k=len(process))
            for d in b
        )
        for _ in range(RESAMPLES)
    )
    low, high = drawn[int(RESAMPLES * 0.025)], drawn[int(RESAMPLES * 0.975)]
    middle = statistics.median(d for process in blocks for block in process for d in block)
    quarters = [
        (a - b) / b * 100
        for a, b in zip(statistics.quantiles(its, n=4), statistics.quantiles(bare, n=4), strict=True)
    ]
    return {
        "bare_us": base / 1000,
        "added_us": middle / 1000,
        "percent": middle / base * 100,
        "interval": [low / base * 100, high / base * 100],
        "by_process": [value / base * 100 for value in each],
        "of_quartiles": quarters,
        "of_trimmed_means": (trimmed(its) / trimmed(bare) - 1) * 100,
    }


def count_here(name: str, requests: int, copies: str, store: str) -> None:
    """Serve; valgrind counts."""
    sys.path.insert(0, copies)
    app = contestants(store)[name]
    gc.disable()
    for _ in range(requests):
        call(app)


def instructions(requests: int = 400) -> dict[str, float]:
    """Instructions a request, by contestant: what 400 more requests cost."""
    counts: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        copies = Path(directory, "copies")
        copy_packages(copies)
        for name in ("bare", "pass_through", "unsampled"):
            found = []
            for many in (requests, 2 * requests):
                command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/out"]
                command += [sys.executable, __file__, "--serve", name, "--rounds", str(many), "--copies"]
                done = subprocess.run(
                    [*command, str(copies)],
                    env=os.environ | {"PYTHONHASHSEED": "0"},
                    stderr=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                match = re.search(r"Collected : (\d+)", done.stderr)
                assert match is not None, done.stderr
                found.append(int(match[1]))
            counts[name] = (found[1] - found[0]) / requests
    return counts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=4000)
    parser.add_argument("--callgrind", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--copies", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        with tempfile.TemporaryDirectory() as directory:
            count_here(options.serve, options.rounds, options.copies, f"{directory}/bench.db")
        return
    report: dict[str, Any] = {"python": sys.version.split()[0]}
    if options.callgrind:
        if shutil.which("valgrind") is None:
            sys.exit("valgrind is missing: apt-get install valgrind")
        report["instructions"] = counts = instructions()
        print(f"Python {report['python']}, instructions a request")
        for name, count in counts.items():
            added = count - counts["bare"]
            print(f"  {name:12} {count:12,.0f}  added {added:8,.0f}  {added / counts['bare']:+.2%}")
    else:
        results = run(options.processes, options.rounds)
        print(f"Python {report['python']}, {options.processes} processes of {options.rounds} rounds")
        for name in ("pass_through", "unsampled"):
            report[name] = found = summary(results, name, random.Random(1))
            low, high = found["interval"]
            print(
                f"  {name:12} adds {found['added_us']:+.2f} us to {found['bare_us']:.1f} us: "
                f"{found['percent']:+.2f} % ({low:+.2f} to {high:+.2f}); by process "
                + " ".join(f"{value:+.2f}" for value in found["by_process"])
            )
            quartiles = " ".join(f"{value:+.2f}" for value in found["of_quartiles"])
            print(f"{'':15}quartiles {quartiles} %, trimmed means {found['of_trimmed_means']:+.2f} %")
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
