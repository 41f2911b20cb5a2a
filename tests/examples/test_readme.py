"""The README's snippets, each pasted into an app of its framework, which then answers a request."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import requestcov

README = Path(__file__).parents[2] / "README.md"

FLASK = """
from flask import Flask
app = Flask("shop")

@app.route("/orders/<int:number>")
def order(number):
    return f"order {number}"
"""
FASTAPI = """
from fastapi import FastAPI
app = FastAPI()

@app.get("/orders/{number}")
def order(number: int):
    return f"order {number}"
"""
DJANGO = """
import django.conf
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

django.conf.settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="none")

def order(request, number):
    return HttpResponse(f"order {number}")

urlpatterns = [path("orders/<int:number>", order)]
"""
ASK_WSGI = """
import httpx, requestcov, shop
app = getattr(shop, "application", None) or shop.app
with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://shop.test") as client:
    print(client.get("/orders/7").text)
assert requestcov.flush()
"""
ASK_ASGI = """
import asyncio, httpx, requestcov, shop

async def ask():
    transport = httpx.ASGITransport(shop.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        return await client.get("/orders/7")

print(asyncio.run(ask()).json())
assert requestcov.flush()
"""


def snippet(framework: str) -> str:
    """The Python block after the framework's name in bold."""
    found = re.search(rf"\*\*{framework}\*\*.*?```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert found, framework
    return found[1]


def run(command: list[str], directory: Path) -> str:
    """What a command prints, run as a reader would: in the app's directory, nothing configured."""
    env = {
        name: text for name, text in os.environ.items() if not name.startswith(("REQUESTCOV_", "COVERAGE_"))
    }
    env["PYTHONPATH"] = os.pathsep.join([str(directory), str(Path(requestcov.__file__).parents[1])])
    done = subprocess.run(
        command, cwd=directory, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("framework", "app", "ask", "route"),
    [
        ("Flask", FLASK, ASK_WSGI, "/orders/<int:number>"),
        ("FastAPI", FASTAPI, ASK_ASGI, "/orders/{number}"),
        ("Django", DJANGO, ASK_WSGI, "/orders/<int:number>"),
    ],
)
def test_a_snippet_of_the_readme_records_the_first_request(
    framework: str, app: str, ask: str, route: str, tmp_path: Path
) -> None:
    """The line that the endpoint's function has was run, and the report says so."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text(app + snippet(framework))
    assert run([sys.executable, "-c", ask], tmp_path) == "order 7\n"
    report = json.loads(run([sys.executable, "-m", "requestcov.cli", "report", "--format", "json"], tmp_path))
    (endpoint,) = report["endpoints"]
    assert endpoint["endpoint"] == f"GET {route}"
    assert (endpoint["seen"], endpoint["recorded"], endpoint["executed"], endpoint["executable"]) == (
        1,
        1,
        1,
        1,
    )
