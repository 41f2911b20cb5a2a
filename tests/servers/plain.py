"""Starts the servers that have no command of their own: ``plain.py wsgiref|gevent.pywsgi module:app``."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def serve_wsgiref(app: str) -> None:
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    # HTTP/1.0 and one request at a time, as wsgiref is.
    server = make_server("127.0.0.1", 0, load(app), handler_class=WSGIRequestHandler)
    print(f"Listening at 127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


def serve_gevent(app: str) -> None:
    from gevent import monkey

    monkey.patch_all()
    from gevent.pywsgi import WSGIServer

    server = WSGIServer(("127.0.0.1", 0), load(app))
    server.start()
    print(f"Listening at 127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    {"wsgiref": serve_wsgiref, "gevent.pywsgi": serve_gevent}[sys.argv[1]](sys.argv[2])
