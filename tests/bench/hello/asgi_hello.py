"""A Starlette hello-world, bare and wrapped."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from requestcov import ASGIMiddleware


async def hello(request: Request) -> JSONResponse:
    """Greets, and says where."""
    name = request.path_params["name"]
    return JSONResponse({"hello": name, "url": str(request.url_for("hello", name="you"))})


bare = Starlette(routes=[Route("/hello/{name}", hello, name="hello")])


# Without the environment's leave nothing of requestcov starts in the bare server.
def __getattr__(attribute: str) -> object:
    if attribute == "wrapped":
        return ASGIMiddleware(bare)
    raise AttributeError(attribute)
