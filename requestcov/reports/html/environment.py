"""The environment that every template of ours is filled in.

Laws: everything that a template prints is cleaned of characters that would not
print and escaped, so no stored text becomes an element, an attribute or a
direction; a name that a template lacks is an error, not a gap.
"""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from requestcov.record import format_lines
from requestcov.reports.terminal import clean, counted, number, percent, share
from requestcov.reports.text.footing import doubts


def environment(*packages: str) -> Environment:
    """For the templates in these packages' folders ``templates``, looked up in their order."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_finalized,
    )
    made.filters.update(
        percent=percent, number=number, counted=counted, share=share, ranges=format_lines, doubts=doubts
    )
    return made


def _finalized(value: object) -> object:
    """What is printed for a template's expression; autoescape comes after it."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
