"""Templates of real WSGI frameworks: what from_environ and the hooks find."""

from __future__ import annotations

from typing import Any

import bottle
import falcon
import pytest
from flask import Blueprint, Flask
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from requestcov import routes


def flask_app() -> Flask:
    app = Flask("shop")
    orders = Blueprint("orders", "shop")
    lines = Blueprint("lines", "shop")

    @app.route("/")
    def home() -> str:
        return "home"

    @orders.get("/<int:id>")
    def order(id: int) -> str:
        return str(id)

    @lines.get("/<int:line>")
    def line(id: int, line: int) -> str:
        return f"{id} {line}"

    @app.get("/boom")
    def boom() -> str:
        raise RuntimeError

    orders.register_blueprint(lines, url_prefix="/<int:id>/lines")
    app.register_blueprint(orders, url_prefix="/orders")
    return app


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("GET", "/", "/"),
        ("GET", "/orders/7", "/orders/<int:id>"),
        ("HEAD", "/orders/7", "/orders/<int:id>"),
        ("GET", "/orders/7/lines/8", "/orders/<int:id>/lines/<int:line>"),
        ("GET", "/boom", "/boom"),
        ("GET", "/static/app.css", "/static/<path:filename>"),
        ("GET", "/nowhere", None),
        ("DELETE", "/orders/7", None),
    ],
)
def test_flask_template_is_there_when_the_response_starts(
    get: Any, method: str, path: str, template: str | None
) -> None:
    assert get(flask_app(), path, method).at_start == template


def test_flask_under_a_dispatcher_has_the_dispatchers_prefix(get: Any) -> None:
    app = DispatcherMiddleware(flask_app(), {"/shop": flask_app()})
    assert get(app, "/shop/orders/7").at_start == "/shop/orders/<int:id>"
    assert get(app, "/orders/7").at_start == "/orders/<int:id>"
    assert get(app, "/orders/7", script_name="/deployed/here").at_start == "/orders/<int:id>"


def test_a_prefix_that_holds_an_id_is_masked(get: Any) -> None:
    def by_tenant(environ: dict[str, Any], start_response: Any) -> Any:
        environ["SCRIPT_NAME"] += "/tenant-90210-x"
        environ["PATH_INFO"] = "/orders/7"
        return flask_app()(environ, start_response)

    assert get(by_tenant, "/tenant-90210-x/orders/7").at_start == "/{token}/orders/<int:id>"


def bottle_app() -> bottle.Bottle:
    app, inner = bottle.Bottle(), bottle.Bottle()
    app.route("/orders/<id:int>", callback=lambda id: str(id))
    inner.route("/lines/<line>", callback=lambda line: line)
    app.mount("/inner/", inner)
    return app


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("GET", "/orders/7", "/orders/<id:int>"),
        ("HEAD", "/orders/7", "/orders/<id:int>"),
        ("GET", "/inner/lines/8", "/inner/lines/<line>"),
        ("GET", "/nowhere", None),
    ],
)
def test_bottle_template(get: Any, method: str, path: str, template: str | None) -> None:
    answer = get(bottle_app(), path, method)
    assert (answer.at_start, answer.at_end) == (template, template)


def pyramid_app() -> Any:
    def order(request: Any) -> Response:
        return Response(request.matchdict["id"])

    def outer(request: Any) -> Response:
        return request.invoke_subrequest(Request.blank("/orders/1"))  # type: ignore[no-any-return]

    def included(config: Any) -> None:
        config.add_route("line", "lines/{line:\\d+}")
        config.add_view(lambda request: Response("line"), route_name="line")

    config = Configurator()
    config.add_route("order", "/orders/{id}")
    config.add_view(order, route_name="order")
    config.add_route("outer", "/outer/{name}")
    config.add_view(outer, route_name="outer")
    config.include(included, route_prefix="/inner/{zone}")
    return config.make_wsgi_app()


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/orders/7", "/orders/{id}"),
        ("/inner/west/lines/8", "/inner/{zone}/lines/{line:\\d+}"),
        ("/outer/x", "/outer/{name}"),
        ("/nowhere", None),
    ],
)
def test_pyramid_pattern(get: Any, recording: Any, path: str, template: str | None) -> None:
    """A sub-request does not rename the request that made it."""
    get(pyramid_app(), path)
    assert recording.route == template


class Order:
    """A Falcon resource, for WSGI."""

    def on_get(self, req: Any, resp: Any, id: int) -> None:
        resp.text = str(id)


@pytest.mark.parametrize(
    ("path", "template"), [("/orders/7", "/orders/{id:int}"), ("/orders/x", None), ("/sunk/1", None)]
)
def test_falcon_uri_template(get: Any, recording: Any, path: str, template: str | None) -> None:
    app = falcon.App()
    app.add_route("/orders/{id:int}", Order())
    app.add_sink(lambda req, resp: None, "/sunk")
    get(app, path)
    assert recording.route == template


def test_falcon_middleware_can_name_the_route_itself(get: Any, recording: Any) -> None:
    """set_route in two lines of the app: it wins over the hook."""

    class NameRoute:
        def process_resource(self, req: Any, resp: Any, resource: Any, params: Any) -> None:
            routes.set_route("/named" + req.uri_template)

    app = falcon.App(middleware=[NameRoute()])
    app.add_route("/orders/{id:int}", Order())
    assert get(app, "/orders/7").body == b"7"
    assert recording.route == "/named/orders/{id:int}"


def test_an_environ_of_no_framework_has_no_template() -> None:
    class Hostile:
        @property
        def url_rule(self) -> None:
            raise RuntimeError

    assert routes.from_environ({"PATH_INFO": "/x"}) is None
    assert routes.from_environ({"werkzeug.request": None}) is None
    assert routes.from_environ({"werkzeug.request": Hostile()}) is None
