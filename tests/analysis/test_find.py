"""What a person types, and which endpoint or file it means."""

from __future__ import annotations

import pytest

from requestcov.analysis.find import Found, NotFound, find

ENDPOINTS = ["GET /orders", "GET /orders/{id}", "POST /orders", "GET /users/{id}", "-X /odd"]
PATHS = ["shop/views.py", "shop/orders/models.py", "admin/views.py"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("GET /orders", "GET /orders"),
        ("get /orders/{ID}", "GET /orders/{id}"),
        ("/users/{id}", "GET /users/{id}"),
        ("GET /us", "GET /users/{id}"),
        ("users", "GET /users/{id}"),
        ("-X /odd", "-X /odd"),
    ],
)
def test_an_endpoint_is_found_by_its_name_or_a_part_of_it(typed, meant):
    assert find(typed, ENDPOINTS, PATHS) == Found(endpoint=meant)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("shop/views.py", "shop/views.py"),
        ("./shop/views.py", "shop/views.py"),
        ("models.py", "shop/orders/models.py"),
        ("orders/models.py", "shop/orders/models.py"),
        ("admin/", "admin/views.py"),
    ],
)
def test_a_file_is_found_by_its_path_or_the_end_of_it(typed, meant):
    assert find(typed, ENDPOINTS, PATHS) == Found(path=meant)


@pytest.mark.parametrize(
    ("typed", "several"),
    [
        ("/orders", ("GET /orders", "POST /orders")),
        ("views.py", ("admin/views.py", "shop/views.py")),
        ("GET /o", ("GET /orders", "GET /orders/{id}")),
    ],
)
def test_what_fits_several_is_never_guessed(typed, several):
    with pytest.raises(NotFound) as raised:
        find(typed, ENDPOINTS, PATHS)
    assert raised.value.ambiguous
    assert raised.value.candidates == several


def test_names_near_an_unknown_one_are_offered():
    with pytest.raises(NotFound) as raised:
        find("GET /ordres", ENDPOINTS, PATHS)
    assert not raised.value.ambiguous
    assert raised.value.candidates[0] == "GET /orders"


@pytest.mark.parametrize("typed", ["", "  ", "./"])
def test_nothing_means_nothing(typed):
    with pytest.raises(NotFound):
        find(typed, ENDPOINTS, PATHS)
