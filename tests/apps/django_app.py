"""A Django project in one module, served by WSGI and by ASGI.

Sync and async views, a class-based one, streams, a template that calls back
into Python, middleware, a signal that runs when the response is closed, and
views that fail. Whatever a request runs depends on that request alone, so the
same request runs the same lines every time; one list fits both protocols.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import django
from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template import Context, Engine
from django.test.utils import override_settings
from django.urls import include, path, re_path
from django.utils.decorators import sync_and_async_middleware
from django.views import View

from tests.apps.requests import AppRequest

TEMPLATE = """<h1>{{ title }}</h1>
{% for item in basket.items %}<p>{{ item.name }}: {{ item.price_with_tax }}</p>
{% empty %}<p>nothing</p>{% endfor %}{{ basket.total }}"""

if not settings.configured:
    settings.configure(ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None, SECRET_KEY="only-for-tests")
    django.setup()
# Other tests in this process may have configured Django first, so this project
# leans on settings as little as it can: its middleware picks the URLs.
if not hasattr(settings, "ROOT_URLCONF"):
    settings.ROOT_URLCONF = __name__
# A captured log record would keep the exception's frames, and with them
# asgiref's executor and its thread.
logging.getLogger("django.request").setLevel(logging.CRITICAL)

engine = Engine(loaders=[("django.template.loaders.locmem.Loader", {"basket.html": TEMPLATE})])


class Item:
    """A thing with a price, for the template to ask."""

    def __init__(self, name: str, cents: int) -> None:
        self.name = name
        self.cents = cents

    def price_with_tax(self) -> str:
        tax = self.cents * 19 // 100
        return f"{(self.cents + tax) / 100:.2f}"


class Basket:
    """Things; how many there are decides which lines the template runs."""

    def __init__(self, count: int) -> None:
        self.items = [Item(f"item {number}", 100 * number) for number in range(1, count + 1)]

    def total(self) -> str:
        if not self.items:
            return "free"
        return f"{sum(item.cents for item in self.items)} cents"


@sync_and_async_middleware
def stamp(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Middleware whose own lines belong to the request too."""

    def mark(response: HttpResponseBase) -> HttpResponseBase:
        response["X-Stamp"] = str(response.status_code)
        return response

    if iscoroutinefunction(get_response):

        async def amiddleware(request: HttpRequest) -> HttpResponseBase:
            request.urlconf = __name__  # type: ignore[attr-defined]
            return mark(await get_response(request))

        return amiddleware

    def middleware(request: HttpRequest) -> HttpResponseBase:
        request.urlconf = __name__  # type: ignore[attr-defined]
        return mark(get_response(request))

    return middleware


def on_finished(sender: object, **kwargs: object) -> None:
    """Runs when the server closes the response."""
    kwargs.pop("signal", None)


request_finished.connect(on_finished, dispatch_uid="tests.apps.django_app")


def home(request: HttpRequest) -> HttpResponse:
    name = request.GET.get("name")
    if name:
        return HttpResponse(f"hello {name}")
    return HttpResponse("hello")


def order(request: HttpRequest, number: int) -> HttpResponse:
    if number > 100:
        raise Http404("no such order")
    if number % 2:
        return JsonResponse({"order": number, "kind": "odd"})
    return JsonResponse({"order": number, "kind": "even"})


async def product(request: HttpRequest, slug: str) -> HttpResponse:
    await asyncio.sleep(0)
    price = await sync_to_async(price_of)(slug)
    first, second = await asyncio.gather(stock_of(slug), stock_of("other"))
    return JsonResponse({"slug": slug, "price": price, "stock": first + second})


def price_of(slug: str) -> int:
    if slug.startswith("cheap"):
        return 1
    return len(slug) * 100


async def stock_of(slug: str) -> int:
    await asyncio.sleep(0)
    total = 0
    for char in slug:
        total += ord(char) % 3
    return total


def basket(request: HttpRequest, count: int) -> HttpResponse:
    context = Context({"title": "Basket", "basket": Basket(count)})
    return HttpResponse(engine.get_template("basket.html").render(context))


def rows(count: int) -> Iterator[str]:
    for number in range(count):
        yield row(number)
    yield "end\n"


def row(number: int) -> str:
    if number == 0:
        return "header\n"
    return f"row {number}\n"


