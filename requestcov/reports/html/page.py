"""The whole report: the sections in their order, in one file that needs nothing else.

Laws: everything that a template prints is cleaned of characters that would not
print and escaped, so no stored text becomes an element, an attribute or a
direction; a page runs no script and asks no network, and its content security
policy makes a browser hold that. The same store gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast

from markupsafe import Markup

from requestcov.reports.html.environment import environment
from requestcov.reports.html.material import Material

SECTIONS = (
    "overview",
    "endpoints",
    "files",
    "hot",
    "paths",
    "thin",
    "dead",
    "gap",
    "releases",
    "impact",
    "suspects",
    "slow",
    "source",
    "who",
)
"""A module and a template each, in the order of the page."""

GENERATOR = '<meta name="generator" content="requestcov">'
"""By which a file that we wrote is known."""


class Section(Protocol):
    """What a section's module holds.

    Attributes:
        TITLE: its heading.
    """

    TITLE: str

    def section(self, material: Material) -> Mapping[str, object]:
        """What its template is filled with."""


def render(material: Material) -> str:
    """The report; every character of it can be encoded.

    Raises:
        StoreError: the store cannot be read any more.
    """
    found = environment("requestcov.reports.html")
    style = found.get_template("style.css").render()
    modules = {name: cast(Section, import_module(f"requestcov.reports.html.{name}")) for name in SECTIONS}
    there = {
        "gap": material.gap is not None,
        "impact": material.impact is not None,
        "source": material.with_source,
        "who": material.with_source,
    }
    names = [name for name in SECTIONS if there.get(name, True)]
    bodies = {
        name: Markup(
            found.get_template(f"{name}.html").render(
                place=material.place,
                function_place=material.function_place,
                anchors=material.anchors,
                numbers=material.numbers,
                with_source=material.with_source,
                **modules[name].section(material),
            )
        )
        for name in names
    }
    return found.get_template("page.html").render(
        generator=Markup(GENERATOR),
        style=Markup(style),
        policy=_policy(style),
        sections=[(name, modules[name].TITLE, bodies[name]) for name in names],
        footing=material.evidence.footing,
    )


def _policy(style: str) -> str:
    """Nothing may be loaded, sent or run; the one style sheet applies."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
