"""An option that cannot be used ends the start, also where Starlette makes the wrapper in the first call."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

APP = """
from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from requestcov import ASGIMiddleware

app = FastAPI()
app.add_middleware(ASGIMiddleware)
app.add_middleware(GZipMiddleware)
"""


@pytest.mark.parametrize(
    "server",
    [("uvicorn", "--port", "0"), ("hypercorn", "--bind", "127.0.0.1:0")],
    ids=["uvicorn", "hypercorn"],
)
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("REQUESTCOV_SAMPLE_RATE", "2", "REQUESTCOV_SAMPLE_RATE='2' cannot be used"),
        ("REQUESTCOV_SINKS", "https://collector.example/v1", "it has a path"),
    ],
)
def test_a_server_does_not_start_with_middleware_that_is_refused(
    tmp_path: Path, server: tuple[str, ...], variable: str, value: str, said: str
) -> None:
    """Otherwise it would listen, and answer each request with a 500."""
    (tmp_path / "refused.py").write_text(APP)
    ended = subprocess.run(
        [sys.executable, "-m", *server, "refused:app"],
        cwd=tmp_path,
        env={**os.environ, variable: value},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert said in ended.stderr + ended.stdout
