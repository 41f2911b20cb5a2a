"""Throughput and memory of real servers under load, bare against wrapped.

    python tests/bench/bench_servers.py [--pairs 12] [--seconds 3] [--rate 0.01] [--json FILE]

Both servers run the whole time, on the first core; wrk, on the second, loads
them in turn: bare, wrapped, wrapped, bare, … Quoted is the median of the ratios
pair by pair, of requests answered, and how much more memory the wrapped server
has than the bare one. Everything is on: sampling, engine, drainer, SQLite sink.
Needs Debian's wrk.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HELLO = Path(__file__).parent / "hello"
SERVERS = {
    "gunicorn": ["-m", "gunicorn", "--threads", "4", "--workers", "1", "flask_hello:{app}", "--bind"],
    "uvicorn": ["-m", "uvicorn", "--no-access-log", "--log-level", "warning", "asgi_hello:{app}", "--port"],
}


class Serving:
    """One server process."""

    def __init__(self, server: str, app: str, environ: dict[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        words = [word.format(app=app) for word in SERVERS[server]]
        address = f"127.0.0.1:{self.port}" if server == "gunicorn" else str(self.port)
        self.process = subprocess.Popen(
            ["taskset", "-c", "0", sys.executable, *words, address],
            cwd=HELLO,
            env=os.environ | environ,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def load(self, seconds: float) -> float:
        """Requests a second that wrk got answered."""
        command = ["taskset", "-c", "1", "wrk", "-t1", "-c8", f"-d{seconds:g}s"]
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{self.port}/hello/world"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "Non-2xx" not in done.stdout, done.stdout
        match = re.search(r"Requests/sec:\s+([0-9.]+)", done.stdout)
        assert match is not None, done.stdout
        return float(match[1])

    def memory(self) -> float:
        """Resident megabytes of the process group."""
        listing = subprocess.run(
            ["ps", "-o", "rss=", "-g", str(self.process.pid)], capture_output=True, text=True, check=True
        )
        return sum(map(int, listing.stdout.split())) / 1024

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(20)


def measure(server: str, options: argparse.Namespace) -> dict[str, Any]:
    """The pairs of one server."""
    with tempfile.TemporaryDirectory() as directory:
        environ = {
            "REQUESTCOV_SINKS": f"sqlite:///{directory}/bench.db",
            "REQUESTCOV_SAMPLE_RATE": str(options.rate),
            "REQUESTCOV_MAX_PER_SECOND": str(options.max_per_second),
        }
        bare, wrapped = Serving(server, "bare", {}), Serving(server, "wrapped", environ)
        try:
            for serving in (bare, wrapped):
                serving.load(2)
            at_first = wrapped.memory() - bare.memory()
            ratios, rates = [], []
            for pair in range(options.pairs):
                if pair % 2:
                    b, a = wrapped.load(options.seconds), bare.load(options.seconds)
                else:
                    a, b = bare.load(options.seconds), wrapped.load(options.seconds)
                ratios.append(b / a)
                rates.append(a)
            grown = wrapped.memory() - bare.memory()
        finally:
            bare.stop()
            wrapped.stop()
        shown = subprocess.run(
            [
                sys.executable,
                "-m",
                "requestcov.cli",
                "report",
                "--store",
                f"{directory}/bench.db",
                "--format",
                "json",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        footing = json.loads(shown.stdout).get("stands_on", {}) if shown.returncode == 0 else {}
    quarters = statistics.quantiles(ratios, n=4)
    return {
        "server": server,
        "bare_per_second": statistics.median(rates),
        "ratio": statistics.median(ratios),
        "ratio_quartiles": [quarters[0], quarters[2]],
        "more_megabytes_at_first": at_first,
        "more_megabytes_at_last": grown,
        "footing": footing,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--max-per-second", type=float, default=10)
    parser.add_argument("--only", default=",".join(SERVERS))
    parser.add_argument("--json")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: apt-get install wrk")
    print(f"Python {sys.version.split()[0]}, rate {options.rate:g}, at most {options.max_per_second:g}/s")
    results = [measure(server, options) for server in options.only.split(",")]
    for result in results:
        low, high = result["ratio_quartiles"]
        print(
            f"  {result['server']:9} bare {result['bare_per_second']:7.0f}/s  wrapped keeps "
            f"{result['ratio']:.2%} (quartiles {low:.2%} to {high:.2%}); memory "
            f"+{result['more_megabytes_at_first']:.1f} MB after warm-up, "
            f"+{result['more_megabytes_at_last']:.1f} MB at the end"
        )
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
