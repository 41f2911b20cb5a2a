"""The whole of requestcov in a minute: two shops, thousands of requests, two reports.

    python examples/demo.py            # what `make demo` runs

Starts the FastAPI shop under uvicorn, then the Flask shop under gunicorn,
each as its own process and configured by REQUESTCOV_ variables alone; sends
them shoppers from a client process; stops them; prints what the requests ran.
Whatever happens on the way, no server is left running.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape

HERE = Path(__file__).resolve().parent
SHOP = HERE / "shop"
START_SECONDS = 30.0
STOP_SECONDS = 15.0
ENDPOINT = "GET /shipping/quote"
FILE = "shop/shipping.py"

console = Console(highlight=False)


@dataclass(frozen=True)
class Shop:
    """One of the two apps: its module and its server's command line."""

    title: str
    module: str
    command: tuple[str, ...]


SHOPS = (
    Shop(
        "FastAPI under uvicorn",
        "fastapi_app",
        ("uvicorn", "--fd", "{fd}", "--log-level", "warning", "fastapi_app:app"),
    ),
    Shop(
        "Flask under gunicorn, 2 processes of 4 threads",
        "flask_app",
        ("gunicorn", "--bind", "fd://{fd}", "--workers", "2", "--threads", "4", "flask_app:app"),
    ),
)


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


def settings(shop: Shop, folder: Path, rate: float) -> dict[str, str]:
    """All that the wrapped app is told."""
    return {
        "REQUESTCOV_SOURCE": f"shop,{shop.module}",
        "REQUESTCOV_SERVICE": shop.module,
        "REQUESTCOV_RELEASE": "demo",
        "REQUESTCOV_SAMPLE_RATE": str(rate),
        "REQUESTCOV_MAX_PER_SECOND": "0",
        "REQUESTCOV_SINKS": f"sqlite:///{store(shop, folder)}",
    }


def store(shop: Shop, folder: Path) -> Path:
    """Where the records of a shop are kept."""
    return folder / f"{shop.module}.db"


@contextmanager
def serving(shop: Shop, folder: Path, rate: float) -> Iterator[str]:
    """The shop behind its real server; the value is its address.

    Raises:
        DemoError: it did not start, or did not stop.
    """
    environ = {name: text for name, text in os.environ.items() if not name.startswith("REQUESTCOV_")}
    environ |= settings(shop, folder, rate) | {"SHOP_DATABASE": str(folder / f"{shop.module}-goods.db")}
    log = folder / f"{shop.module}.log"
    # The server inherits a socket that listens already: no port to guess, and
    # none that another process could take in between.
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener, log.open("wb") as output:
        port = listener.getsockname()[1]
        command = [sys.executable, "-m", *(part.format(fd=listener.fileno()) for part in shop.command)]
        base = f"http://127.0.0.1:{port}"
        with running(
            command,
            cwd=SHOP,
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
        ) as process:
            # From here on the server alone holds the socket: when it ends, clients notice.
            listener.close()
            wait_until_it_serves(process, base, log)
            yield base
            stop(process, log)


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, which is gone afterwards, children included."""
    process: subprocess.Popen[bytes] | None = None
    try:
        with signals_held_back():
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
        yield process
    finally:
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Ctrl-C takes effect afterwards: within Popen it would leave a process that nobody knows."""
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def wait_until_it_serves(process: subprocess.Popen[bytes], base: str, log: Path) -> None:
    """Return after the first answer.

    Raises:
        DemoError: the process ended, or kept silent for too long.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoError(f"The server ended with exit code {process.returncode}. It said:\n{tail(log)}")
        try:
            if httpx.get(f"{base}/health", timeout=1, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise DemoError(f"The server did not answer within {START_SECONDS:.0f} s. It said:\n{tail(log)}")


def stop(process: subprocess.Popen[bytes], log: Path) -> None:
    """Ask the server to finish, as a deployment would.

    Raises:
        DemoError: it did not.
    """
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        raise DemoError(
            f"The server did not stop within {STOP_SECONDS:.0f} s. It said:\n{tail(log)}"
        ) from None


def tail(log: Path) -> str:
    """The last lines of a server's log."""
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines[-15:]) or "(nothing)"


