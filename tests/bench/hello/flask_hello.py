"""A Flask hello-world, bare and wrapped."""

from __future__ import annotations

from flask import Flask, url_for

from requestcov import WSGIMiddleware

bare = Flask("hello")


@bare.route("/hello/<name>")
def hello(name: str) -> str:
    """Greets, and says where."""
    return f"Hello, {name}! {url_for('hello', name='you')}"


# Without the environment's leave nothing of requestcov starts in the bare server.
def __getattr__(attribute: str) -> object:
    if attribute == "wrapped":
        return WSGIMiddleware(bare)
    raise AttributeError(attribute)
