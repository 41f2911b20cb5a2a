"""Templates of each framework's notation find their paths again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requestcov._templates import MAX_PATH, Templates


@pytest.mark.parametrize(
    ("template", "path", "also", "not_these"),
    [
        ("/orders/{id}", "/orders/7", ["/orders/x"], ["/orders", "/orders/7/x", "/orders/", "/users/7"]),
        ("/orders/<int:id>", "/orders/7", ["/orders/8"], ["/orders/x"]),
        ("/orders/{id:int}", "/orders/7", ["/orders/8"], ["/orders/x"]),
        ("/orders/<id:int>", "/orders/7", ["/orders/8"], ["/orders/x"]),
        ("/orders/<int(min=1):id>/", "/orders/7/", ["/orders/8/"], ["/orders/7", "/orders/x/"]),
        ("/files/{path}", "/files/a/b", ["/files/a", "/files/a/b/c"], ["/files", "/files/"]),
        ("/static/<path:name>", "/static/a.css", ["/static/x/y.css"], ["/static/"]),
        ("/static/*subpath", "/static/a.css", ["/static/x/y.css"], ["/statics/x"]),
        ("/inner/<:re:.*>", "/inner/a", ["/inner/a/b"], ["/outer/a"]),
        ("/x/{day:\\d{4}}/y", "/x/2004/y", ["/x/2005/y"], ["/x/2004/z"]),
        ("/old/:id", "/old/7", ["/old/x"], ["/old"]),
        ("/data/<name>.json", "/data/a.json", ["/data/b.json"], ["/data/b.xml"]),
        ("/{a}/edit/{rest:path}/end", "/q/edit/b/c/end", ["/r/edit/z/end"], ["/r/edit/z"]),
        ("/orders/{id}", "/behind/proxy/orders/7", ["/behind/proxy/orders/8"], ["/orders/7"]),
        ("/", "/", [], ["", "/x"]),
    ],
)
def test_a_template_finds_its_paths(template: str, path: str, also: list[str], not_these: list[str]) -> None:
    templates: Templates[str] = Templates()
    assert templates.add(template, path, "it")
    assert [templates.find(one) for one in [path, *also]] == ["it"] * (1 + len(also))
    assert [templates.find(one) for one in not_these] == [None] * len(not_these)


def test_the_more_literal_template_wins_in_any_order_of_learning() -> None:
    known = {
        "/{path}": "/a/b/c",
        "/users/{name}": "/users/ann",
        "/users/<int:id>": "/users/7",
        "/users/me": "/users/me",
        "/users/{name}.json": "/users/ann.json",
        "/users/{name}/posts": "/users/ann/posts",
    }
    for order in (list(known), list(reversed(known))):
        templates: Templates[str] = Templates()
        for template in order:
            assert templates.add(template, known[template], template)
        assert {template: templates.find(path) for template, path in known.items()} == {t: t for t in known}
        assert templates.find("/users/me/posts") == "/users/{name}/posts"
        assert templates.find("/users/8/posts") == "/users/{name}/posts"


def test_a_prefix_that_is_no_plain_word_is_not_learned() -> None:
    """A tenant's number before the template would make a template a tenant."""
    assert not Templates[str]().add("/orders/{id}", "/4711-x/orders/7", "it")


def test_a_template_that_does_not_fit_the_path_is_not_learned() -> None:
    templates: Templates[str] = Templates()
    assert not templates.add("/users/{id}", "/orders/7", "it")
    assert not templates.add("/x/<broken", "/x/y", "it")
    assert not templates.add("/{x}", "/" + "a" * MAX_PATH, "it")
    assert templates.find("/x/y") is None


@given(st.text("/ab{}<>:*()\\[]^$.", max_size=30), st.text("/ab", max_size=12))
def test_no_template_raises_and_a_learned_one_is_found(template: str, path: str) -> None:
    templates: Templates[str] = Templates()
    if templates.add("/" + template, "/" + path, "it"):
        assert templates.find("/" + path) == "it"