def send_requests(base: str, requests: int) -> None:
    """Run the client process, which shows its own progress.

    Raises:
        DemoError: some requests got no answer.
    """
    client = [sys.executable, str(SHOP / "traffic.py"), base, "--requests", str(requests)]
    with running(client) as process:
        code = process.wait()
    if code != 0:
        raise DemoError("The client did not get through; the server's log is in the folder named above.")


def requestcov(*arguments: str) -> None:
    """Run the command line of requestcov, showing what is run.

    Raises:
        DemoError: it failed.
    """
    console.print(f"\n[bold green]$[/] [bold]requestcov {escape(shlex.join(arguments))}[/]", soft_wrap=True)
    script = Path(sys.executable).with_name("requestcov")
    code = "import sys; from requestcov.cli import main; sys.exit(main())"
    command = [str(script)] if script.exists() else [sys.executable, "-c", code]
    done = subprocess.run([*command, *arguments], cwd=SHOP, check=False)
    if done.returncode != 0:
        raise DemoError(f"requestcov {shlex.join(arguments)} ended with exit code {done.returncode}.")


def run(requests: int, rate: float, folder: Path) -> None:
    """The demo: traffic for both shops, then the reports."""
    folder.mkdir(parents=True, exist_ok=True)
    for shop in SHOPS:
        for earlier in folder.glob(f"{shop.module}*"):
            earlier.unlink()
    console.print(f"Databases, logs and recorded coverage go to {folder}", soft_wrap=True)
    for shop in SHOPS:
        console.rule(f"[bold]{shop.title}")
        for name, text in settings(shop, folder, rate).items():
            console.print(f"  {name}={text}", soft_wrap=True)
        with serving(shop, folder, rate) as base:
            console.print(f"  serving at {base}; {requests} requests are coming")
            send_requests(base, requests)
    for shop in SHOPS:
        console.rule(f"[bold]What each endpoint ran: {shop.title}")
        requestcov("report", "--store", str(store(shop, folder)))
    console.rule(f"[bold]The lines that one endpoint ran: {SHOPS[0].title}")
    requestcov("show", ENDPOINT, "--store", str(store(SHOPS[0], folder)))
    console.rule(f"[bold]Who ran each line of a file: {SHOPS[1].title}")
    requestcov("show", FILE, "--store", str(store(SHOPS[1], folder)))
    console.rule("[bold]Where to look next")
    console.print(escape(next_steps(folder)), soft_wrap=True)


def next_steps(folder: Path) -> str:
    """What a newcomer may try, with commands that work as they stand."""
    here = store(SHOPS[0], folder)
    return (
        f"The recorded coverage is an SQLite file each:\n  {here}\n  {store(SHOPS[1], folder)}\n\n"
        f"cd {SHOP}; PATH={Path(sys.executable).parent}:$PATH\n"
        f"requestcov report --store {here} --by file\n"
        f"requestcov show shop/pricing.py --store {here}\n"
        f"requestcov show 'POST /carts/{{cart_id}}/checkout' --store {here}\n"
        f"requestcov dead --store {here}\n"
        f"requestcov --help\n\n"
        "What there is to find in the shop: examples/shop/README.md\n"
        "The two lines that wrap the apps: the last of fastapi_app.py and of flask_app.py"
    )


def main() -> int:
    """The command line; exit code 1 when something did not work."""
    parser = argparse.ArgumentParser(description="Two shops under load, and what their requests ran.")
    parser.add_argument("--requests", type=int, default=2000, help="how many for each shop (default: 2000)")
    parser.add_argument("--rate", type=float, default=0.5, help="share of them recorded (default: 0.5)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=HERE.parent / "build" / "demo",
        help="for everything that is written (default: build/demo)",
    )
    args = parser.parse_args()
    # `kill` ends the demo as Ctrl-C does: through the code that stops the server.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(args.requests, args.rate, args.folder.resolve())
    except DemoError as error:
        console.print(f"[bold red]The demo stopped.[/] {escape(str(error))}")
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped; no server is left running.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
