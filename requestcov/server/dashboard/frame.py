"""What stands around every page: navigation, search, filters, and how it looks.

Law: a template gets names and addresses from here and from the page alone;
everything it prints is cleaned and escaped by its environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.resources import files

from jinja2 import Environment

from requestcov.reports.html.environment import environment
from requestcov.server.dashboard.pages import PAGES

THEMES = ("auto", "light", "dark")
THEME_COOKIE = "requestcov_theme"

TYPES = {
    "style.css": "text/css; charset=utf-8",
    "script.js": "text/javascript; charset=utf-8",
    "ticks.js": "text/javascript; charset=utf-8",
}
"""The files that pages load, and what they are."""


@dataclass(frozen=True)
class Frame:
    """Around a page.

    Attributes:
        root: see View.
        page: the page's name; ``""`` for one that is none of the table's.
        theme: one of THEMES.
        guarded: whether there is a login, and so a logout.
        address: where the reader is, below ``root``, to come back to.
    """

    root: str
    page: str
    theme: str
    guarded: bool
    address: str

    @property
    def pages(self) -> list[tuple[str, str, str, bool]]:
        """The navigation: (address, title, key, whether the reader is there)."""
        return [
            (f"{self.root}{entry.path}", entry.title, entry.key, entry.name == self.page)
            for entry in PAGES
            if entry.key
        ]

    def static(self, name: str) -> str:
        """The address of one of our files, which names its content."""
        return f"{self.root}/static/{_digest(name)}/{name}"


def static_file(digest: str, name: str) -> bytes | None:
    """A file that pages load; None when there is none of that name, or not with that content."""
    return _content(name) if name in TYPES and _digest(name) == digest else None


@cache
def templates() -> Environment:
    """The environment of the dashboard's templates, which may use the report's."""
    return environment("requestcov.server.dashboard", "requestcov.reports.html")


def render(template: str, frame: Frame, **context: object) -> str:
    """A page's HTML; every character of it can be encoded."""
    return templates().get_template(template).render(frame=frame, themes=THEMES, **context)


@cache
def _content(name: str) -> bytes:
    if name == "style.css":
        return templates().get_template("dashboard.css").render().encode()
    return (files("requestcov.server.dashboard") / "static" / name).read_bytes()


@cache
def _digest(name: str) -> str:
    return blake2b(_content(name), digest_size=8).hexdigest()


def theme_of(cookies: Mapping[str, str]) -> str:
    """How the reader wants it; what a browser says is not trusted to be one of ours."""
    theme = cookies.get(THEME_COOKIE, "")
    return theme if theme in THEMES else "auto"
