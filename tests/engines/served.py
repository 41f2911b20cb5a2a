"""A script that serves requests in its own process, under whatever collects its lines.

    python -m tests.engines.served RECORDED OUT

RECORDED is ``bare`` (no requestcov), ``lines`` or ``branches``. OUT becomes
requestcov's records. Run by ``coverage run``, coverage.py's numbers of this
file and its neighbour must not depend on RECORDED.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from tests.engines import served_app


def call(app: Any, path: str) -> str:
    """One request, as a server makes it; an exception is a status too."""
    try:
        result = app({"REQUEST_METHOD": "GET", "PATH_INFO": path, "SCRIPT_NAME": ""}, lambda *args: None)
        body = b"".join(result).decode()
        if hasattr(result, "close"):
            result.close()
    except ValueError as error:
        return f"error {error}"
    return body


def main(recorded: str, out: str) -> None:
    """Serve the same requests in the same order, recorded or not."""
    app: Any = served_app.app
    if recorded != "bare":
        from requestcov import Config, WSGIMiddleware

        config = Config(
            source=("tests/engines",),
            sample_rate=1.0,
            first=0,
            max_per_second=0,
            branch=recorded == "branches",
            sinks=(f"file:///{out}",),
        )
        app = WSGIMiddleware(app, config)
    before = sys.gettrace()
    bodies = [call(app, path) for path in served_app.PATHS]
    thread = threading.Thread(target=lambda: bodies.extend(call(app, path) for path in served_app.PATHS))
    thread.start()
    thread.join()
    assert sys.gettrace() is before
    print(bodies)
    if recorded != "bare":
        from requestcov import flush

        assert flush(10)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
