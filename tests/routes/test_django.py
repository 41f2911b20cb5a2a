"""Django over WSGI and ASGI, with sync and async views: the hook on resolve_request."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test import override_settings
from django.urls import include, path, re_path

from requestcov._names import readable

if not settings.configured:
    settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="for tests", DEBUG=False, MIDDLEWARE=[])
    django.setup()


def plain(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
    return HttpResponse(b"plain")


async def awaited(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
    return HttpResponse(b"awaited")


urls = types.ModuleType("requestcov_test_urls")
urls.urlpatterns = [  # type: ignore[attr-defined]
    path("", plain),
    path("orders/<int:pk>/", plain),
    path("async/<slug:name>/", awaited),
    re_path(r"^articles/(?P<year>[0-9]{4})/(\d+)/$", plain),
    path(
        "api/<str:zone>/",
        include([path("lines/<int:n>", plain), re_path(r"^old/(?P<id>\d+)\.json$", awaited)]),
    ),
]


@pytest.fixture(autouse=True)
def urlconf() -> Iterator[None]:
    sys.modules[urls.__name__] = urls
    with override_settings(ROOT_URLCONF=urls.__name__):
        yield
    del sys.modules[urls.__name__]


CASES = [
    ("/", "/"),
    ("/orders/7/", "/orders/<int:pk>/"),
    ("/async/a-name/", "/async/<slug:name>/"),
    ("/articles/2003/5/", "/articles/<year>/<var>/"),
    ("/api/west/lines/5", "/api/<str:zone>/lines/<int:n>"),
    ("/api/west/old/5.json", "/api/<str:zone>/old/<id>.json"),
    ("/nowhere", None),
]


@pytest.mark.parametrize(("url", "template"), CASES)
def test_django_route_over_wsgi(get: Any, recording: Any, url: str, template: str | None) -> None:
    answer = get(WSGIHandler(), url)
    assert answer.status[:3] == ("404" if template is None else "200")
    assert recording.route == template


@pytest.mark.parametrize(("url", "template"), CASES)
def test_django_route_over_asgi(ask: Any, recording: Any, url: str, template: str | None) -> None:
    answer = ask(ASGIHandler(), url)
    assert answer.status == (404 if template is None else 200)
    assert recording.route == template


def test_django_head_is_served_by_the_get_view(get: Any, recording: Any) -> None:
    get(WSGIHandler(), "/orders/7/", "HEAD")
    assert recording.route == "/orders/<int:pk>/"


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [
        ("orders/<int:pk>/", "orders/<int:pk>/"),
        (r"^x/(?:page-(?P<p>\d+)/)?$", "x/page-<p>/"),
        (r"^f/([()\]]+)\.json\Z", "f/<var>.json"),
        (r"^(?!api)(?P<rest>.*)$", "<rest>"),
        (r"^a/(?P<x>(b|c(d)))/e$", "a/<x>/e"),
        (r"^broken/(?P<x>[", "broken/<x>"),
    ],
)
def test_a_regular_expression_becomes_readable(pattern: str, shown: str) -> None:
    assert readable(pattern) == shown