async def arows(count: int) -> AsyncIterator[str]:
    for number in range(count):
        await asyncio.sleep(0)
        yield row(number)
    yield "end\n"


def export(request: HttpRequest, count: int) -> HttpResponseBase:
    # Each protocol has its own kind of stream; Django warns about the other kind.
    if hasattr(request, "scope"):
        return StreamingHttpResponse(arows(count), content_type="text/plain")
    return StreamingHttpResponse(rows(count), content_type="text/plain")


def broken(request: HttpRequest) -> HttpResponse:
    step = int(request.GET.get("step", "0"))
    return HttpResponse(str(10 // step))


async def abroken(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    raise LookupError("an async view fails")


class Note(View):
    """A class-based view with two methods."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("no notes")

    def post(self, request: HttpRequest) -> HttpResponse:
        text = request.POST.get("text", "")
        if not text:
            return HttpResponse("empty", status=400)
        return HttpResponse(text.upper(), status=201)


def archive(request: HttpRequest, year: str) -> HttpResponse:
    return HttpResponse(f"archive of {year}")


shop_patterns = [
    path("orders/<int:number>/", order, name="order"),
    path("products/<slug:slug>/", product, name="product"),
    path("baskets/<int:count>/", basket, name="basket"),
]

urlpatterns = [
    path("", home),
    path("shop/", include((shop_patterns, "shop"))),
    path("export/<int:count>/", export),
    path("broken/", broken),
    path("abroken/", abroken),
    path("note/", Note.as_view()),
    re_path(r"^archive/(?P<year>[0-9]{4})/$", archive),
]


def wsgi_application() -> Any:
    """A fresh WSGI callable."""
    with override_settings(MIDDLEWARE=[f"{__name__}.stamp"]):
        return WSGIHandler()


def asgi_application() -> Any:
    """A fresh ASGI callable."""
    with override_settings(MIDDLEWARE=[f"{__name__}.stamp"]):
        return ASGIHandler()


def _get(
    path: str, route: str | None, has: str = "", status: int = 200, *marks: str, **params: Any
) -> AppRequest:
    return AppRequest("GET", path, {"params": params} if params else {}, status, route, has, marks)


_ORDER = "/shop/orders/<int:number>/"
_PRODUCT = "/shop/products/<slug:slug>/"
_BASKET = "/shop/baskets/<int:count>/"

REQUESTS: tuple[AppRequest, ...] = (
    _get("/", "/", "hello", 200, "home", "mark", "on_finished"),
    _get("/", "/", "hello you", 200, "home", name="you"),
    _get("/shop/orders/7/", _ORDER, "odd", 200, "order"),
    _get("/shop/orders/8/", _ORDER, "even", 200, "order"),
    _get("/shop/orders/101/", _ORDER, "Not Found", 404, "order"),
    _get("/shop/orders/seven/", None, "Not Found", 404, "mark"),
    _get("/shop/products/teapot/", _PRODUCT, '"price": 600', 200, "product", "price_of", "stock_of"),
    _get("/shop/products/cheap-cup/", _PRODUCT, '"price": 1,', 200, "product", "price_of", "stock_of"),
    _get("/shop/baskets/3/", _BASKET, "item 3: 3.57", 200, "basket", "price_with_tax", "total"),
    _get("/shop/baskets/0/", _BASKET, "free", 200, "basket", "total"),
    _get("/export/3/", "/export/<int:count>/", "row 2\nend", 200, "export", "row", "on_finished"),
    _get("/export/0/", "/export/<int:count>/", "end", 200, "export"),
    _get("/broken/", "/broken/", "Server Error", 500, "broken"),
    _get("/broken/", "/broken/", "5", 200, "broken", step=2),
    _get("/abroken/", "/abroken/", "Server Error", 500, "abroken"),
    _get("/note/", "/note/", "no notes", 200, "get"),
    AppRequest("POST", "/note/", {"data": {"text": "milk"}}, 201, "/note/", "MILK", ("post",)),
    AppRequest("POST", "/note/", {"data": {"text": ""}}, 400, "/note/", "empty", ("post",)),
    AppRequest("DELETE", "/note/", {}, 405, "/note/"),
    _get("/archive/1999/", "/archive/<year>/", "archive of 1999", 200, "archive"),
    _get("/nowhere/", None, "Not Found", 404),
)
